// The boundary function of ../cut.ts, which has the rule and its sources, as AssemblyScript: 32
// bytes a step in SIMD128. scripts/vgear-build.mjs makes vgear.wasm of it. No relaxed SIMD, whose
// answers may differ between machines.
//
// The memory: the key at KEY, as its 48 bytes lie in a cut key (SipHash key, table A, table B); the
// bytes to cut anywhere behind it, with room for MARGIN more bytes after the last.

const KEY: usize = 1024;
const TABLE_A: usize = KEY + 16;
const TABLE_B: usize = KEY + 32;

/** Bytes that h32 looks back upon, and bytes of a step. */
const WINDOW: u32 = 32;
const CONFIRM: usize = 64;

/** t of 16 bytes. */
function tableOf(bytes: v128, a: v128, b: v128): v128 {
  const low = i8x16.splat(15);
  return i8x16.add(
    i8x16.swizzle(a, v128.and(bytes, low)),
    i8x16.swizzle(b, v128.and(i16x8.shr_u(bytes, 4), low)),
  );
}

/** Each lane's neighbour so many bytes earlier, where `before` holds the 16 bytes before. */
// oxfmt-ignore
function back1(before: v128, here: v128): v128 {
  return i8x16.shuffle(
    before, here,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
  );
}
// oxfmt-ignore
function back2(before: v128, here: v128): v128 {
  return i8x16.shuffle(
    before, here,
    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
  );
}
// oxfmt-ignore
function back4(before: v128, here: v128): v128 {
  return i8x16.shuffle(
    before, here,
    12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
  );
}
// oxfmt-ignore
function back8(before: v128, here: v128): v128 {
  return i8x16.shuffle(
    before, here,
    8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
  );
}

function h2Of(tBefore: v128, t: v128): v128 {
  const earlier = back1(tBefore, t);
  return i8x16.add(t, i8x16.add(earlier, earlier));
}

/** Lanes of ones where h32 is 0 and h16 has all bits of the mask. */
function candidates(h16Before: v128, h16: v128, mask: v128): v128 {
  const misses = v128.or(i8x16.add(h16, h16Before), v128.andnot(mask, h16));
  return i8x16.eq(misses, i8x16.splat(0));
}

/** SipHash-2-4 (Aumasson, Bernstein 2012) of the 64 bytes before `end`. */
function confirm(end: usize): u64 {
  const k0 = load<u64>(KEY);
  const k1 = load<u64>(KEY, 8);
  let v0: u64 = 0x736f6d6570736575 ^ k0;
  let v1: u64 = 0x646f72616e646f6d ^ k1;
  let v2: u64 = 0x6c7967656e657261 ^ k0;
  let v3: u64 = 0x7465646279746573 ^ k1;
  // Eight words, the word that holds the length, and one turn of four rounds without a word.
  for (let word = 0; word < 10; word++) {
    let m: u64 = 0;
    if (word < 8) m = load<u64>(end - CONFIRM + ((<usize>word) << 3));
    else if (word == 8) m = (<u64>CONFIRM) << 56;
    else v2 ^= 0xff;
    v3 ^= m;
    const rounds = word == 9 ? 4 : 2;
    for (let round = 0; round < rounds; round++) {
      v0 += v1;
      v1 = rotl(v1, 13) ^ v0;
      v0 = rotl(v0, 32);
      v2 += v3;
      v3 = rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = rotl(v1, 17) ^ v2;
      v2 = rotl(v2, 32);
    }
    v0 ^= m;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

/**
 * The length in bytes of the chunk that starts at `start`, where `size` bytes lie that reach the
 * end of the file or are at least `max`; `avg` is a power of two, `min` at least 64.
 */
export function nextCut(start: usize, size: u32, min: u32, avg: u32, max: u32): u32 {
  if (size <= min) return size;
  const bits: i32 = 31 - clz(avg);
  const prefilter: i32 = bits - 3 < 9 ? 9 : bits - 3 > 15 ? 15 : bits - 3;
  const maskBits: i32 = (1 << (prefilter - 8)) - 1;
  const mask = i8x16.splat(<i8>maskBits);
  // 2^(64 - n) - 1, also where n is 0.
  const strict = u64.MAX_VALUE >> <u64>(bits + 2 - prefilter);
  const lenient = u64.MAX_VALUE >> <u64>(bits - 2 - prefilter);
  const isForced = size >= max;
  const end = start + (isForced ? max : size);
  const middle = start + avg;
  const a = v128.load(TABLE_A);
  const b = v128.load(TABLE_B);

  let t = i8x16.splat(0);
  let h2 = t;
  let h4 = t;
  let h8 = t;
  let h16 = t;
  let smallest: u64 = 0;
  let fallback: usize = 0;
  // The first step only fills the window: no position in it is far enough from the start.
  for (let at = start + min - WINDOW; at < end; at += WINDOW) {
    const tOne = tableOf(v128.load(at), a, b);
    const tTwo = tableOf(v128.load(at, 16), a, b);
    const h2One = h2Of(t, tOne);
    const h2Two = h2Of(tOne, tTwo);
    const h4One = v128.xor(h2One, back2(h2, h2One));
    const h4Two = v128.xor(h2Two, back2(h2One, h2Two));
    const h8One = i8x16.add(h4One, back4(h4, h4One));
    const h8Two = i8x16.add(h4Two, back4(h4One, h4Two));
    const h16One = v128.xor(h8One, back8(h8, h8One));
    const h16Two = v128.xor(h8Two, back8(h8One, h8Two));
    const one = candidates(h16, h16One, mask);
    const two = candidates(h16One, h16Two, mask);
    t = tTwo;
    h2 = h2Two;
    h4 = h4Two;
    h8 = h8Two;
    h16 = h16Two;
    if (!v128.any_true(v128.or(one, two)) || at < start + min) continue;
    let hits: u32 = i8x16.bitmask(one) | (i8x16.bitmask(two) << 16);
    for (; hits != 0; hits &= hits - 1) {
      const behind = at + <usize>ctz(hits) + 1;
      if (behind > end) break;
      const p = confirm(behind);
      if (p < (behind <= middle ? strict : lenient)) return <u32>(behind - start);
      if (fallback == 0 || p < smallest) {
        smallest = p;
        fallback = behind;
      }
    }
  }
  return isForced && fallback != 0 ? <u32>(fallback - start) : <u32>(end - start);
}
