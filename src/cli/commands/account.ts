import type { Command } from "commander";
import { askPassword } from "../ask-person.ts";
import { print, printJson } from "../output.ts";
import { signUp } from "../owner.ts";
import { printWords } from "../recovery-words.ts";
import { callServer, serverUrl } from "../server-calls.ts";
import { explain, jsonOption } from "../usage.ts";

type Options = { readonly server: string; readonly account: string; readonly json?: true };

async function create({ server, account, json }: Options): Promise<void> {
  const url = serverUrl(server);
  const password = await askPassword(account, true);
  const { words } = await signUp(callServer(url), { account, password });
  if (json) return printJson({ account, server: url, words });
  print(`The account ${account} exists now at ${url}.\n`);
  printWords(words);
}

export function register(command: Command): void {
  const made = command
    .command("create")
    .description("make an account on a server")
    .requiredOption("--server <url>", "the server's address")
    .requiredOption("--account <name>", "the name: letters, digits, . _ - @")
    .addOption(jsonOption())
    .action(create);
  explain(command, {
    examples: ["lockstep account create --server http://nas.local:7420 --account alice"],
  });
  explain(made, {
    examples: ["lockstep account create --server http://nas.local:7420 --account alice"],
    about:
      "The password (at least 8 characters) is asked for, or taken from LOCKSTEP_PASSWORD; the " +
      "server never sees it. Prints 24 recovery words, this once: without the password and " +
      "without a device they are the only way back to the account's sealed files.",
  });
}
