import type { Command } from "commander";
import { askingAfterRestore } from "../after-restore.ts";
import { syncInForeground } from "../foreground.ts";
import { requireLink } from "../links.ts";
import { runOnce } from "../run-once.ts";
import { stopSignal } from "../stopping.ts";
import { explain, thisHome } from "../usage.ts";

type Options = { readonly once?: true; readonly afterRestore?: true };

async function sync(dir: string, { once, afterRestore }: Options): Promise<void> {
  const home = thisHome();
  const folder = requireLink(home, dir);
  const stop = stopSignal();
  await askingAfterRestore(folder, afterRestore === true, async () =>
    once ? runOnce(home, folder, stop) : syncInForeground(home, folder, stop),
  );
}

export function register(command: Command): void {
  command
    .argument("<dir>", "a linked folder")
    .option("--once", "return when this device and the server agree")
    .option("--after-restore", "go on with a server whose operator has put a backup back")
    .action(sync);
  explain(command, {
    examples: ["lockstep sync ~/Work", "lockstep sync ~/Work --once"],
    exits: [1, 3],
    about:
      "Runs in the foreground until Ctrl-C or SIGTERM. Stopping it at any moment is safe: the " +
      "next start goes on where it was. A device of a sealed space that meets a server with less " +
      "than it has seen stops. Where the server's operator says that a backup was restored, it " +
      "asks once whether that is so (or take --after-restore for a yes): then what the server " +
      "lost is sent again, what differs is kept twice, and nothing is deleted.",
  });
}
