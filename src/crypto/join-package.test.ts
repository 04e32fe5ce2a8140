import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "#core/bytes.ts";
import {
  ACCOUNT,
  DEVICE,
  flipped,
  OTHER_SPACE,
  refuses,
  SPACE,
} from "../../test/contracts/sealing-world.ts";
import { readPackage, writePackage, type JoinPackage } from "./join-package.ts";
import { accountKey } from "./keys.ts";

const offer: JoinPackage = {
  account: ACCOUNT,
  accountKey: accountKey(fromHex("41".repeat(32))),
  identity: fromHex("42".repeat(32)),
  seen: { version: 7, hash: fromHex("43".repeat(32)) },
  heads: [
    { space: SPACE, sequence: 0, chain: "00".repeat(32) },
    { space: OTHER_SPACE, sequence: 1_234, chain: "44".repeat(32) },
  ],
  space: SPACE,
  device: DEVICE,
  accountName: "ada",
  deviceName: "büro",
  token: "ls_dev_…",
};

test("SA4: what one device hands over comes back as it was, also without any space", () => {
  assert.deepEqual(readPackage(writePackage(offer)), offer);
  const bare = { ...offer, heads: [] };
  assert.deepEqual(readPackage(writePackage(bare)), bare);
});

test("SA4: what stands in a package is read whole or not at all", () => {
  const plain = writePackage(offer);
  for (let length = 0; length < plain.length; length++) {
    refuses(() => readPackage(plain.subarray(0, length)), "bad-package", `${length} bytes`);
  }
  refuses(() => readPackage(Buffer.concat([plain, Buffer.alloc(1)])), "bad-package");
  for (const changed of flipped(plain.subarray(0, 4))) {
    refuses(() => readPackage(Buffer.concat([changed, plain.subarray(4)])), "bad-package");
  }
});
