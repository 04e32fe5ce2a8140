import { assert } from "#core/assert.ts";
import { toHex } from "#core/bytes.ts";
import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import type { ChunkId, CommitId, SpaceId } from "#core/ids.ts";
import type { Digest } from "#core/world.ts";
import { LackingAnswer, MissingAnswer, RoomAnswer, StoredAnswer } from "#protocol/chunks.ts";
import { CommitAnswer } from "#protocol/commit.ts";
import type { Commit } from "#protocol/commit.ts";
import { Feed, type Entry } from "#protocol/feed.ts";
import { frameHead, FRAMES_MEDIA_TYPE, readFrames } from "#protocol/frames.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MAX_BATCH_BYTES, MAX_CHUNK_BYTES, MAX_CHUNK_IDS } from "#protocol/limits.ts";
import { MAX_FEED_ENTRIES, MAX_FEED_WAIT_MS, MAX_JSON_BYTES } from "#protocol/limits.ts";
import { fillRoute } from "#protocol/routes.ts";
import type { Remote } from "#sync/ports.ts";
import { retrying } from "./retrying.ts";
import { jsonBody, ServerHttp } from "./server-http.ts";
import type { Call, ServerWorld } from "./server-http.ts";

/** What the feed may take beyond the time that it was asked to wait. */
const FEED_GRACE_MS = 15_000;

/** An answer of entries may hold one that is as large as a body and others before it. */
const MAX_FEED_BYTES = 3 * MAX_JSON_BYTES;

/** Commits kept until they are read back. One is sent at a time; an answer may be late. */
const MAX_SENT = 2;

/** The server, for one space, over HTTP. */
export class HttpRemote implements Remote {
  readonly #world: ServerWorld;
  readonly #server: ServerHttp;
  readonly #digest: Digest;
  readonly #space: SpaceId;
  /** The server said so: it is asked again when it refuses something for want of room. */
  #hasNoLimit = false;
  /** Commits that were sent and not read back yet: their changes need not come back. */
  readonly #sent = new Map<CommitId, Commit>();

  constructor(world: ServerWorld & { readonly digest: Digest; readonly space: SpaceId }) {
    this.#world = world;
    this.#server = new ServerHttp(world);
    this.#digest = world.digest;
    this.#space = world.space;
  }

  async changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    // Whoever waits is level with the journal: of its own entries only the newest come.
    const feed = await this.#feed(cursor, waitMs, waitMs > 0, signal);
    const known = feed.entries.every(({ brief, commitId }) => !brief || this.#sent.has(commitId));
    const whole = known ? feed : await this.#feed(cursor, 0, false, signal);
    const entries = whole.entries.map((entry) => this.#filled(entry));
    for (const { commitId } of entries) this.#sent.delete(commitId);
    return { ...whole, entries };
  }

  /** An own entry with what was sent of it. */
  #filled({ brief, ...entry }: Entry): Entry {
    const sent = this.#sent.get(entry.commitId);
    return brief === true && sent !== undefined ? { ...entry, changes: sent.changes } : entry;
  }

