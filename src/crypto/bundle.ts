import { assert } from "#core/assert.ts";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { accountId, deviceId, type AccountId, type DeviceId } from "#core/ids.ts";
import { FieldReader, u16, u64 } from "./fields.ts";
import {
  accountKey,
  bundleContext,
  bundleKey,
  type AccountKey,
  type OwnerKey,
  type OwnerMethod,
  type SigningSeed,
} from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";
import { open, seal } from "./sealed.ts";

/**
 * How an account's key is got at again: `["LSB1"][account 16][version 8][identity 32][identity
 * before 32][hand-over 64]`, a stanza for each way in, and a signature with the identity key. First
 * come the password's and the words', `[length 2][sealed]`, then one for each device that has to
 * learn of a new key, after their number in two bytes: `[device 16][length 2][sealed]`. What is
 * sealed: `[account key 32][identity 32]`. Whoever opens the owner's stanza believes the identity
 * in it; a device believes one that the identity it knows has handed over to. Where none was handed
 * over, both fields are zeros.
 */
const SIGNATURE_BYTES = 64;
const KEY_BYTES = 32;

/** In the order in which they stand in a bundle. */
const METHODS: readonly OwnerMethod[] = ["password", "words"];

/** What every way in leads to. */
export type Secrets = {
  readonly accountKey: AccountKey;
  /** Ed25519, public. */
  readonly identity: Uint8Array;
};

export type Bundle = Secrets & {
  readonly account: AccountId;
  /** 1, 2, 3, …: one more with each change. */
  readonly version: number;
};

/** A way in as it stands in a bundle; those that did not change are handed on as they are. */
export type Stanza = Uint8Array;

/** All of a bundle but what is sealed in it. */
export type BundleParts = {
  readonly account: AccountId;
  readonly version: number;
  readonly identity: Uint8Array;
  /** The identity that handed over to this one, and its word for it; null for the first one. */
  readonly handOver: { readonly before: Uint8Array; readonly signature: Uint8Array } | null;
  readonly owners: Readonly<Record<OwnerMethod, Stanza>>;
  readonly devices: ReadonlyMap<DeviceId, Stanza>;
};

const signed = (body: Uint8Array): Uint8Array => concat([labelBytes("bundle-sig"), body]);

export function sealStanza(
  primitives: Primitives,
  owner: { readonly method: OwnerMethod; readonly key: OwnerKey },
  { account, ...secrets }: Secrets & { readonly account: AccountId },
): Stanza {
  const key = bundleKey(primitives.hashes, owner.key);
  return seal(primitives, key, bundleContext(account, owner.method), writeSecrets(secrets));
}

/** What a stanza holds, before it is sealed and after it was opened. */
export function writeSecrets({ accountKey: key, identity }: Secrets): Uint8Array {
  return concat([key, identity]);
}

/** Throws WorldError `bad-bundle`. */
export function readSecrets(opened: Uint8Array): Secrets {
  if (opened.length !== 2 * KEY_BYTES) throw bad("it holds another length than it should");
  const key = accountKey(opened.slice(0, KEY_BYTES));
  return { accountKey: key, identity: opened.slice(KEY_BYTES) };
}

/** The word of an account's identity that another one takes its place. */
export function handOver(
  { signatures }: Primitives,
  seed: SigningSeed,
  account: AccountId,
  identity: Uint8Array,
): NonNullable<BundleParts["handOver"]> {
  const signature = signatures.sign(seed, handed(account, identity));
  return { before: signatures.publicKey(seed), signature };
}

function handed(account: AccountId, identity: Uint8Array): Uint8Array {
  return concat([labelBytes("hand-over-sig"), fromHex(account), identity]);
}

