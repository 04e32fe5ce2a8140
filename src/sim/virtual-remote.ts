import { WorldError } from "#core/errors.ts";
import type { ChunkId, DeviceId } from "#core/ids.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import type { Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { LEASE_MS } from "#server/intake.ts";
import type { Remote } from "#sync/ports.ts";
import type { Draw } from "./chance.ts";
import type { Past } from "./past.ts";
import { Actor, type Scheduler } from "./scheduler.ts";
import type { VirtualServer } from "./virtual-server.ts";

export type NetworkFaults = {
  readonly lostRequest: number;
  readonly lostReply: number;
  readonly repeated: number;
  readonly latestMs: number;
  readonly pageEntries: number;
  /** Share of fetches that end early. */
  readonly cutShort: number;
};

/** How long a client waits for a sign of life. */
const PATIENCE_MS = 20_000;

export type Traffic = { sentBytes: number; fetchedBytes: number };

type Line = {
  readonly scheduler: Scheduler;
  readonly server: VirtualServer;
  readonly past: Past;
  /** The device's process: it gets replies only while it lives. */
  readonly actor: Actor;
  readonly device: DeviceId;
  readonly draw: Draw;
  readonly faults: () => NetworkFaults;
  readonly isCut: () => boolean;
  /** Told of every commit before it is on its way. */
  readonly onCommit: (commit: Commit) => void;
  /** Told of every request but the waiting feed's. */
  readonly onCall: () => void;
  /** Bytes of chunks that went over it. */
  readonly traffic: Traffic;
};

function offline(what: string): WorldError {
  return new WorldError("offline", `The server did not answer (${what}).`, { retryable: true });
}

/** A device's line to the server: what is sent may be lost, late, doubled, or never answered. */
export class VirtualRemote implements Remote {
  readonly #line: Line;
  /** Requests on their way outlive the process that sent them. */
  readonly #wire: Actor;

  constructor(line: Line) {
    this.#line = line;
    this.#wire = new Actor(`${line.actor.name}~net`, line.actor.weight);
  }

  changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed> {
    return this.#ask(
      "changes",
      waitMs + PATIENCE_MS,
      async () => {
        const { server, faults } = this.#line;
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
    const { server, device, onCommit, past } = this.#line;
    onCommit(commit);
    return this.#ask(
      "commit",
      PATIENCE_MS,
      async () => {
        const author = { device, nowMs: server.nowMs };
        const answer = await server.journal.commit(await server.spaceRow(), commit, author);
        if (answer.outcome === "committed") {
          past.append(answer.sequence, answer.chain, commit.changes);
        }
        return answer;
      },
      signal,
    );
  }

  missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]> {
    return this.#ask(
      "missing",
      PATIENCE_MS,
      async () => {
        const { server } = this.#line;
        const asked = [...new Set(chunks)];
        await server.chunks.renew(server.space, asked, server.nowMs + LEASE_MS);
        const held = await server.chunks.held(server.space, asked);
        const known = new Set(held.map(({ id }) => id));
        return asked.filter((chunk) => !known.has(chunk));
      },
      signal,
    );
  }

  put(chunks: readonly ChunkFrame[], signal?: AbortSignal): Promise<void> {
    this.#line.traffic.sentBytes += sumOf(chunks);
    return this.#ask(
      "put",
      PATIENCE_MS,
      async () => {
        const { server } = this.#line;
        await server.intake.store(server.space, framesOf(chunks), server.nowMs);
      },
      signal,
    );
  }

  async *fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncGenerator<ChunkFrame> {
    const frames = await this.#ask(
      "fetch",
      PATIENCE_MS,
      async () => {
        const { server } = this.#line;
        return Array.fromAsync(await server.intake.fetch(server.space, chunks));
      },
      signal,
    );
    const { draw, faults, traffic } = this.#line;
    const isShort = frames.length > 1 && draw.chance(faults().cutShort);
    const heard = isShort ? frames.slice(0, draw.between(1, frames.length - 1)) : frames;
    traffic.fetchedBytes += sumOf(heard);
    yield* heard;
  }

  #ask<T>(
    what: string,
    patienceMs: number,
    work: () => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const { scheduler, actor, draw, faults, isCut } = this.#line;
    const { lostRequest, lostReply, repeated, latestMs } = faults();
    if (what !== "changes") this.#line.onCall();
    return new Promise<T>((resolve, reject) => {
      const giveUp = scheduler.after(patienceMs, actor, `gives up ${what}`, () => {
        reject(offline("it took too long"));
      });
      const abort = (): void => {
        giveUp();
        reject(offline("aborted"));
      };
      signal?.addEventListener("abort", abort, { once: true });
      const settle = (label: string, act: () => void): void => {
        scheduler.after(draw.below(latestMs + 1), actor, `${label} ${what}`, () => {
          giveUp();
          signal?.removeEventListener("abort", abort);
          act();
        });
      };
      if (isCut() || draw.chance(lostRequest)) {
        settle("is refused", () => reject(offline("the request was lost")));
        return;
      }
      if (draw.chance(repeated))
        this.#send(
          what,
          work,
          () => {},
          () => {},
        );
      const isLost = draw.chance(lostReply);
      const reply = (act: () => void): void => {
        if (isLost || isCut()) settle("misses", () => reject(offline("the reply was lost")));
        else settle("hears", act);
      };
      this.#send(
        what,
        work,
        (value) => reply(() => resolve(value)),
        (error) => reply(() => reject(error)),
      );
    });
  }

  /** One request on its way; a server that ended in between answers nothing. */
  #send<T>(
    what: string,
    work: () => Promise<T>,
    hear: (value: T) => void,
    fail: (error: Error) => void,
  ): void {
    const { scheduler, server, draw, faults } = this.#line;
    scheduler.after(draw.below(faults().latestMs + 1), this.#wire, `serves ${what}`, () => {
      const { life } = server;
      const hangUp = (): void => fail(offline("the connection broke"));
      server.underWay.add(hangUp);
      const ifAlive = (act: () => void): void => {
        if (server.life !== life) return;
        server.underWay.delete(hangUp);
        act();
      };
      void answerOf(work).then((answer) => {
        ifAlive(() => {
          if ("value" in answer) hear(answer.value);
          else fail(answer.error);
        });
      });
    });
  }
}

async function answerOf<T>(work: () => Promise<T>): Promise<{ value: T } | { error: Error }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function sumOf(frames: readonly ChunkFrame[]): number {
  return frames.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

async function* framesOf(chunks: readonly ChunkFrame[]): AsyncGenerator<ChunkFrame> {
  yield* chunks;
}
