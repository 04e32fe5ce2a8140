import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "./bytes.ts";

test("hexadecimal text is read in either case, and nothing else is", () => {
  const all = Uint8Array.from({ length: 256 }, (_, at) => at);
  assert.deepEqual(fromHex(toHex(all)), all);
  assert.deepEqual(fromHex(toHex(all).toUpperCase()), all);
  assert.deepEqual(fromHex(""), new Uint8Array(0));
  for (const text of ["0", "abc", "0g", "g0", "0x12", " 12 ", "1\u00e9", "\u0130\u0661", "--"]) {
    assert.throws(() => fromHex(text), RangeError, text);
  }
});
