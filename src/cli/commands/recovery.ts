import type { Command } from "commander";
import type { SpaceKind } from "#protocol/spaces.ts";
import { Option } from "commander";
import { askSecret } from "../ask-person.ts";
import { DEFAULT_SPACES, enrolBy, linkFolder } from "../linking.ts";
import { quoted } from "../links.ts";
import { print, printJson } from "../output.ts";
import { serverUrl } from "../server-calls.ts";
import { explain, folderArgument, jsonOption, thisHome } from "../usage.ts";

type Options = {
  readonly server: string;
  readonly account: string;
  readonly device?: string;
  readonly space?: SpaceKind;
  readonly spaceName?: string;
  readonly json?: true;
};

async function recover(path: string, options: Options): Promise<void> {
  const { account, device, space: kind = "sealed", spaceName: name, json } = options;
  const server = serverUrl(options.server);
  const words = await askSecret("LOCKSTEP_WORDS", "The 24 recovery words");
  const { link } = await linkFolder(thisHome(), folderArgument(path), {
    server,
    account,
    device,
    space: { kind, name },
    enrol: (called) => enrolBy(server, { account, words }, called),
  });
  const { dir, spaceName } = link;
  if (json) {
    const { deviceName, space } = link;
    return printJson({ dir, server, account, device: deviceName, space, spaceName, kind });
  }
  print(`${dir} is linked to the space ${spaceName} of ${account} at ${server}.`);
  print(`Bring everything back with: lockstep sync ${quoted(dir)}`);
  print("Choose a new password with: lockstep password --words");
}

export function register(command: Command): void {
  command
    .argument("<dir>", "the folder that everything comes back to")
    .requiredOption("--server <url>", "the server's address")
    .requiredOption("--account <name>", "the account")
    .option("--device <name>", "what to call this machine (default: its host name)")
    .addOption(
      new Option("--space <kind>", "the kind of space (default: sealed)").choices([
        "sealed",
        "plain",
      ]),
    )
    .option("--space-name <name>", `the space (default: ${DEFAULT_SPACES.sealed})`)
    .addOption(jsonOption())
    .action(recover);
  explain(command, {
    examples: ["lockstep recovery ~/Lockstep --server http://nas.local:7420 --account alice"],
    about:
      "For who has lost the password and every device, and has the 24 recovery words: makes " +
      "this machine a device of the account. The words are asked for, or taken from " +
      "LOCKSTEP_WORDS.",
  });
}
