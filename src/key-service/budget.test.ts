import assert from "node:assert/strict";
import { test } from "node:test";
import { accountId } from "#core/ids.ts";
import { StandingClock } from "../../test/contracts/clock.ts";
import * as limits from "./budget.ts";

const ANNA = accountId("a1".repeat(16));
const BERT = accountId("b2".repeat(16));
/** For what a process does as long as it lives. */
const FORGETFUL = { known: new Map(), record: async () => {}, forget: () => {} };
const HOUR_MS = 60 * 60 * 1_000;

/** Takes all that it gets, waiting for the limit of everybody as it is told to. */
async function takeAll(
  budget: limits.Budget,
  clock: StandingClock,
  account = ANNA,
): Promise<number> {
  let taken = 0;
  for (;;) {
    const waitMs = await budget.take(account, 100);
    if (waitMs > HOUR_MS) return taken;
    if (waitMs > 0) clock.advance(waitMs);
    else taken += 100;
  }
}

test("KS3: an account gets 50,000 evaluations a day, and others do not pay for it", async () => {
  const clock = new StandingClock();
  const budget = new limits.Budget(clock, FORGETFUL);
  assert.equal(await takeAll(budget, clock), limits.FREE_A_DAY);
  assert.equal(await takeAll(budget, clock), 0);
  assert.equal(await takeAll(budget, clock, BERT), limits.FREE_A_DAY);
  clock.advance(24 * HOUR_MS);
  assert.equal(await takeAll(budget, clock), limits.FREE_A_DAY);
});

test("KS3: who is refused is told when to come back, and is taken then", async () => {
  const clock = new StandingClock();
  const budget = new limits.Budget(clock, FORGETFUL);
  await takeAll(budget, clock);
  const waitMs = await budget.take(ANNA, 1);
  assert.ok(waitMs > 0 && waitMs <= 24 * HOUR_MS);
  clock.advance(waitMs - 1);
  assert.equal(await budget.take(ANNA, 1), 1);
  clock.advance(1);
  assert.equal(await budget.take(ANNA, 1), 0);
});

test("KS3: every 64 KiB of newly accepted bytes earn one more, also in small parts", async () => {
  const clock = new StandingClock();
  const budget = new limits.Budget(clock, FORGETFUL);
  await takeAll(budget, clock);
  for (let part = 0; part < 64 * 100; part++) budget.credit(ANNA, 1_024);
  assert.equal(await takeAll(budget, clock), 100);
  clock.advance(1_000);
  budget.credit(ANNA, limits.BYTES_A_CREDIT - 1);
  assert.ok((await budget.take(ANNA, 1)) > 0);
  budget.credit(ANNA, 1);
  assert.equal(await budget.take(ANNA, 1), 0);
});

test("KS3: credits outlast the day, and are not more than those of a tebibyte", async () => {
  const clock = new StandingClock();
  const budget = new limits.Budget(clock, FORGETFUL);
  budget.credit(ANNA, 2 ** 50);
  clock.advance(24 * HOUR_MS);
  let taken = 0;
  while ((await budget.take(ANNA, 512)) === 0) {
    taken += 512;
    clock.advance(1_024);
  }
  const most = limits.FREE_A_DAY + limits.MAX_CREDITS;
  // A day's free ones come again every day that this takes.
  assert.ok(taken > most - 512 && taken < most + 500 * limits.FREE_A_DAY, `${taken}`);
});

test("KS2: everybody together gets 500 evaluations a second after the first thousand (T-DD-08)", async () => {
  const clock = new StandingClock();
  const budget = new limits.Budget(clock, FORGETFUL);
  let taken = 0;
  const accounts = Array.from({ length: 256 }, (_, at) =>
    accountId(at.toString(16).padStart(2, "0").repeat(16)),
  );
  for (let turn = 0; turn < 6_000; turn++) {
    if ((await budget.take(accounts[turn % accounts.length]!, 64)) === 0) taken += 64;
    clock.advance(10);
  }
  const most = limits.MOST_AT_ONCE + 60 * limits.MOST_A_SECOND;
  assert.ok(taken <= most && taken > most - 64, `${taken} of ${most}`);
});

test("KS2: a batch is granted whole or not at all, and a refused one costs nothing", async () => {
  const clock = new StandingClock();
  const budget = new limits.Budget(clock, FORGETFUL);
  assert.equal(await budget.take(ANNA, 512), 0);
  assert.equal(await budget.take(ANNA, 512), 0);
  assert.ok((await budget.take(ANNA, 512)) > 1_000);
  clock.advance(1_024);
  assert.equal(await budget.take(ANNA, 512), 0);
  clock.advance(HOUR_MS);
  let rest = 0;
  while ((await budget.take(ANNA, 1)) === 0) {
    rest++;
    clock.advance(2);
  }
  assert.equal(rest, limits.FREE_A_DAY - 3 * 512);
});
