import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "#core/world.ts";

/** How often a process looks whether it has done something, and rests now. */
const LOOK_MS = 10_000;
/** Work above this leaves memory behind … */
const WORKED_MS = 300;
/** … and whoever does less between two looks rests. */
const RESTING_MS = 50;

type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** Processor time of this process and its threads so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** V8's own collection, which Node shows only to those who ask for it. */
function collector(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}

/**
 * glibc's `malloc_trim(3)`: gives back what it keeps of freed memory, amid its heap too,
 * where a database's pages lay. Does nothing where there is no glibc, or no door to it.
 */
function trimmer(): () => void {
  try {
    // The door is younger than the oldest Node of this version, and may be switched off.
    const ffi = process.getBuiltinModule("node:ffi");
    const { functions } = ffi.dlopen("libc.so.6", {
      malloc_trim: { arguments: ["uint64"], return: "int32" },
    });
    return () => void functions.malloc_trim(0n);
  } catch {
    return () => {};
  }
}

/**
 * Gives memory back to the system each time that the process rests after work, until the signal
 * aborts: V8 keeps what is free, and garbage too, for as long as nothing is asked of it. `release`
 * lets go of what others keep beside its heap, and is called before.
 */
export async function giveMemoryBack(
  clock: Clock,
  release: () => void,
  signal: AbortSignal,
): Promise<void> {
  const collect = collector();
  const trim = trimmer();
  let releasedMs = 0;
  let lookedMs = cpuMs();
  while (!signal.aborted) {
    await clock.sleep(LOOK_MS, signal).catch(() => undefined);
    const nowMs = cpuMs();
    const isResting = nowMs - lookedMs < RESTING_MS;
    lookedMs = nowMs;
    if (signal.aborted || !isResting || nowMs - releasedMs < WORKED_MS) continue;
    release();
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
    trim();
    releasedMs = lookedMs = cpuMs();
  }
}
