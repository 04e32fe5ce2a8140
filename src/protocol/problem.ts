import { z } from "zod";

/**
 * Codes of refusals, stable for programs. A commit's own outcomes (`stale`, `name-taken`, …) stand
 * in `commit.ts`; they travel in the same body.
 */
export const PROBLEM_STATUS = {
  "bad-request": 400,
  "no-token": 401,
  "bad-token": 401,
  "bad-credentials": 401,
  forbidden: 403,
  "not-found": 404,
  "chunk-damaged": 404,
  timeout: 408,
  conflict: 409,
  "account-taken": 409,
  "stale-version": 409,
  "version-forgotten": 409,
  reset: 410,
  "body-too-large": 413,
  "unsupported-media-type": 415,
  "hash-mismatch": 422,
  "too-many-requests": 429,
  "too-many-evaluations": 429,
  internal: 500,
  unavailable: 503,
  "key-service-away": 503,
  "storage-full": 507,
  "over-quota": 507,
} as const;

export type ProblemCode = keyof typeof PROBLEM_STATUS;

/** RFC 9457 problem details, `application/problem+json`, with a stable `code`. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
});
export type Problem = z.infer<typeof Problem>;

export const PROBLEM_MEDIA_TYPE = "application/problem+json";
