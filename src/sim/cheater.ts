import { toHex } from "#core/bytes.ts";
import type { ChunkId, DeviceId } from "#core/ids.ts";
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
export const CHEAT_WAYS: readonly CheatWay[] = [
  // The keys of a literal, which has no others.
  ...(Object.keys(LIES) as (keyof typeof LIES)[]),
  ...WAYS,
];

/** How a server cheats one device, and from when on. */
export type Cheat = {
  readonly way: CheatWay;
  readonly device: number;
  readonly waitMs: number;
  /** Whether chain values are made anew behind a lie, so that they fit it. */
  readonly rechained: boolean;
};

/** Of calls about chunks so many are answered with a lie. */
const CHUNK_LIES = 0.6;

const AT = /^at:(\d+)$/;

/** Stands between the server and one of its devices, and lies to that device. */
export class Cheater {
  readonly #cheat: Cheat;
  readonly #victim: DeviceId;
  readonly #draw: Draw;
  readonly #claim: (commit: Commit) => void;
  /** The journal as the victim is shown it. */
  readonly #shown: Entry[] = [];
  /** Behind the last entry that the server itself told. */
  #cursor: string = CURSOR_START;
  #held: Entry | null = null;
  #began = false;
  /** A lie was told. */
  told = false;

  /** `claim` hears of what the victim commits, whether or not anybody else ever does. */
  constructor(cheat: Cheat, victim: DeviceId, draw: Draw, claim: (commit: Commit) => void) {
    this.#cheat = cheat;
    this.#victim = victim;
    this.#draw = draw;
    this.#claim = claim;
  }

  get way(): CheatWay {
    return this.#cheat.way;
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
  wrap(honest: Remote): Remote {
    return {
      changes: (cursor, waitMs, signal) => this.#changes(honest, cursor, waitMs, signal),
      commit: (commit, signal) => this.#commit(honest, commit, signal),
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
    if (!this.#began || !this.#draw.chance(CHUNK_LIES)) return false;
    this.told = true;
    return true;
  }

  async #changes(
    honest: Remote,
    cursor: string,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<Feed> {
    const from = Number(AT.exec(cursor)?.[1] ?? 0);
    const isNew = from >= this.#shown.length;
    const feed = await honest.changes(this.#cursor, isNew ? waitMs : 0, signal);
    if (this.#began && from > 1 && (this.way === "go-back" || this.way === "reset")) {
      this.told = true;
      if (this.way === "go-back") return { entries: [], cursor, head: from - 1 };
      if (cursor !== CURSOR_START) throw new WorldError("reset", "The cursor is of no past.");
    }
    if (feed.entries.length > 0) this.#cursor = feed.cursor;
    for (const entry of feed.entries) this.#take(entry);
    const last = feed.entries.at(-1)?.sequence ?? feed.head;
    const entries = this.#shown.slice(from);
    const reached = from + entries.length;
    // What the honest server has beyond this page.
    return { entries, cursor: `at:${reached}`, head: reached + Math.max(0, feed.head - last) };
  }

  /** What the server tells next, and what is made of it. */
  #take(entry: Entry): void {
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
    const told = isDue ? lie(entry, this.#telling()) : null;
    if (told !== null) this.told = true;
    const isNew = rechained || way === "land-all" || way === "one-way";
    for (const each of told ?? [entry]) this.#show(each, this.told && isNew);
  }

  #telling() {
    return { draw: this.#draw, victim: this.#victim, shown: this.#shown };
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

  async #commit(honest: Remote, commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    this.#claim(commit);
    const { way } = this.#cheat;
    const goesOn = way === "one-way" && this.told;
    if (!this.#began && !goesOn) return honest.commit(commit, signal);
    if (way === "say-diverged") {
      this.told = true;
      return { outcome: "refused", code: "diverged", detail: "Never heard of it." };
    }
    if (way === "fork" || way === "one-way" || (way === "forget" && !this.told))
      return this.#swallow(honest, commit, signal);
    const answer = await honest.commit(commit, signal);
    if (way === "land-all" && answer.outcome === "refused") return this.#land(commit);
    if (answer.outcome !== "committed" || this.told) return answer;
    if (way === "other-chain") {
      this.told = true;
      return { ...answer, chain: toHex(this.#draw.bytes(32)) };
    }
    if (way !== "other-sequence") return answer;
    this.told = true;
    return { ...answer, sequence: answer.sequence + this.#draw.pick([-1, 1]) };
  }

  /** Answers a commit of which nobody else will ever hear. */
  async #swallow(honest: Remote, commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    // It takes as long as any other call.
    await honest.missing([], signal);
    if (this.way !== "forget") return this.#land(commit);
    this.told = true;
    const { sequence, chain } = this.#chained({ ...commit, device: this.#victim, timeMs: 0 });
    return { outcome: "committed", sequence, chain };
  }

  /** Lets land, for the victim, what the journal's rules forbid. */
  #land(commit: Commit): CommitAnswer {
    this.told = true;
    const known = this.#shown.find(({ commitId }) => commitId === commit.commitId);
    const entry = known ?? this.#chained({ ...commit, device: this.#victim, timeMs: 0 });
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
    const ours = ["chunk-order", "other-chunk", "flip-chunk", "cut-chunk", "chunk-twice"];
    if (!ours.includes(way) || (many && frames.length < 2) || !this.#lies()) return frames;
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
        const at = this.#draw.below(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#draw.below(8));
        return frames.with(0, { id: first.id, bytes });
      }
    }
  }
}
