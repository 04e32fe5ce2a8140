import { fromHex, toHex } from "#core/bytes.ts";
import { ELEMENT_BYTES, type Ristretto } from "#crypto/ristretto.ts";

/** 2^252 + 27742317777372353535851937790883648493, the order of the real group. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const GENERATOR = 9n;

function numberOf(littleEndian: Uint8Array): bigint {
  return BigInt(`0x${toHex(littleEndian.toReversed())}`);
}

function bytesOf(number: bigint): Uint8Array {
  const hex = number.toString(16).padStart(2 * ELEMENT_BYTES, "0");
  return fromHex(hex).reverse();
}

const reduced = (bytes: Uint8Array): Uint8Array => bytesOf(numberOf(bytes) % ORDER);

/** Null for the identity, which no product may be. */
function product(left: bigint, right: bigint): Uint8Array | null {
  const number = (left * right) % ORDER;
  return number === 0n ? null : bytesOf(number);
}

function power(number: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let base = number, left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * base) % ORDER;
    base = (base * base) % ORDER;
  }
  return result;
}

/**
 * A group of the same order with the same laws in which logarithms are easy: numbers under
 * addition. Whatever is computed in ristretto255 comes out here as well, in microseconds, and hides
 * nothing.
 */
export const virtualRistretto: Ristretto = {
  elements: {
    fromUniform: reduced,
    isElement: (bytes) => {
      const number = numberOf(bytes);
      return number > 0n && number < ORDER;
    },
    multiply: (scalar, element) => product(numberOf(scalar), numberOf(element)),
    multiplyGenerator: (scalar) => product(numberOf(scalar), GENERATOR),
    add: (left, right) => bytesOf((numberOf(left) + numberOf(right)) % ORDER),
  },
  scalars: {
    reduce: reduced,
    multiply: (left, right) => bytesOf((numberOf(left) * numberOf(right)) % ORDER),
    subtract: (left, right) => bytesOf((numberOf(left) - numberOf(right) + ORDER) % ORDER),
    invert: (scalar) => bytesOf(power(numberOf(scalar), ORDER - 2n)),
  },
};
