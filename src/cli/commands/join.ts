import { codeOf } from "#core/errors.ts";
import type { Command } from "commander";
import { parseJoinCode } from "../join-code.ts";
import { enrolByCode } from "../joining.ts";
import { linkFolder, type Enrolment } from "../linking.ts";
import { quoted } from "../links.ts";
import { note, print } from "../output.ts";
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
  const stop = stopSignal();
  const show = (words: string): void => {
    note("The machine that made the code asks there whether these words are the same:\n");
    note(`  ${words}\n`);
  };
  const enrol = async (name: string): Promise<Enrolment> =>
    enrolByCode({ server, secret: parsed.secret, device: name, show }, stop).catch(
      (error: unknown) => {
        if (stop.aborted) throw new CommandError("Stopped; nothing was made.");
        if (codeOf(error) !== "offline") throw error;
        const next = "is the server running, and may this machine reach it?";
        throw new CommandError(`${server} cannot be reached: ${next}`, undefined, error);
      },
    );
  const dir = folderArgument(path ?? "Lockstep");
  const folder = await linkFolder(home, dir, { server, device, enrol });
  const { link } = folder;
  print(`This machine is the device ${link.deviceName} of ${link.account} now.`);
  if (once) return runOnce(home, folder, stop);
  if (sync) return syncInForeground(home, folder, stop);
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
      "in sync until Ctrl-C. It shows four words: the machine that made the code shows the same " +
      "ones and asks before it lets this one in. Files that the folder holds already are kept " +
      "and sent to the others. A folder that is linked to that space already is signed in again.",
  });
}
