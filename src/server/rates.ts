import type { AccountId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import { ProblemError } from "./problem-error.ts";

/** Who was quiet for a while may ask this many seconds' worth at once. */
const BURST_S = 20;
/** Accounts that are known at once; the one that was quiet longest is forgotten first. */
const MAX_ACCOUNTS = 10_000;

type Bucket = { tokens: number; filledMs: number };

/**
 * How many requests a second each account may make of this process, by a token bucket: so that a
 * program gone wild takes the server from nobody else.
 */
export class Rates {
  readonly #clock: Clock;
  readonly #perSecond: number | null;
  readonly #buckets = new Map<AccountId, Bucket>();

  /** `perSecond` null: as many as come. */
  constructor(clock: Clock, perSecond: number | null) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  /** Counts one request. Throws ProblemError `too-many-requests`, which says when to come back. */
  take(account: AccountId): void {
    if (this.#perSecond === null) return;
    const nowMs = this.#clock.monotonicMs();
    const most = this.#perSecond * BURST_S;
    const bucket = this.#buckets.get(account) ?? { tokens: most, filledMs: nowMs };
    const fresh = ((nowMs - bucket.filledMs) * this.#perSecond) / 1_000;
    bucket.tokens = Math.min(most, bucket.tokens + fresh);
    bucket.filledMs = nowMs;
    this.#buckets.delete(account);
    this.#buckets.set(account, bucket);
    if (this.#buckets.size > MAX_ACCOUNTS) {
      const [quietest] = this.#buckets.keys();
      if (quietest !== undefined) this.#buckets.delete(quietest);
    }
    if (bucket.tokens < 1) {
      const waitS = Math.ceil((1 - bucket.tokens) / this.#perSecond);
      throw new ProblemError(
        "too-many-requests",
        `This account makes more than ${this.#perSecond} requests a second; come back later.`,
        { headers: { "retry-after": String(waitS) } },
      );
    }
    bucket.tokens--;
  }
}
