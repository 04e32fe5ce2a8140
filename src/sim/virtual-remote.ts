import { WorldError } from "#core/errors.ts";
import type { ChunkId, DeviceId } from "#core/ids.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import type { Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MAX_CHUNK_IDS } from "#protocol/limits.ts";
import { LEASE_MS } from "#server/intake.ts";
import type { Remote } from "#sync/ports.ts";
import type { Past } from "./past.ts";
import { VirtualLine, type LineWorld } from "./virtual-line.ts";

/** How long a client waits for a sign of life. */
const PATIENCE_MS = 20_000;

export type Traffic = { sentBytes: number; fetchedBytes: number };

export type RemoteWorld = LineWorld & {
  readonly past: Past;
  readonly device: DeviceId;
  /** Told of every commit before it is on its way. */
  readonly onCommit: (commit: Commit) => void;
  /** Bytes of chunks that went over it. */
  readonly traffic: Traffic;
  /** Told of what the server must not do. */
  readonly accuse: (crime: string) => void;
};

/** A device's remote that calls the server's parts themselves, over a line with faults. */
export class VirtualRemote implements Remote {
  readonly #world: RemoteWorld;
  readonly #line: VirtualLine;

  constructor(world: RemoteWorld) {
    this.#world = world;
    this.#line = new VirtualLine(world);
  }

  changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    return this.#line.ask(
      "changes",
      waitMs + PATIENCE_MS,
      async () => {
        const { server, faults } = this.#world;
        const { journal, announcer } = server;
        const read = async (): Promise<Feed> => {
          const feed = await journal.feed(await server.spaceRow(), cursor, faults().pageEntries);
          if (feed !== "reset") return feed;
          throw new WorldError("reset", "The cursor is of no past of this space.");
        };
        const feed = await read();
        if (feed.entries.length > 0 || waitMs === 0) return feed;
        const grown = await announcer.waitBeyond(server.space, feed.head, waitMs, signal);
        return grown ? read() : feed;
      },
      signal,
    );
  }

  commit(commit: Commit, signal?: AbortSignal): Promise<CommitAnswer> {
    const { server, device, onCommit, past, accuse } = this.#world;
    onCommit(commit);
    return this.#line.ask(
      "commit",
      PATIENCE_MS,
      async () => {
        const author = { device, nowMs: server.nowMs };
        const { life } = server;
        const answer = await server.journal.commit(await server.spaceRow(), commit, author);
        const fault = life === server.life ? server.answerFault(commit.commitId, answer) : null;
        if (fault !== null) accuse(fault);
        if (answer.outcome === "committed") {
          past.append({ ...answer, author: device }, server.opened(commit.changes));
        }
        return answer;
      },
      signal,
    );
  }

  missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]> {
    return this.#line.ask(
      "missing",
      PATIENCE_MS,
      async () => {
        const { server } = this.#world;
        const asked = [...new Set(chunks)];
        await server.chunks.renew(server.space, asked, server.nowMs + LEASE_MS);
        const held = await server.chunks.held(server.space, asked);
        const known = new Set(held.map(({ id }) => id));
        return asked.filter((chunk) => !known.has(chunk));
      },
      signal,
    );
  }

  lacking(signal?: AbortSignal): Promise<ChunkId[]> {
    const { server } = this.#world;
    const work = (): Promise<ChunkId[]> => server.scrub.quarantined(server.space, MAX_CHUNK_IDS);
    return this.#line.ask("lacking", PATIENCE_MS, work, signal);
  }

  put(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    this.#world.traffic.sentBytes += sumOf(chunks);
    return this.#line.ask(
      "put",
      PATIENCE_MS,
      async () => {
        const { server } = this.#world;
        await server.intake.store(server.space, framesOf(chunks), server.nowMs);
      },
      signal,
    );
  }

  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncGenerator<ChunkFrame> {
    const frames = await this.#line.ask(
      "fetch",
      PATIENCE_MS,
      async () => {
        const { server } = this.#world;
        return Array.fromAsync(await server.intake.fetch(server.space, chunks));
      },
      signal,
    );
    const { draw, faults, traffic } = this.#world;
    const isShort = frames.length > 1 && draw.chance(faults().cutShort);
    const heard = isShort ? frames.slice(0, draw.between(1, frames.length - 1)) : frames;
    traffic.fetchedBytes += sumOf(heard);
    yield* heard;
  }
}

async function* framesOf(chunks: readonly ChunkFrame[]): AsyncGenerator<ChunkFrame> {
  yield* chunks;
}

export function sumOf(frames: readonly ChunkFrame[]): number {
  return frames.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
