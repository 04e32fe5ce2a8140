import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMoment } from "./moment.ts";

const NOW = Date.UTC(2026, 2, 10, 12);

test("CL20: times are written as dates, dates with a time, or so long ago", () => {
  const local = (text: string): number => new Date(text).getTime();
  assert.equal(parseMoment("2h", NOW), NOW - 7_200_000);
  assert.equal(parseMoment("3d", NOW), NOW - 3 * 86_400_000);
  assert.equal(parseMoment("2026-03-01T10:00:00Z", NOW), Date.UTC(2026, 2, 1, 10));
  assert.equal(parseMoment("2026-03-01 14:05", NOW), local("2026-03-01T14:05"));
  assert.equal(parseMoment("2026-03-01", NOW), local("2026-03-01T23:59:59.999"));
});

test("CL20: what is no time is refused with the way to write one", () => {
  for (const text of ["", "yesterday", "5", "5y", "2026-13-01", "12:00", "March 1"]) {
    assert.throws(() => parseMoment(text, NOW), /Write it like/, text);
  }
});
