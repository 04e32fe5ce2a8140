import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./clock.ts";

test("today is the day on this machine's calendar", () => {
  const now = new Date();
  const [year, month, day] = systemClock.today().split("-").map(Number);
  // Around midnight one of the two days is right.
  const said = new Date(year ?? 0, (month ?? 0) - 1, day).getTime();
  assert.ok(Math.abs(said - now.getTime()) < 25 * 3_600_000);
  assert.match(systemClock.today(), /^\d{4}-\d\d-\d\d$/);
});
