import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, fromHex, utf8 } from "#core/bytes.ts";
import { accountId } from "#core/ids.ts";
import {
  ACCOUNT,
  DEVICE,
  flipped,
  OTHER_DEVICE,
  OTHER_SPACE,
  primitives,
  refuses,
  ROOT,
  SPACE,
} from "../../test/contracts/sealing-world.ts";
import { certify, isCertified } from "./certificate.ts";
import { u64 } from "./fields.ts";
import {
  epochsOf,
  openKeyring,
  sealKeyring,
  signingKeyOf,
  type Keyring,
  type SeenKeyring,
} from "./keyring.ts";
import { accountKey, keyringContext, keyringKey, rootKey, signingSeed } from "./keys.ts";
import { pad, padme } from "./padding.ts";
import { open, seal } from "./sealed.ts";

const key = accountKey(fromHex("21".repeat(32)));
const identitySeed = signingSeed(fromHex("22".repeat(32)));
const identity = primitives.signatures.publicKey(identitySeed);
const strangerSeed = signingSeed(fromHex("23".repeat(32)));
const NO_HASH = new Uint8Array(32);

function deviceOf(device = DEVICE, seed = identitySeed, account = ACCOUNT) {
  const signingKey = primitives.signatures.publicKey(fromHex(device + device));
  const exchangeKey = fromHex("77".repeat(32));
  return certify(primitives, seed, { account, device, signingKey, exchangeKey });
}

const OTHER_ROOT = rootKey(fromHex("02".repeat(32)));
const keyring: Keyring = {
  account: ACCOUNT,
  version: 5,
  before: NO_HASH,
  identitySeed,
  spaces: [
    {
      space: SPACE,
      name: "home",
      domain: "shared",
      epochs: [
        { epoch: 1, since: 1, root: ROOT },
        { epoch: 2, since: 5, root: OTHER_ROOT },
      ],
    },
    {
      space: OTHER_SPACE,
      name: "work",
      domain: "private",
      epochs: [{ epoch: 1, since: 3, root: OTHER_ROOT }],
    },
  ],
  devices: [
    { certificate: deviceOf(DEVICE), revokedIn: 0 },
    { certificate: deviceOf(OTHER_DEVICE), revokedIn: 5 },
  ],
  pins: new Map([
    ["key-service/1", fromHex("31".repeat(32))],
    ["server", utf8("some key")],
  ]),
};

const close = (ring: Keyring) => sealKeyring(primitives, key, ring);
const expected = { account: ACCOUNT, identity, seen: null as SeenKeyring | null };
const opening =
  (sealed: Uint8Array, more: Partial<typeof expected> = {}) =>
  () =>
    openKeyring(primitives, key, { ...expected, ...more }, sealed);
const CODES = ["bad-keyring", "bad-seal"];

test("SF15: a keyring comes back as it was, in whatever order it was written", () => {
  const { sealed, seen } = close(keyring);
  const opened = opening(sealed)();
  assert.deepEqual(opened.seen, seen);
  const plain = (ring: Keyring): unknown =>
    JSON.parse(
      JSON.stringify(ring, (_, value: unknown) =>
        value instanceof Uint8Array ? [...value] : value instanceof Map ? [...value] : value,
      ),
    );
  assert.deepEqual(plain(opened.keyring), plain(keyring));
  const shuffled = {
    ...keyring,
    spaces: keyring.spaces.toReversed(),
    devices: keyring.devices.toReversed(),
    pins: new Map([...keyring.pins].toReversed()),
  };
  assert.deepEqual(close(shuffled).seen.hash, seen.hash);
});

test("SF15: a keyring does not open with any byte changed, with another key, or for another account", () => {
  const { sealed } = close(keyring);
  for (const changed of flipped(sealed)) refuses(opening(changed), CODES);
  for (const length of [0, 7, 8, 40, sealed.length - 1]) {
    refuses(opening(sealed.subarray(0, length)), CODES);
  }
  const otherKey = accountKey(fromHex("24".repeat(32)));
  refuses(() => openKeyring(primitives, otherKey, expected, sealed), CODES);
  refuses(opening(sealed, { account: accountId("c2".repeat(16)) }), CODES);
});

test("SF15: a keyring that another identity signed, or for other devices, is refused", () => {
  const stranger = primitives.signatures.publicKey(strangerSeed);
  refuses(opening(close(keyring).sealed, { identity: stranger }), "bad-keyring");
  refuses(opening(close({ ...keyring, identitySeed: strangerSeed }).sealed), "bad-keyring");
  const foreign = [
    deviceOf(DEVICE, strangerSeed),
    deviceOf(DEVICE, identitySeed, accountId("c2".repeat(16))),
    { ...deviceOf(DEVICE), signingKey: deviceOf(OTHER_DEVICE).signingKey },
  ];
  for (const certificate of foreign) {
    const devices = [{ certificate, revokedIn: 0 }];
    refuses(opening(close({ ...keyring, devices }).sealed), "bad-keyring");
  }
});

