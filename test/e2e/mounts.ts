// What only root can set up for a test: file systems of their own, another user's processes, a
// system that allows little.

import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { PROJECT } from "./world.ts";

const isRoot = process.getuid?.() === 0;
/** Why a test that mounts is skipped; false when it is not. */
export const mounting = isRoot ? false : "needs root, to mount a file system";

/** A user who is not root and may run what lies here. */
export const NOBODY = 65_534;
export const beNobody =
  isRoot && spawnSync(`${PROJECT}/lockstep`, ["--version"], { uid: NOBODY }).status === 0
    ? false
    : "needs root, and a project that other users may read";

/** Mounts something at a folder, while `work` runs; `work` may unmount it before. */
export async function mounted(
  args: readonly string[],
  folder: string,
  work: (unmount: () => void) => Promise<void>,
): Promise<void> {
  fs.mkdirSync(folder, { recursive: true });
  execFileSync("mount", [...args, folder]);
  let isMounted = true;
  const unmount = (): void => {
    if (!isMounted) return;
    isMounted = false;
    // Lazily: the processes on it are ended with their world.
    execFileSync("umount", ["-l", folder]);
  };
  try {
    await work(unmount);
  } finally {
    unmount();
  }
}

/** A small disk of its own at a folder, while `work` runs. */
export async function onSmallDisk(
  folder: string,
  sizeMiB: number,
  work: (grow: (toMiB: number) => void) => Promise<void>,
): Promise<void> {
  await mounted(["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs"], folder, async () =>
    work((toMiB) => execFileSync("mount", ["-o", `remount,size=${toMiB}m`, folder])),
  );
}

/** A command's beginning that runs the rest of it where at most so many folders can be watched. */
export function withFewWatches(count: number): string[] {
  const script = `echo ${count} > /proc/sys/user/max_inotify_watches && exec "$@"`;
  return ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"];
}

const few = withFewWatches(8);
export const namespacing =
  spawnSync(few[0] ?? "", [...few.slice(1), "true"]).status === 0
    ? false
    : "needs user namespaces, to limit what can be watched";
