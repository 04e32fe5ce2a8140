import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "#sync/status.ts";
import { verdictOf } from "./settling.ts";

const STATUS: Status = {
  state: "working",
  reason: null,
  pending: { up: 0, down: 0 },
  problems: [],
  holds: 0,
  conflicts: 0,
  sentBytes: 0,
  receivedBytes: 0,
};
const TROUBLE = { path: "a", code: "io", message: "The disk failed.", sinceMs: 0 };

test("CL14: what waits for a person is 3, what failed is 1, the rest is waited for", () => {
  const kinds = (status: Partial<Status>): unknown[] => {
    const verdict = verdictOf({ ...STATUS, ...status });
    return verdict.kind === "stuck" ? [verdict.kind, verdict.exitCode] : [verdict.kind];
  };
  const one = { pending: { up: 0, down: 1 } };
  assert.deepEqual(kinds({ state: "in-sync", problems: [TROUBLE] }), ["in-sync"]);
  const link = { ...TROUBLE, code: "outside-root" };
  assert.deepEqual(kinds({ state: "in-sync", problems: [link] }), ["stuck", 1]);
  assert.deepEqual(kinds({ state: "halted", reason: "gone" }), ["stuck", 3]);
  assert.deepEqual(kinds({ state: "held" }), ["stuck", 3]);
  assert.deepEqual(kinds({ state: "offline", reason: "no answer" }), ["not-yet"]);
  assert.deepEqual(kinds(one), ["not-yet"]);
  assert.deepEqual(kinds({ ...one, problems: [TROUBLE] }), ["stuck", 1]);
  assert.deepEqual(kinds({ pending: { up: 5, down: 1 }, problems: [TROUBLE] }), ["not-yet"]);
});
