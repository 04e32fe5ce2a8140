import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutKeyFrom, cutSizes, nextCut } from "./cut.ts";
import { GOLDEN } from "./golden-cuts.ts";
import { randomSample, textSample } from "./sample-bytes.ts";
import { sipHash } from "./siphash.ts";
import { sizesOf } from "./sizes.ts";
import { splitAll } from "./split.ts";

const KEY_BYTES = randomSample(48, 48);
const KEY = cutKeyFrom(KEY_BYTES);
const MIB = 1024 * 1024;

/** The rule of SPEC CK2 word for word, slowly, for a chunk that starts at the first of `bytes`. */
function plainCut(bytes: Uint8Array, bits: number, keyBytes: Uint8Array): number {
  const avg = 2 ** bits;
  if (bytes.length <= avg / 4) return bytes.length;
  const prefilter = Math.min(15, Math.max(9, bits - 3));
  const mask = 2 ** (prefilter - 8) - 1;
  const strict = 2n ** BigInt(64 - (bits + 2 - prefilter)) - 1n;
  const lenient = 2n ** BigInt(64 - (bits - 2 - prefilter)) - 1n;
  const end = Math.min(bytes.length, avg * 4);
  const t = Array.from(bytes, (b) => (keyBytes[16 + (b % 16)]! + keyBytes[32 + (b >> 4)]!) % 256);
  const h2 = t.map((own, i) => (own + 2 * (t[i - 1] ?? 0)) % 256);
  const h4 = h2.map((own, i) => own ^ (h2[i - 2] ?? 0));
  const h8 = h4.map((own, i) => (own + (h4[i - 4] ?? 0)) % 256);
  const h16 = h8.map((own, i) => own ^ (h8[i - 8] ?? 0));
  let smallest = 2n ** 64n;
  let fallback = end;
  for (let i = avg / 4; i < end; i++) {
    const h32 = (h16[i]! + h16[i - 16]!) % 256;
    if (h32 !== 0 || (h16[i]! & mask) !== mask) continue;
    const { high, low } = sipHash(keyBytes.subarray(0, 16), bytes, i - 63, i + 1);
    const p = (BigInt(high) << 32n) | BigInt(low);
    if (p < (i + 1 <= avg ? strict : lenient)) return i + 1;
    if (p < smallest) {
      smallest = p;
      fallback = i + 1;
    }
  }
  return bytes.length >= avg * 4 ? fallback : end;
}

/** Bytes of several tempers: cutters must agree on all of them; periodic ones are the worst. */
const someBytes = fc
  .record({
    seed: fc.integer(),
    length: fc.integer({ min: 1, max: 20_000 }),
    temper: fc.constantFrom("random", "text", "two-letters", "period"),
    period: fc.integer({ min: 1, max: 80 }),
  })
  .map(({ seed, length, temper, period }) => {
    if (temper === "random") return randomSample(seed, length);
    if (temper === "text") return textSample(seed, length);
    const pattern = randomSample(seed, temper === "period" ? period : length);
    return Uint8Array.from({ length }, (_, at) =>
      temper === "period" ? pattern[at % period]! : 65 + (pattern[at]! & 1),
    );
  });

const someKey = fc.uint8Array({ minLength: 48, maxLength: 48 });

test("CK2: the fast cutter ends every chunk where the formula says", () => {
  fc.assert(
    fc.property(someBytes, someKey, fc.constantFrom(11, 12, 13), (bytes, keyBytes, bits) => {
      const key = cutKeyFrom(keyBytes);
      for (let at = 0; at < bytes.length;) {
        const length = nextCut(bytes, at, bytes.length, cutSizes(bits), key);
        assert.equal(length, plainCut(bytes.subarray(at), bits, keyBytes));
        at += length;
      }
    }),
    { numRuns: 200 },
  );
});

test("CK2: the sizes that files are cut in follow the formula too", () => {
  const bytes = randomSample(2, 3 * MIB);
  for (let at = 0; at < bytes.length;) {
    const length = nextCut(bytes, at, bytes.length, sizesOf("medium"), KEY);
    assert.equal(length, plainCut(bytes.slice(at, at + MIB), 18, KEY_BYTES));
    at += length;
  }
});

test("CK2: only the chunk's own bytes decide where it ends", () => {
  const bytes = randomSample(3, 40_000);
  const sizes = cutSizes(12);
  const alone = nextCut(bytes.slice(10_001, 30_000), 0, 19_999, sizes, KEY);
  const between = nextCut(bytes, 10_001, 30_000, sizes, KEY);
  assert.equal(between, alone);
  assert.equal(nextCut(bytes, 10_001, 10_001 + sizes.maxBytes, sizes, KEY), alone);
});

