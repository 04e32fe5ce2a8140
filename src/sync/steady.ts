import type { Clock } from "#core/world.ts";

/**
 * The machine's clock as it was when this began, going on without jumps: what falls due by it does
 * so when that long has passed, whatever somebody sets the machine's clock to meanwhile.
 */
export function steadyClock(clock: Clock): Clock {
  const startedMs = clock.nowMs() - clock.monotonicMs();
  return {
    nowMs: () => startedMs + clock.monotonicMs(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
    after: (delayMs, act) => clock.after(delayMs, act),
    today: () => clock.today(),
  };
}
