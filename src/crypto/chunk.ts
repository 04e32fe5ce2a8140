import { assert } from "#core/assert.ts";
import { concat, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { chunkId, type ChunkId } from "#core/ids.ts";
import { u16 } from "./fields.ts";
import { closeFrame, openFrame, type Frame } from "./frame.ts";
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
};

/** `stored` is what the server gets. */
export type SealedChunk = { readonly entry: SealedEntry; readonly stored: Uint8Array };

/** A shared chunk on its way to its secret: `input` is what the key service is asked about. */
export type FramedChunk = {
  readonly head: Uint8Array;
  readonly frame: Frame;
  readonly input: Uint8Array;
  readonly raw: ChunkId;
  readonly lengthBytes: number;
};

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
): FramedChunk {
  const { hashes, compression } = primitives;
  const head = headOf(domain, epoch);
  const frame = closeFrame(compression, raw);
  const rawHash = hashes.sha256([raw]);
  const payloadHash = frame.payload === raw ? rawHash : hashes.sha256([frame.payload]);
  const input = inputOf(primitives, head, frame, payloadHash);
  return { head, frame, input, raw: chunkId(toHex(rawHash)), lengthBytes: raw.length };
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

function sealFramed(
  primitives: Primitives,
  { head, frame, raw, lengthBytes }: FramedChunk,
  secret: ChunkSecret,
): SealedChunk {
  const { key, nonce, commitment } = chunkKeys(primitives, secret, head);
  const parts = [frame.head, frame.payload, frame.padding];
  const frameBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const stored = new Uint8Array(OPEN_BYTES + frameBytes + TAG_BYTES);
  stored.set(head, 0);
  stored.set(commitment, HEAD_BYTES);
  const use: GcmUse = { key, nonce, associated: stored.subarray(0, OPEN_BYTES) };
  primitives.cipher.seal(use, parts, stored.subarray(OPEN_BYTES));
  const chunk = chunkId(toHex(primitives.hashes.sha256([stored])));
  const domain: Domain = head[5] === DOMAIN_BYTES.shared ? "shared" : "private";
  const epoch = head[6]! * 256 + head[7]!;
  return { entry: { chunk, secret, raw, lengthBytes, domain, epoch }, stored };
}

/** What a space's own chunks are sealed with. */
export type ChunkKeys = { readonly key: ChunkKey; readonly epoch: number };

/** Seals 1 to MAX_RAW_BYTES for the space alone: the same bytes and key give the same chunk. */
export function sealPrivate(primitives: Primitives, keys: ChunkKeys, raw: Uint8Array): SealedChunk {
  return sealAlone(primitives, keys, frameChunk(primitives, "private", keys.epoch, raw));
}

function sealAlone(primitives: Primitives, keys: ChunkKeys, framed: FramedChunk): SealedChunk {
  const more = { context: framed.input };
  const secret: ChunkSecret = derive(primitives.hashes, keys.key, "private-chunk-secret", more);
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

/** What was framed for everybody, sealed for the space alone after all as `sealPrivate` does. */
export function sealUnshared(
  primitives: Primitives,
  keys: ChunkKeys,
  { frame, raw, lengthBytes }: FramedChunk,
): SealedChunk {
  const head = headOf("private", keys.epoch);
  const payloadHash = primitives.hashes.sha256([frame.payload]);
  const input = inputOf(primitives, head, frame, payloadHash);
  return sealAlone(primitives, keys, { head, frame, input, raw, lengthBytes });
}

/**
 * The raw bytes of a chunk. Throws WorldError `bad-chunk` when `stored` does not hold exactly what
 * the entry names: other bytes, another domain, epoch, secret or length. Its stored id is not
 * looked at: the hash of the raw bytes says more.
 */
export function openChunk(
  primitives: Primitives,
  entry: SealedEntry,
  stored: Uint8Array,
): Uint8Array {
  const { hashes, cipher, compression } = primitives;
  if (stored.length < OPEN_BYTES + TAG_BYTES) throw bad("it is too short");
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
  const raw = openFrame(compression, frame);
  if (raw.length !== entry.lengthBytes) throw bad("it holds another length than it should");
  // Everybody who has the content knows a shared chunk's secret, and can seal other bytes with it.
  if (toHex(hashes.sha256([raw])) !== entry.raw) throw bad("it holds other bytes than it should");
  return raw;
}

function bad(detail: string): WorldError {
  return new WorldError("bad-chunk", `A chunk cannot be opened: ${detail}.`);
}
