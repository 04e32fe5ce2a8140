import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, isShared, release, toHex } from "./bytes.ts";

test("hexadecimal text is read in either case, and nothing else is", () => {
  const all = Uint8Array.from({ length: 256 }, (_, at) => at);
  assert.deepEqual(fromHex(toHex(all)), all);
  assert.deepEqual(fromHex(toHex(all).toUpperCase()), all);
  assert.deepEqual(fromHex(""), new Uint8Array(0));
  for (const text of ["0", "abc", "0g", "g0", "0x12", " 12 ", "1\u00e9", "\u0130\u0661", "--"]) {
    assert.throws(() => fromHex(text), RangeError, text);
  }
});

test("bytes that are released are gone, unless others may lie beside them", () => {
  const large = new Uint8Array(100_000);
  const piece = large.subarray(10, 2_000);
  release(piece);
  assert.deepEqual([large.length, piece.length], [0, 0]);
  release(large);
  const alone = new Uint8Array(2_000);
  release(alone);
  assert.equal(alone.length, 0);
  // Node gives out pieces of one buffer for both, and does not let that go.
  const small = Buffer.from("small".repeat(1_000));
  assert.ok(isShared(small));
  release(small);
  assert.equal(small.toString(), "small".repeat(1_000));
});
