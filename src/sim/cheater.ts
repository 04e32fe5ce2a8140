import { toHex } from "#core/bytes.ts";
import type { ChunkId, CommitId, DeviceId } from "#core/ids.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import { CURSOR_START, type Entry, type Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { nodeDigest } from "#server/digest.ts";
import { WorldError } from "#core/errors.ts";
import type { Remote } from "#sync/ports.ts";
import type { Draw } from "./chance.ts";
import { LIES, type Lie } from "./lies.ts";

/** Ways to cheat that are about no single entry. */
const WAYS = [
  "swap",
  "fork",
  "one-way",
  "go-back",
  "reset",
  "forget",
  "other-chain",
  "other-sequence",
  "say-diverged",
  "land-all",
  "other-chunk",
  "chunk-order",
  "flip-chunk",
  "cut-chunk",
  "chunk-twice",
  "missing-none",
  "missing-all",
] as const;

export type CheatWay = keyof typeof LIES | (typeof WAYS)[number];
/** Lies about the bytes of chunks. */
export const CHUNK_LIES = [
  "other-chunk",
  "chunk-order",
  "flip-chunk",
  "flip-chunk",
  "cut-chunk",
  "chunk-twice",
] as const;
export const CHEAT_WAYS: readonly CheatWay[] = [
  // The keys of a literal, which has no others.
  ...(Object.keys(LIES) as (keyof typeof LIES)[]),
  ...WAYS,
];

/**
 * After these a device goes on: a chunk is asked for again until it is the right one, and what is
 * said of missing ones only costs time.
 */
export const HARMLESS_WAYS: ReadonlySet<CheatWay> = new Set([
  "other-chunk",
  "chunk-order",
  "flip-chunk",
  "cut-chunk",
  "chunk-twice",
  "missing-none",
  "missing-all",
]);

/** How a server cheats one device, or with `land-all` all of them, and from when on. */
export type Cheat = {
  readonly way: CheatWay;
  readonly device: number;
  readonly waitMs: number;
  /** Whether chain values are made anew behind a lie, so that they fit it. */
  readonly rechained: boolean;
};

/** Of calls about chunks so many are answered with a lie. */
const CHUNK_LIE_SHARE = 0.6;

/** Where in a stored chunk its frame begins, and how far into that what people wrote may reach. */
const FRAME_AT = 40;
const CONTENT_BYTES = 40;

/** A commit that is too early is kept for so many calls until others have landed. */
const MOST_WAITS = 30;

const AT = /^at:(\d+)$/;

/**
 * True of a commit that the server was right to refuse by what stands in the journal: when new keys
 * began nobody can tell before the first entry that is closed with them.
 */
function isForbidden(
  answer: CommitAnswer,
  { keyEpoch = 0, base }: Commit,
  shown: readonly Entry[],
): boolean {
  // Which chunks a server knows no journal says.
  if (answer.outcome !== "refused" || answer.code === "chunks-differ") return false;
  if (answer.code !== "epoch-old") return true;
  const first = shown.find((entry) => (entry.keyEpoch ?? 0) >= keyEpoch);
  const since = first === undefined ? shown.length : first.sequence - 1;
  const latest = shown.at(-1)?.keyEpoch ?? 0;
  return latest > keyEpoch || base.sequence < since;
}

/** Of these refusals others may take away the reason while the answer is on its way. */
const MAY_END = new Set(["name-taken", "parent-gone", "not-empty", "cycle"]);

function codeOf(answer: CommitAnswer): string {
  return answer.outcome === "refused" ? answer.code : answer.outcome;
}

/** A device that is lied to, and its way to the server's honest part. */
type Side = { readonly honest: Remote; readonly victim: DeviceId };

