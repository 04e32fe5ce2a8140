import { strict as assert } from "node:assert";
import { test } from "node:test";
import { readCursor, writeCursor } from "./cursor.ts";

const journal = { epoch: "a1".repeat(16) };

test("JN21: a cursor leads back to where it was written", () => {
  for (const sequence of [0, 1, 41, 42]) {
    assert.equal(readCursor(journal, 42, writeCursor(journal, sequence)), sequence);
  }
});

test("JN21: the empty cursor stands before the first entry in every epoch", () => {
  for (const epoch of ["a1", "b2"]) {
    assert.equal(readCursor({ epoch: epoch.repeat(16) }, 42, ""), 0);
  }
});

test("JN21: a cursor from beyond the head or of another epoch means reset", () => {
  assert.equal(readCursor(journal, 42, writeCursor(journal, 43)), "reset");
  assert.equal(readCursor(journal, 42, writeCursor({ epoch: "b2".repeat(16) }, 1)), "reset");
});

test("JN21: what was never a cursor means reset", () => {
  const { epoch } = journal;
  const texts = [epoch, `${epoch}.`, `${epoch}.-1`, `${epoch}.1.2`, `${epoch}.01`, `${epoch}.1e0`];
  for (const text of [...texts, `${epoch.toUpperCase()}.1`, `${epoch}.99999999999999999`]) {
    assert.equal(readCursor(journal, 42, text), "reset", text);
  }
});
