import { Draw } from "./chance.ts";
import { drawCollecting, type Collecting } from "./collecting.ts";
import { drawHolding, type Holding } from "./holding.ts";
import { drawSealing, type Sealing } from "./sealing.ts";
import type { Ambushes } from "./ambush.ts";
import { PEOPLES_WAYS, RARER_WAYS, SURPRISES, type Way } from "./people.ts";

/** What can go wrong, besides people: each kind is drawn for a story or not. */
const FATES = [
  "crash",
  "crash-in-commit",
  "stop",
  "power-cut",
  "roll-back",
  "partition",
  "server-crash",
  "server-restore",
  "bar",
  "io",
  "full",
  "clock-jump",
] as const;

/** Drawn beside the others: the process ends between two steps on its disk, or in one. */
const STEP_FATE = "crash-in-step";
/** Drawn so, too: a commit is on its way while somebody deletes the folder that it adds to. */
const CROSSED_FATE = "crossed";
/** … folders change places while a look at everything goes by them … */
const SLIPPED_FATE = "slipped";
/** … and somebody undoes what another one, who is away, has not seen. */
const UNDONE_FATE = "undone";
export const ALL_FATES = [...FATES, STEP_FATE, CROSSED_FATE, SLIPPED_FATE, UNDONE_FATE] as const;
export type Fate = (typeof ALL_FATES)[number];

/** Everything about a story but its course: drawn from the seed, printed, and shrunk. */
export type Swarm = {
  readonly seed: number;
  readonly devices: number;
  /** Names are compared without case in this space. */
  readonly folding: boolean;
  /** Which devices' disks fold case. */
  readonly foldingDisks: readonly boolean[];
  readonly reuseInodes: boolean;
  /** Which devices' disks keep times in whole seconds. */
  readonly coarseDisks: readonly boolean[];
  /** Everything rests between two people's steps, and nothing goes wrong. */
  readonly sequential: boolean;
  readonly names: readonly string[];
  readonly ways: Readonly<Partial<Record<Way, number>>>;
  /** People's deeds: on which device, how long they wait before it, and what; else it is drawn. */
  readonly deeds: readonly {
    readonly id: number;
    readonly device: number;
    readonly waitMs: number;
    readonly way?: Way;
  }[];
  readonly fates: readonly {
    readonly id: number;
    readonly fate: Fate;
    readonly device: number;
    readonly waitMs: number;
  }[];
  readonly longestStepMs: number;
  readonly slowListing: number;
  readonly lostRequest: number;
  readonly lostReply: number;
  readonly repeated: number;
  readonly latencyMs: number;
  readonly pageEntries: number;
  readonly lostHints: number;
  readonly hintLatencyMs: number;
  readonly overflow: number;
  /** How wrong each device's clock is. */
  readonly skewsMs: readonly number[];
  /**
   * Share of looks at the disk that have no turn of their own, so that nobody's step comes between
   * them and the next; 0: every call has its turn, and every touch its hint.
   */
  readonly glances: number;
  /** Null: as many deletions as people know it ask, so that no story's do. */
  readonly holding: Holding | null;
  /** Null: people act when their time has come, and not when an engine is at work. */
  readonly ambush: Ambushes | null;
  /** The server: its parts over a twin of its schema, or over the schema, or all of it. */
  readonly server: "memory" | "sqlite" | "http";
  /** Null: the space is plain. */
  readonly sealed: Sealing | null;
  /** Null: every version stays. */
  readonly collecting: Collecting | null;
};

/**
 * What a sweep's stories have in common: nothing, every fault at once, none and no race, or a
 * server that collects all the time.
 */
export type Weather = "any" | "storm" | "in-order" | "collecting";

const YEAR_MS = 365 * 86_400_000;
const MOST_YEARS_APART = 25;

/** Stories on the server's own schema take half as long again as those on its twin … */
const SQLITE_SHARE = 0.01;
/** … and those through its HTTP layer several times as long. */
const HTTP_SHARE = 0.005;

/**
 * Most bugs that many deeds find are found by few as well, and a story takes as long as its deeds:
 * what counts is the time until one is found. Long stories are for the rest.
 */
