import { basename } from "node:path";
import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { systemClock } from "#platform/clock.ts";
import { lockFolder } from "#platform/folder-lock.ts";
import { giveMemoryBack } from "#platform/idle-memory.ts";
import { rootGone } from "#sync/root.ts";
import { HOLD_LIMITS, type HoldLimits } from "#sync/mass.ts";
import { CommandError, EXIT } from "./exit.ts";
import { openControl } from "./control.ts";
import { openFolder, type OpenFolder } from "./daemon.ts";
import { openSealedDoor } from "./sealed-door.ts";
import { EventLog } from "./event-log.ts";
import type { Home } from "./home.ts";
import { clearHalt, storeHalt } from "./halt.ts";
import { databaseOf, type LinkedFolder } from "./links.ts";
import { isMarked } from "./markers.ts";
import { openEngineLog } from "./log.ts";
import { withNextStep } from "./next-step.ts";
import { engineAnswers } from "./answers.ts";

/** `LOCKSTEP_HOLD=off`: this machine deletes without asking, however much it is. */
function holdLimits(environment: NodeJS.ProcessEnv): HoldLimits | null {
  return environment["LOCKSTEP_HOLD"] === "off" ? null : HOLD_LIMITS;
}

/** `LOCKSTEP_KEEP_MIB`: how many MiB of a folder's chunks are kept to tell edits from; 0: none. */
function keptBytes(environment: NodeJS.ProcessEnv): number | undefined {
  const mebibytes = environment["LOCKSTEP_KEEP_MIB"];
  if (mebibytes === undefined) return undefined;
  if (/^\d{1,6}$/.test(mebibytes)) return Number(mebibytes) * 1024 * 1024;
  throw new CommandError(
    `LOCKSTEP_KEEP_MIB is "${mebibytes}": give it a number of MiB, or 0 to keep nothing.`,
    EXIT.wrongUsage,
  );
}

/** What was displaced by the engine is looked at this often. */
const SWEEP_EVERY_MS = 60 * 60_000;

/** A root that is unmounted gives no hint: it is looked at this often. */
const ROOT_EVERY_MS = 15_000;

export type RunningFolder = {
  readonly folder: LinkedFolder;
  readonly open: OpenFolder;
};

/**
 * Runs the engine of a linked folder until the signal aborts (resolves) or it stops for good
 * (throws): one engine a folder, reachable by other commands through its control socket.
 */
export async function runFolder(
  home: Home,
  folder: LinkedFolder,
  signal: AbortSignal,
  started: (running: RunningFolder) => void,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  if (!isMarked(folder.link.dir)) throw halted(rootGone(), home, folder);
  stack.use(lockFolder(folder.link.dir, systemClock));
  clearHalt(folder);
  const log = stack.use(openEngineLog(home, `sync-${basename(folder.state)}`));
  const events = stack.use(new EventLog(folder.state, log));
  try {
    const sealed = await openSealedDoor(folder, log);
    const open = stack.use(
      openFolder(folder.link, databaseOf(folder), {
        sealed,
        log,
        tell: events.tell,
        holdLimits: holdLimits(process.env),
        keptBytes: keptBytes(process.env),
      }),
    );
    stack.use(
      await openControl(
        folder.state,
        engineAnswers(open, () => events.flush()),
      ),
    );
    const stop = new AbortController();
    stack.defer(() => stop.abort());
    started({ folder, open });
    const ended = AbortSignal.any([signal, stop.signal]);
    void sweepNowAndThen(open, log, ended);
    void lookAtRootNowAndThen(open, ended);
    void giveMemoryBack(systemClock, () => open.store.forget(), ended);
    events.note("started");
    log.info("engine-started", { space: folder.link.space });
    await open.engine.run(signal);
    events.note("stopped");
    log.info("engine-stopped");
  } catch (error) {
    log.error("engine-halted", { code: codeOf(error), message: messageOf(error) });
    const told = halted(error, home, folder);
    events.note("halted", messageOf(told));
    throw told;
  }
}

/** Why the engine stopped for good, with what helps; `status` says it from then on. */
function halted(error: unknown, home: Home, folder: LinkedFolder): unknown {
  const told = withNextStep(error, home, folder);
  if (told instanceof WorldError) storeHalt(folder, told);
  return told;
}

async function sweepNowAndThen(
  { engine }: OpenFolder,
  log: { warn(event: string, fields: { code: string; message: string }): void },
  signal: AbortSignal,
): Promise<void> {
  for (let waitMs = 10_000; !signal.aborted; waitMs = SWEEP_EVERY_MS) {
    try {
      await systemClock.sleep(waitMs, signal);
      await engine.sweepHold();
    } catch (error) {
      // Tried again in an hour; what lies in hold is lost to nobody meanwhile.
      if (!signal.aborted)
        log.warn("sweep-failed", { code: codeOf(error), message: messageOf(error) });
    }
  }
}

async function lookAtRootNowAndThen({ engine }: OpenFolder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await systemClock.sleep(ROOT_EVERY_MS, signal).catch(() => undefined);
    if (!signal.aborted) await engine.rootTrouble();
  }
}
