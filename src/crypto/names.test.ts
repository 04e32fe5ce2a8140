import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  FOLDER_NODE,
  flipped,
  keysOf,
  NODE,
  OTHER_FOLDER,
  OTHER_NODE,
  OTHER_SPACE,
  primitives,
  refuses,
  SPACE,
} from "../../test/contracts/sealing-world.ts";
import { fromBase64Url, toBase64Url } from "./base64url.ts";
import { rootKey, type SpaceKeys } from "./keys.ts";
import { openName, sealName, type SealedName } from "./names.ts";

const keys = keysOf(SPACE, 1);
const epochs = new Map([1, 2].map((epoch) => [epoch, keysOf(SPACE, epoch)]));
const place = { node: NODE, parent: FOLDER_NODE };
const close = (name: string, folding = true, more: Partial<typeof place> = {}): SealedName =>
  sealName(primitives, keys, { ...place, ...more, folding }, name);
const opening =
  (text: string, at = place) =>
  () =>
    openName(primitives, epochs, at, text);

test("SF11: a name of any letters and length comes back as it was", () => {
  const names = [
    "a",
    "Straße é.txt",
    "e\u0301",
    "\ufeffbom",
    " two\nlines\t",
    "x".repeat(255),
    "🦎",
  ];
  for (const name of names) assert.equal(opening(close(name).name)(), name);
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 60 }), (name) => {
      assert.equal(opening(close(name).name)(), name);
    }),
  );
});

test("SF11: names of up to 60 bytes are of one length, and the longest fits on the wire", () => {
  const length = (bytes: number): number => close("x".repeat(bytes)).name.length;
  assert.equal(length(1), length(60));
  assert.equal(new Set(Array.from({ length: 255 }, (_, at) => length(at + 1))).size, 5);
  assert.ok(length(255) <= 1_024);
});

test("SF11: names have one token when they are one name in this folder, else different ones", () => {
  const token = (name: string, folding = true, parent = FOLDER_NODE): string =>
    close(name, folding, { parent }).key;
  assert.equal(token("Letter"), token("Letter"));
  assert.equal(token("Letter"), token("LETTER"));
  assert.notEqual(token("Letter", false), token("LETTER", false));
  for (const folding of [true, false]) assert.equal(token("é", folding), token("e\u0301", folding));
  assert.equal(close("a", true, { node: OTHER_NODE }).key, token("a"));
  assert.notEqual(token("Letter"), token("Letters"));
  assert.notEqual(token("a"), token("a", true, OTHER_FOLDER));
  const others = [
    keysOf(SPACE, 2, rootKey(primitives.chance.bytes(32))),
    keysOf(OTHER_SPACE, 1, rootKey(primitives.chance.bytes(32))),
  ];
  for (const other of others) {
    assert.notEqual(sealName(primitives, other, { ...place, folding: true }, "a").key, token("a"));
  }
});

test("SF8: a sealed name opens for its node in its folder only", () => {
  const { name } = close("a");
  refuses(opening(name, { ...place, node: OTHER_NODE }), "bad-seal");
  refuses(opening(name, { ...place, parent: OTHER_FOLDER }), "bad-seal");
  const elsewhere = new Map([[1, keysOf(OTHER_SPACE, 1)]]);
  refuses(() => openName(primitives, elsewhere, place, name), "bad-seal");
});

test("SF8: a sealed name says its epoch, and opens under no other and under no unknown one", () => {
  const later: SpaceKeys = keysOf(SPACE, 2);
  const { name } = sealName(primitives, later, { ...place, folding: true }, "a");
  assert.equal(opening(name)(), "a");
  const bytes = fromBase64Url(name)!;
  assert.deepEqual([...bytes.subarray(0, 2)], [0, 2]);
  refuses(opening(toBase64Url(bytes.with(1, 1))), "bad-seal");
  refuses(opening(toBase64Url(bytes.with(1, 3))), "unknown-epoch");
});

test("SF8: a sealed name does not open with any byte changed, nor written in another way", () => {
  const { name } = close("a");
  for (const changed of flipped(fromBase64Url(name)!)) {
    refuses(opening(toBase64Url(changed)), ["bad-seal", "unknown-epoch"]);
  }
  const last = name.at(-1)!;
  const odd = [
    "",
    "A",
    "AA",
    "AAA",
    `${name}=`,
    ` ${name}`,
    `${name}A`,
    name.slice(1),
    `${name}\n`,
  ];
  for (const text of [...odd, name.replace(last, "+"), name.slice(0, -1)]) {
    refuses(opening(text), ["bad-seal", "unknown-epoch"], text);
  }
});

test("SF16: any text at all is refused as a sealed name", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.uint8Array().map(toBase64Url)), (text) => {
      refuses(opening(text), ["bad-seal", "unknown-epoch"]);
    }),
  );
});
