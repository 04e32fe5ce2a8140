import { assert } from "#core/assert.ts";
import { concat, fromHex, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { AccountId, NodeId, SpaceId } from "#core/ids.ts";
import { u16, u64 } from "./fields.ts";
import { labelBytes, type Label } from "./labels.ts";
import type { Hashes } from "./primitives.ts";

declare const purpose: unique symbol;
/** 32 bytes (a cut key has 48) with one purpose: the compiler keeps keys from being mixed up. */
type Key<Purpose extends string> = Uint8Array & { readonly [purpose]: Purpose };

/** What all keys of one epoch of a space come from; random. */
export type RootKey = Key<"space root">;
/** Seals names and metas. */
type MetaKey = Key<"meta">;
/** Makes the tokens by which the server tells that two names are equal. */
export type NameKey = Key<"name">;
/** Makes the secrets of private chunks: of files, and apart from them of manifests. */
export type ChunkKey = Key<"chunk">;
/** Decides where the files of a private space are cut. */
type CutKey = Key<"cut">;
/** What an account opens everything with; random, known to its devices alone. */
export type AccountKey = Key<"account">;
type KeyringKey = Key<"keyring">;
type BundleKey = Key<"bundle">;
/** What the password or the recovery words make: it opens the account's bundle. */
export type OwnerKey = Key<"owner">;
export type SealingKey = MetaKey | KeyringKey | BundleKey;
/** Of Ed25519. */
export type SigningSeed = Key<"signing seed">;
/** What one chunk is sealed with; stands in the manifest. */
export type ChunkSecret = Key<"chunk secret">;

const KEY_BYTES = 32;
const CUT_KEY_BYTES = 48;

/** A key's bytes as they were drawn or read; throws WorldError `bad-key` when they are not 32. */
function keyOf<K extends Key<string>>(bytes: Uint8Array): K {
  if (bytes.length !== KEY_BYTES) throw new WorldError("bad-key", "A key is not 32 bytes long.");
  return bytes as K;
}

export const rootKey = (bytes: Uint8Array): RootKey => keyOf(bytes);
export const accountKey = (bytes: Uint8Array): AccountKey => keyOf(bytes);
export const signingSeed = (bytes: Uint8Array): SigningSeed => keyOf(bytes);
export const chunkSecret = (bytes: Uint8Array): ChunkSecret => keyOf(bytes);

/**
 * HKDF-Expand-SHA-512 of a uniformly random key over label and context: whoever has one derived key
 * learns nothing of another.
 */
export function derive<K extends Key<string>>(
  hashes: Hashes,
  from: Key<string>,
  label: Label,
  more: { readonly context?: Uint8Array; readonly lengthBytes?: number } = {},
): K {
  const context = more.context ?? new Uint8Array(0);
  const info = concat([labelBytes(label), u16(context.length), context]);
  return hashes.hkdfExpand(from, info, more.lengthBytes ?? KEY_BYTES) as K;
}

/** The keys of one epoch of a space: a new one begins when somebody may no longer read. */
export type SpaceKeys = {
  readonly space: SpaceId;
  /** 1 to 65,535. */
  readonly epoch: number;
  readonly meta: MetaKey;
  readonly name: NameKey;
  readonly content: ChunkKey;
  readonly manifest: ChunkKey;
  readonly cut: CutKey;
};

export function spaceKeys(hashes: Hashes, space: SpaceId, epoch: number, root: RootKey): SpaceKeys {
  assert(Number.isInteger(epoch) && epoch >= 1 && epoch <= 0xffff, `epoch ${epoch}`);
  return {
    space,
    epoch,
    meta: derive(hashes, root, "space/meta"),
    name: derive(hashes, root, "space/name"),
    content: derive(hashes, root, "space/content"),
    manifest: derive(hashes, root, "space/manifest"),
    cut: derive(hashes, root, "space/chunker", { lengthBytes: CUT_KEY_BYTES }),
  };
}

/** The keys that a device has of one space, by epoch. */
export type SpaceEpochs = ReadonlyMap<number, SpaceKeys>;

/** Throws WorldError `unknown-epoch`: a device that was not told yet, or a server that invents. */
export function keysOfEpoch(epochs: SpaceEpochs, epoch: number): SpaceKeys {
  const keys = epochs.get(epoch);
  if (keys !== undefined) return keys;
  const message = `This device has no key of epoch ${epoch}; it has to read the keyring again.`;
  throw new WorldError("unknown-epoch", message);
}

export function keyringKey(hashes: Hashes, account: AccountKey): KeyringKey {
  return derive(hashes, account, "account/keyring");
}

/** How somebody shows to be an account's owner. */
export type OwnerMethod = "password" | "words";

/**
 * `secret`: OPAQUE's export key, 64 bytes, or the 32 bytes of the recovery words. Both are beyond
 * guessing for whoever does not have the password or the words.
 */
export function ownerKey(hashes: Hashes, method: OwnerMethod, secret: Uint8Array): OwnerKey {
  const extracted = hashes.hkdfExtract(labelBytes(`owner/${method}`), secret);
  return hashes.hkdfExpand(extracted, labelBytes(`owner/${method}`), KEY_BYTES) as OwnerKey;
}

export function bundleKey(hashes: Hashes, owner: OwnerKey): BundleKey {
  return derive(hashes, owner, "owner/bundle");
}

/** What the recovery words sign with, to tell the server that they are known. */
export function recoverySeed(hashes: Hashes, words: OwnerKey): SigningSeed {
  return derive(hashes, words, "owner/recovery");
}

/** What the two devices that know a join code make of it; only the locator is told to anybody. */
export type JoinKeys = {
  /** What the server finds their messages by, 32 bytes. */
  readonly locator: Uint8Array;
  /** Shows that a message comes from somebody who knows the code. */
  readonly proof: Key<"join proof">;
  /** The pre-shared key of HPKE's PSK mode. */
  readonly psk: Key<"join psk">;
  /** Makes the words that both show. */
  readonly words: Key<"join words">;
};

/** Of a join code's 20 characters, 100 random bits; none of the keys tells of another. */
export function joinKeys(hashes: Hashes, secret: string): JoinKeys {
  const extracted = hashes.hkdfExtract(labelBytes("join"), utf8(secret)) as Key<"join secret">;
  return {
    locator: derive(hashes, extracted, "join/locator"),
    proof: derive(hashes, extracted, "join/proof"),
    psk: derive(hashes, extracted, "join/psk"),
    words: derive(hashes, extracted, "join/words"),
  };
}

declare const sealedFor: unique symbol;
/** Which object bytes are sealed as: they open as no other. */
export type SealContext<K extends SealingKey> = Uint8Array & { readonly [sealedFor]: K };

function context<K extends SealingKey>(
  label: Label,
  fields: readonly Uint8Array[],
): SealContext<K> {
  return concat([labelBytes(label), ...fields]) as SealContext<K>;
}

/**
 * A node's meta. `follows` is the content revision that it takes the place of, 0 for a new node:
 * each revision has one successor, so no state of a node opens as another.
 */
export type MetaPlace = { readonly node: NodeId; readonly follows: number };

export function metaContext(keys: SpaceKeys, { node, follows }: MetaPlace): SealContext<MetaKey> {
  const ids = [fromHex(keys.space), fromHex(node)];
  return context("meta", [...ids, u64(follows), u16(keys.epoch)]);
}

/** A node's name in a folder: it opens for no other node and in no other folder. */
export type NamePlace = { readonly node: NodeId; readonly parent: NodeId };

export function nameContext(keys: SpaceKeys, { node, parent }: NamePlace): SealContext<MetaKey> {
  const ids = [fromHex(keys.space), fromHex(node), fromHex(parent)];
  return context("sealed-name", [...ids, u16(keys.epoch)]);
}

export function bundleContext(account: AccountId, method: OwnerMethod): SealContext<BundleKey> {
  return context("bundle", [fromHex(account), utf8(method)]);
}

export function keyringContext(account: AccountId, version: number): SealContext<KeyringKey> {
  return context("keyring", [fromHex(account), u64(version)]);
}
