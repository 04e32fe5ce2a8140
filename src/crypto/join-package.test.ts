import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex, utf8 } from "#core/bytes.ts";
import {
  ACCOUNT,
  flipped,
  OTHER_SPACE,
  primitives,
  refuses,
  SPACE,
} from "../../test/contracts/sealing-world.ts";
import { openPackage, sealPackage, type JoinPackage } from "./join-package.ts";
import { accountKey, joinContext, joinKeys } from "./keys.ts";
import { open, seal } from "./sealed.ts";

const SECRET = "7ZK2M0QWXA99TBCHJ4VE";
const NEAR = "7ZK2M0QWXA99TBCHJ4VF";

const offer: JoinPackage = {
  account: ACCOUNT,
  accountKey: accountKey(fromHex("41".repeat(32))),
  identity: fromHex("42".repeat(32)),
  seen: { version: 7, hash: fromHex("43".repeat(32)) },
  heads: [
    { space: SPACE, sequence: 0, chain: "00".repeat(32) },
    { space: OTHER_SPACE, sequence: 1_234, chain: "44".repeat(32) },
  ],
};
const CODES = ["bad-seal", "bad-package"];
const sealed = sealPackage(primitives, SECRET, offer);
const { locator, key } = joinKeys(primitives.hashes, SECRET);
const opening =
  (bytes: Uint8Array, secret = SECRET) =>
  () =>
    openPackage(primitives, secret, bytes);

test("SA4: what one device hands over comes back as it was, also without any space", () => {
  assert.deepEqual(opening(sealed)(), offer);
  const bare = { ...offer, heads: [] };
  assert.deepEqual(opening(sealPackage(primitives, SECRET, bare))(), bare);
});

test("SA4: a package with any byte changed, cut off or added is refused", () => {
  for (const changed of flipped(sealed)) refuses(opening(changed), CODES);
  for (let length = 0; length < sealed.length; length++) {
    refuses(opening(sealed.subarray(0, length)), CODES, `${length} bytes`);
  }
  refuses(opening(Buffer.concat([sealed, Buffer.alloc(1)])), CODES);
});

test("SA4: a package opens with its code alone, which what the server has does not tell", () => {
  refuses(opening(sealed, NEAR), "bad-seal");
  refuses(opening(sealed, toHex(locator)), "bad-seal");
  assert.notDeepEqual(joinKeys(primitives.hashes, NEAR).locator, locator);
  assert.notDeepEqual([...key], [...locator]);
  for (const told of [locator, sealed]) {
    assert.ok(!Buffer.from(told).includes(utf8(SECRET)));
    assert.ok(!Buffer.from(told).includes(offer.accountKey));
  }
});

test("SA4: what stands in a package is read whole or not at all", () => {
  const plain = open(primitives, key, joinContext(), sealed);
  const again = (bytes: Uint8Array) => seal(primitives, key, joinContext(), bytes);
  assert.deepEqual(opening(again(plain))(), offer);
  for (let length = 0; length < plain.length; length++) {
    refuses(opening(again(plain.subarray(0, length))), "bad-package", `${length} bytes`);
  }
  refuses(opening(again(Buffer.concat([plain, Buffer.alloc(1)]))), "bad-package");
  for (const changed of flipped(plain.subarray(0, 4))) {
    refuses(opening(again(Buffer.concat([changed, plain.subarray(4)]))), "bad-package");
  }
});
