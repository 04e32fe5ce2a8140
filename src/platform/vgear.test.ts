import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutSizes, type CutSizes } from "#chunking/cut.ts";
import { openCutter, plainCutter, type Cutter } from "#chunking/cutter.ts";
import { GOLDEN } from "#chunking/golden-cuts.ts";
import { randomSample, textSample } from "#chunking/sample-bytes.ts";
import { sizesOf } from "#chunking/sizes.ts";
import { readVgear } from "./vgear.ts";

const MIB = 1024 * 1024;

/** The cutter with SIMD; that it is there at all is what the first line says. */
function fastCutter(cutKey: Uint8Array, bufferBytes: number): Cutter {
  const module = readVgear();
  assert.ok(module !== null, "vgear.wasm is not built: run scripts/set-up.mjs");
  return openCutter(module, cutKey, bufferBytes);
}

function lengthsOf(cutter: Cutter, bytes: Uint8Array, sizes: CutSizes, at = 0): number[] {
  cutter.buffer.set(bytes, at);
  const end = at + bytes.length;
  const lengths: number[] = [];
  for (let from = at; from < end;) {
    const length = cutter.nextCut(from, end, sizes);
    lengths.push(length);
    from += length;
  }
  return lengths;
}

/** Bytes of several tempers; periodic ones have the most candidates, or none. */
const someBytes = fc
  .record({
    seed: fc.integer(),
    length: fc.integer({ min: 1, max: 60_000 }),
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

test("CK3: what was cut once is cut the same with SIMD", () => {
  const samples = { random: randomSample, text: textSample };
  for (const { name, key, bits, sample, seed, sizeBytes, lengths } of GOLDEN) {
    const bytes =
      typeof sample === "string"
        ? samples[sample](seed, sizeBytes)
        : new Uint8Array(sizeBytes).fill(sample);
    const cutter = fastCutter(randomSample(key, 48), sizeBytes);
    assert.deepEqual(lengthsOf(cutter, bytes, cutSizes(bits)), [...lengths], name);
  }
});

test("CK2, CK3: with and without SIMD every file is cut alike, wherever its bytes lie", () => {
  const someKey = fc.uint8Array({ minLength: 48, maxLength: 48 });
  const someStart = fc.integer({ min: 0, max: 70 });
  const someBits = fc.constantFrom(11, 12, 13, 14);
  const room = 60_000 + 70;
  fc.assert(
    fc.property(someBytes, someKey, someBits, someStart, (bytes, key, bits, start) => {
      const fast = fastCutter(key, room);
      const plain = plainCutter(key, room);
      // What lies around the bytes is no part of them.
      fast.buffer.fill(0xa5);
      const sizes = cutSizes(bits);
      assert.deepEqual(lengthsOf(fast, bytes, sizes, start), lengthsOf(plain, bytes, sizes, start));
    }),
    { numRuns: 300 },
  );
});

test("CK2, CK3: large files are cut alike too, in both classes", () => {
  const key = randomSample(5, 48);
  for (const bytes of [randomSample(5, 24 * MIB), textSample(5, 24 * MIB)]) {
    for (const sizes of [sizesOf("medium"), sizesOf("large")]) {
      const fast = lengthsOf(fastCutter(key, bytes.length), bytes, sizes);
      assert.deepEqual(fast, lengthsOf(plainCutter(key, bytes.length), bytes, sizes));
    }
  }
});

test("files are cut without SIMD where there is none", () => {
  const key = randomSample(6, 48);
  const bytes = randomSample(6, 3 * MIB);
  const without = openCutter(null, key, bytes.length);
  const lengths = lengthsOf(without, bytes, sizesOf("medium"));
  assert.deepEqual(lengths, lengthsOf(fastCutter(key, bytes.length), bytes, sizesOf("medium")));
});
