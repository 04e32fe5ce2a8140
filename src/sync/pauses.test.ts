import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import { Pauses } from "./pauses.ts";

const NODE = nodeId("1".padStart(32, "0"));

test("EN4: pauses grow with every failure, and end at once for somebody who waits", () => {
  let nowMs = 1_000;
  const pauses = new Pauses({ nowMs: () => nowMs, monotonicMs: () => nowMs } as Clock);
  const lengths = [1, 2, 3].map(() => {
    pauses.failed(NODE);
    assert.ok(pauses.isPaused(NODE));
    const lengthMs = pauses.dueMs - nowMs;
    nowMs = pauses.dueMs;
    assert.ok(!pauses.isPaused(NODE));
    return lengthMs;
  });
  assert.deepEqual(lengths, [1_000, 2_000, 4_000]);
  pauses.failed(NODE);
  pauses.end();
  assert.ok(!pauses.isPaused(NODE));
  pauses.failed(NODE);
  assert.equal(pauses.dueMs - nowMs, 16_000);
});