/** What a cheater asks of the server that it is a part of, and tells the story. */
type Accomplice = {
  readonly draw: Draw;
  /** Hears of what a victim commits, whether or not anybody else ever does. */
  readonly claim: (commit: Commit) => void;
  /** The server's own journal. */
  readonly entries: () => Promise<readonly Entry[]>;
  /** The last entry that a device has on record. */
  readonly known: (device: DeviceId) => number;
  /** The account has new keys that the space is not closed with yet. */
  readonly isRenewing: () => Promise<boolean>;
  /** Wakes who waits for the journal to grow. */
  readonly announce: (sequence: number) => void;
};

/** Stands between the server and a device, or each of them, and lies to that one. */
export class Cheater {
  readonly #cheat: Cheat;
  readonly #draw: Draw;
  readonly #accomplice: Accomplice;
  /** The journal as victims are shown it. */
  readonly #shown: Entry[] = [];
  /** How much of the server's own one was made use of. */
  #taken = 0;
  /** Behind the last entry that the server itself told. */
  #cursor: string = CURSOR_START;
  #held: Entry | null = null;
  /** How long the journal was when a commit was sent first. */
  readonly #asked = new Map<CommitId, number>();
  /** Who was told that there are new keys before it was true. */
  #renewed: DeviceId | null = null;
  #began = false;
  /** A lie was told. */
  told = false;

  constructor(cheat: Cheat, accomplice: Accomplice) {
    this.#cheat = cheat;
    this.#draw = accomplice.draw;
    this.#accomplice = accomplice;
  }

  get way(): CheatWay {
    return this.#cheat.way;
  }

  /** True where everybody is told the same lies. */
  get liesToAll(): boolean {
    return this.way === "land-all";
  }

  /** The chain of the journal that the victim is shown. */
  get head(): string {
    return this.#shown.at(-1)?.chain ?? CHAIN_START;
  }

  begin(): void {
    this.#began = true;
  }

  /** Lies about chunks end, as other lies do by themselves. */
  end(): void {
    this.#began = false;
  }

