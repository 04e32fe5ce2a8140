import { assert } from "#core/assert.ts";
import { concat, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { chunkId, type ChunkId } from "#core/ids.ts";
import { u16 } from "./fields.ts";
import { closeDelta, closeFrame, frameBytes, openFrame, type Frame } from "./frame.ts";
import { chunkSecret, derive, type ChunkKey, type ChunkSecret } from "./keys.ts";
import { labelBytes, magic, plainLabel } from "./labels.ts";
import { TAG_BYTES, type GcmUse, type Primitives } from "./primitives.ts";

/**
 * A stored chunk: `["LSC1"][suite 1][domain 1][epoch 2][commitment 32][AES-256-GCM of the frame]
 * [tag 16]`. Key, nonce and commitment come from the chunk's secret and the first 8 bytes; GCM
 * authenticates the first 40. Its id is the SHA-256 of all of it, so that a server can check what
 * it cannot read.
 */
const SUITE = 1;
const HEAD_BYTES = 8;
const COMMITMENT_BYTES = 32;
const OPEN_BYTES = HEAD_BYTES + COMMITMENT_BYTES;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;

/** Smaller contents are not worth what an equal one elsewhere would tell. */
export const MIN_SHARED_BYTES = 16 * 1024;

/**
 * Whom a chunk is stored once for. `shared`: everybody at the server, its secret comes from its
 * bytes and the server's key service. `private`: the space, its secret comes from the space's key.
 */
export type Domain = "shared" | "private";

export const DOMAIN_BYTES: Readonly<Record<Domain, number>> = { shared: 1, private: 2 };

/** What it takes to find, open and check one chunk. */
export type SealedEntry = {
  readonly chunk: ChunkId;
  readonly secret: ChunkSecret;
  /** SHA-256 of the raw bytes: what a device knows the chunk by that has it in a file. */
  readonly raw: ChunkId;
  /** Raw, unpadded. */
  readonly lengthBytes: number;
  readonly domain: Domain;
  /** Of the space's keys, or of the key service's key. */
  readonly epoch: number;
  /**
   * The chunks that it is a delta to, in the order of their numbers in it, at most MAX_BASES; each
   * may be a delta itself, MAX_DEPTH deep. Absent: it stands for itself.
   */
  readonly bases?: readonly SealedEntry[];
};

/** Bases of one delta; deltas on the way to bytes that stand for themselves; and bases in all. */
export const MAX_BASES = 4;
export const MAX_DEPTH = 4;
export const MAX_BASES_IN_ALL = 8;

/** How many deltas have to be undone one after the other; 0 for one that stands for itself. */
export function depthOf({ bases = [] }: SealedEntry): number {
  return bases.reduce((most, base) => Math.max(most, 1 + depthOf(base)), 0);
}

/** Its bases, their bases, and so on; what stands in the list can be opened with what is before. */
export function allBases({ bases = [] }: SealedEntry): SealedEntry[] {
  return bases.flatMap((base) => [...allBases(base), base]);
}

/** A chunk in terms of others: see `chunking/delta.ts`. */
export type DeltaTo = { readonly delta: Uint8Array; readonly bases: readonly SealedEntry[] };

/** `stored` is what the server gets. */
export type SealedChunk = { readonly entry: SealedEntry; readonly stored: Uint8Array };

/** A shared chunk on its way to its secret: `input` is what the key service is asked about. */
export type FramedChunk = {
  readonly head: Uint8Array;
  readonly frame: Frame;
  readonly input: Uint8Array;
  readonly raw: ChunkId;
  readonly lengthBytes: number;
  readonly bases: readonly SealedEntry[];
};

/** Bytes that sealing adds to a frame. */
const SEALED_BYTES = OPEN_BYTES + TAG_BYTES;

/** What a framed chunk takes at the server. */
export function storedBytes({ frame }: FramedChunk): number {
  return frameBytes(frame) + SEALED_BYTES;
}

function headOf(domain: Domain, epoch: number): Uint8Array {
  return concat([magic("C1"), Uint8Array.of(SUITE, DOMAIN_BYTES[domain]), u16(epoch)]);
}

/**
 * A frame is its head and payload, and zeros that follow from them: this is a hash of exactly what
 * is encrypted, so that no two texts share a key, whatever compressed them.
 */
function inputOf(
  { hashes }: Primitives,
  head: Uint8Array,
  frame: Frame,
  payloadHash: Uint8Array,
): Uint8Array {
  return hashes.sha256([concat([labelBytes("frame"), head, frame.head, payloadHash])]);
}

function frameChunk(
  primitives: Primitives,
  domain: Domain,
  epoch: number,
  raw: Uint8Array,
  to?: DeltaTo,
): FramedChunk {
  const { hashes, compression } = primitives;
  const head = headOf(domain, epoch);
  const frame = to ? closeDelta(compression, to.delta, raw.length) : closeFrame(compression, raw);
  const rawHash = hashes.sha256([raw]);
  const payloadHash = frame.payload === raw ? rawHash : hashes.sha256([frame.payload]);
  const input = inputOf(primitives, head, frame, payloadHash);
  const bases = to?.bases ?? [];
  return { head, frame, input, raw: chunkId(toHex(rawHash)), lengthBytes: raw.length, bases };
}

/** Key, nonce and commitment are of one derivation, and the key is used for this one message. */
function chunkKeys(
  { hashes }: Primitives,
  secret: ChunkSecret,
  head: Uint8Array,
): { key: Uint8Array; nonce: Uint8Array; commitment: Uint8Array } {
  const info = concat([labelBytes("chunk-keys"), head]);
  const all = hashes.hkdfExpand(secret, info, KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES);
  return {
    key: all.subarray(0, KEY_BYTES),
    nonce: all.subarray(KEY_BYTES, KEY_BYTES + NONCE_BYTES),
    commitment: all.subarray(KEY_BYTES + NONCE_BYTES),
  };
}

function sealFramed(primitives: Primitives, framed: FramedChunk, secret: ChunkSecret): SealedChunk {
  const { head, frame, raw, lengthBytes, bases } = framed;
  const { key, nonce, commitment } = chunkKeys(primitives, secret, head);
  const parts = [frame.head, frame.payload, frame.padding];
  const stored = new Uint8Array(storedBytes(framed));
  stored.set(head, 0);
  stored.set(commitment, HEAD_BYTES);
  const use: GcmUse = { key, nonce, associated: stored.subarray(0, OPEN_BYTES) };
  primitives.cipher.seal(use, parts, stored.subarray(OPEN_BYTES));
  const chunk = chunkId(toHex(primitives.hashes.sha256([stored])));
  const domain: Domain = head[5] === DOMAIN_BYTES.shared ? "shared" : "private";
  const epoch = head[6]! * 256 + head[7]!;
  const entry: SealedEntry = { chunk, secret, raw, lengthBytes, domain, epoch };
  return { entry: bases.length > 0 ? { ...entry, bases } : entry, stored };
}

/** What a space's own chunks are sealed with. */
export type ChunkKeys = { readonly key: ChunkKey; readonly epoch: number };

/** Seals 1 to MAX_RAW_BYTES for the space alone: the same bytes and key give the same chunk. */
export function sealPrivate(primitives: Primitives, keys: ChunkKeys, raw: Uint8Array): SealedChunk {
  return sealAlone(primitives, keys, framePrivate(primitives, keys, raw));
}

/** First half of sealing for the space alone; with `to`, as a delta to chunks that it has. */
export function framePrivate(
  primitives: Primitives,
  { epoch }: ChunkKeys,
  raw: Uint8Array,
  to?: DeltaTo,
): FramedChunk {
  return frameChunk(primitives, "private", epoch, raw, to);
}

/** Second half. */
export function sealAlone(
  primitives: Primitives,
  { key }: ChunkKeys,
  framed: FramedChunk,
): SealedChunk {
  const more = { context: framed.input };
  const secret: ChunkSecret = derive(primitives.hashes, key, "private-chunk-secret", more);
  return sealFramed(primitives, framed, secret);
}

/** First half of sealing for everybody; `epoch` is the key service's. */
export function frameShared(primitives: Primitives, epoch: number, raw: Uint8Array): FramedChunk {
  assert(raw.length >= MIN_SHARED_BYTES, `${raw.length} bytes are too few to be shared`);
  return frameChunk(primitives, "shared", epoch, raw);
}

/** Second half: `evaluated` is the key service's verified answer about `input`, 64 bytes. */
export function sealShared(
  primitives: Primitives,
  framed: FramedChunk,
  evaluated: Uint8Array,
): SealedChunk {
  const { hashes } = primitives;
  const extracted = hashes.hkdfExtract(plainLabel("oprf-output"), evaluated);
  const secret = chunkSecret(hashes.hkdfExpand(extracted, plainLabel("chunk-secret"), 32));
  return sealFramed(primitives, framed, secret);
}

/** What was framed for everybody, sealed for the space alone after all as `sealPrivate` does it. */
export function sealUnshared(
  primitives: Primitives,
  keys: ChunkKeys,
  { frame, raw, lengthBytes, bases }: FramedChunk,
): SealedChunk {
  const head = headOf("private", keys.epoch);
  const payloadHash = primitives.hashes.sha256([frame.payload]);
  const input = inputOf(primitives, head, frame, payloadHash);
  return sealAlone(primitives, keys, { head, frame, input, raw, lengthBytes, bases });
}

/** Makes a chunk's raw bytes of a delta and its bases; null when they make none. */
export type Rebuild = (delta: Uint8Array, lengthBytes: number) => Uint8Array | null;

/**
 * The raw bytes of a chunk. Throws WorldError `bad-chunk` when `stored` does not hold exactly what
 * the entry names: other bytes, another domain, epoch, secret or length. Its stored id is not
 * looked at: the hash of the raw bytes says more.
 */
export function openChunk(
  primitives: Primitives,
  entry: SealedEntry,
  stored: Uint8Array,
  rebuild: Rebuild = () => null,
): Uint8Array {
  const { hashes, cipher, compression } = primitives;
  if (stored.length < SEALED_BYTES) throw bad("it is too short");
  const head = stored.subarray(0, HEAD_BYTES);
  const expected = [magic("C1"), Uint8Array.of(SUITE, DOMAIN_BYTES[entry.domain])];
  if (!hashes.equal(head, concat([...expected, u16(entry.epoch)]))) {
    throw bad("it is of another format, domain or epoch");
  }
  const { key, nonce, commitment } = chunkKeys(primitives, entry.secret, head);
  // GCM alone lets one ciphertext open under two keys.
  if (!hashes.equal(stored.subarray(HEAD_BYTES, OPEN_BYTES), commitment)) {
    throw bad("it was sealed with another secret");
  }
  const use: GcmUse = { key, nonce, associated: stored.subarray(0, OPEN_BYTES) };
  const frame = cipher.open(use, stored.subarray(OPEN_BYTES));
  if (frame === null) throw bad("its bytes were changed");
  const framed = openFrame(compression, frame);
  if ((framed.kind === "delta") !== (entry.bases !== undefined)) {
    throw bad("it is a delta, or none, although it should not be");
  }
  const raw = framed.kind === "whole" ? framed.raw : rebuild(framed.delta, framed.lengthBytes);
  if (raw === null) throw bad("its bases do not make it");
  if (raw.length !== entry.lengthBytes) throw bad("it holds another length than it should");
  // Everybody who has the content knows a shared chunk's secret, and can seal other bytes with it.
  if (toHex(hashes.sha256([raw])) !== entry.raw) throw bad("it holds other bytes than it should");
  return raw;
}

function bad(detail: string): WorldError {
  return new WorldError("bad-chunk", `A chunk cannot be opened: ${detail}.`);
}
