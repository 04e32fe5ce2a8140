import assert from "node:assert/strict";
import { test } from "node:test";
import type { Chance, Clock } from "#core/world.ts";

/** What every clock has to answer alike. */
export function clockContract(name: string, clock: Clock): void {
  test(`${name}: a sleep ends when its time is over, by the clock that only grows`, async () => {
    for (const delayMs of [0, 1, 30]) {
      const before = clock.monotonicMs();
      await clock.sleep(delayMs);
      // A timer may fire within the millisecond before.
      assert.ok(clock.monotonicMs() - before > delayMs - 2, `${delayMs} ms`);
    }
    await clock.sleep(-5);
  });

  test(`${name}: who sleeps shorter wakes earlier`, async () => {
    const woken: number[] = [];
    const sleeps = [60, 5, 30].map(async (delayMs) => {
      await clock.sleep(delayMs);
      woken.push(delayMs);
    });
    await Promise.all(sleeps);
    assert.deepEqual(woken, [5, 30, 60]);
  });

  test(`${name}: a sleep that is called off rejects with the signal's reason`, async () => {
    const reason = new Error("the person paused");
    await assert.rejects(clock.sleep(10_000, AbortSignal.abort(reason)), reason);
    const stop = new AbortController();
    const sleep = clock.sleep(3_600_000, stop.signal);
    stop.abort(reason);
    await assert.rejects(sleep, reason);
    // One that is over is called off by nothing.
    const late = new AbortController();
    await clock.sleep(1, late.signal);
    late.abort(reason);
  });

  test(`${name}: what is to be done after a while is done then, unless it is called off`, async () => {
    const done: string[] = [];
    const beganMs = clock.monotonicMs();
    const { promise, resolve } = Promise.withResolvers<void>();
    const callOff = clock.after(5, () => done.push("called off"));
    for (const delayMs of [30, -1]) {
      clock.after(delayMs, () => {
        done.push(`${delayMs}`);
        if (done.length === 2) resolve();
      });
    }
    assert.deepEqual(done, []);
    callOff();
    await promise;
    assert.deepEqual(done, ["-1", "30"]);
    assert.ok(clock.monotonicMs() - beganMs > 28);
    callOff();
  });

  test(`${name}: the time of day and the day agree`, () => {
    const now = new Date(clock.nowMs());
    assert.match(clock.today(), /^\d{4}-\d{2}-\d{2}$/u);
    const apartMs = Math.abs(Date.parse(clock.today()) - now.getTime());
    // Time zones are up to 14 hours away from the day in UTC.
    assert.ok(apartMs < 39 * 3_600_000, `${clock.today()} and ${now.toISOString()}`);
  });
}

/** What all chance has to answer alike. */
export function chanceContract(name: string, chance: Chance): void {
  test(`${name}: as many bytes as asked for, and never the same`, () => {
    for (const length of [0, 1, 16, 33, 1_000]) assert.equal(chance.bytes(length).length, length);
    const drawn = new Set(
      Array.from({ length: 1_000 }, () => Buffer.from(chance.bytes(16)).toString("hex")),
    );
    assert.equal(drawn.size, 1_000);
  });

  test(`${name}: every bit of a byte is drawn`, () => {
    const seen = new Set(chance.bytes(20_000));
    assert.equal(seen.size, 256);
  });
}
