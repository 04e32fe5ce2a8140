import type { Command } from "commander";
import { askPassword } from "../ask-person.ts";
import { print, printJson } from "../output.ts";
import { callServer, serverUrl } from "../server-calls.ts";
import { explain, jsonOption } from "../usage.ts";

type Options = { readonly server: string; readonly account: string; readonly json?: true };

async function create({ server, account, json }: Options): Promise<void> {
  const url = serverUrl(server);
  const password = await askPassword(account, true);
  const made = await callServer(url).signUp({ account, password });
  if (json) printJson({ account: made.account, server: url });
  else print(`The account ${made.account} exists now at ${url}.`);
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
    about: "The password (at least 8 characters) is asked for, or taken from LOCKSTEP_PASSWORD.",
  });
}
