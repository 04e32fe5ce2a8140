import { concat, toHex } from "#core/bytes.ts";
import { chunkId } from "#core/ids.ts";
import { sealPrivate, type SealedEntry } from "#crypto/chunk.ts";
import { closeFrame, openFrame } from "#crypto/frame.ts";
import { chunkSecret } from "#crypto/keys.ts";
import { labelBytes } from "#crypto/labels.ts";
import type { Primitives } from "#crypto/primitives.ts";
import { createCipheriv } from "node:crypto";
import { keysOf, SPACE } from "./sealing-world.ts";

// The "invisible salamander" (Dodis, Grubbs, Ristenpart and Woodage, CRYPTO 2018): GCM's tag is
// linear in the ciphertext, so one block of it can be chosen so that one tag fits two keys.

const BLOCK = 16;
/** 1 + x + x^2 + x^7, in GCM's reflected order of bits. */
const POLYNOMIAL = 0xe1n << 120n;

const numberOf = (block: Uint8Array): bigint => BigInt(`0x${toHex(block)}`);
const blockOf = (number: bigint): Uint8Array =>
  new Uint8Array(Buffer.from(number.toString(16).padStart(32, "0"), "hex"));

function times(left: bigint, right: bigint): bigint {
  let product = 0n;
  let factor = right;
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((left >> bit) & 1n) product ^= factor;
    factor = factor & 1n ? (factor >> 1n) ^ POLYNOMIAL : factor >> 1n;
  }
  return product;
}

const ONE = 1n << 127n;

function power(number: bigint, exponent: bigint): bigint {
  let result = ONE;
  let square = number;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = times(result, square);
    square = times(square, square);
  }
  return result;
}

const inverse = (number: bigint): bigint => power(number, 2n ** 128n - 2n);

function encryptBlock(key: Uint8Array, block: Uint8Array): bigint {
  const cipher = createCipheriv("aes-256-ecb", key, null);
  return numberOf(cipher.update(block).subarray(0, BLOCK));
}

type GcmKey = { readonly key: Uint8Array; readonly nonce: Uint8Array };

/** H, and what masks the tag. */
function halves({ key, nonce }: GcmKey): { hash: bigint; mask: bigint } {
  const counter = concat([nonce, Uint8Array.of(0, 0, 0, 1)]);
  return { hash: encryptBlock(key, new Uint8Array(BLOCK)), mask: encryptBlock(key, counter) };
}

function blocksOf(bytes: Uint8Array): bigint[] {
  const padded = concat([bytes, new Uint8Array((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
  return Array.from({ length: padded.length / BLOCK }, (_, at) =>
    numberOf(padded.subarray(at * BLOCK, (at + 1) * BLOCK)),
  );
}

function tagOf(gcm: GcmKey, associated: Uint8Array, ciphertext: Uint8Array): bigint {
  const lengths = (BigInt(associated.length) << 67n) | BigInt(ciphertext.length * 8);
  const { hash, mask } = halves(gcm);
  const all = [...blocksOf(associated), ...blocksOf(ciphertext), lengths];
  return all.reduce((sum, block) => times(sum ^ block, hash), 0n) ^ mask;
}

function keyOf(
  { hashes }: Primitives,
  secret: SealedEntry["secret"],
  head: Uint8Array,
): GcmKey & { commitment: Uint8Array } {
  const all = hashes.hkdfExpand(secret, concat([labelBytes("chunk-keys"), head]), 76);
  return { key: all.subarray(0, 32), nonce: all.subarray(32, 44), commitment: all.subarray(44) };
}

/** What anybody could store who knows a chunk's secret: other bytes under its key. */
export function sealWith(
  primitives: Primitives,
  secret: SealedEntry["secret"],
  head: Uint8Array,
  raw: Uint8Array,
): Uint8Array {
  const { key, nonce, commitment } = keyOf(primitives, secret, head);
  const { head: frameHead, payload, padding } = closeFrame(primitives.compression, raw);
  const frame = concat([frameHead, payload, padding]);
  const associated = concat([head, commitment]);
  const sealed = new Uint8Array(frame.length + BLOCK);
  primitives.cipher.seal({ key, nonce, associated }, [frame], sealed);
  return concat([associated, sealed]);
}

/** A stored chunk that two secrets' keys both authenticate; it commits to the first. */
export function twoKeyChunk(primitives: Primitives): {
  first: SealedEntry;
  second: SealedEntry;
  stored: Uint8Array;
  gcmOpens: boolean[];
} {
  const { hashes, cipher } = primitives;
  const raw = primitives.chance.bytes(220);
  const sealing = { key: keysOf(SPACE, 1).content, epoch: 1 };
  const { entry, stored: honest } = sealPrivate(primitives, sealing, raw);
  const stored = honest.slice();
  const associated = stored.subarray(0, 40);
  const ciphertext = stored.subarray(40, stored.length - BLOCK);
  const secrets = [entry.secret, chunkSecret(primitives.chance.bytes(32))] as const;
  const gcmKeys = secrets.map((secret) => keyOf(primitives, secret, stored.subarray(0, 8)));
  const [one, two] = [gcmKeys[0]!, gcmKeys[1]!];
  // The free block lies in the payload, behind the frame's head: the frame stays one.
  const free = 5;
  const behind = BigInt(ciphertext.length / BLOCK - free + 1);
  ciphertext.fill(0, free * BLOCK, (free + 1) * BLOCK);
  const weight = power(halves(one).hash, behind) ^ power(halves(two).hash, behind);
  const differing = tagOf(one, associated, ciphertext) ^ tagOf(two, associated, ciphertext);
  ciphertext.set(blockOf(times(differing, inverse(weight))), free * BLOCK);
  stored.set(blockOf(tagOf(one, associated, ciphertext)), stored.length - BLOCK);
  const chunk = chunkId(toHex(hashes.sha256([stored])));
  const frame = cipher.open({ ...one, associated }, stored.subarray(40));
  const opened = openFrame(primitives.compression, frame ?? new Uint8Array(0));
  const actual = opened.kind === "whole" ? opened.raw : opened.delta;
  const rawHash = chunkId(toHex(hashes.sha256([actual])));
  const gcmOpens = gcmKeys.map(
    ({ key, nonce }) => cipher.open({ key, nonce, associated }, stored.subarray(40)) !== null,
  );
  const [first, second] = secrets.map((secret) => ({ ...entry, chunk, secret, raw: rawHash }));
  return { first: first!, second: second!, stored, gcmOpens };
}
