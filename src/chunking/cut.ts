import { assert } from "#core/assert.ts";
import { sipHash } from "./siphash.ts";

// The boundary function "vgear": where a file's bytes part into chunks. The rule, with all
// arithmetic mod 256 and i the index of a byte b:
//
//   t[i]  = A[b & 15] + B[b >> 4]        h2[i]  = t[i]  + 2 t[i-1]      h4[i]  = h2[i]  ^ h2[i-2]
//   h8[i] = h4[i] + h4[i-4]              h16[i] = h8[i] ^ h8[i-8]       h32[i] = h16[i] + h16[i-16]
//   candidate(i): h32[i] = 0 and all bits of `mask` are set in h16[i]
//   P(i) = SipHash-2-4 of the 64 bytes that end with i
//
// A chunk ends behind the first candidate that lies beyond `min` and has P below a threshold: a
// strict one up to `avg`, a lenient one after it (normalised chunking: Xia and others, "FastCDC",
// USENIX ATC 2016). When `max` comes first, it ends behind the candidate with the smallest P seen,
// and only when there was none at `max` itself. So a boundary depends on at most 64 bytes before
// it, and on a key.

/** Bytes of a cut key: a SipHash key and the two nibble tables, 16 each. */
const CUT_KEY_BYTES = 48;

/** A file's chunks: none but its last is as short as `minBytes`, none is longer than `maxBytes`. */
export type CutSizes = {
  readonly minBytes: number;
  readonly avgBytes: number;
  readonly maxBytes: number;
};

/** The secret half of the boundary function, in the form that cutting wants. */
export type CutKey = {
  readonly sip: Uint8Array;
  /** t of each byte, mod 256. */
  readonly table: Uint8Array;
  /** t mod 128 of each byte in the first, second, third and fourth lane of a 32-bit word. */
  readonly lanes: Int32Array;
};

/** Bytes that h32 looks back upon, and bytes that P does. */
const WINDOW_BYTES = 32;
const CONFIRM_BYTES = 64;

const LEAST_BITS = 11;
const MOST_BITS = 24;

/** min = avg/4, max = 4 avg, avg = 2^bits. */
export function cutSizes(bits: number): CutSizes {
  assert(Number.isInteger(bits) && bits >= LEAST_BITS && bits <= MOST_BITS, `bits: ${bits}`);
  return { minBytes: 2 ** (bits - 2), avgBytes: 2 ** bits, maxBytes: 2 ** (bits + 2) };
}

/** Reads a key: SipHash key, table A, table B. */
export function cutKeyFrom(bytes: Uint8Array): CutKey {
  assert(bytes.length === CUT_KEY_BYTES, `a cut key has 48 bytes, not ${bytes.length}`);
  const table = new Uint8Array(256);
  const lanes = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    table[byte] = bytes[16 + (byte & 15)]! + bytes[32 + (byte >> 4)]!;
    for (let lane = 0; lane < 4; lane++) {
      lanes[lane * 256 + byte] = (table[byte]! & 0x7f) << (8 * lane);
    }
  }
  return { sip: bytes.slice(0, 16), table, lanes };
}

type Rule = {
  /** Bits that a candidate's h16 has set. */
  readonly mask: number;
  /** High halves of the thresholds 2^n - 1: the low halves are all ones. */
  readonly strict: number;
  readonly lenient: number;
};

/** How rare candidates are (one in 2^prefilter) and which share of them cuts. */
function ruleOf(sizes: CutSizes): Rule {
  const bits = 31 - Math.clz32(sizes.avgBytes);
  assert(sizes.avgBytes === 2 ** bits && sizes.minBytes >= CONFIRM_BYTES, "sizes that cannot cut");
  const prefilter = Math.min(15, Math.max(9, bits - 3));
  return {
    mask: 2 ** (prefilter - 8) - 1,
    strict: 2 ** (32 - (bits + 2 - prefilter)) - 1,
    lenient: 2 ** (32 - (bits - 2 - prefilter)) - 1,
  };
}

