import type { AccountRow, AccountStore, JoinRow } from "./metadata/port.ts";
import { refuseForNow } from "./accounts.ts";
import type { Attempts } from "./attempts.ts";
import { enrol, type DeviceParts, type Enrolment } from "./devices.ts";
import { ProblemError } from "./problem-error.ts";
import { tokenHash } from "./tokens.ts";

/** How long a join code may be used. */
export const JOIN_LIFE_MS = 10 * 60_000;

/** Wrong tries after which a code is worth nothing. */
export const MAX_WRONG_JOINS = 5;

/** Crockford's base32: no I, L, O, U, so that a code can be read aloud and typed. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SECRET_LENGTH = 20;

/**
 * Tries are counted per first five characters (25 bits), known code or not. So a code with that
 * beginning stops answering after five wrong tries and before it expires, which is what "five tries
 * a code" can mean when only its hash is stored; and somebody who guesses blindly shuts nobody else
 * out, as a count for the whole server would. The other 15 characters are 75 bits: five tries at
 * them are nothing.
 */
const LOCATOR_LENGTH = 5;

export type JoinParts = DeviceParts & {
  readonly accounts: AccountStore;
  readonly joins: Attempts;
};

/** A code that makes one machine a device of this account, once, for JOIN_LIFE_MS. */
export async function offerJoin(
  parts: JoinParts,
  account: AccountRow,
  space: string,
): Promise<{ readonly secret: string; readonly expiresMs: number }> {
  let secret = "";
  // 256 is a multiple of 32: the lower five bits of a random byte are unbiased.
  for (const byte of parts.chance.bytes(SECRET_LENGTH)) secret += ALPHABET[byte & 31];
  const expiresMs = parts.clock.nowMs() + JOIN_LIFE_MS;
  const row: JoinRow = { hash: tokenHash(secret), account: account.id, space, expiresMs };
  await parts.accounts.createJoin(row);
  return { secret, expiresMs };
}

/**
 * Takes the code and enrols the device. Throws ProblemError `not-found` for a code that is unknown,
 * used or expired alike, and `too-many-requests` after MAX_WRONG_JOINS of one beginning.
 */
export async function join(
  parts: JoinParts,
  wish: { readonly secret: string; readonly device: string },
): Promise<Enrolment & { readonly account: AccountRow; readonly space: string }> {
  const locator = wish.secret.slice(0, LOCATOR_LENGTH);
  const waitMs = parts.joins.take(locator);
  if (waitMs > 0) {
    throw refuseForNow(waitMs, "Too many wrong tries of this join code; make a new one.");
  }
  const row = await parts.accounts.takeJoin(tokenHash(wish.secret));
  const living = row !== undefined && row.expiresMs > parts.clock.nowMs();
  const account = living ? await parts.accounts.account(row.account) : undefined;
  if (row === undefined || account === undefined) {
    throw new ProblemError(
      "not-found",
      "This join code is mistyped, was used before or is older than 10 minutes; make a new one.",
    );
  }
  parts.joins.giveBack(locator);
  return { ...(await enrol(parts, account, wish.device)), account, space: row.space };
}
