import type { Clock } from "#core/world.ts";
import type { AttemptLimit, Shared } from "./metadata/port.ts";

/** Keys that are remembered at once; the one that was quiet longest is forgotten first. */
const MAX_KEYS = 10_000;

type Count = { used: number; untilMs: number };

/**
 * Counts attempts per key in fixed windows. An attempt is taken before it is known to be wrong, so
 * that a thousand at the same time are counted too, and given back when it was right.
 */
export interface Attempts {
  /** Takes one attempt; a positive answer refuses it and says in how many milliseconds to ask. */
  take(key: string): Promise<number>;
  /** The attempt was right: it does not count. */
  giveBack(key: string): Promise<void>;
}

/** Attempts at `what`, counted where all processes see it, or here when there is only this one. */
export function countAttempts(
  what: string,
  limit: AttemptLimit,
  { clock, shared }: { readonly clock: Clock; readonly shared: Shared | undefined },
): Attempts {
  if (shared === undefined) return new OwnAttempts(clock, limit);
  return {
    take: (key) => shared.takeAttempt(`${what} ${key}`, limit, clock.nowMs()),
    giveBack: (key) => shared.giveBackAttempt(`${what} ${key}`),
  };
}

/** Attempts that this process counts for itself. */
class OwnAttempts implements Attempts {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #windowMs: number;
  readonly #counts = new Map<string, Count>();

  constructor(clock: Clock, { most, windowMs }: AttemptLimit) {
    this.#clock = clock;
    this.#most = most;
    this.#windowMs = windowMs;
  }

  async take(key: string): Promise<number> {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#counts.get(key);
    const count =
      known !== undefined && known.untilMs > nowMs
        ? known
        : { used: 0, untilMs: nowMs + this.#windowMs };
    if (count.used >= this.#most) return count.untilMs - nowMs;
    count.used++;
    this.#counts.delete(key);
    this.#counts.set(key, count);
    if (this.#counts.size > MAX_KEYS) {
      for (const oldest of this.#counts.keys()) {
        this.#counts.delete(oldest);
        break;
      }
    }
    return 0;
  }

  async giveBack(key: string): Promise<void> {
    const count = this.#counts.get(key);
    if (count !== undefined && count.used > 0) count.used--;
  }
}
