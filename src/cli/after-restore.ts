import { codeOf, messageOf } from "#core/errors.ts";
import { acceptRestore } from "#sync/settings.ts";
import { DeviceKeys, keysFile } from "./device-keys.ts";
import { CommandError, EXIT } from "./exit.ts";
import type { LinkedFolder } from "./links.ts";
import { linkAgain } from "./next-step.ts";
import { note } from "./output.ts";
import { callAs } from "./server-calls.ts";
import { openStored } from "./stored.ts";
import { TypedLines } from "./typed-lines.ts";

/**
 * Runs the engine of a folder; when it stops because the server's operator has announced that a
 * backup was restored, a person is asked once, or has said yes before, and it runs again.
 */
export async function askingAfterRestore(
  folder: LinkedFolder,
  hasSaidYes: boolean,
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (codeOf(error) !== "server-restored") throw error;
    if (!hasSaidYes && !(await isTrueByTerminal(messageOf(error)))) throw error;
    using store = openStored(folder);
    if (store === null || !store.trees.transaction(() => acceptRestore(store.records))) throw error;
    await putKeyringBack(folder);
    await run();
  }
}

/** What the account has written into its keyring since the backup is at its devices alone. */
async function putKeyringBack(folder: LinkedFolder): Promise<void> {
  const { link, state } = folder;
  try {
    await DeviceKeys.read(keysFile(state))?.overtake(callAs(link));
  } catch (error) {
    if (!["bad-bundle", "bad-seal", "bad-keyring"].includes(codeOf(error))) throw error;
    const message =
      "The account's keys were renewed after the backup was made, and the server has the earlier " +
      `ones again. Sign in with ${linkAgain(folder)}, run this again, and then revoke once more ` +
      "what was revoked.";
    throw new CommandError(message, EXIT.needsPerson, error);
  }
}

async function isTrueByTerminal(message: string): Promise<boolean> {
  const { stdin } = process;
  if (!stdin.isTTY) return false;
  using lines = new TypedLines(stdin);
  note(message);
  const question = "Is it so? y goes on, anything else leaves all as it is.";
  const answer = await lines.ask(question, new AbortController().signal);
  return /^\s*y(es)?\s*$/i.test(answer);
}
