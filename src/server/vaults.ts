import type { AccountVault } from "#protocol/accounts.ts";
import type { AccountRow, AccountStore } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** What the account keeps here closed. */
export async function vaultOf(accounts: AccountStore, account: AccountRow): Promise<AccountVault> {
  const vault = await accounts.vault(account.id);
  if (vault === undefined) throw new ProblemError("not-found", "This account is gone.");
  return { accountId: account.id, account: account.name, ...vault };
}

/** Another device was quicker: what it wrote has to be read first. */
export function outrun(what: string, version: number): ProblemError {
  return new ProblemError(
    "conflict",
    `The ${what} is not at version ${version - 1}; read it and make the change again.`,
  );
}
