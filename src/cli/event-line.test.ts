import assert from "node:assert/strict";
import { test } from "node:test";
import { eventLine } from "./event-line.ts";

const PROBLEM = {
  time: "2026-03-01T10:00:00.000Z",
  event: "problem",
  path: "a folder/with a long name/that goes on.txt",
  message: "It cannot be read: give this account access to it.",
} as const;

test("CL17: a line is as wide as the terminal, and whole where nothing limits it", () => {
  const whole = eventLine(PROBLEM, Infinity);
  assert.ok(whole.endsWith(`problem            ${PROBLEM.path}: ${PROBLEM.message}`), whole);
  const cut = eventLine(PROBLEM, 80);
  assert.equal(cut.length, 80);
  assert.equal(eventLine(PROBLEM, 40).length, 60);
  assert.match(cut, /problem {12}a folder.*….*access to it\.$/);
});

test("CL17: a move has both paths, folders end with a slash", () => {
  const { time } = PROBLEM;
  const move = {
    time,
    event: "moved",
    where: "here",
    node: "folder",
    from: "a",
    path: "b",
  } as const;
  assert.match(eventLine(move, 80), /moved here {9}a\/ → b\/$/);
});
