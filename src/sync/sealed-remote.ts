import { assert } from "#core/assert.ts";
import { codeOf, WorldError } from "#core/errors.ts";
import type { ChunkId } from "#core/ids.ts";
import { allBases, openChunk, type SealedChunk, type SealedEntry } from "#crypto/chunk.ts";
import type { ChunkWork } from "#crypto/chunk-work.ts";
import type { Primitives } from "#crypto/primitives.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import { CURSOR_START, type Entry, type Feed, type Restored } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MAX_CHUNK_IDS } from "#protocol/limits.ts";
import { Bases, runsOf } from "./bases.ts";
import type { ChunkSealer } from "./chunk-sealer.ts";
import type { Deltas } from "./deltas.ts";
import { fetchAhead, unasked } from "./fetch-ahead.ts";
import { ChunkChanged } from "./ports.ts";
import type { DeviceRecords, OutgoingChunk, Remote, SealedRecords, TreeStore } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";
import { isRestoreAccepted, noteShared, offerRestore, readPosition } from "./settings.ts";

/** Stored chunks are opened so many bytes at a time, and so many times ahead of whoever waits. */
const OPENED_TOGETHER_BYTES = 2 * 1024 * 1024;
const OPENED_AHEAD = 3;
/** Contents that stand in metas are at hand, of one question, up to this size. */
const MOST_HERE_BYTES = 4 * 1024 * 1024;

export type SealedRemoteWorld = {
  readonly primitives: Primitives;
  readonly work: ChunkWork;
  /** The server, which knows stored chunks only. */
  readonly remote: Remote;
  readonly trees: Pick<TreeStore, "transaction" | "lazily">;
  readonly records: SealedRecords;
  readonly settings: DeviceRecords;
  readonly sealer: ChunkSealer;
  readonly deltas: Deltas;
  /** The bytes of a chunk that some file of this disk has. */
  readonly local: (raw: ChunkId) => Promise<Uint8Array | null>;
  readonly keys: () => SealedKeys;
  /** Reads the account's keyring again: somebody speaks of what it did not know yet. */
  readonly refreshKeys: () => Promise<void>;
};

/**
 * A sealed space's server in the engine's words: chunks are known by the hash of their raw bytes on
 * this side, sealed on the way out, opened and verified on the way in.
 */
export class SealedRemote implements Remote {
  readonly #world: SealedRemoteWorld;

  constructor(world: SealedRemoteWorld) {
    this.#world = world;
  }

  /**
   * Throws WorldError `journal-went-back` where a plain space's says `reset`, and more often;
   * `server-restored` where the server's operator has announced it, and `reset` once a person has
   * said yes to that (SPEC SL14).
   */
  async changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    // A commit may be answered before a feed that was asked for earlier.
    const seen = this.#world.records.lastSequence();
    const feed = await this.#feed(cursor, waitMs, signal);
    const { sequence = seen } = this.#lowestUnknown(feed) ?? {};
    if (feed.head < seen || sequence < seen) throw this.#behind(feed);
    if (!feed.entries.every((entry) => this.#isKnown(entry))) await this.#world.refreshKeys();
    return feed;
  }

  /** What a reset says is which journal the server has now: the device's own is not given up. */
  async #feed(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    const { remote } = this.#world;
    try {
      return await remote.changes(cursor, waitMs, signal);
    } catch (error) {
      if (codeOf(error) !== "reset") throw error;
      throw this.#behind(await remote.changes(CURSOR_START, 0, signal));
    }
  }

