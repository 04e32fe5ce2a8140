import type { Clock } from "#core/world.ts";
import type { AccountId } from "#core/ids.ts";
import type { Balance } from "./spent-file.ts";

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
/** Evaluations that are set aside for an account at a time, so that few answers wait for a disk. */
export const BLOCK = 2_048;
/** Accounts that are remembered; the one that was quiet longest is forgotten first. */
const MAX_ACCOUNTS = 100_000;

const DAY_MS = 24 * 60 * 60 * 1_000;

type Left = { free: number; credits: number };
type Spending = Left & {
  /** By the clock that only grows. */
  untilMs: number;
  restBytes: number;
  /** What the ledger has as spent already, and is not. */
  aside: Left;
  /** Resolves when the ledger has that. */
  durable: Promise<void>;
};

/** Where balances outlast the process. */
type Ledger = {
  readonly known: ReadonlyMap<AccountId, Balance>;
  /** Resolves when it is durable. */
  record(balance: Balance): Promise<void>;
  forget(account: AccountId): void;
};

const sum = ({ free, credits }: Left): number => free + credits;

/** Takes up to `count`, the day's own first. */
function draw(from: Left, count: number): Left {
  const free = Math.min(from.free, count);
  const credits = Math.min(from.credits, count - free);
  from.free -= free;
  from.credits -= credits;
  return { free, credits };
}

/**
 * How many guesses about shared content can be tested: this limit is what protects content that
 * can be guessed (DupLESS, USENIX Security 2013), so it stands here, where the key is, and not in
 * the server that asks. Evaluations are set aside in blocks, which the ledger has as spent before
 * the first of them is granted: after a kill an account has what it had, or a block less.
 */
export class Budget {
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #accounts = new Map<AccountId, Spending>();
  #atOnce: number;
  #filledMs: number;

  constructor(clock: Clock, ledger: Ledger) {
    this.#clock = clock;
    this.#ledger = ledger;
    this.#filledMs = clock.monotonicMs();
    // Who starts it again and again gains nothing: it may have granted all just before.
    this.#atOnce = ledger.known.size === 0 ? MOST_AT_ONCE : 0;
    const aheadMs = clock.monotonicMs() - clock.nowMs();
    for (const { account, untilMs, free, credits } of ledger.known.values()) {
      // By a clock that was set back, a day is no longer than one.
      const until = Math.min(untilMs + aheadMs, clock.monotonicMs() + DAY_MS);
      this.#accounts.set(account, { ...freshUntil(until), free, credits });
    }
  }

  /**
   * Takes `count` evaluations, all or none; else says in how many milliseconds to ask again.
   * Rejects when the ledger cannot be written: then nothing may be answered.
   */
  async take(account: AccountId, count: number): Promise<number> {
    const nowMs = this.#clock.monotonicMs();
    const spending = this.#spendingOf(account, nowMs);
    if (sum(spending.aside) + sum(spending) < count) return spending.untilMs - nowMs;
    const grown = ((nowMs - this.#filledMs) / 1_000) * MOST_A_SECOND;
    this.#atOnce = Math.min(MOST_AT_ONCE, this.#atOnce + grown);
    this.#filledMs = nowMs;
    if (this.#atOnce < count) return ((count - this.#atOnce) / MOST_A_SECOND) * 1_000;
    this.#atOnce -= count;
    if (sum(spending.aside) < count) this.#setAside(account, spending, Math.max(count, BLOCK));
    draw(spending.aside, count);
    await spending.durable;
    return 0;
  }

  credit(account: AccountId, acceptedBytes: number): void {
    const spending = this.#spendingOf(account, this.#clock.monotonicMs());
    const bytes = spending.restBytes + acceptedBytes;
    const earned = Math.floor(bytes / BYTES_A_CREDIT);
    spending.restBytes = bytes - earned * BYTES_A_CREDIT;
    spending.credits = Math.min(MAX_CREDITS, spending.credits + earned);
  }

  #setAside(account: AccountId, spending: Spending, count: number): void {
    const { free, credits } = draw(spending, count);
    spending.aside.free += free;
    spending.aside.credits += credits;
    const aheadMs = this.#clock.monotonicMs() - this.#clock.nowMs();
    const durable = this.#ledger.record({
      account,
      untilMs: Math.ceil(spending.untilMs - aheadMs),
      free: spending.free,
      credits: spending.credits,
    });
    spending.durable = durable;
    // Nobody was answered for it: it is there again, and the next question has it recorded anew.
    durable.catch(() => {
      spending.aside = { free: 0, credits: 0 };
      spending.free += free;
      spending.credits += credits;
    });
  }

  #spendingOf(account: AccountId, nowMs: number): Spending {
    const spending = this.#accounts.get(account) ?? freshUntil(nowMs + DAY_MS);
    if (spending.untilMs <= nowMs) {
      spending.free = FREE_A_DAY;
      spending.aside.free = 0;
      spending.untilMs = nowMs + DAY_MS;
    }
    this.#accounts.delete(account);
    this.#accounts.set(account, spending);
    if (this.#accounts.size > MAX_ACCOUNTS) {
      for (const quietest of this.#accounts.keys()) {
        this.#accounts.delete(quietest);
        this.#ledger.forget(quietest);
        break;
      }
    }
    return spending;
  }
}

function freshUntil(untilMs: number): Spending {
  return {
    free: FREE_A_DAY,
    credits: 0,
    untilMs,
    restBytes: 0,
    aside: { free: 0, credits: 0 },
    durable: Promise.resolve(),
  };
}
