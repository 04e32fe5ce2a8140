import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, fromHex, utf8 } from "#core/bytes.ts";
import { accountId } from "#core/ids.ts";
import {
  ACCOUNT,
  DEVICE,
  flipped,
  OTHER_DEVICE,
  primitives,
  refuses,
} from "../../test/contracts/sealing-world.ts";
import {
  checkHandOver,
  handOver,
  openBundle,
  readBundle,
  readSecrets,
  sealStanza,
  writeBundle,
  writeSecrets,
  type BundleParts,
  type Secrets,
} from "./bundle.ts";
import { accountKey, ownerKey, signingSeed, type OwnerMethod } from "./keys.ts";

const { hashes, signatures } = primitives;
const OTHER_ACCOUNT = accountId("c2".repeat(16));
const CODES = ["bad-bundle", "bad-seal"];

const seedOf = (byte: string) => signingSeed(fromHex(byte.repeat(32)));
const identitySeed = seedOf("31");
const strangerSeed = seedOf("32");
const identity = signatures.publicKey(identitySeed);
const secrets: Secrets = { accountKey: accountKey(fromHex("33".repeat(32))), identity };

const keys = {
  password: ownerKey(hashes, "password", fromHex("34".repeat(64))),
  words: ownerKey(hashes, "words", fromHex("35".repeat(32))),
};
const owner = (method: OwnerMethod) => ({ method, key: keys[method] });

function partsOf({ accountKey: key, identity: public_ } = secrets, account = ACCOUNT): BundleParts {
  const sealed = { account, accountKey: key, identity: public_ };
  return {
    account,
    version: 3,
    identity: public_,
    handOver: null,
    owners: {
      password: sealStanza(primitives, owner("password"), sealed),
      words: sealStanza(primitives, owner("words"), sealed),
    },
    devices: new Map([
      [DEVICE, utf8("sealed for one device")],
      [OTHER_DEVICE, new Uint8Array(0)],
    ]),
  };
}

const bundle = writeBundle(primitives, identitySeed, partsOf());
const opening =
  (bytes: Uint8Array, method: OwnerMethod, account = ACCOUNT) =>
  () =>
    openBundle(primitives, owner(method), account, bytes);

test("SA1: a bundle opens with what the password makes, and with what the words make", () => {
  for (const method of ["password", "words"] as const) {
    assert.deepEqual(opening(bundle, method)(), { account: ACCOUNT, version: 3, ...secrets });
  }
  const parts = readBundle(primitives, bundle);
  assert.deepEqual(
    [parts.version, parts.identity, parts.handOver, parts.devices],
    [3, identity, null, partsOf().devices],
  );
});

test("SA1: a bundle with any byte changed, cut off or added is refused", () => {
  for (const changed of flipped(bundle)) refuses(opening(changed, "password"), CODES);
  for (let length = 0; length < bundle.length; length += 7) {
    refuses(opening(bundle.subarray(0, length), "words"), CODES, `${length} bytes`);
  }
  refuses(opening(concat([bundle, new Uint8Array(1)]), "words"), CODES);
});

test("SA1: a bundle opens for its account alone, and no stanza as the other", () => {
  refuses(opening(bundle, "password", OTHER_ACCOUNT), "bad-bundle");
  const renamed = writeBundle(primitives, identitySeed, { ...partsOf(), account: OTHER_ACCOUNT });
  refuses(opening(renamed, "password", OTHER_ACCOUNT), "bad-seal");
  const { password, words } = partsOf().owners;
  const swapped = { ...partsOf(), owners: { password: words, words: password } };
  const bytes = writeBundle(primitives, identitySeed, swapped);
  refuses(opening(bytes, "password"), "bad-seal");
  refuses(opening(bytes, "words"), "bad-seal");
  const guessed = { method: "password" as const, key: keys.words };
  refuses(() => openBundle(primitives, guessed, ACCOUNT, bundle), "bad-seal");
});

test("SA2: a server that knows what is public makes no bundle that is believed", () => {
  // It has every bundle of the account, and identities of its own.
  const stranger = signatures.publicKey(strangerSeed);
  const { owners, devices, handOver: none, account } = partsOf();
  const kept = { account, version: 9, handOver: none, owners, devices };
  const own = writeBundle(primitives, strangerSeed, { ...kept, identity: stranger });
  refuses(opening(own, "password"), "bad-bundle", "its own identity around the old stanzas");
  const claimed = writeBundle(primitives, strangerSeed, { ...kept, identity });
  refuses(opening(claimed, "password"), "bad-bundle", "the identity without its signature");
  const sealed = { account, accountKey: secrets.accountKey, identity: stranger };
  const guess = { method: "password" as const, key: ownerKey(hashes, "password", fromHex("00")) };
  const password = sealStanza(primitives, guess, sealed);
  const parts = { ...kept, identity: stranger, owners: { ...owners, password } };
  const stanza = writeBundle(primitives, strangerSeed, parts);
  refuses(opening(stanza, "password"), "bad-seal", "a stanza without the password");
});

test("SA3: a device believes the identity that the one it knows has handed over to", () => {
  const next = signatures.publicKey(strangerSeed);
  const renewed: Secrets = { accountKey: accountKey(fromHex("36".repeat(32))), identity: next };
  const known = { account: ACCOUNT, identity };
  const given = handOver(primitives, identitySeed, ACCOUNT, next);
  const written = writeBundle(primitives, strangerSeed, { ...partsOf(renewed), handOver: given });
  const parts = readBundle(primitives, written);
  assert.deepEqual(parts.handOver, given);
  checkHandOver(primitives, known, parts, renewed);
  assert.deepEqual(readSecrets(writeSecrets(renewed)), renewed);

  const check = (changed: Partial<BundleParts>, opened = renewed, from = known) =>
    refuses(() => checkHandOver(primitives, from, { ...parts, ...changed }, opened), "bad-bundle");
  check({ handOver: null });
  check({ handOver: handOver(primitives, strangerSeed, ACCOUNT, next) });
  check({ handOver: { ...given, before: identity.slice().fill(1) } });
  check({ handOver: handOver(primitives, identitySeed, OTHER_ACCOUNT, next) });
  check({ handOver: handOver(primitives, identitySeed, ACCOUNT, identity) });
  for (const signature of flipped(given.signature, 5)) check({ handOver: { ...given, signature } });
  check({}, { ...renewed, identity });
  check({}, renewed, { account: OTHER_ACCOUNT, identity });
  check({}, renewed, { account: ACCOUNT, identity: next });
});

test("SA3: what a stanza holds has one length", () => {
  for (const length of [0, 32, 63, 65]) {
    refuses(() => readSecrets(new Uint8Array(length)), "bad-bundle");
  }
});
