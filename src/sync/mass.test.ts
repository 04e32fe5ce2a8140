import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { HOLD_LIMITS, judge, waitMs, type Burst } from "./mass.ts";

const CALM: Burst = {
  planned: 0,
  done: 0,
  doubtful: 0,
  of: 1_000,
  staying: 1_000,
  quietMs: Number.POSITIVE_INFINITY,
  waitingMs: 0,
};

type Row = readonly [what: string, burst: Partial<Burst>, verdict: ReturnType<typeof judge>];

const ENOUGH: readonly Row[] = [
  ["nothing is deleted", {}, "go"],
  ["200 of 571 are 35 %", { planned: 200, of: 571 }, "hold"],
  ["200 of 572 are less", { planned: 200, of: 572 }, "go"],
  ["199 are too few, whatever their share", { planned: 199, of: 250 }, "go"],
  ["350 of 1,000", { planned: 350 }, "hold"],
  ["349 of 1,000", { planned: 349 }, "go"],
  ["199 done and one more", { planned: 1, done: 199, of: 400 }, "hold"],
  ["any number done and none more", { planned: 0, done: 900 }, "go"],
  ["20, and nothing stays", { planned: 20, of: 20, staying: 0 }, "hold"],
  ["19, and nothing stays", { planned: 19, of: 19, staying: 0 }, "go"],
  ["20, and one node stays", { planned: 20, of: 21, staying: 1 }, "go"],
  ["the last of 20", { planned: 1, done: 19, of: 20, staying: 0 }, "hold"],
];

const WAITING: readonly Row[] = [
  ["few, and the disk loses more", { planned: 10, doubtful: 9 }, "go"],
  ["20 with those that one look missed", { planned: 10, doubtful: 10 }, "wait"],
  ["20, and one was heard of just now", { planned: 20, quietMs: 999 }, "wait"],
  ["20, and no more for a second", { planned: 20, quietMs: 1_000 }, "go"],
  ["20 that waited for 30 s", { planned: 20, doubtful: 5, waitingMs: 30_000 }, "go"],
  ["enough, however doubtful others are", { planned: 350, doubtful: 5 }, "hold"],
  ["done ones count", { planned: 1, done: 19, doubtful: 1 }, "wait"],
];

suite("how many deletions are asked about", () => {
  for (const [what, burst, verdict] of ENOUGH) {
    test(`MD1: ${what}: ${verdict}`, () => {
      assert.equal(judge({ ...CALM, ...burst }, HOLD_LIMITS), verdict);
    });
  }
  for (const [what, burst, verdict] of WAITING) {
    test(`MD2: ${what}: ${verdict}`, () => {
      assert.equal(judge({ ...CALM, ...burst }, HOLD_LIMITS), verdict);
    });
  }
  test("MD2: who waits is judged anew as soon as that can say something else", () => {
    assert.equal(waitMs({ ...CALM, planned: 20, quietMs: 400, waitingMs: 400 }), 600);
    assert.equal(waitMs({ ...CALM, planned: 20, quietMs: 400, waitingMs: 29_900 }), 100);
    assert.equal(waitMs({ ...CALM, planned: 20, doubtful: 1, waitingMs: 10_000 }), 20_000);
  });
});
