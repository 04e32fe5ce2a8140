import { constants, zstdCompressSync } from "node:zlib";
import type { z } from "zod";
import { concat, utf8 } from "#core/bytes.ts";
import { messageOf, WorldError } from "#core/errors.ts";
import type { Chance, Clock } from "#core/world.ts";
import { BODY_CODING, CODING_LEVEL, LEAST_CODED_BYTES, namesCoding } from "#protocol/coding.ts";
import { Problem, PROBLEM_MEDIA_TYPE } from "#protocol/problem.ts";
import { lineOf, systemLine } from "./http-line.ts";
import type { Answered, Asked, Fetch, Line } from "./http-line.ts";
import { retrying, ServerError } from "./retrying.ts";
import { Stall } from "./stall.ts";

/** A transfer that moves no byte for this long is over. */
const IDLE_MS = 30_000;

/** An error's body is a sentence or a proxy's page. */
const MAX_PROBLEM_BYTES = 64 * 1024;
/** Bodies above this are sent in pieces, so that their progress can be seen. */
const PIECE_BYTES = 256 * 1024;

const JSON_MEDIA_TYPE = "application/json";

/** What a server answers that cannot read a coded body: it is of an older version since. */
const UNREAD: ReadonlySet<number> = new Set([400, 415]);

export type ServerWorld = {
  /** Where the server is, e.g. `https://sync.example.org`. */
  readonly url: string;
  /** `ls_…`; absent for the calls that come before one is had. */
  readonly token?: string | undefined;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Node's own unless given: a test or a simulation has the server in its hands. */
  readonly fetch?: Fetch | undefined;
};

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Path and query. */
  readonly path: string;
  /** `parts` stand for one behind the other. */
  readonly body?: {
    readonly mediaType: string;
    readonly bytes: Uint8Array | { readonly parts: readonly Uint8Array[] };
  };
  /** Statuses whose body is the answer; 2xx otherwise. */
  readonly answers?: readonly number[];
  readonly idleMs?: number;
  /** True when doing it twice is doing it once: then it is tried again by itself. */
  readonly repeatable: boolean;
  readonly maxAnswerBytes: number;
};

export function jsonBody(value: unknown): { mediaType: string; bytes: Uint8Array } {
  return { mediaType: JSON_MEDIA_TYPE, bytes: utf8(JSON.stringify(value)) };
}

/** Calls to one server. All throw WorldError: `offline`, `signed-out`, `reset`, `bad-answer`, … */
export class ServerHttp {
  readonly #world: ServerWorld;
  readonly #line: Line;
  readonly #origin: string;
  /** The server has said that it takes coded bodies. */
  #takesCoded = false;

  constructor(world: ServerWorld) {
    this.#world = world;
    this.#line = world.fetch === undefined ? systemLine : lineOf(world.fetch);
    this.#origin = world.url.replace(/\/+$/, "");
  }

