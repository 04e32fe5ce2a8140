import { request } from "node:http";
import { concat } from "#core/bytes.ts";
import type { AccountId } from "#core/ids.ts";
import {
  ACCOUNT_HEADER,
  EVALUATION_ROUTES,
  EvaluationFault,
  EvaluationKeys,
} from "#protocol/evaluations.ts";
import type { z } from "zod";
import { ProblemError } from "./problem-error.ts";

/** A batch takes 0.1 s; one that takes longer than this waits behind a crowd. */
const PATIENCE_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;

type Said = {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: Uint8Array;
};

/** The key service, as the server reaches it: over its socket, and not at all when it is away. */
export interface Evaluations {
  /** Its public keys; none while it is away. */
  keys(): Promise<z.output<typeof EvaluationKeys>["keys"]>;
  /**
   * Hands a question on. Throws ProblemError `key-service-away`, `too-many-evaluations`,
   * `bad-request`.
   */
  evaluate(account: AccountId, question: Uint8Array): Promise<Uint8Array>;
  /** Bytes that nobody had stored earn their account evaluations. */
  credit(account: AccountId, acceptedBytes: number): Promise<void>;
}

/** A server without a key service: everybody seals for themselves. */
export const NO_EVALUATIONS: Evaluations = {
  keys: async () => [],
  evaluate: () => Promise.reject(away()),
  credit: async () => undefined,
};

function away(cause?: unknown): ProblemError {
  const error = new ProblemError(
    "key-service-away",
    "The server's key service does not answer; seal without it, or try again later.",
  );
  error.cause = cause;
  return error;
}

export class SocketEvaluations implements Evaluations {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async keys(): Promise<z.output<typeof EvaluationKeys>["keys"]> {
    try {
      const { body } = await this.#call("GET", EVALUATION_ROUTES.keys, {});
      return EvaluationKeys.parse(JSON.parse(new TextDecoder().decode(body))).keys;
    } catch {
      return [];
    }
  }

  async evaluate(account: AccountId, question: Uint8Array): Promise<Uint8Array> {
    const headers = { [ACCOUNT_HEADER]: account, "content-type": "application/octet-stream" };
    const said = await this.#call("POST", EVALUATION_ROUTES.evaluations, headers, question);
    if (said.status === 200) return said.body;
    throw problemOf(said);
  }

  async credit(account: AccountId, acceptedBytes: number): Promise<void> {
    const body = Buffer.from(JSON.stringify({ account, acceptedBytes }));
    const headers = { "content-type": "application/json" };
    // Lost credit is a slower upload, nothing more.
    await this.#call("POST", EVALUATION_ROUTES.credits, headers, body).catch(() => undefined);
  }

  /** Throws ProblemError `key-service-away`. */
  #call(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array = new Uint8Array(0),
  ): Promise<Said> {
    const { promise, resolve, reject } = Promise.withResolvers<Said>();
    const fail = (cause: unknown): void => reject(away(cause));
    const options = { socketPath: this.#socketPath, method, path, timeout: PATIENCE_MS };
    const asked = request({ ...options, headers: { ...headers, "content-length": body.length } });
    asked.on("error", fail);
    asked.on("timeout", () => asked.destroy(new Error("it took too long")));
    asked.on("response", (answer) => {
      const pieces: Uint8Array[] = [];
      let sizeBytes = 0;
      answer.on("error", fail);
      answer.on("data", (piece: Uint8Array) => {
        pieces.push(piece);
        sizeBytes += piece.length;
        if (sizeBytes > MAX_ANSWER_BYTES) asked.destroy(new Error("it said too much"));
      });
      answer.on("end", () => {
        const { statusCode: status = 500, headers: given } = answer;
        resolve({ status, retryAfter: given["retry-after"], body: concat(pieces) });
      });
    });
    asked.end(body);
    return promise;
  }
}

function problemOf({ status, retryAfter, body }: Said): ProblemError {
  let detail = "The key service did not take the question.";
  try {
    detail = EvaluationFault.parse(JSON.parse(new TextDecoder().decode(body))).detail;
  } catch {
    if (status !== 400) return away();
  }
  if (status === 429) {
    const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter };
    return new ProblemError("too-many-evaluations", detail, { headers });
  }
  return status === 400 || status === 410 ? new ProblemError("bad-request", detail) : away();
}
