import { assert } from "#core/assert.ts";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { accountId, spaceId, type AccountId, type SpaceId } from "#core/ids.ts";
import { isCertified, readCertificate, writeCertificate, type Certificate } from "./certificate.ts";
import { DOMAIN_BYTES, type Domain } from "./chunk.ts";
import { FieldReader, u16, u64, u8 } from "./fields.ts";
import {
  keyringContext,
  keyringKey,
  rootKey,
  signingSeed,
  spaceKeys,
  type AccountKey,
  type RootKey,
  type SigningSeed,
  type SpaceEpochs,
} from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import { pad, padme, unpad } from "./padding.ts";
import type { Hashes, Primitives } from "./primitives.ts";
import { open, seal } from "./sealed.ts";

/**
 * What an account has to remember, sealed with its account key and signed with its identity key:
 * `[version 8][sealed object]`, in it, padded, `["LSK1"][account 16][version 8][version before 32]
 * [identity seed 32]`, the spaces, the devices, the pins, and a signature. Each list has its
 * length in two bytes before it and is in order, so that one keyring has one form.
 */
const VERSION_BYTES = 8;
const SIGNATURE_BYTES = 64;
const HASH_BYTES = 32;
const MAX_PIN_BYTES = 1_024;
const MAX_KEYRING_BYTES = 4 * 1024 * 1024;

export type KeyringSpace = {
  readonly space: SpaceId;
  /** What people call it; the server knows its id alone. */
  readonly name: string;
  /** What the contents of the space's files are sealed for. */
  readonly domain: Domain;
  readonly epochs: readonly {
    readonly epoch: number;
    /** The version of the keyring in which the epoch began. */
    readonly since: number;
    readonly root: RootKey;
  }[];
};

export type KeyringDevice = {
  readonly certificate: Certificate;
  /** The version of the keyring in which the device was shut out; 0 while it was not. */
  readonly revokedIn: number;
};

export type Keyring = {
  readonly account: AccountId;
  /** 1, 2, 3, …: one more with each change. */
  readonly version: number;
  /** SHA-256 of the version before, zeros for the first: `sealKeyring` gives it out. */
  readonly before: Uint8Array;
  readonly identitySeed: SigningSeed;
  readonly spaces: readonly KeyringSpace[];
  readonly devices: readonly KeyringDevice[];
  /** What is held to be true of others, by name: keys of servers and key services. */
  readonly pins: ReadonlyMap<string, Uint8Array>;
};

/** Which keyring a device has seen last: an earlier or another one is not accepted again. */
export type SeenKeyring = { readonly version: number; readonly hash: Uint8Array };

function list<T>(
  items: readonly T[],
  order: (item: T) => string | number,
  write: (item: T) => readonly Uint8Array[],
): Uint8Array[] {
  const sorted = items.toSorted((left, right) => (order(left) < order(right) ? -1 : 1));
  return [u16(items.length), ...sorted.flatMap(write)];
}

function readList<T>(
  fields: FieldReader,
  order: (item: T) => string | number,
  read: () => T,
): readonly T[] {
  const items: T[] = [];
  for (let count = fields.u16(); count > 0; count--) {
    const item = read();
    const last = items.at(-1);
    if (last !== undefined && !(order(last) < order(item))) {
      throw fields.bad("a list is out of order");
    }
    items.push(item);
  }
  return items;
}

/** With the two bytes of its length before it. */
function text(words: string): Uint8Array[] {
  const bytes = utf8(words);
  return [u16(bytes.length), bytes];
}

function write(keyring: Keyring): Uint8Array {
  const { account, version, before, identitySeed, spaces, devices, pins } = keyring;
  return concat([
    magic("K1"),
    fromHex(account),
    u64(version),
    before,
    identitySeed,
    ...list(
      spaces,
      ({ space }) => space,
      ({ space, name, domain, epochs }) => [
        fromHex(space),
        u8(DOMAIN_BYTES[domain]),
        ...text(name),
        ...list(
          epochs,
          ({ epoch }) => epoch,
          ({ epoch, since, root }) => [u16(epoch), u64(since), root],
        ),
      ],
    ),
    ...list(
      devices,
      ({ certificate }) => certificate.device,
      ({ certificate, revokedIn }) => [writeCertificate(certificate), u64(revokedIn)],
    ),
    ...list(
      [...pins],
      ([name]) => name,
      ([name, value]) => [...text(name), u16(value.length), value],
    ),
  ]);
}

function read(bytes: Uint8Array): Keyring {
  const fields = new FieldReader(bytes, "bad-keyring", "The keyring");
  fields.expect(magic("K1"), "format");
  const account = accountId(toHex(fields.bytes(16)));
  const version = fields.u64();
  const before = fields.bytes(HASH_BYTES);
  const identitySeed = signingSeed(fields.bytes(32));
  const spaces = readList(
    fields,
    ({ space }) => space,
    () => readSpace(fields),
  );
  const devices = readList(
    fields,
    ({ certificate }) => certificate.device,
    () => ({ certificate: readCertificate(fields), revokedIn: fields.u64() }),
  );
  const pins = readList(
    fields,
    ([name]) => name,
    () => [fields.text(fields.u16()), fields.bytes(pinLength(fields))] as const,
  );
  fields.end();
  return { account, version, before, identitySeed, spaces, devices, pins: new Map(pins) };
}

