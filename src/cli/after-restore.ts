import { codeOf, messageOf } from "#core/errors.ts";
import { acceptRestore } from "#sync/settings.ts";
import type { LinkedFolder } from "./links.ts";
import { note } from "./output.ts";
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
    await run();
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
