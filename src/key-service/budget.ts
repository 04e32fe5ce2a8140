import type { Clock } from "#core/world.ts";
import type { AccountId } from "#core/ids.ts";

/** Evaluations of one account in 24 hours that nothing has to be stored for. */
export const FREE_A_DAY = 50_000;
/** Newly accepted bytes that earn one more. */
export const BYTES_A_CREDIT = 64 * 1024;
/** Credits that an account can hold: those of a tebibyte. */
export const MAX_CREDITS = 2 ** 24;
/** Evaluations of everybody together, in each second. */
export const MOST_A_SECOND = 500;
/** Evaluations of everybody together that may come at once: two batches. */
export const MOST_AT_ONCE = 1_024;
/** Accounts that are remembered; the one that was quiet longest is forgotten first. */
const MAX_ACCOUNTS = 100_000;

const DAY_MS = 24 * 60 * 60 * 1_000;

type Spending = { free: number; untilMs: number; credits: number; restBytes: number };

/**
 * How many guesses about shared content can be tested: this limit is what protects content that
 * can be guessed (DupLESS, USENIX Security 2013), so it stands here, where the key is, and not in
 * the server that asks.
 */
export class Budget {
  readonly #clock: Clock;
  readonly #accounts = new Map<AccountId, Spending>();
  #atOnce = MOST_AT_ONCE;
  #filledMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledMs = clock.monotonicMs();
  }

  /** Takes `count` evaluations, all or none; else says in how many milliseconds to ask again. */
  take(account: AccountId, count: number): number {
    const nowMs = this.#clock.monotonicMs();
    const spending = this.#spendingOf(account, nowMs);
    if (spending.free + spending.credits < count) return spending.untilMs - nowMs;
    const grown = ((nowMs - this.#filledMs) / 1_000) * MOST_A_SECOND;
    this.#atOnce = Math.min(MOST_AT_ONCE, this.#atOnce + grown);
    this.#filledMs = nowMs;
    if (this.#atOnce < count) return ((count - this.#atOnce) / MOST_A_SECOND) * 1_000;
    this.#atOnce -= count;
    const free = Math.min(spending.free, count);
    spending.free -= free;
    spending.credits -= count - free;
    return 0;
  }

  credit(account: AccountId, acceptedBytes: number): void {
    const spending = this.#spendingOf(account, this.#clock.monotonicMs());
    const bytes = spending.restBytes + acceptedBytes;
    const earned = Math.floor(bytes / BYTES_A_CREDIT);
    spending.restBytes = bytes - earned * BYTES_A_CREDIT;
    spending.credits = Math.min(MAX_CREDITS, spending.credits + earned);
  }

  #spendingOf(account: AccountId, nowMs: number): Spending {
    const spending: Spending = this.#accounts.get(account) ?? {
      free: FREE_A_DAY,
      untilMs: nowMs + DAY_MS,
      credits: 0,
      restBytes: 0,
    };
    if (spending.untilMs <= nowMs) {
      spending.free = FREE_A_DAY;
      spending.untilMs = nowMs + DAY_MS;
    }
    this.#accounts.delete(account);
    this.#accounts.set(account, spending);
    if (this.#accounts.size > MAX_ACCOUNTS) {
      for (const quietest of this.#accounts.keys()) {
        this.#accounts.delete(quietest);
        break;
      }
    }
    return spending;
  }
}