  /** A call whose answer is JSON of this shape. */
  async json<Schema extends z.ZodType>(
    call: Call,
    schema: Schema,
    signal?: AbortSignal,
  ): Promise<z.output<Schema>> {
    const work = async (): Promise<z.output<Schema>> => {
      using stall = new Stall(this.#world.clock, call.idleMs ?? IDLE_MS, signal);
      const answer = await this.#answer(call, JSON_MEDIA_TYPE, stall);
      const bytes = await readAll(pieces(answer, call.maxAnswerBytes, stall));
      return this.#parse(call, schema, bytes);
    };
    return call.repeatable ? retrying(this.#world, work, signal) : work();
  }

  /** A call whose answer has no body. */
  async empty(call: Call, signal?: AbortSignal): Promise<void> {
    const work = async (): Promise<void> => {
      using stall = new Stall(this.#world.clock, call.idleMs ?? IDLE_MS, signal);
      (await this.#send(call, stall)).leave();
    };
    await (call.repeatable ? retrying(this.#world, work, signal) : work());
  }

  /** A call whose answer is a stream of this type; ends the call when its reader leaves. */
  async *stream(call: Call, mediaType: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    using stall = new Stall(this.#world.clock, call.idleMs ?? IDLE_MS, signal);
    const begin = (): Promise<Answered> => this.#answer(call, mediaType, stall);
    const answer = call.repeatable ? await retrying(this.#world, begin, signal) : await begin();
    yield* pieces(answer, call.maxAnswerBytes, stall);
  }

  /** The answer, whose type is the one that was asked for. */
  async #answer(call: Call, mediaType: string, stall: Stall): Promise<Answered> {
    const answer = await this.#send(call, stall);
    if (mediaTypeOf(answer) === mediaType) return answer;
    answer.leave();
    // A hotel's page answers everything until somebody has signed in there: so it may pass.
    const message =
      `${this.#origin} answered with ${mediaTypeOf(answer) || "no type"} and not as a Lockstep ` +
      "server does: check the address, and whether this network wants a sign-in first.";
    throw new ServerError("bad-answer", message, { retryable: true });
  }

  async #send(call: Call, stall: Stall): Promise<Answered> {
    const coded = this.#takesCoded ? codedOf(call) : null;
    let answer = await this.#ask(coded ?? call, stall);
    if (coded !== null && UNREAD.has(answer.status)) {
      // Nothing was done: it may be what was sent, or how.
      answer.leave();
      this.#takesCoded = false;
      answer = await this.#ask(call, stall);
    }
    if (namesCoding(answer.header("accept-encoding"))) this.#takesCoded = true;
    const { status } = answer;
    if (call.answers?.includes(status) ?? (status >= 200 && status < 300)) return answer;
    throw await this.#refusal(answer, stall);
  }

  async #ask(call: Call & { readonly coding?: string }, stall: Stall): Promise<Answered> {
    stall.progress();
    const { signal } = stall;
    try {
      const { method, path } = call;
      const sent = { method, headers: this.#headers(call), signal, ...bodyOf(call, stall) };
      const answer = await this.#line(`${this.#origin}${path}`, sent);
      stall.progress();
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      throw this.#unreachable(error);
    }
  }

  #headers({ body, coding }: Call & { readonly coding?: string }): Record<string, string> {
    const { token } = this.#world;
    return {
      accept: `${JSON_MEDIA_TYPE}, ${PROBLEM_MEDIA_TYPE}, */*`,
      "accept-encoding": BODY_CODING,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": body.mediaType }),
      ...(coding === undefined ? {} : { "content-encoding": coding }),
    };
  }

  #unreachable(error: unknown): WorldError {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = messageOf(cause) || "no answer";
    if (isCertificateTrouble(cause)) {
      const message = `${this.#origin} cannot be trusted (${why}): check its certificate.`;
      return new WorldError("bad-certificate", message, { cause: error });
    }
    const message = `${this.#origin} cannot be reached (${why}): it is tried again.`;
    return new WorldError("offline", message, { cause: error, retryable: true });
  }

  async #refusal(answer: Answered, stall: Stall): Promise<WorldError> {
    const { status } = answer;
    const more = {
      // A full server stays full until its operator has made room.
      retryable: status === 408 || status === 429 || (status >= 500 && status !== 507),
      retryAfterMs: retryAfterMs(answer, this.#world.clock.nowMs()),
    };
    const problem = await readProblem(answer, stall);
    if (problem === null) {
      const code = more.retryable ? "unavailable" : "bad-answer";
      const message =
        `${this.#origin} answered ${status} and not as a Lockstep server does: check the address ` +
        "and the proxies on the way.";
      return new ServerError(code, message, more);
    }
    if (status === 401 && problem.code !== "bad-credentials") {
      const next = "sign in again with lockstep link or join";
      const message = `${this.#origin} does not know this device any more: ${next}.`;
      return new ServerError("signed-out", message, more);
    }
    return new ServerError(status === 410 ? "reset" : problem.code, problem.detail, more);
  }

  #parse<Schema extends z.ZodType>(
    call: Call,
    schema: Schema,
    bytes: Uint8Array,
  ): z.output<Schema> {
    try {
      return schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    } catch (cause) {
      const message =
        `${this.#origin} answered ${call.method} ${call.path.split("?")[0]} in a way that this ` +
        "Lockstep does not understand: update both.";
      throw new WorldError("bad-answer", message, { cause });
    }
  }
}

function mediaTypeOf(answer: Answered): string {
  return (answer.header("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/** The call with its body coded for the way; null where that is not worth it. */
function codedOf(call: Call): (Call & { readonly coding: string }) | null {
  const { body } = call;
  if (body?.mediaType !== JSON_MEDIA_TYPE || !(body.bytes instanceof Uint8Array)) return null;
  if (body.bytes.length < LEAST_CODED_BYTES) return null;
  const params = { [constants.ZSTD_c_compressionLevel]: CODING_LEVEL };
  const bytes = zstdCompressSync(body.bytes, { params });
  return { ...call, body: { ...body, bytes }, coding: BODY_CODING };
}

/** Small bodies whole, large ones in pieces that report what the connection took. */
function bodyOf({ body }: Call, stall: Stall): Pick<Asked, "pieces" | "lengthBytes"> {
  if (body === undefined) return { pieces: [], lengthBytes: 0 };
  const { bytes } = body;
  const parts = bytes instanceof Uint8Array ? [bytes] : bytes.parts;
  const lengthBytes = parts.reduce((sum, { length }) => sum + length, 0);
  const isSmall = lengthBytes <= PIECE_BYTES;
  return { pieces: isSmall ? [concat(parts)] : piecesOf(parts, stall), lengthBytes };
}

function* piecesOf(parts: readonly Uint8Array[], stall: Stall): Generator<Uint8Array, void> {
  for (const part of parts) {
    for (let from = 0; from < part.length; from += PIECE_BYTES) {
      stall.progress();
      yield part.subarray(from, from + PIECE_BYTES);
    }
  }
}

async function* pieces(
  { body }: Answered,
  maxBytes: number,
  stall: Stall,
): AsyncGenerator<Uint8Array> {
  const { signal } = stall;
  let received = 0;
  try {
    for await (const piece of body) {
      stall.progress();
      received += piece.length;
      if (received > maxBytes) {
        const message = `The server's answer is larger than ${maxBytes} bytes: update Lockstep.`;
        throw new WorldError("bad-answer", message);
      }
      stall.rest();
      yield piece;
      stall.progress();
    }
  } catch (error) {
    if (error instanceof WorldError) throw error;
    signal.throwIfAborted();
    const message = `The connection broke (${messageOf(error)}): it is tried again.`;
    throw new WorldError("offline", message, { cause: error, retryable: true });
  }
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of stream) parts.push(piece);
  return concat(parts);
}

/** The problem that a refusal holds, or null when something else than a Lockstep server spoke. */
async function readProblem(answer: Answered, stall: Stall): Promise<Problem | null> {
  if (mediaTypeOf(answer) !== PROBLEM_MEDIA_TYPE) {
    answer.leave();
    return null;
  }
  try {
    const bytes = await readAll(pieces(answer, MAX_PROBLEM_BYTES, stall));
    return Problem.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    stall.signal.throwIfAborted();
    return null;
  }
}

function retryAfterMs(answer: Answered, nowMs: number): number | null {
  const value = answer.header("retry-after");
  if (value === null) return null;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? null : Math.max(dateMs - nowMs, 0);
}

const CERTIFICATE_TROUBLES: ReadonlySet<string> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

function isCertificateTrouble(cause: unknown): boolean {
  if (!(cause instanceof Error) || !("code" in cause)) return false;
  return typeof cause.code === "string" && CERTIFICATE_TROUBLES.has(cause.code);
}
