import assert from "node:assert/strict";
import { test } from "node:test";
import { StandingClock } from "../../test/contracts/clock.ts";
import { giveMemoryBack } from "./idle-memory.ts";

/** Keeps the processor busy for so long. */
function work(ms: number): void {
  const began = process.cpuUsage();
  for (let used = 0; used < ms;) {
    const { user, system } = process.cpuUsage(began);
    used = (user + system) / 1_000;
  }
}

test("EN7: a process that rests gives memory back once after work, and never during it", async () => {
  const clock = new StandingClock();
  const stop = new AbortController();
  let released = 0;
  const running = giveMemoryBack(clock, () => released++, stop.signal);
  const look = async (): Promise<void> => {
    clock.advance(10_000);
    while (clock.sleeping === 0) await Promise.resolve();
  };
  work(400);
  await look();
  assert.equal(released, 0, "while it works");
  await look();
  assert.equal(released, 1, "when it rests");
  const garbage = process.memoryUsage().heapUsed;
  await look();
  assert.equal(released, 1, "while it goes on resting");
  let kept: number[][] | null = Array.from({ length: 2_000 }, () =>
    Array.from({ length: 1_000 }, () => 1),
  );
  work(400);
  assert.equal(kept.length, 2_000);
  kept = null;
  await look();
  await look();
  assert.equal(released, 2, "when it rests again");
  const grownMib = (process.memoryUsage().heapUsed - garbage) / 2 ** 20;
  assert.ok(grownMib < 8, `${grownMib} MiB of what was let go of are left`);
  stop.abort(new Error("over"));
  await running;
});

const hasGlibc = "glibcVersionRuntime" in Object(Object(process.report.getReport()).header);
const needsGlibc = hasGlibc ? false : "needs glibc: other libraries give memory back by themselves";

test("EN7: memory outside of its heap goes back, also from between what is kept", async (t) => {
  if (needsGlibc !== false) return t.skip(needsGlibc);
  const clock = new StandingClock();
  const stop = new AbortController();
  const running = giveMemoryBack(clock, () => undefined, stop.signal);
  const pages = Array.from({ length: 16_000 }, () => Buffer.alloc(4_000, 1));
  const fullBytes = process.memoryUsage().rss;
  const kept = pages.filter((_, page) => page % 100 === 0);
  pages.length = 0;
  work(400);
  for (let look = 0; look < 2; look++) {
    clock.advance(10_000);
    while (clock.sleeping === 0) await Promise.resolve();
  }
  const freedMib = (fullBytes - process.memoryUsage().rss) / 2 ** 20;
  assert.ok(freedMib > 40, `${freedMib} of 61 MiB went back`);
  assert.equal(kept.length, 160);
  stop.abort(new Error("over"));
  await running;
});
