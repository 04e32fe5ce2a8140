import { z } from "zod";
import { AccountId } from "./ids.ts";
import { KeyEpoch } from "./commit.ts";

/**
 * What a server and its key service say to each other, HTTP over a Unix socket. Questions and
 * answers are those of `crypto/oprf.ts`, as `application/octet-stream`.
 */
export const EVALUATION_ROUTES = {
  evaluations: "/evaluations",
  credits: "/credits",
  keys: "/keys",
} as const;

/** For whom a question is asked: their budget pays for it. */
export const ACCOUNT_HEADER = "lockstep-account";

/** A question of 512 inputs. */
export const MAX_QUESTION_BYTES = 4 + 512 * 32;

/** Bytes of an account that the server had not stored for anybody: they earn evaluations. */
export const Credit = z.object({ account: AccountId, acceptedBytes: z.int().min(0) });

const PublicKey = z.string().regex(/^[0-9a-f]{64}$/);

export const EvaluationKey = z.object({ epoch: KeyEpoch, publicKey: PublicKey });

/** The key service's public keys; chunks are sealed with the newest. */
export const EvaluationKeys = z.object({ keys: z.array(EvaluationKey).min(1) });

/** `unknown-epoch` is 410: no key of that epoch is left, or it is not there yet. */
export const EvaluationFault = z.object({
  code: z.enum(["bad-request", "too-many-evaluations", "unknown-epoch", "not-found", "internal"]),
  detail: z.string(),
});
export type EvaluationFault = z.infer<typeof EvaluationFault>;