function readSpace(fields: FieldReader): KeyringSpace {
  const space = spaceId(toHex(fields.bytes(16)));
  const code = fields.u8();
  if (code !== DOMAIN_BYTES.shared && code !== DOMAIN_BYTES.private) {
    throw fields.bad("a space's domain is unknown");
  }
  const name = fields.text(fields.u16());
  const epochs = readList(
    fields,
    ({ epoch }) => epoch,
    () => ({ epoch: fields.u16(), since: fields.u64(), root: rootKey(fields.bytes(32)) }),
  );
  if (epochs.length === 0 || epochs[0]?.epoch === 0) throw fields.bad("a space has no epoch");
  return { space, name, domain: code === DOMAIN_BYTES.shared ? "shared" : "private", epochs };
}

function pinLength(fields: FieldReader): number {
  const length = fields.u16();
  if (length > MAX_PIN_BYTES) throw fields.bad("a pin is too long");
  return length;
}

const signed = (body: Uint8Array): Uint8Array => concat([labelBytes("keyring-sig"), body]);

/** What the server keeps of a keyring, and what the next version has to name as the one before. */
export function sealKeyring(
  primitives: Primitives,
  key: AccountKey,
  keyring: Keyring,
): { readonly sealed: Uint8Array; readonly seen: SeenKeyring } {
  const { hashes, signatures } = primitives;
  assert(keyring.before.length === HASH_BYTES, "a hash of 32 bytes");
  const body = write(keyring);
  const signature = signatures.sign(keyring.identitySeed, signed(body));
  const padded = pad(concat([body, signature]), padme);
  assert(padded.length <= MAX_KEYRING_BYTES, `a keyring of ${padded.length} bytes`);
  const context = keyringContext(keyring.account, keyring.version);
  const sealed = seal(primitives, keyringKey(hashes, key), context, padded);
  return {
    sealed: concat([u64(keyring.version), sealed]),
    seen: { version: keyring.version, hash: hashes.sha256([body]) },
  };
}

/**
 * Opens a keyring for the account whose identity (an Ed25519 public key) came with its account
 * key. Throws WorldError `bad-keyring`; `keyring-went-back` when the server shows an earlier
 * version than was seen, or another one of that number, or one that does not follow it.
 */
export function openKeyring(
  primitives: Primitives,
  key: AccountKey,
  expected: {
    readonly account: AccountId;
    readonly identity: Uint8Array;
    readonly seen: SeenKeyring | null;
  },
  sealed: Uint8Array,
): { readonly keyring: Keyring; readonly seen: SeenKeyring } {
  const { hashes, signatures } = primitives;
  if (sealed.length > 2 * MAX_KEYRING_BYTES) throw bad("it is too long");
  const version = new FieldReader(sealed, "bad-keyring", "The keyring").u64();
  const context = keyringContext(expected.account, version);
  const rest = sealed.subarray(VERSION_BYTES);
  const whole = unpad(open(primitives, keyringKey(hashes, key), context, rest), padme);
  if (whole === null || whole.length < SIGNATURE_BYTES) throw bad("it is not padded as it must be");
  const body = whole.subarray(0, whole.length - SIGNATURE_BYTES);
  const signature = whole.subarray(whole.length - SIGNATURE_BYTES);
  if (!signatures.verify(expected.identity, signed(body), signature)) {
    throw bad("the account's identity did not sign it");
  }
  const keyring = read(body);
  if (keyring.account !== expected.account || keyring.version !== version) {
    throw bad("it is another account's or another version");
  }
  if (!hashes.equal(signatures.publicKey(keyring.identitySeed), expected.identity)) {
    throw bad("it holds another identity");
  }
  const certified = keyring.devices.every(({ certificate }) => {
    const own = certificate.account === expected.account;
    return own && isCertified(primitives, expected.identity, certificate);
  });
  if (!certified) throw bad("a device in it is not certified");
  const seen = { version, hash: hashes.sha256([body]) };
  if (expected.seen !== null) checkFollows(hashes, expected.seen, keyring, seen);
  return { keyring, seen };
}

function checkFollows(
  hashes: Hashes,
  before: SeenKeyring,
  keyring: Keyring,
  now: SeenKeyring,
): void {
  const same = now.version === before.version && hashes.equal(now.hash, before.hash);
  const next = now.version === before.version + 1 && hashes.equal(keyring.before, before.hash);
  // Versions between were not seen; the signature alone vouches for those.
  if (same || next || now.version > before.version + 1) return;
  const numbers = `from version ${before.version} to ${now.version}`;
  throw new WorldError("keyring-went-back", `The server's keyring went back ${numbers}.`);
}

/** The keys of a space by epoch; none for a space that is not in the keyring. */
export function epochsOf(hashes: Hashes, keyring: Keyring, space: SpaceId): SpaceEpochs {
  const found = keyring.spaces.find((one) => one.space === space);
  const epochs = found?.epochs ?? [];
  return new Map(epochs.map(({ epoch, root }) => [epoch, spaceKeys(hashes, space, epoch, root)]));
}

/**
 * What a device signs with, as long as its word counts in this epoch of a space: a device that was
 * shut out signed what came before, and nothing after.
 */
export function signingKeyOf(
  keyring: Keyring,
  device: Certificate["device"],
  { space, epoch }: { readonly space: SpaceId; readonly epoch: number },
): Uint8Array | undefined {
  const epochs = keyring.spaces.find((one) => one.space === space)?.epochs;
  const since = epochs?.find((one) => one.epoch === epoch)?.since;
  const known = keyring.devices.find(({ certificate }) => certificate.device === device);
  if (since === undefined || known === undefined) return undefined;
  const { revokedIn, certificate } = known;
  return revokedIn === 0 || since < revokedIn ? certificate.signingKey : undefined;
}

function bad(detail: string): WorldError {
  return new WorldError("bad-keyring", `The keyring cannot be used: ${detail}.`);
}
