import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { outlived } from "./retention.ts";

const DAY = 86_400_000;
const NOW = 1_000 * DAY + 12 * 3_600_000;
const STANDARD = { allMs: 30 * DAY, dailyMs: 365 * DAY };

/** A node's contents, by the times at which they were written. */
function node(timesMs: readonly number[], deletedMs: number | null = null) {
  return timesMs.map((timeMs, at) => {
    return { sequence: at + 1, timeMs, isLast: at === timesMs.length - 1, deletedMs };
  });
}

function kept(contents: ReturnType<typeof node>, nowMs = NOW, retention = STANDARD): number[] {
  const gone = new Set(outlived(contents, retention, nowMs));
  return contents.map(({ sequence }) => sequence).filter((sequence) => !gone.has(sequence));
}

test("GC1: every version of the last 30 days stays, and of each day before that its last", () => {
  const recent = node([NOW - 29 * DAY, NOW - 29 * DAY + 1, NOW - 29 * DAY + 2, NOW - DAY]);
  assert.deepEqual(kept(recent), [1, 2, 3, 4]);
  const morning = 900 * DAY + 3_600_000;
  const busy = node([morning, morning + 1, morning + 2, morning + DAY, morning + DAY + 1]);
  assert.deepEqual(kept(busy), [3, 5]);
  const years = node([100 * DAY + 1, 200 * DAY + 1, 900 * DAY + 1]);
  assert.deepEqual(kept(years), [2, 3], "it ended the days of the last year until day 900");
});

test("GC1: what stood for years and was replaced yesterday is a day old", () => {
  assert.deepEqual(kept(node([1, NOW - DAY])), [1, 2]);
  assert.deepEqual(kept(node([1], NOW - DAY)), [1]);
});

test("GC1: what a deleted file held last comes back for a year, and what a file holds for ever", () => {
  assert.deepEqual(kept(node([1])), [1]);
  assert.deepEqual(kept(node([1, 2], NOW - 364 * DAY)), [2]);
  assert.deepEqual(kept(node([1, 2], NOW - 366 * DAY)), []);
  const atNoon = 800 * DAY + DAY / 2;
  assert.deepEqual(kept(node([atNoon, atNoon + 1], atNoon + 2)), [2], "it ended no day");
});

test("GC1: a clock that went back makes nothing older than it is", () => {
  assert.deepEqual(kept(node([NOW - DAY, 5, 6])), [1, 3], "what came next was dated in 1970");
});

test("GC1: who keeps everything for ever forgets nothing", () => {
  const always = { allMs: Number.POSITIVE_INFINITY, dailyMs: 0 };
  assert.deepEqual(kept(node([1, 2, 3], 4), NOW, always), [1, 2, 3]);
  const never = { allMs: 0, dailyMs: 0 };
  assert.deepEqual(kept(node([1, 2, 3]), NOW, never), [3]);
});

const times = fc
  .array(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 12 })
  // A quarter of a day apart or more: some days end within, some do not.
  .map((quarters) => quarters.toSorted((a, b) => a - b).map((quarter) => quarter * (DAY / 4) + 1));

test("GC1: the states of the last days, and of every midnight before, are all still there", () => {
  const retention = { allMs: 20 * DAY, dailyMs: 60 * DAY };
  fc.assert(
    fc.property(times, fc.boolean(), fc.integer({ min: 0, max: 40 }), (written, isDead, late) => {
      const last = written.at(-1) ?? 0;
      const nowMs = last + late * DAY;
      const contents = node(written, isDead ? last + (late * DAY) / 2 : null);
      const stays = new Set(kept(contents, nowMs, retention));
      const mustStay = new Set<number>();
      const stateAt = (atMs: number): number | undefined => {
        if (isDead && atMs >= last + (late * DAY) / 2) return undefined;
        return contents.findLast(({ timeMs }) => timeMs <= atMs)?.sequence;
      };
      const moments = [nowMs];
      for (let at = nowMs - 20 * DAY + 1; at <= nowMs; at += DAY / 8) moments.push(at);
      for (let day = 0; day * DAY <= nowMs; day++) {
        if (day * DAY >= nowMs - 60 * DAY) moments.push(day * DAY);
      }
      for (const atMs of moments) {
        const sequence = stateAt(atMs);
        if (sequence !== undefined) mustStay.add(sequence);
      }
      for (const sequence of mustStay) assert(stays.has(sequence), `version ${sequence}`);
    }),
  );
});

test("GC1: what is forgotten today would be forgotten tomorrow, in whatever order runs come", () => {
  const retention = { allMs: 3 * DAY, dailyMs: 30 * DAY };
  fc.assert(
    fc.property(times, fc.boolean(), fc.nat(60), fc.nat(60), (written, isDead, soon, more) => {
      const last = written.at(-1) ?? 0;
      const contents = node(written, isDead ? last + 1 : null);
      const nowMs = last + soon * DAY;
      const today = outlived(contents, retention, nowMs);
      const tomorrow = new Set(outlived(contents, retention, nowMs + more * DAY));
      for (const sequence of today) assert(tomorrow.has(sequence));
    }),
  );
});