test("SF15: a server cannot bring back an earlier keyring, nor another one of the same version", () => {
  const before = close(keyring);
  const next = close({ ...keyring, version: 6, before: before.seen.hash });
  assert.deepEqual(opening(before.sealed, { seen: before.seen })().seen, before.seen);
  assert.deepEqual(opening(next.sealed, { seen: before.seen })().seen, next.seen);
  refuses(opening(before.sealed, { seen: next.seen }), "keyring-went-back");
  const other = close({ ...keyring, pins: new Map() });
  refuses(opening(other.sealed, { seen: before.seen }), "keyring-went-back");
  const fork = close({ ...keyring, version: 6, before: other.seen.hash });
  refuses(opening(fork.sealed, { seen: before.seen }), "keyring-went-back");
  // A version that this device did not see lies between.
  const later = close({ ...keyring, version: 7, before: next.seen.hash });
  assert.equal(opening(later.sealed, { seen: before.seen })().keyring.version, 7);
});

test("SF15: each epoch has its keys, and a space that is not in the keyring has none", () => {
  const { hashes } = primitives;
  const epochs = epochsOf(hashes, keyring, SPACE);
  assert.deepEqual([...epochs.keys()], [1, 2]);
  assert.notDeepEqual(epochs.get(1)!.meta, epochs.get(2)!.meta);
  assert.deepEqual(epochs.get(2)!.meta, epochsOf(hashes, keyring, OTHER_SPACE).get(1)!.meta);
  const without = { ...keyring, spaces: [] };
  assert.equal(epochsOf(hashes, without, SPACE).size, 0);
});

test("SF15: a device's word counts until it was shut out, and in the epochs before then", () => {
  const keyOf = (device: typeof DEVICE, epoch: number, space = SPACE): Uint8Array | undefined =>
    signingKeyOf(keyring, device, { space, epoch });
  assert.deepEqual(keyOf(DEVICE, 1), deviceOf(DEVICE).signingKey);
  assert.deepEqual(keyOf(DEVICE, 2), deviceOf(DEVICE).signingKey);
  assert.deepEqual(keyOf(OTHER_DEVICE, 1), deviceOf(OTHER_DEVICE).signingKey);
  assert.equal(keyOf(OTHER_DEVICE, 2), undefined);
  assert.deepEqual(keyOf(OTHER_DEVICE, 1, OTHER_SPACE), deviceOf(OTHER_DEVICE).signingKey);
  assert.equal(keyOf(DEVICE, 3), undefined);
});

test("SF15: a certificate holds for what it says alone", () => {
  const certificate = deviceOf();
  assert.equal(isCertified(primitives, identity, certificate), true);
  const changed = [
    { account: accountId("c2".repeat(16)) },
    { device: OTHER_DEVICE },
    { signingKey: fromHex("13".repeat(32)) },
    { exchangeKey: fromHex("13".repeat(32)) },
    { signature: new Uint8Array(64) },
  ];
  for (const change of changed) {
    assert.equal(isCertified(primitives, identity, { ...certificate, ...change }), false);
  }
  const stranger = primitives.signatures.publicKey(strangerSeed);
  assert.equal(isCertified(primitives, stranger, certificate), false);
});

/** A keyring's plaintext, and how somebody who has the account key would seal another. */
const inside = (() => {
  const { sealed } = close(keyring);
  const context = keyringContext(ACCOUNT, 5);
  const padded = open(primitives, keyringKey(primitives.hashes, key), context, sealed.subarray(8));
  const length = new DataView(padded.buffer, padded.byteOffset).getUint32(0);
  return padded.slice(4, 4 + length - 64);
})();

function sealing(body: Uint8Array, seed = identitySeed): Uint8Array {
  const signed = concat([utf8("lockstep/1/keyring-sig\0"), body]);
  const signature = primitives.signatures.sign(seed, signed);
  const padded = pad(concat([body, signature]), padme);
  const context = keyringContext(ACCOUNT, 5);
  const box = seal(primitives, keyringKey(primitives.hashes, key), context, padded);
  return concat([u64(5), box]);
}

test("SF15: a keyring that a holder of the account's key changed is refused without its identity", () => {
  assert.equal(opening(sealing(inside))().keyring.version, 5);
  refuses(opening(sealing(inside, strangerSeed)), "bad-keyring");
});

test("SF15: a keyring says itself of which account, version and identity it is, and nothing twice", () => {
  const account = 4;
  const version = 4 + 16 + 7;
  const identitySeedAt = 4 + 16 + 8 + 32;
  for (const at of [account, version, identitySeedAt]) {
    refuses(opening(sealing(inside.with(at, inside[at]! + 1))), "bad-keyring");
  }
  const [space] = keyring.spaces;
  refuses(opening(close({ ...keyring, spaces: [space!, space!] }).sealed), "bad-keyring");
  const alone = close({ ...keyring, devices: [] });
  const other = accountId("c2".repeat(16));
  const renamed = close({ ...keyring, devices: [], account: other });
  assert.equal(opening(alone.sealed)().keyring.devices.length, 0);
  refuses(opening(renamed.sealed), "bad-seal");
});

test("SF16: any bytes that the identity signs are a keyring or refused", () => {
  assert.equal(opening(sealing(inside))().keyring.version, 5);
  for (const [at, changed] of [...flipped(inside, 3)].entries()) {
    try {
      opening(sealing(changed))();
    } catch {
      refuses(opening(sealing(changed)), ["bad-keyring", "bad-key"], `${at}`);
    }
  }
  for (let length = 0; length < inside.length; length += 7) {
    refuses(opening(sealing(inside.subarray(0, length))), "bad-keyring", `${length}`);
  }
  refuses(opening(sealing(concat([inside, new Uint8Array(1)]))), "bad-keyring");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      refuses(opening(sealing(bytes)), "bad-keyring");
    }),
    { numRuns: 50 },
  );
});
