import type { Home } from "./home.ts";
import { LiveView } from "./live-view.ts";
import type { LinkedFolder } from "./links.ts";
import { print } from "./output.ts";
import { runFolder } from "./run-folder.ts";

/** Keeps a folder in sync until the signal aborts, and shows how it goes. */
export async function syncInForeground(
  home: Home,
  folder: LinkedFolder,
  stop: AbortSignal,
  started: () => void = () => announce(folder),
): Promise<void> {
  using view = new LiveView();
  await runFolder(home, folder, stop, (running) => {
    started();
    view.watch(running);
  });
}

function announce({ link }: LinkedFolder): void {
  print(`Syncing ${link.dir} with the space ${link.spaceName} of ${link.account}`);
  print(`at ${link.server}. Ctrl-C stops.`);
}
