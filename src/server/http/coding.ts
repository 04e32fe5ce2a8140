import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Context, MiddlewareHandler } from "hono";
import { messageOf } from "#core/errors.ts";
import { BODY_CODING, CODING_LEVEL, LEAST_CODED_BYTES, namesCoding } from "#protocol/coding.ts";
import { ProblemError } from "../problem-error.ts";
import type { Env } from "./gates.ts";

/** The largest window that a receiver has to have room for (RFC 9659): 8 MiB. */
const MAX_WINDOW_LOG = 23;

function codingOf(context: Context<Env>): string {
  return (context.req.header("content-encoding") ?? "").trim().toLowerCase();
}

/**
 * A body as its sender had it before it was coded for the way, of at most `maxBytes`. Throws
 * ProblemError `unsupported-media-type` (with the coding that is taken: RFC 9110, 12.5.3),
 * `bad-request`, and whatever `tooLarge` makes.
 */
export function decodeBody(
  context: Context<Env>,
  body: Uint8Array<ArrayBuffer>,
  maxBytes: number,
  tooLarge: () => ProblemError,
): Uint8Array<ArrayBuffer> {
  const coding = codingOf(context);
  if (coding === "" || coding === "identity") return body;
  if (coding !== BODY_CODING) {
    throw new ProblemError(
      "unsupported-media-type",
      `A body may be sent as it is, or with Content-Encoding ${BODY_CODING}.`,
      { headers: { "accept-encoding": BODY_CODING } },
    );
  }
  try {
    return zstdDecompressSync(body, {
      maxOutputLength: maxBytes,
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
    const detail = `The body cannot be decoded (${messageOf(error)}); send it again.`;
    throw new ProblemError("bad-request", detail);
  }
}

/**
 * Answers of JSON go coded to whoever takes them so, and he is told that his own may come coded
 * (RFC 9110, 12.5.3). Only for calls whose answers hold no secret: the length of what is coded
 * tells of it to whoever may write a part of it.
 */
export function codeAnswers(): MiddlewareHandler<Env> {
  return async (context, next) => {
    await next();
    if (!namesCoding(context.req.header("accept-encoding"))) return;
    const { headers, status } = context.res;
    const isJson = headers.get("content-type")?.startsWith("application/json") === true;
    if (!isJson) return;
    const body = new Uint8Array(await context.res.arrayBuffer());
    const more = new Headers(headers);
    more.set("accept-encoding", BODY_CODING);
    more.set("vary", "accept-encoding");
    const isWorthIt = body.length >= LEAST_CODED_BYTES;
    if (isWorthIt) more.set("content-encoding", BODY_CODING);
    const params = { [constants.ZSTD_c_compressionLevel]: CODING_LEVEL };
    const coded = isWorthIt ? zstdCompressSync(body, { params }) : body;
    context.res = undefined;
    context.res = new Response(coded, { status, headers: more });
  };
}
