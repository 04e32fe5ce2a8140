import type { Command } from "commander";
import { askPassword, askSecret } from "../ask-person.ts";
import { DeviceKeys, keysFile } from "../device-keys.ts";
import { impliedLink } from "../links.ts";
import { print, printJson } from "../output.ts";
import { signIn } from "../owner.ts";
import { changePassword } from "../renewing.ts";
import { callAs, callServer } from "../server-calls.ts";
import { noKeys } from "../space-door.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly folder?: string; readonly words?: true; readonly json?: true };

async function change({ folder: path, words, json }: Options): Promise<void> {
  const { link, state } = impliedLink(thisHome(), path);
  const keys = DeviceKeys.read(keysFile(state));
  if (keys === null) throw noKeys(link);
  const { account, server } = link;
  const credentials = words
    ? { account, words: await askSecret("LOCKSTEP_WORDS", "The 24 recovery words") }
    : { account, password: await askPassword(account) };
  const password = await askSecret("LOCKSTEP_NEW_PASSWORD", `New password of ${account}`, true);
  const signedIn = await signIn(callServer(server), credentials);
  await changePassword(callAs(link), keys, signedIn, { account, password });
  if (json) printJson({ account, changed: true });
  else print(`The password of ${account} is changed: the old one opens nothing any more.`);
}

export function register(command: Command): void {
  command
    .option("--folder <path>", "a linked folder (default: the one around here)")
    .option("--words", "show to be the owner by the recovery words, not by the old password")
    .addOption(jsonOption())
    .action(change);
  explain(command, {
    examples: ["lockstep password"],
    about:
      "Changes the account's password. Devices stay signed in, no file is sent again, and the " +
      "recovery words stay the same. Asked for, or taken from LOCKSTEP_PASSWORD, " +
      "LOCKSTEP_NEW_PASSWORD and LOCKSTEP_WORDS. If somebody may know the old password, revoke " +
      "the devices that they may have: that renews all keys.",
  });
}