  /** The victim's remote, in the place of the honest one. */
  wrap(honest: Remote, victim: DeviceId): Remote {
    return {
      changes: (cursor, waitMs, signal) =>
        this.#changes({ honest, victim }, cursor, waitMs, signal),
      commit: (commit, signal) => this.#commit({ honest, victim }, commit, signal),
      missing: async (chunks, signal) => {
        const missing = await honest.missing(chunks, signal);
        if (this.way === "missing-none" && this.#lies()) return [];
        return this.way === "missing-all" && this.#lies() ? [...chunks] : missing;
      },
      lacking: (signal) => honest.lacking(signal),
      put: (chunks, signal) => honest.put(chunks, signal),
      fetch: (chunks, signal) => this.#fetch(honest, chunks, signal),
    };
  }

  #lies(): boolean {
    if (!this.#began || !this.#draw.chance(CHUNK_LIE_SHARE)) return false;
    this.told = true;
    return true;
  }

  async #changes(
    { honest, victim }: Side,
    cursor: string,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<Feed> {
    const from = Number(AT.exec(cursor)?.[1] ?? 0);
    const isNew = from >= this.#shown.length;
    // Whoever records more while it waits cannot tell a late answer from one that goes back.
    const isKnown = from <= this.#accomplice.known(victim);
    const feed = await honest.changes(this.#cursor, isNew ? waitMs : 0, signal);
    if (this.way === "go-back" && this.#began && from > 1 && isKnown) {
      this.told = true;
      return { entries: [], cursor, head: from - 1 };
    }
    if (this.way === "reset" && this.#began && from > 1) {
      this.told = true;
      if (cursor !== CURSOR_START) throw new WorldError("reset", "The cursor is of no past.");
    }
    if (feed.entries.length > 0) this.#cursor = feed.cursor;
    const isGoingOn = this.liesToAll && this.told;
    for (const entry of isGoingOn ? [] : feed.entries) this.#takeNew(entry, victim);
    const entries = this.#shown.slice(from);
    const reached = from + entries.length;
    // What the honest server has beyond this page.
    const left = isGoingOn ? 0 : Math.max(0, feed.head - this.#taken);
    return { entries, cursor: `at:${reached}`, head: reached + left };
  }

  /** Two who are shown one journal may ask for the same page. */
  #takeNew(entry: Entry, victim: DeviceId): void {
    if (entry.sequence <= this.#taken) return;
    this.#taken = entry.sequence;
    this.#take(entry, victim);
  }

  /** What the server tells next, and what is made of it. */
  #take(entry: Entry, victim: DeviceId): void {
    const { way, rechained } = this.#cheat;
    if (way === "fork" && this.#hides(entry)) return;
    if (way === "swap" && this.#began) {
      if (!this.told && this.#held === null) {
        this.#held = entry;
        this.told = true;
        return;
      }
      if (this.#held !== null) {
        this.#show(entry, rechained);
        this.#show(this.#held, rechained);
        this.#held = null;
        return;
      }
    }
    const lie = (LIES as Readonly<Record<string, Lie>>)[way];
    const isDue = this.#began && !this.told && lie !== undefined;
    const told = isDue ? lie(entry, this.#telling(victim)) : null;
    if (told !== null) this.told = true;
    const isNew = rechained || way === "one-way";
    for (const each of told ?? [entry]) this.#show(each, this.told && isNew);
  }

  #telling(victim: DeviceId) {
    return { draw: this.#draw, victim, shown: this.#shown };
  }

  #show(entry: Entry, rechained: boolean): void {
    this.#shown.push(rechained ? this.#chained(entry) : entry);
  }

  /** The entry as the next one of the journal that is shown. */
  #chained(entry: Omit<Entry, "sequence" | "chain">): Entry {
    const rest = { ...entry, chain: undefined, sequence: this.#shown.length + 1 };
    const { chain: _chain, ...whole } = rest;
    const before = this.#shown.at(-1)?.chain ?? CHAIN_START;
    return { ...whole, chain: nextChain(nodeDigest, before, whole) };
  }

  /** While the two sides of a fork are apart, neither hears of the other. */
  #hides(entry: Entry): boolean {
    if (!this.told) return false;
    if (this.#began) return true;
    this.#show(entry, true);
    return true;
  }

  async #commit(side: Side, commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    this.#accomplice.claim(commit);
    const { way } = this.#cheat;
    const { honest } = side;
    const goesOn = (way === "one-way" || this.liesToAll) && this.told;
    if (!this.#began && !goesOn) return honest.commit(commit, signal);
    if (way === "say-diverged") {
      this.told = true;
      return { outcome: "refused", code: "diverged", detail: "Never heard of it." };
    }
    if (way === "fork" || way === "one-way" || (way === "forget" && !this.told) || goesOn)
      return this.#swallow(side, commit, signal);
    if (this.liesToAll) return this.#judgeForAll(side, commit, signal);
    const answer = await honest.commit(commit, signal);
    if (answer.outcome !== "committed" || this.told) return answer;
    if (way === "other-chain") {
      this.told = true;
      return { ...answer, chain: toHex(this.#draw.bytes(32)) };
    }
    if (way !== "other-sequence") return answer;
    this.told = true;
    return { ...answer, sequence: answer.sequence + this.#draw.pick([-1, 1]) };
  }

  /** As the server has it, until somebody plans what its rules forbid: that lands. */
  async #judgeForAll(side: Side, commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    if (await this.#isToRenew(side.victim)) {
      return { outcome: "refused", code: "epoch-old", detail: "These keys are old." };
    }
    const { entries } = this.#accomplice;
    const { commitId } = commit;
    const asked = this.#asked.get(commitId) ?? (await entries()).length;
    this.#asked.set(commitId, asked);
    const answer = await side.honest.commit(commit, signal);
    if (!this.told) await this.#waitForOthers(side, commit, answer, signal);
    const isPast = MAY_END.has(codeOf(answer)) && (await entries()).length !== asked;
    const isDue = isForbidden(answer, commit, this.#shown) && !isPast;
    return this.told || isDue ? this.#landForAll(side, commit) : answer;
  }

  /** One device is to close its commits with new keys before the others do. */
  async #isToRenew(victim: DeviceId): Promise<boolean> {
    if (this.told || this.#renewed !== null || !(await this.#accomplice.isRenewing())) return false;
    this.#renewed = victim;
    return true;
  }

  /** What is closed with keys that are too new is kept until it was planned on too old a head. */
  async #waitForOthers(
    { honest, victim }: Side,
    { keyEpoch = 0, base }: Commit,
    answer: CommitAnswer,
    signal?: AbortSignal,
  ): Promise<void> {
    if (answer.outcome !== "refused" || answer.code !== "epoch-old") return;
    if (victim !== this.#renewed) return;
    for (let waits = 0; waits < MOST_WAITS; waits++) {
      for (const entry of await this.#accomplice.entries()) this.#takeNew(entry, victim);
      const isEarly = (this.#shown.at(-1)?.keyEpoch ?? 0) < keyEpoch;
      if (!isEarly || this.#shown.length > base.sequence) return;
      await honest.missing([], signal);
    }
  }

  /** Answers a commit of which nobody else will ever hear, or that nobody judges. */
  async #swallow(side: Side, commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    // It takes as long as any other call.
    await side.honest.missing([], signal);
    if (this.liesToAll) return this.#landForAll(side, commit);
    if (this.way !== "forget") return this.#land(side, commit);
    this.told = true;
    const { sequence, chain } = this.#chained({ ...commit, device: side.victim, timeMs: 0 });
    return { outcome: "committed", sequence, chain };
  }

  /** From now on everybody is shown what the journal's rules forbid, and more of it. */
  async #landForAll(side: Side, commit: Commit): Promise<CommitAnswer> {
    const entries = this.told ? [] : await this.#accomplice.entries();
    for (const entry of entries) this.#takeNew(entry, side.victim);
    const answer = this.#land(side, commit);
    this.#accomplice.announce(this.#shown.length);
    return answer;
  }

  /** Lets land, for the victim, what the journal's rules forbid. */
  #land({ victim }: Side, commit: Commit): CommitAnswer {
    this.told = true;
    const known = this.#shown.find(({ commitId }) => commitId === commit.commitId);
    const entry = known ?? this.#chained({ ...commit, device: victim, timeMs: 0 });
    if (known === undefined) this.#shown.push(entry);
    return { outcome: "committed", sequence: entry.sequence, chain: entry.chain };
  }

  async *#fetch(
    honest: Remote,
    chunks: readonly ChunkId[],
    signal?: AbortSignal,
  ): AsyncGenerator<ChunkFrame> {
    const frames = await Array.fromAsync(honest.fetch(chunks, signal));
    yield* this.#lieAbout(frames);
  }

  #lieAbout(frames: ChunkFrame[]): ChunkFrame[] {
    const first = frames[0];
    const last = frames.at(-1);
    if (first === undefined || last === undefined) return frames;
    const { way } = this.#cheat;
    const many = ["chunk-order", "other-chunk"].includes(way);
    if (
      !(CHUNK_LIES as readonly string[]).includes(way) ||
      (many && frames.length < 2) ||
      !this.#lies()
    )
      return frames;
    switch (way) {
      case "chunk-order":
        return frames.toReversed();
      case "other-chunk":
        return frames.with(0, { id: first.id, bytes: last.bytes });
      case "chunk-twice":
        return [first, ...frames];
      case "cut-chunk": {
        const bytes = first.bytes.subarray(0, this.#draw.below(first.bytes.length));
        return frames.with(0, { id: first.id, bytes });
      }
      default: {
        const bytes = first.bytes.slice();
        const at = this.#placeToFlip(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#draw.below(8));
        return frames.with(0, { id: first.id, bytes });
      }
    }
  }

  /** Anywhere, or where a chunk has what people wrote: most of a small one is padding. */
  #placeToFlip(lengthBytes: number): number {
    if (this.#draw.chance(0.5)) return this.#draw.below(lengthBytes);
    return Math.min(lengthBytes - 1, FRAME_AT + this.#draw.below(CONTENT_BYTES));
  }
}
