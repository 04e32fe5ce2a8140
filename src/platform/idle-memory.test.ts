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
