import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { toHex } from "#core/bytes.ts";
import type { Chance, Clock, Log } from "#core/world.ts";
import type { Env } from "./gates.ts";
import { streamOf } from "./stream.ts";

const REQUEST_ID_BYTES = 8;

async function* counted(
  body: ReadableStream<Uint8Array>,
  end: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.byteLength;
      yield piece;
    }
  } finally {
    end(bytes);
  }
}

/**
 * One line a request, when its answer is through: id, account (its id), route (its pattern),
 * status, milliseconds, bytes. Never a path, a name, a token or a body: those are people's.
 */
export function logRequests(log: Log, clock: Clock, chance: Chance): MiddlewareHandler<Env> {
  return async (context, next) => {
    const beganMs = clock.monotonicMs();
    const id = toHex(chance.bytes(REQUEST_ID_BYTES));
    context.set("requestId", id);
    await next();
    const { method } = context.req;
    const route = matchedRoutes(context).at(-1)?.path ?? "*";
    const { status, body, headers } = context.res;
    const session: Env["Variables"]["session"] | undefined = context.get("session");
    const write = (bytes: number): void =>
      log.info("request", {
        id,
        account: session?.account.id,
        method,
        route,
        status,
        ms: Math.round(clock.monotonicMs() - beganMs),
        bytes,
      });
    headers.set("x-request-id", id);
    headers.set("x-content-type-options", "nosniff");
    if (body === null) write(0);
    else
      context.res = new Response(
        streamOf(() => counted(body, write)),
        context.res,
      );
  };
}
