import { Option, type Command } from "commander";
import { askPassword } from "../ask-person.ts";
import { DEFAULT_SPACES, enrolBy, linkFolder } from "../linking.ts";
import { quoted } from "../links.ts";
import { print, printJson } from "../output.ts";
import { serverUrl } from "../server-calls.ts";
import type { SpaceKind } from "#protocol/spaces.ts";
import type { Domain } from "#crypto/chunk.ts";
import { explain, folderArgument, jsonOption, thisHome } from "../usage.ts";

type Options = {
  readonly server: string;
  readonly account: string;
  readonly device?: string;
  readonly space?: SpaceKind;
  readonly spaceName?: string;
  readonly dedup?: Domain;
  readonly json?: true;
};

async function link(path: string, options: Options): Promise<void> {
  const { account, device, space, spaceName: name, dedup: domain, json } = options;
  const isAsked = space !== undefined || name !== undefined || domain !== undefined;
  const server = serverUrl(options.server);
  const home = thisHome();
  const { link: made } = await linkFolder(home, folderArgument(path), {
    server,
    account,
    device,
    ...(isAsked ? { space: { kind: space ?? "sealed", name, domain } } : {}),
    enrol: async (called) =>
      enrolBy(server, { account, password: await askPassword(account) }, called),
  });
  const { dir } = made;
  if (json) {
    const { deviceName, spaceName, kind } = made;
    return printJson({
      dir,
      server,
      account: made.account,
      device: deviceName,
      space: made.space,
      spaceName,
      kind,
    });
  }
  print(`${dir} is linked to the space ${made.spaceName} of ${made.account} at ${server}.`);
  print(`Keep it in sync with: lockstep sync ${quoted(dir)}`);
}

export function register(command: Command): void {
  command
    .argument("<dir>", "the folder; made when it is not there")
    .requiredOption("--server <url>", "the server's address")
    .requiredOption("--account <name>", "the account")
    .option("--device <name>", "what to call this machine (default: its host name)")
    .addOption(
      new Option(
        "--space <kind>",
        "what the server can read of it (default: sealed, nothing)",
      ).choices(["sealed", "plain"]),
    )
    .option(
      "--space-name <name>",
      `the space, made when it is not there (default: ${DEFAULT_SPACES.sealed}; ` +
        `of plain ones ${DEFAULT_SPACES.plain})`,
    )
    .addOption(
      new Option(
        "--dedup <with>",
        "of a new sealed space: whom equal contents are stored once with (default: shared)",
      ).choices(["shared", "private"]),
    )
    .addOption(jsonOption())
    .action(link);
  explain(command, {
    examples: ["lockstep link ~/Work --server http://nas.local:7420 --account alice"],
    about:
      "Makes this machine a device of the account and binds the folder to a space of it; " +
      "nothing is synced before lockstep sync runs. What the folder and the space hold is " +
      "united then: no file is lost. A folder that is linked to that space already is signed " +
      "in again, at the address given; one whose LOCKSTEP_HOME is lost is linked anew. The " +
      "password is asked for, or taken from LOCKSTEP_PASSWORD.",
  });
}
