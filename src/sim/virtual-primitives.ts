import * as native from "node:crypto";
import * as zlib from "node:zlib";
import { concat, fromHex } from "#core/bytes.ts";
import type { Chance } from "#core/world.ts";
import { TAG_BYTES, type Primitives } from "#crypto/primitives.ts";

/** Ed25519 and its keys as they are. */
function seedKey(seed: Uint8Array): native.KeyObject {
  const key = Buffer.from(seed);
  return native.createPrivateKey({ key, format: "raw-private", asymmetricKeyType: "ed25519" });
}

function isSigned(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const raw = { format: "raw-public", asymmetricKeyType: "ed25519" } as const;
  const key = native.createPublicKey({ ...raw, key: Buffer.from(publicKey) });
  return native.verify(null, message, key, signature);
}

/** A copy without Node's own methods. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

/** What `work` makes, or `otherwise` when the machine refuses the bytes. */
function unlessRefused<T, Otherwise>(otherwise: Otherwise, work: () => T): T | Otherwise {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

/** HKDF's second half by the book: T(n) is the HMAC of T(n - 1), the purpose and n. */
function* expansion(key: Uint8Array, info: Uint8Array): Generator<Uint8Array, never, undefined> {
  let last: Uint8Array = new Uint8Array(0);
  for (let at = 1; ; at++) {
    const message = concat([last, info, Uint8Array.of(at)]);
    last = plain(native.createHmac("sha512", key).update(message).digest());
    yield last;
  }
}

/**
 * The primitives of a dreamed machine: the formats are the real ones, and all that is drawn comes
 * from the story's seed.
 */
export function virtualPrimitives(chance: Chance): Primitives {
  return {
    chance,
    hashes: {
      sha256: (parts) => fromHex(native.hash("sha256", concat(parts), "hex")),
      sha512: (parts) => fromHex(native.hash("sha512", concat(parts), "hex")),
      hmacSha256: (key, parts) =>
        plain(native.createHmac("sha256", key).update(concat(parts)).digest()),
      hkdfExtract: (salt, secret) =>
        plain(native.createHmac("sha512", salt).update(secret).digest()),
      hkdfExpand: (key, info, lengthBytes) =>
        concat([...expansion(key, info).take(Math.ceil(lengthBytes / 64))]).slice(0, lengthBytes),
      equal: (left, right) => Buffer.compare(left, right) === 0,
    },
    cipher: {
      seal({ key, nonce, associated }, parts, into) {
        const sealing = native.createCipheriv("aes-256-gcm", key, nonce).setAAD(associated);
        const sealed = [sealing.update(concat(parts)), sealing.final(), sealing.getAuthTag()];
        into.set(concat(sealed));
      },
      open({ key, nonce, associated }, sealed) {
        const end = sealed.length - TAG_BYTES;
        const opening = native.createDecipheriv("aes-256-gcm", key, nonce).setAAD(associated);
        opening.setAuthTag(sealed.subarray(end));
        const opened = opening.update(sealed.subarray(0, end));
        return unlessRefused(null, () => concat([opened, opening.final()]));
      },
    },
    signatures: {
      publicKey: (seed) =>
        plain(native.createPublicKey(seedKey(seed)).export({ format: "raw-public" })),
      sign: (seed, message) => plain(native.sign(null, message, seedKey(seed))),
      verify: (publicKey, message, signature) =>
        unlessRefused(false, () => isSigned(publicKey, message, signature)),
    },
    compression: {
      compress: (bytes) => plain(zlib.zstdCompressSync(bytes)),
      decompress(bytes, lengthBytes) {
        const options = { maxOutputLength: lengthBytes };
        const raw = unlessRefused(null, () => zlib.zstdDecompressSync(bytes, options));
        return raw?.length === lengthBytes ? plain(raw) : null;
      },
    },
  };
}