const SHORT_SHARE = 0.75;
const MOST_DEEDS = { short: 12, long: 40 } as const;
const MOST_FATES = { short: 3, long: 8 } as const;

/** A collector takes as many steps as a device. */
const COLLECTING_SHARE = 0.15;

function serverOf(fraction: number): Swarm["server"] {
  if (fraction < HTTP_SHARE) return "http";
  return fraction < HTTP_SHARE + SQLITE_SHARE ? "sqlite" : "memory";
}

const ALL_NAMES = ["a", "b", "c.txt", "d", "A", "B", "\u00e4", "a\u0308"];

/** What two people who move folders begin with, and when they meet again. */
const FIRST_FOLDERS: readonly Way[] = ["make-folder", "make-folder", "make-folder", "write"];
const PAIR_MS = 2_500;
/** Deeds of one person that follow one another within the time that a look takes. */
const HASTY_DEEDS = 4;
const HASTY_MS = 60;

/** … and two who work on few files. */
const FIRST_FILES = 2;
const FIRST_FILE: Way = "create";
const FILE_WAYS: readonly Way[] = [
  "append",
  "overwrite-same-size",
  "save-by-rename",
  "save-unchanged",
  "write-back",
  "do-and-undo",
  "rename-over",
  "rename-file",
  "make-executable",
  "swap",
  "touch",
  "delete",
];

/** Half of the time nothing, else something up to `most`. */
function rate(draw: Draw, most: number): number {
  return draw.chance(0.5) ? 0 : draw.fraction() * most;
}

function waits(draw: Draw, pace: number): number {
  const kind = pace === 3 ? draw.below(3) : pace;
  if (kind === 0) return draw.below(6);
  return kind === 1 ? draw.below(400) : draw.below(8_000);
}

export function drawSwarm(seed: number, weather: Weather = "any"): Swarm {
  const swarm = withRarities(drawUsual(seed, weather), new Draw(seed, "rarities"), weather);
  const people = withLitter(
    withHolding(swarm, new Draw(seed, "holding")),
    new Draw(seed, "litter"),
  );
  const folders = withFolders(people, new Draw(seed, "folders"));
  const files = withFiles(folders, new Draw(seed, "files"));
  const moments = withMoments(files, new Draw(seed, "moments"));
  const crossed = withCrossed(moments, new Draw(seed, "crossed"));
  const met = withMeetings(crossed, new Draw(seed, "meetings"));
  const looks = withLooks(met, new Draw(seed, "looks"));
  const disks = withCoarseDisks(looks, new Draw(seed, "disks"));
  const sealed = withSealing(disks, new Draw(seed, "sealing"));
  return withCollecting(sealed, new Draw(seed, "collecting"), weather);
}

function drawUsual(seed: number, weather: Weather): Swarm {
  const draw = new Draw(seed, "swarm");
  const isDrawnSo = draw.chance(0.03);
  const sequential = weather === "any" ? isDrawnSo : weather === "in-order";
  const length = draw.chance(SHORT_SHARE) ? "short" : "long";
  const devices = draw.chance(length === "short" ? 0.85 : 0.6) ? 2 : 3;
  const folding = draw.chance(0.8);
  const ways: Partial<Record<Way, number>> = {};
  for (const way of PEOPLES_WAYS) if (draw.chance(0.55)) ways[way] = draw.between(1, 8);
  ways.write ??= 2;
  if (sequential) {
    // What is written into a file that was replaced comes back beside it, as it has to.
    delete ways.open;
    delete ways["write-to-open"];
  }
  const drawn = draw.shuffle([...ALL_NAMES]).slice(0, draw.between(2, 4));
  // Two names that a space takes for one are a conflict, even of one person alone.
  const names = sequential ? [...new Set(drawn.map((name) => name.normalize("NFC")))] : drawn;
  const pace = draw.below(4);
  const deeds = Array.from({ length: draw.between(8, MOST_DEEDS[length]) }, (_, id) => ({
    id,
    device: draw.below(devices),
    waitMs: waits(draw, pace),
  }));
  const kinds = FATES.filter(() => draw.chance(0.25));
  const isCalm = sequential || kinds.length === 0 || draw.chance(0.2);
  const fates = Array.from(
    { length: isCalm ? 0 : draw.between(1, MOST_FATES[length]) },
    (_, id) => ({
      id,
      fate: draw.pick(kinds),
      device: draw.below(devices),
      waitMs: waits(draw, pace) + draw.below(300),
    }),
  );
  const network = sequential || draw.chance(0.4) ? 0 : 1;
  return {
    seed,
    devices,
    folding,
    foldingDisks: Array.from({ length: devices }, () => {
      return folding && (draw.chance(0.15) || sequential);
    }),
    reuseInodes: draw.chance(0.3),
    coarseDisks: [],
    sequential,
    names,
    ways,
    deeds,
    fates,
    longestStepMs: draw.pick([1, 3, 3, 20]),
    slowListing: rate(draw, 1),
    lostRequest: network * rate(draw, 0.2),
    lostReply: network * rate(draw, 0.3),
    repeated: network * rate(draw, 0.3),
    latencyMs: draw.pick([0, 20, 300]),
    pageEntries: draw.chance(0.4) ? draw.between(1, 3) : 500,
    lostHints: sequential ? 0 : rate(draw, 0.6),
    hintLatencyMs: draw.pick([0, 5, 300]),
    overflow: rate(draw, 0.2),
    skewsMs: skewsOf(devices),
    glances: draw.chance(0.1) ? 0 : draw.pick([0.5, 0.9, 1]),
    holding: null,
    ambush: null,
    server: serverOf(draw.fraction()),
    sealed: null,
    collecting: null,
  };
}

