import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  sign,
  timingSafeEqual,
  verify,
  type CipherGCM,
  type DecipherGCM,
  type KeyObject,
} from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { release } from "#core/bytes.ts";
import type { Cipher, Compression, Hashes, Primitives, Signatures } from "#crypto/primitives.ts";
import { systemChance } from "./chance.ts";

const GCM = "aes-256-gcm";
const TAG_BYTES = 16;
const CIPHERED_AT_ONCE_BYTES = 64 * 1024;
const SHA512_BYTES = 64;

/** The same memory without Node's own methods, of which `slice` copies nothing. */
function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A byte a character: as text a short digest takes Node half as long as in a buffer of its own. */
function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

function digest(algorithm: "sha256" | "sha512", parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined)
    return fromLatin1(hash(algorithm, first, "latin1"));
  const digesting = createHash(algorithm);
  for (const part of parts) digesting.update(part);
  return plain(digesting.digest());
}

const hashes: Hashes = {
  sha256: (parts) => digest("sha256", parts),
  sha512: (parts) => digest("sha512", parts),
  hmacSha256(key, parts) {
    const authenticating = createHmac("sha256", key);
    for (const part of parts) authenticating.update(part);
    return plain(authenticating.digest());
  },
  hkdfExtract: (salt, secret) => plain(createHmac("sha512", salt).update(secret).digest()),
  // Node's own HKDF does both halves at once, and cannot do the second alone.
  hkdfExpand(key, info, lengthBytes) {
    const blocks = new Uint8Array(Math.ceil(lengthBytes / SHA512_BYTES) * SHA512_BYTES);
    let block = new Uint8Array(0);
    for (let at = 0; at < lengthBytes; at += SHA512_BYTES) {
      const counter = Uint8Array.of(at / SHA512_BYTES + 1);
      block = createHmac("sha512", key).update(block).update(info).update(counter).digest();
      blocks.set(block, at);
    }
    return blocks.subarray(0, lengthBytes);
  },
  equal: (left, right) => left.length === right.length && timingSafeEqual(left, right),
};

/**
 * Node answers each update with two new arrays of its length, one for itself: short ones do not
 * leave the processor's cache. Returns where in `into` it came to.
 */
function runThrough(by: CipherGCM | DecipherGCM, bytes: Uint8Array, into: Uint8Array, to: number) {
  for (let from = 0; from < bytes.length; from += CIPHERED_AT_ONCE_BYTES) {
    const through = by.update(bytes.subarray(from, from + CIPHERED_AT_ONCE_BYTES));
    into.set(through, to + from);
    release(through);
  }
  return to + bytes.length;
}

const cipher: Cipher = {
  seal({ key, nonce, associated }, parts, into) {
    const sealing = createCipheriv(GCM, key, nonce);
    sealing.setAAD(associated);
    let at = 0;
    for (const part of parts) at = runThrough(sealing, part, into, at);
    sealing.final();
    into.set(sealing.getAuthTag(), at);
  },
  open({ key, nonce, associated }, sealed) {
    const opening = createDecipheriv(GCM, key, nonce);
    const tagAt = sealed.length - TAG_BYTES;
    opening.setAAD(associated);
    opening.setAuthTag(sealed.subarray(tagAt));
    const opened = plain(Buffer.allocUnsafeSlow(tagAt));
    runThrough(opening, sealed.subarray(0, tagAt), opened, 0);
    try {
      opening.final();
      return opened;
    } catch {
      release(opened);
      return null;
    }
  },
};

function privateKey(seed: Uint8Array): KeyObject {
  const key = Buffer.from(seed);
  return createPrivateKey({ key, format: "raw-private", asymmetricKeyType: "ed25519" });
}

const signatures: Signatures = {
  publicKey: (seed) => plain(createPublicKey(privateKey(seed)).export({ format: "raw-public" })),
  sign: (seed, message) => plain(sign(null, message, privateKey(seed))),
  verify(publicKey, message, signature) {
    try {
      const key = Buffer.from(publicKey);
      const raw = { key, format: "raw-public", asymmetricKeyType: "ed25519" } as const;
      return verify(null, message, createPublicKey(raw), signature);
    } catch {
      // Not every 32 bytes are a point.
      return false;
    }
  },
};

const compression: Compression = {
  compress: (bytes) =>
    plain(
      zstdCompressSync(bytes, {
        params: { [constants.ZSTD_c_compressionLevel]: 3 },
        pledgedSrcSize: bytes.length,
      }),
    ),
  decompress(bytes, lengthBytes) {
    try {
      const raw = zstdDecompressSync(bytes, { maxOutputLength: lengthBytes });
      return raw.length === lengthBytes ? plain(raw) : null;
    } catch {
      return null;
    }
  },
};

/** OpenSSL's and zstd's, as Node has them. */
export const systemPrimitives: Primitives = {
  hashes,
  cipher,
  signatures,
  compression,
  chance: systemChance,
};
