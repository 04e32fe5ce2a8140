import type { Context, MiddlewareHandler } from "hono";
import { concat } from "#core/bytes.ts";
import type { Clock } from "#core/world.ts";
import { ProblemError } from "../problem-error.ts";
import { decodeBody } from "./coding.ts";
import type { Env } from "./gates.ts";
import { SocketBody, WebBody, type BodySource } from "./incoming.ts";

/** What a sender may take to begin, beside what its bytes may take. */
const BODY_GRACE_MS = 20_000;

/** The slowest sender that is waited for; below it a connection is worth less than it holds. */
const MIN_BODY_BYTES_PER_S = 4 * 1024;

function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError(
    "body-too-large",
    `The body is larger than the ${maxBytes} bytes that this call takes; send it in parts.`,
    // What is left of the body would have to be read to keep the connection.
    { headers: { connection: "close" } },
  );
}

function refuseDeclared(context: Context<Env>, maxBytes: number): void {
  const declared = context.req.header("content-length");
  if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes);
}

/** The sender went away: nobody reads this, but the log must not call it a fault of the server. */
function endedEarly(): never {
  throw new ProblemError("bad-request", "The body ended before its end; send it again.");
}

/** Counts the time that is spent waiting for a sender, and gives it up when it is too slow. */
class Patience {
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #waitedMs = 0;
  #waitingSinceMs: number | null = null;
  #receivedBytes = 0;
  /** True once the sender was given up. */
  spent = false;

  constructor(clock: Clock, giveUp: () => void) {
    this.#clock = clock;
    void this.#watch(giveUp);
  }

  begin(): void {
    this.#waitingSinceMs = this.#clock.monotonicMs();
  }

  end(receivedBytes: number): void {
    this.#waitedMs = this.#waited();
    this.#waitingSinceMs = null;
    this.#receivedBytes += receivedBytes;
  }

  stop(): void {
    this.#stop.abort();
  }

  #waited(): number {
    if (this.#waitingSinceMs === null) return this.#waitedMs;
    return this.#waitedMs + this.#clock.monotonicMs() - this.#waitingSinceMs;
  }

  async #watch(giveUp: () => void): Promise<void> {
    try {
      for (;;) {
        const allowedMs = BODY_GRACE_MS + (this.#receivedBytes * 1000) / MIN_BODY_BYTES_PER_S;
        const leftMs = Math.ceil(allowedMs - this.#waited());
        if (leftMs <= 0) break;
        await this.#clock.sleep(leftMs, this.#stop.signal);
      }
    } catch {
      return;
    }
    this.spent = true;
    giveUp();
  }
}

function bodyOf(context: Context<Env>): BodySource {
  const incoming = context.env?.incoming;
  return incoming === undefined ? new WebBody(context.req.raw.body) : new SocketBody(incoming);
}

/**
 * The body as it comes, never more than `maxBytes` of it, from a sender that keeps up with
 * MIN_BODY_BYTES_PER_S. Throws ProblemError `body-too-large` (before reading when the length is
 * declared) and `timeout`.
 */
export async function* readBody(
  context: Context<Env>,
  clock: Clock,
  maxBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  refuseDeclared(context, maxBytes);
  const body = bodyOf(context);
  const patience = new Patience(clock, () => body.leave());
  let receivedBytes = 0;
  try {
    for (;;) {
      patience.begin();
      const piece = await body.read().catch(endedEarly);
      patience.end(piece?.byteLength ?? 0);
      if (patience.spent) {
        throw new ProblemError(
          "timeout",
          "The body came too slowly; send it again on a better line.",
          {
            headers: { connection: "close" },
          },
        );
      }
      if (piece === null) return;
      receivedBytes += piece.byteLength;
      if (receivedBytes > maxBytes) throw tooLarge(maxBytes);
      yield piece;
    }
  } finally {
    patience.stop();
    body.leave();
  }
}

/** The whole body; throws as `readBody` does. */
export async function readWholeBody(
  context: Context<Env>,
  clock: Clock,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  for await (const piece of readBody(context, clock, maxBytes)) pieces.push(piece);
  return concat(pieces) as Uint8Array<ArrayBuffer>;
}

/** Puts a bounded body, read and decoded, in the place of the one on the wire: for JSON. */
export function limitBody(clock: Clock, maxBytes: number): MiddlewareHandler<Env> {
  return async (context, next) => {
    const { method, url, signal } = context.req.raw;
    const sent = await readWholeBody(context, clock, maxBytes);
    const body = decodeBody(context, sent, maxBytes, () => tooLarge(maxBytes));
    const headers = new Headers(context.req.raw.headers);
    for (const name of ["content-encoding", "content-length"]) headers.delete(name);
    context.req.raw = new Request(url, { method, headers, body, signal });
    await next();
  };
}
