import { assert } from "#core/assert.ts";
import { codeOf, WorldError } from "#core/errors.ts";
import type { ChunkId } from "#core/ids.ts";
import type { SealedChunk, SealedEntry } from "#crypto/chunk.ts";
import type { ChunkWork } from "#crypto/chunk-work.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import { CURSOR_START, type Entry, type Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { ChunkSealer } from "./chunk-sealer.ts";
import { ChunkChanged } from "./ports.ts";
import type { DeviceRecords, Remote, SealedRecords, TreeStore } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";
import { isRestoreAccepted, offerRestore, readPosition } from "./settings.ts";

/** Stored chunks are opened so many bytes at a time, and so many times ahead of whoever waits. */
const OPENED_TOGETHER_BYTES = 2 * 1024 * 1024;
const OPENED_AHEAD = 3;

export type SealedRemoteWorld = {
  readonly work: ChunkWork;
  /** The server, which knows stored chunks only. */
  readonly remote: Remote;
  readonly trees: Pick<TreeStore, "transaction">;
  readonly records: SealedRecords;
  readonly settings: DeviceRecords;
  readonly sealer: ChunkSealer;
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
    if (feed.head < seen) throw this.#behind(feed);
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
  #behind({ head, restored }: Feed): WorldError {
    const { records, settings, trees } = this.#world;
    const seen = records.lastSequence();
    const known = readPosition(settings, CURSOR_START).restored;
    if (restored === undefined || restored.epoch === known) return wentBack(seen, head);
    const { epoch, sequence, chain } = restored;
    const expected = sequence === 0 ? CHAIN_START : records.chainAt(sequence);
    if ((expected ?? chain) !== chain) return forked(sequence, "the restored copy is of another");
    // Where nothing is lost that this device has seen, nobody has to be asked.
    if (sequence < seen && !isRestoreAccepted(settings, epoch)) {
      trees.transaction(() => offerRestore(settings, epoch));
      return wasRestored(seen, sequence);
    }
    trees.transaction(() => records.forgetEntriesAfter(sequence));
    return new WorldError("reset", "The server was put back to an older copy, as announced.");
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

  /** A chunk that was never sealed here is missing as far as anybody can tell. */
  async missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]> {
    const { records, remote } = this.#world;
    const missing: ChunkId[] = [];
    const rawOf = new Map<ChunkId, ChunkId>();
    for (const raw of chunks) {
      const entry = records.sealed(raw);
      if (entry === undefined) missing.push(raw);
      else rawOf.set(entry.chunk, raw);
    }
    if (rawOf.size === 0) return missing;
    for (const stored of await remote.missing([...rawOf.keys()], signal)) {
      const raw = rawOf.get(stored);
      if (raw !== undefined) missing.push(raw);
    }
    return missing;
  }

  /** Throws ChunkChanged when the bytes of a chunk are not those of its id. */
  async put(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    const { records, trees, sealer } = this.#world;
    const sealed = await sealer.seal(chunks, signal);
    const changed = chunks.find(({ id }, at) => sealed[at]?.entry.raw !== id);
    if (changed !== undefined) throw new ChunkChanged(changed.id);
    await this.putSealed(sealed, signal);
    trees.transaction(() => {
      for (const { entry } of sealed) records.putSealed(entry);
    });
  }

  /** Sends what the space lacks of these: another device may have been here before. */
  async putSealed(chunks: readonly SealedChunk[], signal?: AbortSignal): Promise<void> {
    const { remote } = this.#world;
    if (chunks.length === 0) return;
    const ids = [...new Set(chunks.map(({ entry }) => entry.chunk))];
    const missing = new Set(await remote.missing(ids, signal));
    const frames: ChunkFrame[] = [];
    for (const { entry, stored } of chunks) {
      if (missing.delete(entry.chunk)) frames.push({ id: entry.chunk, bytes: stored });
    }
    if (frames.length > 0) await remote.put(frames, signal);
  }

  /** Chunks that stand in metas are given out between the others, which come in one request. */
  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncIterable<ChunkFrame> {
    const { records } = this.#world;
    // Their bytes are not kept: all together they may be many.
    const sent = chunks.filter((raw) => records.inline(raw) === undefined);
    const opened = this.#opened(
      sent.map((raw) => this.#entryOf(raw)),
      signal,
    );
    try {
      for (const raw of chunks) {
        const inline = records.inline(raw);
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
    if (entries.length === 0) return;
    const ids = entries.map(({ chunk }) => chunk);
    const opening: Promise<ChunkFrame[]>[] = [];
    let batch: SealedChunk[] = [];
    let batchBytes = 0;
    let at = 0;
    let failure: Error | null = null;
    try {
      for await (const { bytes } of this.#world.remote.fetch(ids, signal)) {
        const entry = entries[at++];
        if (entry === undefined) throw unasked();
        batch.push({ entry, stored: bytes });
        batchBytes += bytes.length;
        if (batchBytes < OPENED_TOGETHER_BYTES) continue;
        opening.push(this.#openBatch(batch));
        batch = [];
        batchBytes = 0;
        if (opening.length > OPENED_AHEAD) yield* (await opening.shift()) ?? [];
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure = error;
    }
    // What came whole before something went wrong is of use.
    if (batch.length > 0) opening.push(this.#openBatch(batch));
    for (const opened of opening) yield* await opened;
    if (failure !== null) throw failure;
  }

  #openBatch(batch: readonly SealedChunk[]): Promise<ChunkFrame[]> {
    const opened = this.#world.work.open(batch).then((raw) =>
      batch.map(({ entry }, at) => {
        const bytes = raw[at];
        assert(bytes !== undefined, "as many opened chunks as sealed ones");
        return { id: entry.raw, bytes };
      }),
    );
    // A failure is met by whoever awaits it; it must not count as unhandled before.
    opened.catch(() => undefined);
    return opened;
  }
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

export function unasked(): WorldError {
  return new WorldError("bad-chunk", "The server sent more chunks than it was asked for.");
}
