import { assert } from "#core/assert.ts";

// SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). The 64-bit words
// are pairs of 32-bit halves, low half first: BigInt would be fifty times slower, and this runs
// while a file is cut.

/** Bytes of a SipHash key. */
const SIP_KEY_BYTES = 16;

/** The two halves of the 64-bit result, both unsigned. */
export type Sip64 = { readonly high: number; readonly low: number };

/** "somepseudorandomlygeneratedbytes", as four words of two halves. */
const START = [
  0x70736575, 0x736f6d65, 0x6e646f6d, 0x646f7261, 0x6e657261, 0x6c796765, 0x79746573, 0x74656462,
] as const;

/** v[at] += v[by], where words start at even indexes. */
function add(v: Uint32Array, at: number, by: number): void {
  const low = v[at]! + v[by]!;
  v[at] = low;
  v[at + 1] = v[at + 1]! + v[by + 1]! + (low > 0xffffffff ? 1 : 0);
}

/** v[at] = rotate left by `bits` (below 32), then v[at] ^= v[by]. */
function rotateAndMix(v: Uint32Array, at: number, bits: number, by: number): void {
  const low = v[at]!;
  const high = v[at + 1]!;
  v[at] = ((low << bits) | (high >>> (32 - bits))) ^ v[by]!;
  v[at + 1] = ((high << bits) | (low >>> (32 - bits))) ^ v[by + 1]!;
}

/** v[at] = rotate left by 32: the halves change places. */
function swapHalves(v: Uint32Array, at: number): void {
  const low = v[at]!;
  v[at] = v[at + 1]!;
  v[at + 1] = low;
}

function round(v: Uint32Array): void {
  add(v, 0, 2);
  rotateAndMix(v, 2, 13, 0);
  swapHalves(v, 0);
  add(v, 4, 6);
  rotateAndMix(v, 6, 16, 4);
  add(v, 0, 6);
  rotateAndMix(v, 6, 21, 0);
  add(v, 4, 2);
  rotateAndMix(v, 2, 17, 4);
  swapHalves(v, 4);
}

function absorb(v: Uint32Array, low: number, high: number): void {
  v[6] = v[6]! ^ low;
  v[7] = v[7]! ^ high;
  round(v);
  round(v);
  v[0] = v[0]! ^ low;
  v[1] = v[1]! ^ high;
}

/** Up to four bytes from `at` as a little-endian word; bytes at or beyond `end` count as zero. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  let word = 0;
  for (let index = Math.min(at + 4, end) - 1; index >= at; index--) {
    word = (word << 8) | bytes[index]!;
  }
  return word;
}

/** SipHash-2-4 of bytes[start, end) under a key of 16 bytes. */
export function sipHash(key: Uint8Array, bytes: Uint8Array, start: number, end: number): Sip64 {
  assert(key.length === SIP_KEY_BYTES, `a SipHash key has 16 bytes, not ${key.length}`);
  const v = Uint32Array.from(START);
  for (let half = 0; half < 4; half++) {
    const word = wordAt(key, half * 4, SIP_KEY_BYTES);
    v[half] = v[half]! ^ word;
    v[half + 4] = v[half + 4]! ^ word;
  }
  let at = start;
  for (; at + 8 <= end; at += 8) absorb(v, wordAt(bytes, at, end), wordAt(bytes, at + 4, end));
  // The last word holds what is left over, and the length mod 256 in its highest byte.
  absorb(v, wordAt(bytes, at, end), wordAt(bytes, at + 4, end) | ((end - start) << 24));
  v[4] = v[4]! ^ 0xff;
  for (let count = 0; count < 4; count++) round(v);
  return {
    high: (v[1]! ^ v[3]! ^ v[5]! ^ v[7]!) >>> 0,
    low: (v[0]! ^ v[2]! ^ v[4] ^ v[6]!) >>> 0,
  };
}
