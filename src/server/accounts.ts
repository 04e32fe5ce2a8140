import { accountId } from "#core/ids.ts";
import { toHex } from "#core/bytes.ts";
import type { Chance, Clock } from "#core/world.ts";
import type { Attempts } from "./attempts.ts";
import type { AccountRow, AccountStore } from "./metadata/port.ts";
import type { Passwords } from "./passwords.ts";
import { ProblemError } from "./problem-error.ts";

/** Wrong passwords that one account's name may have in LOGIN_WINDOW_MS, whoever types them. */
export const MAX_WRONG_PASSWORDS = 10;
export const LOGIN_WINDOW_MS = 10 * 60_000;

export type AccountParts = {
  readonly accounts: AccountStore;
  readonly passwords: Passwords;
  readonly logins: Attempts;
  readonly clock: Clock;
  readonly chance: Chance;
};

/** What two account names are compared by. */
export function accountKey(name: string): string {
  return name.normalize("NFC").toLowerCase();
}

/** Throws ProblemError `account-taken`. */
export async function signUp(
  parts: AccountParts,
  wish: { readonly account: string; readonly password: string },
): Promise<AccountRow> {
  const taken = new ProblemError(
    "account-taken",
    `The account ${wish.account} exists already; choose another name or sign in to it.`,
  );
  const key = accountKey(wish.account);
  if ((await parts.accounts.accountByKey(key)) !== undefined) throw taken;
  const row: AccountRow = {
    id: accountId(toHex(parts.chance.bytes(16))),
    name: wish.account,
    key,
    passwordHash: await parts.passwords.hash(wish.password),
    createdMs: parts.clock.nowMs(),
  };
  if (!(await parts.accounts.createAccount(row))) throw taken;
  return row;
}

/** A refusal that says when to come back. */
export function refuseForNow(waitMs: number, detail: string): ProblemError {
  return new ProblemError("too-many-requests", detail, {
    headers: { "retry-after": String(Math.max(1, Math.ceil(waitMs / 1000))) },
  });
}

/**
 * The account that name and password open. Throws ProblemError `bad-credentials`, the same at the
 * same price whether the account exists or not, and `too-many-requests` after MAX_WRONG_PASSWORDS.
 */
export async function signIn(
  parts: AccountParts,
  claim: { readonly account: string; readonly password: string },
): Promise<AccountRow> {
  const key = accountKey(claim.account);
  const waitMs = parts.logins.take(key);
  if (waitMs > 0) {
    throw refuseForNow(
      waitMs,
      `Too many wrong passwords for the account ${claim.account}; wait before the next try.`,
    );
  }
  const row = await parts.accounts.accountByKey(key);
  const right = await parts.passwords.verify(claim.password, row?.passwordHash);
  if (row === undefined || !right) {
    throw new ProblemError(
      "bad-credentials",
      `The account ${claim.account} and this password do not belong together; check both.`,
    );
  }
  parts.logins.giveBack(key);
  return row;
}