export function writeBundle(
  { signatures }: Primitives,
  identitySeed: SigningSeed,
  parts: BundleParts,
): Uint8Array {
  const { account, version, identity, owners, devices } = parts;
  const { before, signature } = parts.handOver ?? {
    before: new Uint8Array(KEY_BYTES),
    signature: new Uint8Array(SIGNATURE_BYTES),
  };
  assert(before.length === KEY_BYTES && signature.length === SIGNATURE_BYTES, "a hand-over");
  const body = concat([
    magic("B1"),
    fromHex(account),
    u64(version),
    identity,
    before,
    signature,
    ...METHODS.flatMap((method) => [u16(owners[method].length), owners[method]]),
    u16(devices.size),
    ...[...devices].flatMap(([device, stanza]) => [fromHex(device), u16(stanza.length), stanza]),
  ]);
  return concat([body, signatures.sign(identitySeed, signed(body))]);
}

/** A bundle that is signed by the identity that it names. Throws WorldError `bad-bundle`. */
export function readBundle({ signatures }: Primitives, bundle: Uint8Array): BundleParts {
  const fields = new FieldReader(bundle, "bad-bundle", "The account's bundle");
  fields.expect(magic("B1"), "format");
  const account = accountId(toHex(fields.bytes(16)));
  const version = fields.u64();
  const identity = fields.bytes(KEY_BYTES);
  const before = fields.bytes(KEY_BYTES);
  const handed = fields.bytes(SIGNATURE_BYTES);
  const [password, words] = METHODS.map(() => fields.bytes(fields.u16()));
  const devices = new Map<DeviceId, Stanza>();
  for (let count = fields.u16(); count > 0; count--) {
    const device = deviceId(toHex(fields.bytes(16)));
    devices.set(device, fields.bytes(fields.u16()));
  }
  const signature = fields.bytes(SIGNATURE_BYTES);
  fields.end();
  const body = bundle.subarray(0, bundle.length - SIGNATURE_BYTES);
  if (!signatures.verify(identity, signed(body), signature)) throw bad("it is not signed");
  const isFirst = before.every((byte) => byte === 0);
  return {
    account,
    version,
    identity,
    handOver: isFirst ? null : { before, signature: handed },
    owners: { password: password!, words: words! },
    devices,
  };
}

/**
 * Opens a bundle with what the password or the words make. Throws WorldError `bad-bundle` when it
 * is not the account's own: a server that gives out another one would have to know the password.
 */
export function openBundle(
  primitives: Primitives,
  owner: { readonly method: OwnerMethod; readonly key: OwnerKey },
  account: AccountId,
  bundle: Uint8Array,
): Bundle {
  const parts = readBundle(primitives, bundle);
  if (parts.account !== account) throw bad("it is another account's");
  const key = bundleKey(primitives.hashes, owner.key);
  const stanza = parts.owners[owner.method];
  const secrets = readSecrets(open(primitives, key, bundleContext(account, owner.method), stanza));
  if (!primitives.hashes.equal(secrets.identity, parts.identity)) {
    throw bad("it names another identity");
  }
  return { account, version: parts.version, ...secrets };
}

/**
 * Believes what a device opened of its stanza, if the identity that it knows has handed over to the
 * one in it. Throws WorldError `bad-bundle`.
 */
export function checkHandOver(
  { hashes, signatures }: Primitives,
  known: { readonly account: AccountId; readonly identity: Uint8Array },
  parts: BundleParts,
  secrets: Secrets,
): void {
  const { handOver: given, identity, account } = parts;
  if (account !== known.account) throw bad("it is another account's");
  if (given === null || !hashes.equal(given.before, known.identity)) {
    throw bad("the identity that this device knows has not handed over to it");
  }
  if (!signatures.verify(known.identity, handed(account, identity), given.signature)) {
    throw bad("its hand-over is not signed");
  }
  if (!hashes.equal(secrets.identity, identity)) throw bad("it names another identity");
}

function bad(detail: string): WorldError {
  return new WorldError("bad-bundle", `The account's bundle cannot be believed: ${detail}.`);
}
