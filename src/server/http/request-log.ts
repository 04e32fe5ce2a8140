import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { toHex } from "#core/bytes.ts";
import { codeOf, messageOf } from "#core/errors.ts";
import type { Chance, Clock, Log } from "#core/world.ts";
import type { Metrics } from "../metrics.ts";
import type { Env } from "./gates.ts";
import { streamOf } from "./stream.ts";

const REQUEST_ID_BYTES = 8;

type Ends = {
  readonly through: (bytes: number) => void;
  /** The answer stops short of its end; false when whoever carries it has to be told. */
  readonly broken: (error: unknown) => boolean;
};

async function* counted(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  { through, broken }: Ends,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  // A reader that went away must be felt at once, not with the next piece: an event stream rests.
  signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
  let bytes = 0;
  try {
    for (;;) {
      const piece = await reader.read();
      if (piece.done) return;
      bytes += piece.value.byteLength;
      yield piece.value;
    }
  } catch (error) {
    if (!broken(error)) throw error;
  } finally {
    through(bytes);
  }
}

/**
 * One line a request, when its answer is through: id, account (its id), route (its pattern),
 * status, milliseconds, bytes; the same is counted, without who it was. Never a path, a name, a
 * token or a body: those are people's.
 */
export function logRequests({
  log,
  clock,
  chance,
  metrics,
}: {
  readonly log: Log;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly metrics?: Metrics | undefined;
}): MiddlewareHandler<Env> {
  return async (context, next) => {
    const beganMs = clock.monotonicMs();
    const id = toHex(chance.bytes(REQUEST_ID_BYTES));
    context.set("requestId", id);
    await next();
    const { method } = context.req;
    const route = matchedRoutes(context).at(-1)?.path ?? "*";
    const { status, headers } = context.res;
    const body: ReadableStream<Uint8Array> | null = context.res.body;
    const session: Env["Variables"]["session"] | undefined = context.get("session");
    const write = (bytes: number): void => {
      const ms = Math.round(clock.monotonicMs() - beganMs);
      log.info("request", { id, account: session?.account.id, method, route, status, ms, bytes });
      metrics?.count({ method, route, status, ms, bytes });
    };
    const broken = (error: unknown): boolean => {
      log.warn("answer-broken", { id, code: codeOf(error), message: messageOf(error) });
      // The connection has to break too: an answer that only ends looks whole. Told of the error,
      // the adapter would print it, and all that is in its message.
      const { outgoing } = context.env ?? {};
      outgoing?.destroy();
      return outgoing !== undefined;
    };
    headers.set("x-request-id", id);
    headers.set("x-content-type-options", "nosniff");
    if (body === null) write(0);
    else
      context.res = new Response(
        streamOf((signal) => counted(body, signal, { through: write, broken })),
        context.res,
      );
  };
}
