import type { webcrypto } from "node:crypto";
import { ed25519, ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { concat } from "#core/bytes.ts";
import type { Ristretto } from "#crypto/ristretto.ts";
import type { PrimitivesUnderTest } from "./sealing-laws.ts";

// The ports again with libraries that share no code with ours: WebCrypto and noble.

const { subtle } = globalThis.crypto;

const whole = (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(concat(parts));

async function digest(name: string, parts: readonly Uint8Array[]): Promise<Uint8Array> {
  return new Uint8Array(await subtle.digest(name, whole(parts)));
}

export async function hmac(
  hash: "SHA-256" | "SHA-512",
  key: Uint8Array,
  parts: readonly Uint8Array[],
): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash };
  const imported = await subtle.importKey("raw", whole([key]), algorithm, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", imported, whole(parts)));
}

export async function hkdfExpand(
  key: Uint8Array,
  info: Uint8Array,
  lengthBytes: number,
): Promise<Uint8Array> {
  let all = new Uint8Array(0);
  let block: Uint8Array = new Uint8Array(0);
  for (let counter = 1; all.length < lengthBytes; counter++) {
    block = await hmac("SHA-512", key, [block, info, Uint8Array.of(counter)]);
    all = whole([all, block]);
  }
  return all.subarray(0, lengthBytes);
}

type Use = Parameters<PrimitivesUnderTest["cipher"]["seal"]>[0];

async function gcm(
  use: Use,
): Promise<{ key: webcrypto.CryptoKey; parameters: webcrypto.AeadParams }> {
  const usages: webcrypto.KeyUsage[] = ["encrypt", "decrypt"];
  const key = await subtle.importKey("raw", whole([use.key]), "AES-GCM", false, usages);
  const [iv, additionalData] = [whole([use.nonce]), whole([use.associated])];
  return { key, parameters: { name: "AES-GCM", iv, additionalData, tagLength: 128 } };
}

export const secondPrimitives: PrimitivesUnderTest = {
  hashes: {
    sha256: (parts) => digest("SHA-256", parts),
    sha512: (parts) => digest("SHA-512", parts),
    hmacSha256: (key, parts) => hmac("SHA-256", key, parts),
    hkdfExtract: (salt, secret) => hmac("SHA-512", salt, [secret]),
    hkdfExpand,
    equal: (left, right) => left.length === right.length && left.every((b, at) => b === right[at]),
  },
  cipher: {
    async seal(use, parts, into) {
      const { key, parameters } = await gcm(use);
      into.set(new Uint8Array(await subtle.encrypt(parameters, key, whole(parts))));
    },
    async open(use, sealed) {
      const { key, parameters } = await gcm(use);
      try {
        return new Uint8Array(await subtle.decrypt(parameters, key, whole([sealed])));
      } catch {
        return null;
      }
    },
  },
  signatures: {
    publicKey: (seed) => ed25519.getPublicKey(seed),
    sign: (seed, message) => ed25519.sign(message, seed),
    verify(publicKey, message, signature) {
      try {
        return ed25519.verify(signature, message, publicKey);
      } catch {
        return false;
      }
    },
  },
};

const { Point } = ristretto255;
const order = Point.Fn.ORDER;

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((number, byte) => number * 256n + BigInt(byte), 0n);
}

function scalarOf(number: bigint): Uint8Array {
  let rest = ((number % order) + order) % order;
  return Uint8Array.from({ length: 32 }, () => {
    const byte = Number(rest % 256n);
    rest /= 256n;
    return byte;
  });
}

type RistrettoPoint = InstanceType<typeof Point>;

function multiple(scalar: Uint8Array, point: RistrettoPoint): Uint8Array | null {
  const number = numberOf(scalar) % order;
  return number === 0n || point.is0() ? null : point.multiply(number).toBytes();
}

export const secondRistretto: Ristretto = {
  elements: {
    fromUniform: (uniform) => ristretto255_hasher.deriveToCurve!(uniform).toBytes(),
    isElement(bytes) {
      try {
        return !Point.fromBytes(bytes).is0();
      } catch {
        return false;
      }
    },
    multiply: (scalar, element) => multiple(scalar, Point.fromBytes(element)),
    multiplyGenerator: (scalar) => multiple(scalar, Point.BASE),
    add: (left, right) => Point.fromBytes(left).add(Point.fromBytes(right)).toBytes(),
  },
  scalars: {
    reduce: (uniform) => scalarOf(numberOf(uniform)),
    multiply: (left, right) => scalarOf(numberOf(left) * numberOf(right)),
    subtract: (left, right) => scalarOf(numberOf(left) - numberOf(right)),
    invert: (scalar) => Point.Fn.toBytes(Point.Fn.inv(numberOf(scalar))),
  },
};
