import type { AccountId } from "#core/ids.ts";
import type { Chance, Clock } from "#core/world.ts";
import type { Attempts } from "./attempts.ts";
import type { AccountRow, AccountStore } from "./metadata/port.ts";
import type { Opaque } from "./opaque.ts";
import { ProblemError } from "./problem-error.ts";
import type { Secrets } from "./secrets.ts";

/** Wrong passwords that one account's name may have in LOGIN_WINDOW_MS, whoever types them. */
export const MAX_WRONG_PASSWORDS = 10;
export const LOGIN_WINDOW_MS = 10 * 60_000;

export type AccountParts = {
  readonly accounts: AccountStore;
  readonly opaque: Opaque;
  readonly secrets: Secrets;
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
  wish: {
    readonly accountId: AccountId;
    readonly account: string;
    readonly registrationRecord: string;
    readonly recoveryKey: string;
    readonly bundle: string;
    readonly keyring: string;
  },
): Promise<AccountRow> {
  const row: AccountRow = {
    id: wish.accountId,
    name: wish.account,
    key: accountKey(wish.account),
    opaqueRecord: wish.registrationRecord,
    recoveryKey: wish.recoveryKey,
    createdMs: parts.clock.nowMs(),
  };
  if (await parts.accounts.createAccount(row, wish)) return row;
  throw new ProblemError(
    "account-taken",
    `The account ${wish.account} exists already; choose another name or sign in to it.`,
  );
}

/** A refusal that says when to come back. */
export function refuseForNow(waitMs: number, detail: string): ProblemError {
  return new ProblemError("too-many-requests", detail, {
    headers: { "retry-after": String(Math.max(1, Math.ceil(waitMs / 1000))) },
  });
}