/** Nobody's clock is quite right. */
function skewsOf(devices: number): number[] {
  return Array.from({ length: devices }, (_, index) => index * 1_234);
}

/** What few stories have: a fourth device, clocks apart by years, rarer ways, a storm. */
function withRarities(usual: Swarm, draw: Draw, weather: Weather): Swarm {
  const ways = { ...usual.ways };
  for (const way of RARER_WAYS) if (draw.chance(0.25)) ways[way] = draw.between(1, 5);
  const devices = draw.chance(0.05) ? 4 : usual.devices;
  const deeds =
    devices === usual.devices
      ? usual.deeds
      : usual.deeds.map((deed) => ({ ...deed, device: draw.below(devices) }));
  const isApart = draw.chance(0.3);
  const skewsMs = skewsOf(devices).map((skewMs) => {
    return isApart ? draw.between(-MOST_YEARS_APART, MOST_YEARS_APART) * YEAR_MS + skewMs : skewMs;
  });
  const isMixed = usual.folding && !usual.sequential && draw.chance(0.25);
  const folds = usual.foldingDisks[0] ?? false;
  const foldingDisks = Array.from({ length: devices }, (_, index) =>
    isMixed ? draw.chance(0.5) : (usual.foldingDisks[index] ?? (usual.sequential && folds)),
  );
  // What was sent and undone is on no disk in the end.
  if (usual.sequential) delete ways["do-and-undo"];
  // The two names of an inode have one mode: who sets it sets both, and then nothing is alone.
  if (usual.sequential && ways["hard-link"] !== undefined) delete ways["make-executable"];
  const swarm = { ...usual, ways, devices, deeds, skewsMs, foldingDisks };
  const isStorm = weather === "storm" || (weather === "any" && draw.chance(0.03));
  return isStorm && !usual.sequential ? { ...swarm, ...stormOf(swarm, draw) } : swarm;
}

/** Some stories have people who delete much, and are asked. */
function withHolding(swarm: Swarm, draw: Draw): Swarm {
  if (!draw.chance(0.2)) return swarm;
  const more = { "delete-all": draw.between(1, 6), "delete-everything": draw.between(1, 6) };
  const holding = drawHolding(draw, swarm.devices, swarm.sequential);
  return { ...swarm, ways: { ...swarm.ways, ...more }, holding };
}

/** Folders that others delete, and that hold what nobody syncs. */
function withLitter(swarm: Swarm, draw: Draw): Swarm {
  if (!draw.chance(0.15)) return swarm;
  return { ...swarm, ways: { ...swarm.ways, "leave-litter": draw.between(1, 4) } };
}

