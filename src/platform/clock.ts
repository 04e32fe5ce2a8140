import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "#core/world.ts";

// A timer holds at most a signed 32-bit number of milliseconds; beyond it Node fires at once.
const MAX_TIMER_MS = 2 ** 31 - 1;

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

async function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  try {
    const options = signal === undefined ? {} : { signal };
    await delay(Math.min(Math.max(delayMs, 0), MAX_TIMER_MS), undefined, options);
  } catch (error) {
    // Node rejects with an error of its own; the port promises the signal's reason.
    signal?.throwIfAborted();
    throw error;
  }
}

/** This machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep,
  after(delayMs, act) {
    const timer = setTimeout(act, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
  today() {
    const now = new Date();
    const month = twoDigits(now.getMonth() + 1);
    return `${now.getFullYear()}-${month}-${twoDigits(now.getDate())}`;
  },
};
