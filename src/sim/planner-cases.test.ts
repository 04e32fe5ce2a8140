import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { PLAN_MUTANTS } from "./mutants-plan.ts";
import { playCase } from "./planner-case.ts";
import { playCases } from "./planner-sweep.ts";

const CASES = 20_000;
const MOST_FOR_A_BUG = 8_000;

/**
 * Bugs that no case can show: of others than the planner, and those that need somebody who brings
 * back what was there before, as people in stories do.
 */
const ELSEWHERE = new Set([
  "ring-at-server",
  "names-differ-by-case",
  "bytes-vouch-for-revision",
  "undone-edit-is-level",
  "undone-edit-is-deleted",
  "undone-move-is-level",
]);

suite("planner cases", () => {
  test("PL1, PL4, PL10, PL13, PL16: whatever was done on each side comes to rest, with nothing lost", async () => {
    const { failed } = await playCases({ count: CASES, from: 1, workers: 1 }, null);
    assert.deepEqual(failed.slice(0, 5), []);
  });

  test("PL10: one seed is one case", () => {
    assert.deepEqual(playCase(7, { isTold: true }), playCase(7, { isTold: true }));
  });

  for (const planted of PLAN_MUTANTS.filter(({ name }) => !ELSEWHERE.has(name))) {
    test(`a planted bug is found: ${planted.name}`, async () => {
      const { failed } = await playCases({ count: MOST_FOR_A_BUG, from: 1, workers: 1 }, planted);
      assert.notEqual(failed.length, 0, planted.breaks);
    });
  }
});