test("CK3: what was cut once is cut the same for ever", () => {
  assert.ok(GOLDEN.length >= 20);
  const samples = { random: randomSample, text: textSample };
  for (const { name, key, bits, sample, seed, sizeBytes, lengths } of GOLDEN) {
    const bytes =
      typeof sample === "string"
        ? samples[sample](seed, sizeBytes)
        : new Uint8Array(sizeBytes).fill(sample);
    const cuts = splitAll(bytes, cutSizes(bits), cutKeyFrom(randomSample(key, 48)));
    assert.deepEqual(cuts, [...lengths], name);
  }
});

test("CK6: random bytes become chunks of about the average, never beyond the limits", () => {
  const bytes = randomSample(6, 64 * MIB);
  const { minBytes, avgBytes, maxBytes } = sizesOf("medium");
  const lengths = splitAll(bytes, sizesOf("medium"), KEY);
  assert.ok(lengths.slice(0, -1).every((length) => length > minBytes && length <= maxBytes));
  const mean = bytes.length / lengths.length;
  assert.ok(mean > 0.95 * avgBytes && mean < 1.35 * avgBytes, `mean ${mean}`);
  const near = lengths.filter((length) => length > avgBytes / 2 && length <= avgBytes * 2);
  assert.ok(near.length > 0.85 * lengths.length, `${near.length} of ${lengths.length}`);
});

test("CK7: bytes that offer no boundary are cut at the greatest length", () => {
  for (const fill of [0, 0x20, 0xff]) {
    const bytes = new Uint8Array(5 * MIB + 17).fill(fill);
    assert.deepEqual(splitAll(bytes, sizesOf("medium"), KEY), [MIB, MIB, MIB, MIB, MIB, 17]);
  }
});

test("CK7: a short pattern over and over offers no boundary either", () => {
  const sizes = cutSizes(11);
  for (let seed = 0; seed < 200; seed++) {
    const pattern = randomSample(seed, 2 ** (1 + (seed % 4)));
    const bytes = Uint8Array.from({ length: 9000 }, (_, at) => pattern[at % pattern.length]!);
    const key = cutKeyFrom(randomSample(seed + 1000, 48));
    assert.deepEqual(splitAll(bytes, sizes, key), [sizes.maxBytes, 9000 - sizes.maxBytes]);
  }
});

test("CK7: a chunk that finds no good boundary ends at the best of the bad ones", () => {
  // Bits 14 confirm one candidate in eight after the average: now and then, none of them.
  const sizes = cutSizes(14);
  let forced = 0;
  for (let seed = 0; seed < 400 && forced < 3; seed++) {
    // Long equal runs leave few candidates, so that chunks grow to their limit.
    const bytes = randomSample(seed, sizes.maxBytes);
    for (let at = 2000; at < bytes.length; at += 2500) bytes.fill(7, at, at + 2400);
    const length = nextCut(bytes, 0, bytes.length, sizes, KEY);
    const withoutLimit = nextCut(bytes, 0, bytes.length - 1, sizes, KEY);
    if (withoutLimit !== bytes.length - 1 || length === bytes.length) continue;
    forced += 1;
    assert.equal(length, plainCut(bytes, 14, KEY_BYTES));
    assert.ok(length > sizes.minBytes && length < sizes.maxBytes);
  }
  assert.equal(forced, 3);
});

test("CK9: without the key nobody can tell where a file is cut (T-SZ-01)", () => {
  const bytes = randomSample(9, 8 * MIB);
  const ends = (key: number): Set<number> => {
    let at = 0;
    const cuts = splitAll(bytes, sizesOf("medium"), cutKeyFrom(randomSample(key, 48)));
    return new Set(cuts.slice(0, -1).map((length) => (at += length)));
  };
  const [mine, theirs] = [ends(1), ends(2)];
  assert.deepEqual(
    [...mine].filter((end) => theirs.has(end)),
    [],
  );
});

test("CK9: a change of the hash's key alone moves the boundaries", () => {
  const bytes = randomSample(10, 8 * MIB);
  const other = KEY_BYTES.slice();
  other[0] = other[0]! ^ 1;
  const sizes = sizesOf("medium");
  assert.notDeepEqual(splitAll(bytes, sizes, KEY), splitAll(bytes, sizes, cutKeyFrom(other)));
});

test("a key of another length and an average that cannot be cut are refused as bugs", () => {
  assert.throws(() => cutKeyFrom(new Uint8Array(32)), /48 bytes/);
  assert.throws(() => cutSizes(10), /bits/);
  assert.throws(() => cutSizes(18.5), /bits/);
});
