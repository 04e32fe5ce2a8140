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
} from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Cipher, Compression, Hashes, Primitives, Signatures } from "#crypto/primitives.ts";
import { systemChance } from "./chance.ts";

const GCM = "aes-256-gcm";
const TAG_BYTES = 16;
const SHA512_BYTES = 64;

function digest(algorithm: "sha256" | "sha512", parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return hash(algorithm, first, "buffer");
  const digesting = createHash(algorithm);
  for (const part of parts) digesting.update(part);
  return digesting.digest();
}

const hashes: Hashes = {
  sha256: (parts) => digest("sha256", parts),
  sha512: (parts) => digest("sha512", parts),
  hmacSha256(key, parts) {
    const authenticating = createHmac("sha256", key);
    for (const part of parts) authenticating.update(part);
    return authenticating.digest();
  },
  hkdfExtract: (salt, secret) => createHmac("sha512", salt).update(secret).digest(),
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

const cipher: Cipher = {
  seal({ key, nonce, associated }, parts, into) {
    const sealing = createCipheriv(GCM, key, nonce);
    sealing.setAAD(associated);
    let at = 0;
    for (const part of parts) {
      into.set(sealing.update(part), at);
      at += part.length;
    }
    sealing.final();
    into.set(sealing.getAuthTag(), at);
  },
  open({ key, nonce, associated }, sealed) {
    const opening = createDecipheriv(GCM, key, nonce);
    const tagAt = sealed.length - TAG_BYTES;
    opening.setAAD(associated);
    opening.setAuthTag(sealed.subarray(tagAt));
    const plain = opening.update(sealed.subarray(0, tagAt));
    try {
      opening.final();
      return plain;
    } catch {
      return null;
    }
  },
};

/** What stands before a seed (PKCS #8) and a public key (SPKI) of Ed25519, RFC 8410. */
const SEED_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_HEAD = Buffer.from("302a300506032b6570032100", "hex");

function privateKey(seed: Uint8Array): ReturnType<typeof createPrivateKey> {
  const key = Buffer.concat([SEED_HEAD, seed]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

const signatures: Signatures = {
  publicKey(seed) {
    const whole = createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" });
    return whole.subarray(PUBLIC_HEAD.length);
  },
  sign: (seed, message) => sign(null, message, privateKey(seed)),
  verify(publicKey, message, signature) {
    const key = Buffer.concat([PUBLIC_HEAD, publicKey]);
    try {
      return verify(null, message, { key, format: "der", type: "spki" }, signature);
    } catch {
      // Not every 32 bytes are a point.
      return false;
    }
  },
};

const compression: Compression = {
  compress: (bytes) =>
    zstdCompressSync(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: 3 },
      pledgedSrcSize: bytes.length,
    }),
  decompress(bytes, lengthBytes) {
    try {
      const raw = zstdDecompressSync(bytes, { maxOutputLength: lengthBytes });
      return raw.length === lengthBytes ? raw : null;
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
