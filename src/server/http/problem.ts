import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import { WorldError } from "#core/errors.ts";
import {
  Problem,
  PROBLEM_MEDIA_TYPE,
  PROBLEM_STATUS,
  type ProblemCode,
} from "#protocol/problem.ts";
import { ProblemError } from "../problem-error.ts";

const TITLES: Readonly<Record<ProblemCode, string>> = {
  "bad-request": "The request is not understood",
  "no-token": "A token is needed",
  "bad-token": "The token is not valid",
  "bad-credentials": "Account or password is wrong",
  forbidden: "Not allowed",
  "not-found": "Not found",
  "chunk-damaged": "The server's copy of a chunk is damaged",
  timeout: "Too slow",
  conflict: "In conflict with what is there",
  "account-taken": "The account's name is taken",
  "stale-version": "Based on an older version",
  "version-forgotten": "This version is no longer kept",
  reset: "The position in the feed is not known",
  "body-too-large": "Too large",
  "unsupported-media-type": "Media type not supported",
  "hash-mismatch": "The hash does not match",
  "too-many-requests": "Too many requests",
  "too-many-evaluations": "So many evaluations are not to be had now",
  "key-service-away": "The key service does not answer",
  internal: "The server failed",
  unavailable: "Not available now",
  "storage-full": "The server's storage is full",
  "over-quota": "The account's storage is full",
};

/** What else a WorldError's code may be, said in the wire's codes. */
const ALIASES: Readonly<Record<string, ProblemCode>> = {
  "bad-frames": "bad-request",
  "bad-cursor": "bad-request",
  "no-space": "storage-full",
};

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEM_STATUS, code);
}

/** Seconds that a client waits before it tries an unavailable server again. */
const RETRY_UNAVAILABLE_S = "2";

function ofWorldError(error: WorldError): ProblemError {
  const code = ALIASES[error.code] ?? error.code;
  if (code === "internal" || (!isProblemCode(code) && !error.retryable)) return INTERNAL;
  // What failed inside (a disk, a database) stays inside: its sentence may name paths.
  if (code === "storage-full") return STORAGE_FULL;
  if (isProblemCode(code) && code !== "unavailable") return new ProblemError(code, error.message);
  return new ProblemError("unavailable", "The server cannot do this now; try again soon.", {
    headers: { "retry-after": RETRY_UNAVAILABLE_S },
  });
}

const STORAGE_FULL = new ProblemError(
  "storage-full",
  "The server's storage is full; its operator must make room before anything can be written.",
);

const INTERNAL = new ProblemError(
  "internal",
  "The server met an error of its own; its log says more under this request's x-request-id.",
);

function ofHttpException(error: HTTPException): ProblemError {
  if (error.status === 415) {
    return new ProblemError(
      "unsupported-media-type",
      "This call does not take a body of that Content-Type; see /openapi.json for those it takes.",
    );
  }
  if (error.status < 500) {
    return new ProblemError("bad-request", "The body cannot be read as its Content-Type says.");
  }
  return INTERNAL;
}

/** The problem that stands for anything that was thrown. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof WorldError) return ofWorldError(error);
  if (error instanceof HTTPException) return ofHttpException(error);
  return INTERNAL;
}

/** Writes a problem as `application/problem+json`. */
export function writeProblem({ code, detail, headers, members }: ProblemError): Response {
  const problem: Problem = {
    type: "about:blank",
    title: TITLES[code],
    status: PROBLEM_STATUS[code],
    detail,
    code,
  };
  return new Response(JSON.stringify({ ...problem, ...members }), {
    status: problem.status,
    headers: { "content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store", ...headers },
  });
}

/** Turns what a schema found wrong with a request into one sentence. */
export function refuseInvalid(
  result: { success: boolean; target?: string; error?: { issues: readonly z.core.$ZodIssue[] } },
  _context: Context,
): void {
  if (result.success) return;
  const issue = result.error?.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? "" : ` ${issue.path.join(".")}`;
  const part = result.target === "json" ? "body" : (result.target ?? "request");
  throw new ProblemError(
    "bad-request",
    `The ${part}'s${where} is not valid: ${issue?.message ?? ""}.`,
  );
}

const ProblemBody = Problem.meta({ id: "Problem" });

/** The response definitions of these codes, and of those that any call may be answered. */
export function problems(...codes: readonly ProblemCode[]) {
  const byStatus: Record<number, { description: string; content: ProblemContent }> = {};
  // Whoever shows a token may show it too often.
  const always: ProblemCode[] = ["internal", "unavailable"];
  if (codes.includes("bad-token")) always.push("too-many-requests");
  for (const code of new Set<ProblemCode>([...codes, ...always])) {
    const status = PROBLEM_STATUS[code];
    const known = byStatus[status];
    const description =
      known === undefined ? `\`${code}\`: ${TITLES[code]}` : `${known.description}; \`${code}\``;
    byStatus[status] = { description, content: PROBLEM_CONTENT };
  }
  // Problems are thrown, never returned: no status of theirs is one that a handler may answer.
  return byStatus as Readonly<Record<never, never>>;
}

type ProblemContent = typeof PROBLEM_CONTENT;
const PROBLEM_CONTENT = { [PROBLEM_MEDIA_TYPE]: { schema: ProblemBody } };
