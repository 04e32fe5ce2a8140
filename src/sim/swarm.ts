import { Draw } from "./chance.ts";
import { PEOPLES_WAYS, type Way } from "./people.ts";

/** What can go wrong, besides people: each kind is drawn for a story or not. */
export const FATES = [
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
export type Fate = (typeof FATES)[number];

/** Everything about a story but its course: drawn from the seed, printed, and shrunk. */
export type Swarm = {
  readonly seed: number;
  readonly devices: number;
  /** Names are compared without case in this space. */
  readonly folding: boolean;
  /** Which devices' disks fold case. */
  readonly foldingDisks: readonly boolean[];
  readonly reuseInodes: boolean;
  /** Everything rests between two people's steps, and nothing goes wrong. */
  readonly sequential: boolean;
  readonly names: readonly string[];
  readonly ways: Readonly<Partial<Record<Way, number>>>;
  /** People's deeds: on which device, and how long they wait before it. */
  readonly deeds: readonly {
    readonly id: number;
    readonly device: number;
    readonly waitMs: number;
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
  /**
   * Share of looks at the disk that have no turn of their own, so that nobody's step comes between
   * them and the next; 0: every call has its turn.
   */
  readonly glances: number;
};

const ALL_NAMES = ["a", "b", "c.txt", "d", "A", "B", "\u00e4", "a\u0308"];

/** Half of the time nothing, else something up to `most`. */
function rate(draw: Draw, most: number): number {
  return draw.chance(0.5) ? 0 : draw.fraction() * most;
}

function waits(draw: Draw, pace: number): number {
  const kind = pace === 3 ? draw.below(3) : pace;
  if (kind === 0) return draw.below(6);
  return kind === 1 ? draw.below(400) : draw.below(8_000);
}

export function drawSwarm(seed: number): Swarm {
  const draw = new Draw(seed, "swarm");
  const sequential = draw.chance(0.08);
  const devices = draw.chance(0.6) ? 2 : 3;
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
  const deeds = Array.from({ length: draw.between(8, 40) }, (_, id) => ({
    id,
    device: draw.below(devices),
    waitMs: waits(draw, pace),
  }));
  const kinds = FATES.filter(() => draw.chance(0.25));
  const isCalm = sequential || kinds.length === 0 || draw.chance(0.2);
  const fates = Array.from({ length: isCalm ? 0 : draw.between(1, 8) }, (_, id) => ({
    id,
    fate: draw.pick(kinds),
    device: draw.below(devices),
    waitMs: waits(draw, pace) + draw.below(300),
  }));
  const network = sequential || draw.chance(0.4) ? 0 : 1;
  return {
    seed,
    devices,
    folding,
    foldingDisks: Array.from({ length: devices }, () => {
      return folding && (draw.chance(0.15) || sequential);
    }),
    reuseInodes: draw.chance(0.3),
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
    glances: draw.chance(0.1) ? 0 : draw.pick([0.5, 0.9, 1]),
  };
}

/** A story's options as they were printed. */
export function readSwarm(printed: object): Swarm {
  // Stories that were kept before this could be drawn.
  return { glances: 0, ...printed } as Swarm;
}