  async #feed(
    cursor: string,
    waitMs: number,
    isBrief: boolean,
    signal?: AbortSignal,
  ): Promise<Feed> {
    const wait = Math.round(Math.min(Math.max(waitMs, 0), MAX_FEED_WAIT_MS));
    const query = new URLSearchParams({
      cursor,
      waitMs: String(wait),
      limit: String(MAX_FEED_ENTRIES),
      ...(isBrief ? { own: "brief" } : {}),
    });
    const path = `${fillRoute("changes", { space: this.#space })}?${query.toString()}`;
    return this.#server.json(
      {
        method: "GET",
        path,
        idleMs: wait + FEED_GRACE_MS,
        repeatable: true,
        maxAnswerBytes: MAX_FEED_BYTES,
      },
      Feed,
      signal,
    );
  }

  async commit(commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    this.#sent.set(commit.commitId, commit);
    for (const oldest of this.#sent.keys()) {
      if (this.#sent.size <= MAX_SENT) break;
      this.#sent.delete(oldest);
    }
    return this.#server.json(
      {
        method: "POST",
        path: fillRoute("commits", { space: this.#space }),
        body: jsonBody(commit),
        answers: [200, 409],
        // The commit's id makes a second one the same as the first.
        repeatable: true,
        maxAnswerBytes: MAX_JSON_BYTES,
      },
      CommitAnswer,
      signal,
    );
  }

  async missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]> {
    const missing: ChunkId[] = [];
    for (let from = 0; from < chunks.length; from += MAX_CHUNK_IDS) {
      const asked = chunks.slice(from, from + MAX_CHUNK_IDS);
      const answer = await this.#server.json(
        {
          method: "POST",
          path: fillRoute("chunksMissing", { space: this.#space }),
          body: jsonBody({ chunks: asked }),
          repeatable: true,
          maxAnswerBytes: MAX_JSON_BYTES,
        },
        MissingAnswer,
        signal,
      );
      const known = new Set(asked);
      if (!answer.missing.every((chunk) => known.has(chunk))) {
        throw strange("lacks chunks that were not asked for");
      }
      missing.push(...answer.missing);
    }
    return missing;
  }

  async room(signal?: AbortSignal): Promise<number | null> {
    if (this.#hasNoLimit) return null;
    const call = {
      method: "GET",
      path: fillRoute("chunksRoom", { space: this.#space }),
      repeatable: true,
      maxAnswerBytes: MAX_JSON_BYTES,
    } as const;
    const { roomBytes } = await this.#server.json(call, RoomAnswer, signal);
    this.#hasNoLimit = roomBytes === null;
    return roomBytes;
  }

  async lacking(signal?: AbortSignal): Promise<ChunkId[]> {
    const path = fillRoute("chunksLacking", { space: this.#space });
    const call = { method: "GET", path, repeatable: true, maxAnswerBytes: MAX_JSON_BYTES } as const;
    return (await this.#server.json(call, LackingAnswer, signal)).lacking;
  }

  async put(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    let left: readonly ChunkFrame[] | null = null;
    const work = async (): Promise<void> => {
      // What came whole before a connection broke is there: only the rest goes again.
      left = left === null ? chunks : await this.#lacking(left, signal);
      if (left.length > 0) await this.#putOnce(left, signal);
    };
    await retrying(this.#world, work, signal);
  }

  async #lacking(
    chunks: readonly ChunkFrame[],
    signal?: AbortSignal,
  ): Promise<readonly ChunkFrame[]> {
    const ids = chunks.map(({ id }) => id);
    const lacking = new Set(await this.missing(ids, signal));
    return chunks.filter(({ id }) => lacking.has(id));
  }

  async #putOnce(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    const parts = chunks.flatMap(({ id, bytes }) => [frameHead(id, bytes.length), bytes]);
    const batchBytes = parts.reduce((sum, { length }) => sum + length, 0);
    assert(batchBytes <= MAX_BATCH_BYTES, `a batch of ${batchBytes} bytes`);
    const storing = this.#server.json(
      {
        method: "POST",
        path: fillRoute("chunks", { space: this.#space }),
        body: { mediaType: FRAMES_MEDIA_TYPE, bytes: { parts } },
        // Whoever tries it again sends less.
        repeatable: false,
        maxAnswerBytes: MAX_JSON_BYTES,
      },
      StoredAnswer,
      signal,
    );
    const { stored } = await storing.catch((error: unknown) => {
      if (codeOf(error) === "over-quota") this.#hasNoLimit = false;
      throw error;
    });
    if (stored !== chunks.length) throw strange(`stored ${stored} of ${chunks.length} chunks`);
  }

  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncGenerator<ChunkFrame> {
    if (chunks.length === 0) return;
    const asked = chunks.slice(0, MAX_CHUNK_IDS);
    // A body that breaks off before its first chunk has given nothing, like no answer at all.
    const { first, others } = await retrying(this.#world, () => this.#begin(asked, signal), signal);
    try {
      yield first;
      yield* others;
    } catch (error) {
      signal?.throwIfAborted();
      // What came is whole and verified: whoever asked goes on from there.
      if (!isBrokenOff(error)) throw error;
    } finally {
      await others.return(undefined);
    }
  }

  /** Asks once, and waits for the first chunk. */
  async #begin(
    asked: readonly ChunkId[],
    signal?: AbortSignal,
  ): Promise<{ readonly first: ChunkFrame; readonly others: AsyncGenerator<ChunkFrame> }> {
    const call: Call = {
      method: "POST",
      path: fillRoute("chunksFetch", { space: this.#space }),
      body: jsonBody({ chunks: asked }),
      // Whoever waits for the first chunk tries it again.
      repeatable: false,
      maxAnswerBytes: MAX_BATCH_BYTES + MAX_CHUNK_BYTES,
    };
    const others = this.#verified(this.#server.stream(call, FRAMES_MEDIA_TYPE, signal), asked);
    try {
      const next = await others.next();
      if (next.done === true) throw strange("answered with none of the chunks");
      return { first: next.value, others };
    } catch (error) {
      signal?.throwIfAborted();
      if (!isBrokenOff(error)) throw error;
      throw new WorldError(codeOf(error), messageOf(error), { cause: error, retryable: true });
    }
  }

  async *#verified(
    stream: AsyncIterable<Uint8Array>,
    asked: readonly ChunkId[],
  ): AsyncGenerator<ChunkFrame> {
    let given = 0;
    for await (const frame of readFrames(stream)) {
      this.#verify(frame, asked[given++]);
      yield frame;
    }
  }

  #verify({ id, bytes }: ChunkFrame, asked: ChunkId | undefined): void {
    if (asked === undefined || id !== asked) throw strange("sent a chunk that was not asked for");
    if (toHex(this.#digest.sha256(bytes)) === id) return;
    const message = `Chunk ${id} came damaged: it is asked for again.`;
    throw new WorldError("damaged-chunk", message, { retryable: true });
  }
}

function isBrokenOff(error: unknown): boolean {
  return error instanceof WorldError && (error.code === "offline" || error.code === "bad-frames");
}

function strange(how: string): WorldError {
  return new WorldError("bad-answer", `The server ${how}: update Lockstep and the server.`);
}