/** Two people who move and delete few folders, in and out of each other, at the same time. */
function withFolders(swarm: Swarm, draw: Draw): Swarm {
  if (swarm.sequential || !draw.chance(0.08)) return swarm;
  const ways: Swarm["ways"] = {
    "make-folder": 1,
    write: 2,
    nest: draw.between(2, 8),
    move: draw.between(1, 4),
    "rename-folder": draw.between(1, 4),
    swap: draw.below(6),
    delete: draw.below(3),
    "delete-all": draw.below(3),
  };
  const most = draw.pick([10, 100, 1_000]);
  const latencyMs = draw.pick([20, 100, 300, 2_000]);
  // Folders that move while all of them are listed.
  const isSlow = draw.chance(0.4);
  const slow = isSlow ? { overflow: 0.5, glances: 0, longestStepMs: 20 } : {};
  const hasty = isSlow && draw.chance(0.5) ? HASTY_DEEDS : null;
  const deeds = swarm.deeds.map((deed, at) => {
    if (at < FIRST_FOLDERS.length) {
      return { ...deed, device: 0, waitMs: 0, way: FIRST_FOLDERS[at] ?? "write" };
    }
    // One person, quicker than any look.
    if (hasty !== null) {
      const waitMs = at % hasty === 0 ? PAIR_MS : draw.below(HASTY_MS);
      return { ...deed, device: Math.floor(at / hasty) % 2, waitMs };
    }
    // In pairs: both begin from what both have, or one where the other's deletion is believed.
    const laterMs = draw.below(most) + draw.pick([0, 0, 1_000]);
    return { ...deed, device: at % 2, waitMs: at % 2 === 0 ? PAIR_MS : laterMs };
  });
  return { ...swarm, ways, deeds, latencyMs, ...slow, names: swarm.names.slice(0, 3) };
}

function movesFolders({ deeds }: Swarm): boolean {
  return deeds[0]?.way === FIRST_FOLDERS[0];
}

function editsFiles({ deeds }: Swarm): boolean {
  return deeds[0]?.way === FIRST_FILE;
}

/** Two people at the same few files, of whom one may be on the way for a while. */
function withFiles(swarm: Swarm, draw: Draw): Swarm {
  if (swarm.sequential || movesFolders(swarm) || !draw.chance(0.08)) return swarm;
  const ways: Partial<Record<Way, number>> = { write: 2 };
  for (const way of FILE_WAYS) if (draw.chance(0.5)) ways[way] = draw.between(1, 6);
  const most = draw.pick([10, 300, 2_000]);
  const deeds = swarm.deeds.map((deed, at) => {
    if (at < FIRST_FILES) return { ...deed, device: 0, waitMs: 0, way: FIRST_FILE };
    return { ...deed, device: at % 2, waitMs: at === FIRST_FILES ? PAIR_MS : draw.below(most) };
  });
  const away = draw.chance(0.6) ? [partitionAt(draw.between(PAIR_MS / 2, 2 * PAIR_MS))] : [];
  const fates = [...away, ...swarm.fates].map((fate, id) => ({ ...fate, id }));
  const latencyMs = draw.pick([swarm.latencyMs, 300, 2_000]);
  return { ...swarm, ways, deeds, fates, latencyMs, names: swarm.names.slice(0, 2) };
}

function partitionAt(waitMs: number): Swarm["fates"][number] {
  return { id: 0, fate: "partition", device: 1, waitMs };
}

/** Some disks cannot tell two edits of one second apart. */
function withCoarseDisks(swarm: Swarm, draw: Draw): Swarm {
  if (!draw.chance(0.06)) return swarm;
  return { ...swarm, coarseDisks: Array.from({ length: swarm.devices }, () => draw.chance(0.6)) };
}

/** What happens right between two steps of an engine: people's deeds, and its end. */
function withMoments(swarm: Swarm, draw: Draw): Swarm {
  if (swarm.sequential) return swarm;
  const ways = SURPRISES.filter(() => draw.chance(0.4));
  const isClose = movesFolders(swarm) || editsFiles(swarm);
  const isAmbushed = ways.length > 0 && draw.chance(isClose ? 0.5 : 0.15);
  const ambush = isAmbushed ? { share: draw.pick([0.1, 0.3, 0.6]), ways } : null;
  // What is read within one tick of the disk's clock after it was written.
  const quick = isAmbushed && draw.chance(0.3) ? { longestStepMs: 1, hintLatencyMs: 0 } : {};
  const ends = draw.chance(0.12) ? endsOf(swarm, draw) : [];
  const deleting = ends.length > 0 ? { delete: 4, ...swarm.ways } : swarm.ways;
  const fates = [...swarm.fates, ...ends];
  return { ...swarm, ...quick, ways: deleting, ambush, fates };
}

