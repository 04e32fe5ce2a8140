import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { concat } from "#core/bytes.ts";
import { cutKeyFrom, cutSizes, nextCut } from "./cut.ts";
import { randomSample, textSample } from "./sample-bytes.ts";
import { sizesOf } from "./sizes.ts";
import { readyCuts, splitAll, Splitter } from "./split.ts";

const KEY = cutKeyFrom(randomSample(48, 48));
const MIB = 1024 * 1024;
const SMALL = cutSizes(11);

/** The hashes of a content's chunks, in order. */
function chunksOf(bytes: Uint8Array, lengths: readonly number[]): string[] {
  let at = 0;
  return lengths.map((length) => {
    const chunk = bytes.subarray(at, (at += length));
    return createHash("sha256").update(chunk).digest("hex");
  });
}

function medium(bytes: Uint8Array): string[] {
  return chunksOf(bytes, splitAll(bytes, sizesOf("medium"), KEY));
}

test("CK4: a file is cut the same in whatever pieces its bytes arrive", () => {
  const pieces = fc.array(fc.integer({ min: 0, max: 12_000 }), { maxLength: 40 });
  const length = fc.integer({ min: 0, max: 100_000 });
  fc.assert(
    fc.property(fc.integer(), length, pieces, (seed, lengthBytes, sizes) => {
      const bytes = randomSample(seed, lengthBytes);
      const splitter = new Splitter(SMALL, KEY);
      const ranges = [];
      let taken = 0;
      for (const size of [...sizes, lengthBytes]) {
        ranges.push(...splitter.push(bytes.subarray(taken, taken + size)));
        taken += size;
      }
      ranges.push(...splitter.finish());
      assert.deepEqual(
        ranges.map((range) => range.lengthBytes),
        splitAll(bytes, SMALL, KEY),
      );
      let offset = 0;
      for (const range of ranges) {
        assert.equal(range.offsetBytes, offset);
        offset += range.lengthBytes;
      }
      assert.equal(offset, lengthBytes);
    }),
  );
});

test("CK4: a window that moves over a file, as a reader's does, finds the same chunks", () => {
  const bytes = textSample(4, 90_000);
  for (const window of [SMALL.maxBytes, SMALL.maxBytes + 1, 20_000, 90_000]) {
    const lengths: number[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + window);
      const ready = readyCuts(bytes, at, end, end === bytes.length, SMALL, KEY);
      assert.ok(ready.length > 0, "a full window always holds a chunk");
      lengths.push(...ready);
      for (const length of ready) at += length;
    }
    assert.deepEqual(lengths, splitAll(bytes, SMALL, KEY));
  }
});

test("a splitter refuses bytes behind the end", () => {
  const splitter = new Splitter(SMALL, KEY);
  assert.deepEqual(splitter.finish(), []);
  assert.throws(() => splitter.push(new Uint8Array(1)), /after the end/);
});

test("CK5: a byte typed into a large file changes a chunk or two, not the rest", () => {
  const before = randomSample(5, 24 * MIB);
  const known = new Set(medium(before));
  for (const at of [0, 100_000, 7 * MIB + 3, 24 * MIB]) {
    const typed = Uint8Array.of(0x21);
    const after = concat([before.subarray(0, at), typed, before.subarray(at)]);
    const fresh = medium(after).filter((chunk) => !known.has(chunk));
    assert.ok(fresh.length <= 4, `${fresh.length} fresh chunks for a byte at ${at}`);
  }
});

test("CK5: the tail of a log is the only thing that appending to it changes", () => {
  const before = textSample(6, 6 * MIB);
  const after = concat([before, textSample(7, 5000)]);
  const known = medium(before);
  assert.deepEqual(medium(after).slice(0, known.length - 1), known.slice(0, -1));
});

test("CK5: edits at random places leave most of a file's chunks as they were", () => {
  const before = randomSample(8, 400_000);
  const known = new Set(chunksOf(before, splitAll(before, SMALL, KEY)));
  const place = fc.integer({ min: 0, max: before.length });
  fc.assert(
    fc.property(place, fc.uint8Array({ minLength: 1, maxLength: 100 }), (at, typed) => {
      const after = concat([before.subarray(0, at), typed, before.subarray(at)]);
      const chunks = chunksOf(after, splitAll(after, SMALL, KEY));
      const fresh = chunks.filter((chunk) => !known.has(chunk));
      assert.ok(fresh.length <= 12, `${fresh.length} of ${chunks.length} chunks`);
    }),
    // How soon the cuts meet again is a matter of luck; a fixed seed keeps it the same luck.
    { seed: 5 },
  );
});

/** Where chunks end that the limit did not force. */
function freeEnds(lengths: readonly number[], maxBytes: number): number[] {
  const ends: number[] = [];
  let at = 0;
  for (const length of lengths.slice(0, -1)) {
    at += length;
    if (length < maxBytes) ends.push(at);
  }
  return ends;
}

test("CK10: a file that changes its class keeps a good part of its boundaries", () => {
  // Candidates are the same and the large class confirms a subset of them; but where a chunk ends
  // also depends on where it began, so that only part of the large class's ends are the other's
  // too.
  const bytes = randomSample(11, 192 * MIB);
  const large = sizesOf("large");
  const ends = freeEnds(splitAll(bytes, large, KEY), large.maxBytes);
  const smaller = sizesOf("medium");
  const shared = new Set(freeEnds(splitAll(bytes, smaller, KEY), smaller.maxBytes));
  const share = ends.filter((end) => shared.has(end)).length / ends.length;
  assert.ok(share > 0.25 && share < 0.75, `${share} of ${ends.length} ends`);
  for (const end of ends) {
    // A medium chunk beyond its average never runs over an end of the large class.
    const start = end - smaller.avgBytes - 1;
    assert.ok(nextCut(bytes, start, bytes.length, smaller, KEY) <= end - start);
  }
});
