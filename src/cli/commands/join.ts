import { codeOf } from "#core/errors.ts";
import type { Command } from "commander";
import { enrolByCode, parseJoinCode } from "../join-code.ts";
import { linkFolder, type Enrolment } from "../linking.ts";
import { quoted } from "../links.ts";
import { print } from "../output.ts";
import { CommandError } from "../exit.ts";
import { serverUrl } from "../server-calls.ts";
import { stopSignal } from "../stopping.ts";
import { syncInForeground } from "../foreground.ts";
import { runOnce } from "../run-once.ts";
import { explain, folderArgument, thisHome } from "../usage.ts";

type Options = { readonly device?: string; readonly sync: boolean; readonly once?: true };

async function join(code: string, path: string | undefined, options: Options): Promise<void> {
  const { device, sync, once } = options;
  const parsed = parseJoinCode(code);
  const server = serverUrl(parsed.server);
  const home = thisHome();
  const enrol = async (name: string): Promise<Enrolment> =>
    enrolByCode(server, parsed.secret, name).catch((error: unknown) => {
      if (codeOf(error) !== "offline") throw error;
      const next = "is the server running, and may this machine reach it?";
      throw new CommandError(`${server} cannot be reached: ${next}`, undefined, error);
    });
  const dir = folderArgument(path ?? "Lockstep");
  const folder = await linkFolder(home, dir, { server, device, enrol });
  const { link } = folder;
  print(`This machine is the device ${link.deviceName} of ${link.account} now.`);
  if (once) return runOnce(home, folder, stopSignal());
  if (sync) return syncInForeground(home, folder, stopSignal());
  print(`Keep ${link.dir} in sync with: lockstep sync ${quoted(link.dir)}`);
}

export function register(command: Command): void {
  command
    .argument("<code>", "what lockstep up or lockstep devices add printed: HOST:PORT/SECRET")
    .argument("[dir]", "the folder; made when it is not there (default: ./Lockstep)")
    .option("--device <name>", "what to call this machine (default: its host name)")
    .option("--once", "sync until this device and the server agree, then return")
    .option("--no-sync", "only link the folder")
    .action(join);
  explain(command, {
    examples: ["lockstep join nas.local:7420/7ZK2M-0QWXA-99TBC-HJ4VE ~/Lockstep"],
    exits: [1, 3],
    about:
      "Makes this machine one more device of the account behind the code and keeps the folder " +
      "in sync until Ctrl-C. Files that the folder holds already are kept and sent to the " +
      "others. A folder that is linked to that space already is signed in again.",
  });
}