/** Engines that end between two steps on the disk, or in one. */
function endsOf({ deeds, fates, devices }: Swarm, draw: Draw): Swarm["fates"] {
  const lastMs = deeds.reduce((sum, { waitMs }) => sum + waitMs, 0);
  const longestMs = Math.max(300, fates.length === 0 ? lastMs : 1_000);
  return Array.from({ length: draw.between(1, 4) }, (_, at) => ({
    id: fates.length + at,
    fate: STEP_FATE,
    device: draw.below(devices),
    waitMs: draw.below(longestMs),
  }));
}

/** What one device is about to put into a folder, and another one deletes it. */
function withCrossed(swarm: Swarm, draw: Draw): Swarm {
  if (swarm.sequential || !draw.chance(0.06)) return swarm;
  const lastMs = swarm.deeds.reduce((sum, { waitMs }) => sum + waitMs, 0);
  const crossed: Swarm["fates"] = Array.from({ length: draw.between(1, 2) }, (_, at) => ({
    id: swarm.fates.length + at,
    fate: CROSSED_FATE,
    device: draw.below(swarm.devices),
    waitMs: draw.below(Math.max(300, lastMs / 2)),
  }));
  const ways = { "make-folder": 6, create: 6, move: 3, ...swarm.ways };
  return { ...swarm, ways, fates: [...crossed, ...swarm.fates] };
}

/** Folders that a look misses, and edits undone, each where there is something of the kind. */
function withMeetings(swarm: Swarm, draw: Draw): Swarm {
  if (swarm.sequential) return swarm;
  const [folders, files] = [movesFolders(swarm), editsFiles(swarm)];
  const isSlipped = draw.chance(folders ? 0.4 : 0.02);
  const isUndone = draw.chance(files ? 0.3 : 0.02);
  if (!isSlipped && !isUndone) return swarm;
  const slipped = isSlipped ? meetingsAt(SLIPPED_FATE, swarm, draw) : [];
  const undone = isUndone ? meetingsAt(UNDONE_FATE, swarm, draw) : [];
  const more: Swarm["ways"] = isSlipped ? { "make-folder": 6, nest: 4 } : { create: 4 };
  const meetings = [...slipped, ...undone].map((each, at) => {
    return { ...each, id: swarm.fates.length + at };
  });
  const fates = [...swarm.fates, ...meetings];
  return { ...swarm, ways: { ...more, ...swarm.ways }, fates };
}

/** Not before there is something to meet at. */
function meetingsAt(fate: Fate, { deeds, fates, devices }: Swarm, draw: Draw): Swarm["fates"] {
  const lastMs = deeds.reduce((sum, { waitMs }) => sum + waitMs, 0);
  const beforeMs = fates.reduce((sum, { waitMs }) => sum + waitMs, 0);
  const fromMs = Math.max(0, PAIR_MS / 2 - beforeMs);
  return Array.from({ length: draw.between(1, 2) }, (_, at) => ({
    id: at,
    fate,
    device: draw.below(devices),
    waitMs: at === 0 ? fromMs + draw.below(Math.max(300, lastMs - PAIR_MS)) : draw.below(3_000),
  }));
}

/** What happens right before the engine looks once more: the one thing that this look is for. */
function withLooks(swarm: Swarm, draw: Draw): Swarm {
  const { ambush, sequential } = swarm;
  if (ambush !== null && draw.chance(0.5)) {
    return { ...swarm, ambush: { ...ambush, looks: draw.pick([0.03, 0.1]) } };
  }
  if (sequential || !draw.chance(0.02)) return swarm;
  // An edit whose time is put back, of what somebody else moves.
  const sly = {
    share: 0,
    ways: ["overwrite-same-size"],
    looks: draw.pick([0.3, 1]),
    most: draw.between(1, 2),
  } as const;
  const ways: Swarm["ways"] = { ...swarm.ways, create: 3, "rename-file": 6, move: 4 };
  const deeds = swarm.deeds.map((deed) => ({ ...deed, waitMs: draw.below(PAIR_MS) }));
  return { ...swarm, ambush: sly, ways, deeds };
}

