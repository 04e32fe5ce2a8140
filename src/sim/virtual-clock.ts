import type { Clock } from "#core/world.ts";
import type { Actor, Scheduler } from "./scheduler.ts";

/** When every story begins: a Saturday in November. */
const START_MS = Date.UTC(2026, 10, 21, 10);

/** One machine's clock: the scheduler's time, and how wrong this machine is about it. */
export class MachineTime {
  readonly #scheduler: Scheduler;
  skewMs = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  get nowMs(): number {
    return START_MS + this.upMs + this.skewMs;
  }

  /** Since the story began; nobody sets it. */
  get upMs(): number {
    return this.#scheduler.nowMs;
  }
}

const DAY_MS = 86_400_000;
const MOST_DAYS = 1_000;
/** Texts of days by their number since 1970: engines ask often, and it is mostly the same few. */
const days = new Map<number, string>();

/** The day in UTC, `YYYY-MM-DD`. */
function dayOf(nowMs: number): string {
  const number = Math.floor(nowMs / DAY_MS);
  const known = days.get(number);
  if (known !== undefined) return known;
  const text = new Date(nowMs).toISOString().slice(0, 10);
  if (days.size >= MOST_DAYS) days.clear();
  days.set(number, text);
  return text;
}

/** A process's view of its machine's clock; it ends with the process. */
export function virtualClock(scheduler: Scheduler, actor: Actor, time: MachineTime): Clock {
  return {
    nowMs: () => time.nowMs,
    monotonicMs: () => scheduler.nowMs,
    today: () => dayOf(time.nowMs),
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(reasonOf(signal));
          return;
        }
        const abort = (): void => {
          cancel();
          if (signal !== undefined) reject(reasonOf(signal));
        };
        const cancel = scheduler.after(delayMs, actor, "wakes", () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        });
        signal?.addEventListener("abort", abort, { once: true });
      }),
  };
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted");
}
