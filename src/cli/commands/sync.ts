import type { Command } from "commander";
import { syncInForeground } from "../foreground.ts";
import { requireLink } from "../links.ts";
import { runOnce } from "../run-once.ts";
import { stopSignal } from "../stopping.ts";
import { explain, thisHome } from "../usage.ts";

type Options = { readonly once?: true };

async function sync(dir: string, { once }: Options): Promise<void> {
  const home = thisHome();
  const folder = requireLink(home, dir);
  const stop = stopSignal();
  if (once) return runOnce(home, folder, stop);
  await syncInForeground(home, folder, stop);
}

export function register(command: Command): void {
  command
    .argument("<dir>", "a linked folder")
    .option("--once", "return when this device and the server agree")
    .action(sync);
  explain(command, {
    examples: ["lockstep sync ~/Work", "lockstep sync ~/Work --once"],
    exits: [1, 3],
    about:
      "Runs in the foreground until Ctrl-C or SIGTERM. Stopping it at any moment is safe: the " +
      "next start goes on where it was.",
  });
}