  /**
   * What to do about a server that has less than this device has read, or another past. Whoever
   * announces a restore can take back the journal's end and no more: what stands before it has to
   * be what this device knows.
   */
  #behind(feed: Feed): WorldError {
    const { records, settings, trees } = this.#world;
    const seen = records.lastSequence();
    const lowest = this.#lowestUnknown(feed);
    const latest = feed.restores?.at(-1);
    if (lowest === undefined || latest === undefined) return wentBack(seen, feed.head);
    const { sequence, chain } = lowest;
    const expected = sequence === 0 ? CHAIN_START : records.chainAt(sequence);
    if ((expected ?? chain) !== chain) return forked(sequence, "the restored copy is of another");
    // Where nothing is lost that this device has seen, nobody has to be asked.
    if (sequence < seen && !isRestoreAccepted(settings, latest.epoch)) {
      trees.transaction(() => offerRestore(settings, latest.epoch));
      return wasRestored(seen, sequence);
    }
    trees.transaction(() => {
      records.forgetEntriesAfter(sequence);
      noteShared(settings, expected === chain && sequence > 0 ? sequence : null);
    });
    return new WorldError("reset", "The server was put back to an older copy, as announced.");
  }

  /** How far back restores went since the latest that was followed: it may have missed several. */
  #lowestUnknown({ restores = [] }: Feed): Restored | undefined {
    const { restores: known = [] } = readPosition(this.#world.settings, CURSOR_START);
    const unknown = restores.slice(
      restores.findLastIndex(({ epoch }) => known.includes(epoch)) + 1,
    );
    return unknown.toSorted((one, other) => one.sequence - other.sequence)[0];
  }

  /** Throws WorldError `journal-forked` where a plain space's says `diverged`, and more often. */
  async commit(commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    const answer = await this.#world.remote.commit(commit, signal);
    if (answer.outcome === "committed") this.#hold(commit, answer);
    if (answer.outcome === "refused" && answer.code === "diverged") {
      // Where the server was restored, that is what there is to say.
      await this.changes(readPosition(this.#world.settings, CURSOR_START).cursor, 0, signal);
      throw forked(commit.base.sequence, "the server says that it never had it");
    }
    const isOld = answer.outcome === "refused" && answer.code === "epoch-old";
    if (isOld) await this.#world.refreshKeys();
    return answer;
  }

  /** What the server said of a commit has to be what its journal says (SPEC SL12). */
  #hold({ commitId }: Commit, { sequence, chain }: { sequence: number; chain: string }): void {
    const { records, trees } = this.#world;
    const known = { chain: records.chainAt(sequence), sequence: records.sequenceOf(commitId) };
    if ((known.chain ?? chain) !== chain || (known.sequence ?? sequence) !== sequence) {
      throw forked(sequence, "the server says that it is this device's commit");
    }
    trees.transaction(() => records.putEntry(sequence, { chain, commitId }));
  }

  /** True when this device knows who sent it, and has the keys that it is closed with. */
  #isKnown({ device, keyEpoch }: Entry): boolean {
    if (device === undefined || keyEpoch === undefined) return true;
    const { epochs, signingKeyOf } = this.#world.keys();
    return epochs.has(keyEpoch) && signingKeyOf(device, keyEpoch) !== undefined;
  }

  async room(signal?: AbortSignal): Promise<number | null> {
    return (await this.#world.remote.room?.(signal)) ?? null;
  }

  /** A chunk that was never sealed here is missing as far as anybody can tell. */
  async missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]> {
    const { records, remote } = this.#world;
    const missing = new Set<ChunkId>();
    // A delta without all of its bases is as good as none.
    const needing = new Map<ChunkId, ChunkId[]>();
    for (const raw of chunks) {
      const entry = records.sealed(raw);
      if (entry === undefined) missing.add(raw);
      for (const { chunk } of entry === undefined ? [] : [entry, ...allBases(entry)]) {
        needing.set(chunk, [...(needing.get(chunk) ?? []), raw]);
      }
    }
    const ids = [...needing.keys()];
    for (let from = 0; from < ids.length; from += MAX_CHUNK_IDS) {
      const page = ids.slice(from, from + MAX_CHUNK_IDS);
      for (const stored of await remote.missing(page, signal)) {
        for (const raw of needing.get(stored) ?? []) missing.add(raw);
      }
    }
    return chunks.filter((raw) => missing.has(raw));
  }

  /** The server's words: only a file's whole list says whose these are. */
  lacking(signal?: AbortSignal): Promise<ChunkId[]> {
    return this.#world.remote.lacking(signal);
  }

  /** Throws ChunkChanged when the bytes of a chunk are not those of its id. */
  async put(chunks: readonly OutgoingChunk[], signal?: AbortSignal): Promise<void> {
    const { records, trees, sealer, deltas } = this.#world;
    const made: (SealedChunk | null)[] = [];
    for (const chunk of chunks) made.push(await deltas.seal(chunk));
    // Sealing takes the bytes away.
    const signatures = chunks.flatMap((chunk) =>
      chunk.alike === undefined ? [] : [{ id: chunk.id, signature: deltas.remember(chunk) }],
    );
    const whole = chunks.filter((_, at) => made[at] === null);
    const rest = (await sealer.seal(whole, signal)).values();
    const sealed = made.map((delta) => delta ?? present(rest.next().value));
    const changed = chunks.find(({ id }, at) => sealed[at]?.entry.raw !== id);
    if (changed !== undefined) throw new ChunkChanged(changed.id);
    await this.putSealed(sealed, signal);
    // The commit that names them makes them durable. Sealing them again gives the same bytes, which
    // the server has, or another delta.
    trees.lazily(() => {
      for (const { entry } of sealed) records.putSealed(entry);
      for (const { id, signature } of signatures) records.putSignature(id, signature);
    });
  }

  /** Sends what the space lacks of these: another device may have been here before. */
  async putSealed(chunks: readonly SealedChunk[], signal?: AbortSignal): Promise<void> {
    const { remote } = this.#world;
    const fresh = new Set<ChunkId>();
    const asked = new Set<ChunkId>();
    // Nobody else makes the same delta: only after a try that broke off it would be there already.
    for (const { entry } of chunks) (entry.bases === undefined ? asked : fresh).add(entry.chunk);
    const missing = asked.size === 0 ? [] : await remote.missing([...asked], signal);
    const lacking = new Set([...missing, ...fresh]);
    const frames: ChunkFrame[] = [];
    for (const { entry, stored } of chunks) {
      if (lacking.delete(entry.chunk)) frames.push({ id: entry.chunk, bytes: stored });
    }
    if (frames.length > 0) await remote.put(frames, signal);
  }

  /** Chunks that stand in metas are given out between the others, which come in one request. */
  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncIterable<ChunkFrame> {
    const { records } = this.#world;
    const here = new Map<ChunkId, Uint8Array>();
    let hereBytes = 0;
    const sent = chunks.filter((raw) => {
      const bytes = records.inline(raw);
      if (bytes === undefined) return true;
      // All together they may be many: what is too much is read again.
      hereBytes += bytes.length;
      if (hereBytes <= MOST_HERE_BYTES) here.set(raw, bytes);
      return false;
    });
    const opened = this.#opened(
      sent.map((raw) => this.#entryOf(raw)),
      signal,
    );
    try {
      for (const raw of chunks) {
        const inline =
          here.get(raw) ?? (hereBytes > MOST_HERE_BYTES ? records.inline(raw) : undefined);
        if (inline !== undefined) yield { id: raw, bytes: inline };
        else {
          const next = await opened.next();
          if (next.done === true) return;
          yield next.value;
        }
      }
      // Whoever sends more than was asked for is not to be believed in the rest.
      await opened.next();
    } finally {
      await opened.return(undefined);
    }
  }

  #entryOf(raw: ChunkId): SealedEntry {
    const entry = this.#world.records.sealed(raw);
    if (entry !== undefined) return entry;
    throw new WorldError("no-manifest", `It is not known how chunk ${raw} is sealed.`);
  }

  async *#opened(
    entries: readonly SealedEntry[],
    signal?: AbortSignal,
  ): AsyncGenerator<ChunkFrame, void, undefined> {
    for (const run of runsOf(entries)) {
      const hasDeltas = run.some(({ bases }) => bases !== undefined);
      const isWhole = yield* hasDeltas ? this.#rebuilt(run, signal) : this.#ahead(run, signal);
      if (!isWhole) return;
    }
  }

  /** Chunks of which some are deltas, each opened when what it is made of is there. */
  async *#rebuilt(
    run: readonly SealedEntry[],
    signal?: AbortSignal,
  ): AsyncGenerator<ChunkFrame, boolean, undefined> {
    const bases = new Bases(this.#world.local);
    for (const entry of run) await bases.need(entry.bases ?? []);
    let at = 0;
    for await (const bytes of fetchAhead(this.#world.remote, [...bases.asked, ...run], signal)) {
      const base = bases.asked[at];
      const entry = base ?? run[at - bases.asked.length];
      if (entry === undefined) throw unasked();
      const raw = openChunk(this.#world.primitives, entry, bytes, bases.rebuilding(entry));
      if (base === undefined) yield { id: entry.raw, bytes: raw };
      else bases.put(base, raw);
      at++;
    }
    return at === bases.asked.length + run.length;
  }

  /** Chunks that stand for themselves, opened while others are on their way. */
  async *#ahead(
    run: readonly SealedEntry[],
    signal?: AbortSignal,
  ): AsyncGenerator<ChunkFrame, boolean, undefined> {
    const opening: Promise<ChunkFrame[]>[] = [];
    let batch: SealedChunk[] = [];
    let batchBytes = 0;
    let at = 0;
    let failure: Error | null = null;
    try {
      for await (const stored of fetchAhead(this.#world.remote, run, signal)) {
        const entry = run[at++];
        if (entry === undefined) throw unasked();
        batch.push({ entry, stored });
        batchBytes += stored.length;
        if (batchBytes < OPENED_TOGETHER_BYTES) continue;
        opening.push(this.#openBatch(batch));
        batch = [];
        batchBytes = 0;
        if (opening.length > OPENED_AHEAD) yield* this.#lent(opening.shift());
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure = error;
    }
    // What came whole before something went wrong is of use.
    if (batch.length > 0) opening.push(this.#openBatch(batch));
    for (const opened of opening) yield* this.#lent(opened);
    if (failure !== null) throw failure;
    return at === run.length;
  }

  async *#lent(opened: Promise<ChunkFrame[]> | undefined): AsyncGenerator<ChunkFrame, void> {
    for (const frame of (await opened) ?? []) {
      yield frame;
      this.#world.work.release(frame.bytes);
    }
  }

  #openBatch(batch: readonly SealedChunk[]): Promise<ChunkFrame[]> {
    const opened = this.#world.work
      .open(batch)
      .then((raw) => batch.map(({ entry }, at) => ({ id: entry.raw, bytes: present(raw[at]) })));
    // A failure is met by whoever awaits it; it must not count as unhandled before.
    opened.catch(() => undefined);
    return opened;
  }
}

function present<T>(value: T | undefined): T {
  assert(value !== undefined, "as many chunks as were given to be sealed or opened");
  return value;
}

/** Whoever keeps the journal lost its end, or hides it: a person has to know, and to decide. */
function wentBack(from: number, to: number): WorldError {
  const said = `The server went back from #${from} to #${to}: nothing is changed here.`;
  const message = `${said} Unlink and link the folder to go on with what it has now.`;
  return new WorldError("journal-went-back", message);
}

/** Its operator says so; nobody vouches for him, so a person has to know that it is true. */
function wasRestored(from: number, to: number): WorldError {
  const said = `The server's operator says that a backup was restored, which ends with #${to}`;
  const message =
    `${said}; this device has seen #${from}. Nothing is changed here. If you know that it is so, ` +
    `go on with lockstep sync DIR --after-restore: what the server lost is sent again.`;
  return new WorldError("server-restored", message);
}

function forked(sequence: number, because: string): WorldError {
  const message = `The server's journal is not the one known at #${sequence}: ${because}.`;
  return new WorldError("journal-forked", message);
}