/** Some spaces are sealed; where their server goes back it is announced. */
function withSealing(swarm: Swarm, draw: Draw): Swarm {
  const sealed = drawSealing(draw, swarm);
  if (sealed === null) return swarm;
  const shutsOut = sealed.epochs.some(({ without }) => without !== null);
  // Who lies has nobody who would announce it, and who is shut out could be let in again by it.
  const canGoBack = sealed.cheat === null && !shutsOut;
  const fates = swarm.fates.map((each) => {
    if (each.fate !== "server-restore" || canGoBack) return each;
    return { ...each, fate: "server-crash" as const };
  });
  // Whoever was shut out is waited for by nobody, and so nobody answers what is asked then.
  const holding = shutsOut ? null : swarm.holding;
  if (sealed.cheat === null) return { ...swarm, fates, sealed, holding };
  // A device that forgets cannot know better; and nobody is asked anything.
  const lasting = fates.filter(({ fate }) => fate !== "roll-back" && fate !== "power-cut");
  const lied = { ...swarm, fates: lasting, sealed, holding: null };
  if (sealed.cheat.way !== "land-all" || sealed.epochs.length === 0) return lied;
  // People go on at each device while some have old keys and some have new ones.
  const deeds = swarm.deeds.map((deed) => ({ ...deed, waitMs: draw.below(1_200) }));
  return { ...lied, deeds, ways: { ...swarm.ways, append: 6, create: 4 } };
}

/** Some servers forget soon, and free what nobody needs while people go on. */
function withCollecting(swarm: Swarm, draw: Draw, weather: Weather): Swarm {
  const isDrawn = draw.chance(COLLECTING_SHARE);
  if (swarm.sequential || !(isDrawn || weather === "collecting")) return swarm;
  // What was forgotten is written again, and again.
  const ways = { ...swarm.ways, append: 3, "write-back": draw.between(2, 8) };
  const collecting = drawCollecting(draw);
  if (weather !== "collecting") return { ...swarm, ways, collecting };
  // All the time, while people save.
  return { ...swarm, ways, collecting: { ...collecting, everyMs: 1 } };
}

/** Every fault there is, at a high rate. */
function stormOf({ devices, deeds }: Swarm, draw: Draw): Partial<Swarm> {
  const lastMs = deeds.reduce((sum, { waitMs }) => sum + waitMs, 0);
  const count = draw.between(FATES.length, 2 * FATES.length);
  const longestMs = Math.max(600, Math.ceil((2 * lastMs) / count));
  return {
    fates: Array.from({ length: count }, (_, id) => ({
      id,
      fate: FATES[id] ?? draw.pick(FATES),
      device: draw.below(devices),
      waitMs: draw.below(longestMs),
    })),
    longestStepMs: draw.pick([3, 20]),
    slowListing: 0.8,
    lostRequest: 0.2,
    lostReply: 0.3,
    repeated: 0.3,
    latencyMs: 300,
    pageEntries: draw.between(1, 3),
    lostHints: 0.6,
    overflow: 0.2,
  };
}

/** A story's options as they were printed, perhaps before there were as many. */
export function readSwarm(printed: object): Swarm {
  const swarm = printed as Swarm;
  const { skewsMs, glances, holding, ambush, server, sealed, coarseDisks, collecting } = swarm;
  return {
    ...swarm,
    skewsMs: skewsMs ?? skewsOf(swarm.devices),
    glances: glances ?? 0,
    coarseDisks: coarseDisks ?? [],
    holding: holding ?? null,
    ambush: ambush ?? null,
    server: server ?? "sqlite",
    sealed: sealed ? { ...sealed, primitives: sealed.primitives ?? "real" } : null,
    collecting: collecting ?? null,
  };
}

/** True when a device or the server goes back to what it knew before. */
export function isForgetful({ fates }: Pick<Swarm, "fates">): boolean {
  return fates.some(({ fate }) => ["roll-back", "server-restore", "power-cut"].includes(fate));
}
