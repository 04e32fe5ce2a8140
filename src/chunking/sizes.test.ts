import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutKeyFrom } from "./cut.ts";
import { randomSample } from "./sample-bytes.ts";
import { nextSizeClass, sizeClassOf, sizesOf } from "./sizes.ts";
import { splitAll } from "./split.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const KEY = cutKeyFrom(randomSample(48, 48));

test("CK8: a file seen for the first time is cut by its size", () => {
  assert.equal(nextSizeClass(0, null), "single");
  assert.equal(nextSizeClass(64 * KIB, null), "single");
  assert.equal(nextSizeClass(64 * KIB + 1, null), "medium");
  assert.equal(nextSizeClass(GIB, null), "medium");
  assert.equal(nextSizeClass(GIB + 1, null), "large");
  const { minBytes, avgBytes, maxBytes } = sizesOf("medium");
  assert.deepEqual([minBytes, avgBytes, maxBytes], [64 * KIB, 256 * KIB, MIB]);
  const large = sizesOf("large");
  assert.deepEqual([large.minBytes, large.avgBytes, large.maxBytes], [256 * KIB, MIB, 4 * MIB]);
});

test("CK8: a file that grows or shrinks keeps its class until it is a factor 2 beyond", () => {
  assert.equal(nextSizeClass(128 * KIB, "single"), "single");
  assert.equal(nextSizeClass(128 * KIB + 1, "single"), "medium");
  assert.equal(nextSizeClass(32 * KIB + 1, "medium"), "medium");
  assert.equal(nextSizeClass(32 * KIB, "medium"), "single");
  assert.equal(nextSizeClass(2 * GIB, "medium"), "medium");
  assert.equal(nextSizeClass(2 * GIB + 1, "medium"), "large");
  assert.equal(nextSizeClass(GIB / 2 + 1, "large"), "large");
  assert.equal(nextSizeClass(GIB / 2, "large"), "medium");
  assert.equal(nextSizeClass(3 * GIB, "single"), "large");
  assert.equal(nextSizeClass(5, "large"), "single");
});

test("CK8: a file that swings around a limit changes its class at most once", () => {
  const limit = fc.constantFrom(64 * KIB, GIB);
  const swings = fc.array(fc.double({ min: 0.51, max: 1.99, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(limit, swings, (limitBytes, factors) => {
      let current = nextSizeClass(Math.floor(limitBytes * factors[0]!), null);
      const first = current;
      for (const factor of factors) {
        current = nextSizeClass(Math.floor(limitBytes * factor), current);
        assert.equal(current, first);
      }
    }),
  );
});

test("CK8: a file of the single class is one chunk at any size that the class allows", () => {
  for (const sizeBytes of [1, 64 * KIB, 64 * KIB + 1, 128 * KIB]) {
    assert.deepEqual(splitAll(randomSample(8, sizeBytes), sizesOf("single"), KEY), [sizeBytes]);
  }
  assert.deepEqual(splitAll(new Uint8Array(0), sizesOf("single"), KEY), []);
});

test("CK8: a chunk list tells the class it was cut in, or has too few chunks to matter", () => {
  const bytes = randomSample(9, 48 * MIB);
  const lengthsIn = (sizeClass: "medium" | "large", sizeBytes: number): number[] =>
    splitAll(bytes.subarray(0, sizeBytes), sizesOf(sizeClass), KEY);
  assert.equal(sizeClassOf([100 * KIB]), "single");
  assert.equal(sizeClassOf([]), null);
  assert.equal(sizeClassOf([700 * KIB]), null);
  for (const sizeBytes of [8 * MIB, 48 * MIB]) {
    assert.equal(sizeClassOf(lengthsIn("medium", sizeBytes)), "medium");
    assert.equal(sizeClassOf(lengthsIn("large", sizeBytes)), "large");
  }
});

test("CK8: the class that a chunk list tells is never the wrong one", () => {
  const bytes = randomSample(10, 6 * MIB);
  const size = fc.integer({ min: 128 * KIB + 1, max: bytes.length });
  fc.assert(
    fc.property(size, fc.constantFrom("medium", "large"), (sizeBytes, sizeClass) => {
      const lengths = splitAll(bytes.subarray(0, sizeBytes), sizesOf(sizeClass), KEY);
      const told = sizeClassOf(lengths);
      assert.ok(told === null || told === sizeClass, `${told} for ${sizeClass}`);
    }),
    { numRuns: 50 },
  );
});
