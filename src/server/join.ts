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

/**
 * Tries are counted per first five digits (20 bits) of the locator, known or not: so somebody who
 * guesses blindly shuts nobody else out, as a count for the whole server would. A locator is 256
 * bits that come of a code of 100: five tries at the rest of it are nothing.
 */
const COUNTED_LENGTH = 5;

export type JoinParts = DeviceParts & {
  readonly accounts: AccountStore;
  readonly joins: Attempts;
};

/** Keeps a package for whoever shows its locator first, for JOIN_LIFE_MS. */
export async function offerJoin(
  parts: JoinParts,
  account: AccountRow,
  offer: { readonly locator: string; readonly package: string; readonly space: string },
): Promise<{ readonly expiresMs: number }> {
  const expiresMs = parts.clock.nowMs() + JOIN_LIFE_MS;
  const { locator, package: closed, space } = offer;
  const hash = tokenHash(locator);
  await parts.accounts.createJoin({ hash, package: closed, account: account.id, space, expiresMs });
  return { expiresMs };
}

/**
 * Takes the code and enrols the device. Throws ProblemError `not-found` for a code that is unknown,
 * used or expired alike, and `too-many-requests` after MAX_WRONG_JOINS of one beginning.
 */
export async function join(
  parts: JoinParts,
  wish: { readonly locator: string; readonly device: string },
): Promise<Enrolment & { readonly account: AccountRow; readonly join: JoinRow }> {
  const locator = wish.locator.slice(0, COUNTED_LENGTH);
  const waitMs = await parts.joins.take(locator);
  if (waitMs > 0) {
    throw refuseForNow(waitMs, "Too many wrong tries of this join code; make a new one.");
  }
  const row = await parts.accounts.takeJoin(tokenHash(wish.locator));
  const living = row !== undefined && row.expiresMs > parts.clock.nowMs();
  const account = living ? await parts.accounts.account(row.account) : undefined;
  if (row === undefined || account === undefined) {
    throw new ProblemError(
      "not-found",
      "This join code is mistyped, was used before or is older than 10 minutes; make a new one.",
    );
  }
  await parts.joins.giveBack(locator);
  return { ...(await enrol(parts, account, wish.device)), account, join: row };
}
