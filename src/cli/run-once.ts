import { systemClock } from "#platform/clock.ts";
import type { Status } from "#sync/status.ts";
import { CommandError, EXIT } from "./exit.ts";
import type { Home } from "./home.ts";
import type { LinkedFolder } from "./links.ts";
import { print } from "./output.ts";
import { runFolder, type RunningFolder } from "./run-folder.ts";
import { settleFully } from "./settle.ts";
import { verdictOf } from "./settling.ts";

/** A server that does not answer for so long will not answer this run. */
const OFFLINE_MS = 5_000;
const LOOK_MS = 20;

/** Syncs until device and server agree (resolves) or cannot (throws CommandError). */
export async function runOnce(home: Home, folder: LinkedFolder, stop: AbortSignal): Promise<void> {
  const done = new AbortController();
  let agreed: Promise<Status> | undefined;
  await runFolder(home, folder, AbortSignal.any([stop, done.signal]), (running) => {
    agreed = agree(running, stop).finally(() => done.abort());
    // Awaited below; until then a failure is nobody's yet.
    agreed.catch(() => undefined);
  });
  const status = await agreed;
  if (stop.aborted) throw new CommandError("Stopped before this device and the server agreed.");
  if (status !== undefined) print(`${folder.link.dir} is in sync.`);
}

async function agree({ open }: RunningFolder, stop: AbortSignal): Promise<Status> {
  let offlineSinceMs: number | null = null;
  const settled = { yes: false };
  const settle = (): void => {
    settled.yes = false;
    // What fails here stops the engine too, and is told by it.
    const failed = (): void => undefined;
    void settleFully(open, stop).then(() => (settled.yes = true), failed);
  };
  settle();
  for (;;) {
    const status = open.engine.status(0);
    if (stop.aborted || status.state === "halted") return status;
    const nowMs = systemClock.monotonicMs();
    offlineSinceMs = status.state === "offline" ? (offlineSinceMs ?? nowMs) : null;
    if (offlineSinceMs !== null && nowMs - offlineSinceMs > OFFLINE_MS) {
      const reason = status.reason ?? "The server cannot be reached.";
      throw new CommandError(
        reason.replace("it is tried again", "run this again later"),
        EXIT.failed,
      );
    }
    if (settled.yes) {
      const verdict = verdictOf(status);
      if (verdict.kind === "in-sync") return status;
      if (verdict.kind === "stuck") throw new CommandError(verdict.reason, verdict.exitCode);
      settle();
    }
    await systemClock.sleep(LOOK_MS, stop).catch(() => undefined);
  }
}
