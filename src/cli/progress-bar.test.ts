import assert from "node:assert/strict";
import { test } from "node:test";
import { durationText } from "./progress-bar.ts";

test("the time that is left is shown as a clock shows it", () => {
  assert.deepEqual([0, 65, 3_599.6, 7_384].map(durationText), [
    "0:00",
    "1:05",
    "1:00:00",
    "2:03:04",
  ]);
});
