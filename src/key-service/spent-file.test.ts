import assert from "node:assert/strict";
import { appendFile, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { accountId } from "#core/ids.ts";
import { StandingClock } from "../../test/contracts/clock.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import { BLOCK, Budget, BYTES_A_CREDIT, FREE_A_DAY } from "./budget.ts";
import { SpentFile } from "./spent-file.ts";

const ANNA = accountId("a1".repeat(16));
const BERT = accountId("b2".repeat(16));
const DAY_MS = 24 * 60 * 60 * 1_000;

/** Takes up to `most`, waiting for the limit of everybody as it is told to. */
async function take(budget: Budget, clock: StandingClock, most = Infinity): Promise<number> {
  let taken = 0;
  while (taken < most) {
    const waitMs = await budget.take(ANNA, 50);
    if (waitMs > 10_000) break;
    if (waitMs > 0) clock.advance(waitMs);
    else taken += 50;
  }
  return taken;
}

test("KS6: a service that was killed at any moment gives an account no evaluation a second time", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "spent");
  const clock = new StandingClock();
  let taken = 0;
  let lives = 0;
  for (; lives < 100; lives++) {
    // Each life ends without a word, after another number of questions.
    const file = await SpentFile.open(path, clock.nowMs());
    const granted = await take(new Budget(clock, file), clock, 50 * (1 + 7 * lives));
    await file[Symbol.asyncDispose]();
    if (granted === 0) break;
    taken += granted;
  }
  assert.ok(lives > 5 && lives < 100);
  assert.ok(taken <= FREE_A_DAY && taken > FREE_A_DAY - (lives + 1) * BLOCK, `${taken}`);
  clock.advance(DAY_MS);
  await using file = await SpentFile.open(path, clock.nowMs());
  assert.equal(await take(new Budget(clock, file), clock), FREE_A_DAY);
});

test("KS6: credits outlast the process, and a new process begins without the first thousand", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "spent");
  const clock = new StandingClock();
  {
    await using file = await SpentFile.open(path, clock.nowMs());
    const budget = new Budget(clock, file);
    budget.credit(ANNA, 10_000 * BYTES_A_CREDIT);
    await take(budget, clock, FREE_A_DAY + 50);
  }
  await using file = await SpentFile.open(path, clock.nowMs());
  const again = new Budget(clock, file);
  assert.equal(await again.take(ANNA, 50), 100);
  const left = await take(again, clock);
  assert.ok(left < 10_000 && left >= 10_000 - BLOCK - 50, `${left}`);
});

test("KS6: where the file cannot be written nothing is granted, and all is as it was when it can", async () => {
  await using folder = await scratchFolder();
  const clock = new StandingClock();
  await using file = await SpentFile.open(join(folder.path, "spent"), clock.nowMs());
  let isFull = true;
  const ledger = {
    known: file.known,
    forget: (): void => undefined,
    record: (...balance: Parameters<SpentFile["record"]>) =>
      isFull ? Promise.reject(new Error("no space")) : file.record(...balance),
  };
  const budget = new Budget(clock, ledger);
  for (let tries = 0; tries < 100; tries++) {
    await assert.rejects(budget.take(ANNA, 512), /no space/);
    clock.advance(2_000);
  }
  isFull = false;
  assert.equal(await take(budget, clock), FREE_A_DAY);
});

test("KS6: the file is its owner's alone, forgets what no longer counts, and bears half a last line", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "spent");
  const balance = { untilMs: 2_000, free: 7, credits: 3 };
  {
    await using file = await SpentFile.open(path, 1_000);
    const many = Array.from({ length: 500 }, (_, free) =>
      file.record({ account: ANNA, ...balance, free }),
    );
    await Promise.all([...many, file.record({ account: BERT, ...balance, credits: 0 })]);
  }
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await appendFile(path, `${ANNA} 2000 50`);
  {
    await using file = await SpentFile.open(path, 1_999);
    assert.deepEqual(file.known.get(ANNA), { account: ANNA, ...balance, free: 499 });
    assert.equal(file.known.size, 2);
  }
  assert.equal((await readFile(path, "utf8")).split("\n").length, 3);
  {
    await using file = await SpentFile.open(path, 2_000);
    // A day that is over gives all of it anew, and credits last.
    assert.deepEqual([...file.known.keys()], [ANNA]);
  }
  await writeFile(path, "anna has all\n");
  await assert.rejects(SpentFile.open(path, 1), { code: "bad-spent-file" });
});