/** candidate(i), by the book. */
function isCandidate(bytes: Uint8Array, index: number, table: Uint8Array, mask: number): boolean {
  // One array for t, h2, h4, h8 and h16 in turn: going downwards, what lies before is not yet
  // changed.
  const h = new Uint8Array(WINDOW_BYTES);
  const first = index - WINDOW_BYTES + 1;
  for (let at = 0; at < WINDOW_BYTES; at++) h[at] = table[bytes[first + at]!]!;
  for (let at = 31; at >= 1; at--) h[at] = h[at]! + 2 * h[at - 1]!;
  for (let at = 31; at >= 3; at--) h[at] = h[at]! ^ h[at - 2]!;
  for (let at = 31; at >= 7; at--) h[at] = h[at]! + h[at - 4]!;
  for (let at = 31; at >= 15; at--) h[at] = h[at]! ^ h[at - 8]!;
  return ((h[31]! + h[15]!) & 0xff) === 0 && (h[31]! & mask) === mask;
}

/** The first candidate in [from, to), or -1. Four bytes a step, one in each lane of a word. */
function nextCandidate(
  bytes: Uint8Array,
  from: number,
  to: number,
  key: CutKey,
  mask: number,
): number {
  const { table, lanes } = key;
  // Seven bits a lane are enough to rule out almost all positions, and leave the eighth for
  // carries: the low bits of sums and exclusive ors never depend on higher ones. Lane 0 is the
  // earliest byte.
  const masks = mask * 0x01010101;
  const full = (mask + 1) * 0x01010101;
  const recent = new Int32Array(4);
  let t = 0;
  let h2 = 0;
  let h4 = 0;
  let h8 = 0;
  let h8Before = 0;
  let at = from - WINDOW_BYTES;
  for (; at + 4 <= to; at += 4) {
    const tHere =
      lanes[bytes[at]!]! |
      lanes[256 + bytes[at + 1]!]! |
      lanes[512 + bytes[at + 2]!]! |
      lanes[768 + bytes[at + 3]!]!;
    const twice = (((tHere << 8) | (t >>> 24)) << 1) & 0x7e7e7e7e;
    const h2Here = (tHere + twice) & 0x7f7f7f7f;
    const h4Here = h2Here ^ ((h2Here << 16) | (h2 >>> 16));
    const h8Here = (h4Here + h4) | 0;
    const h16 = (h8Here ^ h8Before) & 0x7f7f7f7f;
    const h16Before = recent[(at >> 2) & 3]!;
    recent[(at >> 2) & 3] = h16;
    t = tHere;
    h2 = h2Here;
    h4 = h4Here;
    h8Before = h8;
    h8 = h8Here;
    if ((((h16 & masks) + 0x01010101) & full) === 0) continue;
    // Zero in a lane: its h16 has the mask's bits and its h32 is 0 in the low seven.
    const misses = ((h16 & masks) ^ masks) | ((h16 + h16Before) & 0x7f7f7f7f);
    if (((misses - 0x01010101) & ~misses & 0x80808080) === 0 || at < from) continue;
    for (let index = at; index < at + 4; index++) {
      if (isCandidate(bytes, index, table, mask)) return index;
    }
  }
  for (; at < to; at++) if (isCandidate(bytes, at, table, mask)) return at;
  return -1;
}

/**
 * The length in bytes of the chunk that starts at `start`, where bytes[start, end) reaches the end
 * of the file or holds at least `sizes.maxBytes`. `sizes.avgBytes` is a power of two.
 */
export function nextCut(
  bytes: Uint8Array,
  start: number,
  end: number,
  sizes: CutSizes,
  key: CutKey,
): number {
  const { minBytes, avgBytes, maxBytes } = sizes;
  if (end - start <= minBytes) return end - start;
  const rule = ruleOf(sizes);
  const stop = Math.min(end, start + maxBytes);
  let smallest = { high: 0x100000000, low: 0 };
  let fallback = stop - start;
  for (let from = start + minBytes; ;) {
    const index = nextCandidate(bytes, from, stop, key, rule.mask);
    if (index < 0) break;
    const length = index + 1 - start;
    const p = sipHash(key.sip, bytes, index + 1 - CONFIRM_BYTES, index + 1);
    const threshold = length <= avgBytes ? rule.strict : rule.lenient;
    if (p.high < threshold || (p.high === threshold && p.low < 0xffffffff)) return length;
    if (p.high < smallest.high || (p.high === smallest.high && p.low < smallest.low)) {
      smallest = p;
      fallback = length;
    }
    from = index + 1;
  }
  return end - start < maxBytes ? end - start : fallback;
}
