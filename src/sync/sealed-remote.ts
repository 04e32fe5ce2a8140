import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import type { ChunkId } from "#core/ids.ts";
import { openChunk, type SealedChunk, type SealedEntry } from "#crypto/chunk.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import type { Entry, Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { ChunkSealer } from "./chunk-sealer.ts";
import type { Remote, SealedRecords, TreeStore } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";

export type SealedRemoteWorld = {
  readonly primitives: Primitives;
  /** The server, which knows stored chunks only. */
  readonly remote: Remote;
  readonly trees: Pick<TreeStore, "transaction">;
  readonly records: SealedRecords;
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

  async changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    const feed = await this.#world.remote.changes(cursor, waitMs, signal);
    if (!feed.entries.every((entry) => this.#isKnown(entry))) await this.#world.refreshKeys();
    return feed;
  }

  async commit(commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    const answer = await this.#world.remote.commit(commit, signal);
    const isOld = answer.outcome === "refused" && answer.code === "epoch-old";
    if (isOld) await this.#world.refreshKeys();
    return answer;
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

  async put(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    const { records, trees, sealer } = this.#world;
    const sealed = await sealer.seal(chunks, signal);
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

  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncIterable<ChunkFrame> {
    const { records } = this.#world;
    for (let at = 0; at < chunks.length;) {
      const raw = chunks[at];
      assert(raw !== undefined, "an index within the list");
      const inline = records.inline(raw);
      if (inline !== undefined) {
        yield { id: raw, bytes: inline };
        at++;
        continue;
      }
      const entries = this.#entriesFrom(chunks, at);
      const before = at;
      for await (const frame of this.#opened(entries, signal)) {
        yield frame;
        at++;
      }
      if (at < before + entries.length) return;
    }
  }

  /** The entries of the chunks from `at` on, up to one that stands in a meta. */
  #entriesFrom(chunks: readonly ChunkId[], at: number): SealedEntry[] {
    const { records } = this.#world;
    const entries: SealedEntry[] = [];
    for (const raw of chunks.slice(at)) {
      if (entries.length > 0 && records.inline(raw) !== undefined) break;
      const entry = records.sealed(raw);
      if (entry === undefined) {
        throw new WorldError("no-manifest", `It is not known how chunk ${raw} is sealed.`);
      }
      entries.push(entry);
    }
    return entries;
  }

  async *#opened(entries: readonly SealedEntry[], signal?: AbortSignal): AsyncIterable<ChunkFrame> {
    const { remote, primitives } = this.#world;
    let at = 0;
    const ids = entries.map(({ chunk }) => chunk);
    for await (const { bytes } of remote.fetch(ids, signal)) {
      const entry = entries[at++];
      assert(entry !== undefined, "no more chunks than were asked for");
      yield { id: entry.raw, bytes: openChunk(primitives, entry, bytes) };
    }
  }
}
