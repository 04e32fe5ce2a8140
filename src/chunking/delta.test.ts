import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import fc from "fast-check";
import { applyDelta, BaseIndex, encodeDelta, type Signed } from "./delta.ts";
import { randomSample } from "./sample-bytes.ts";
import { RollingSum, signChunk, type StrongHash } from "./signature.ts";

const strong: StrongHash = (block) => createHash("sha256").update("key").update(block).digest();

function baseOf(raw: Uint8Array): Signed {
  return { signature: signChunk(strong, raw), lengthBytes: raw.length };
}

/** How many bytes it takes to make `raw` of the bases; asserts that they make it. */
function deltaBytes(raw: Uint8Array, ...bases: Uint8Array[]): number {
  const delta = encodeDelta(strong, new BaseIndex(bases.map(baseOf)), raw, 4);
  if (delta === null) return raw.length;
  const used = delta.used.map((base) => bases[base]!);
  assert.deepEqual(applyDelta(used, delta.bytes, raw.length), raw);
  return delta.bytes.length;
}

function insert(raw: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...raw.subarray(0, at), ...bytes, ...raw.subarray(at)]);
}

suite("deltas between chunks", () => {
  const old = randomSample(1, 100_000);

  test("a byte more at the start costs a few bytes, wherever the blocks lie", () => {
    assert(deltaBytes(insert(old, 0, Uint8Array.of(7)), old) < 16);
  });

  test("a byte more in the middle costs the block that it falls into", () => {
    assert(deltaBytes(insert(old, 50_000, Uint8Array.of(7)), old) < 1_100);
  });

  test("the same bytes cost a few bytes, down to the last short block", () => {
    assert(deltaBytes(old, old) < 16);
  });

  test("what was cut out, and what was put elsewhere, is found", () => {
    assert(deltaBytes(old.slice(30_000), old) < 1_100);
    const turned = Uint8Array.from([...old.subarray(60_000), ...old.subarray(0, 60_000)]);
    assert(deltaBytes(turned, old) < 2_200);
  });

  test("a chunk of parts of several takes from all of them, and from no more than it may", () => {
    const bases = [2, 3, 4, 5, 6, 7].map((seed) => randomSample(seed, 20_000));
    const mixed = Uint8Array.from(bases.flatMap((base, at) => [...base.subarray(0, 3_072 + at)]));
    const few = encodeDelta(strong, new BaseIndex(bases.map(baseOf)), mixed, 4);
    assert.equal(few?.used.length, 4);
    assert(deltaBytes(mixed, ...bases) < mixed.length / 2);
  });

  test("strangers share nothing", () => {
    assert.equal(
      encodeDelta(strong, new BaseIndex([baseOf(old)]), randomSample(9, 90_000), 4),
      null,
    );
    assert.equal(encodeDelta(strong, new BaseIndex([]), old, 4), null);
  });

  test("a long run of equal blocks is found, and costs no time that matters", () => {
    const zeros = new Uint8Array(500_000);
    assert(deltaBytes(insert(zeros, 250_000, Uint8Array.of(1)), zeros) < 2_200);
  });

  test("any edits of anything are undone by what was kept of it", () => {
    const edit = fc.record({
      at: fc.nat(),
      cut: fc.nat(3_000),
      put: fc.uint8Array({ maxLength: 40 }),
    });
    const edits = fc.array(edit, { maxLength: 6 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40_000 }), fc.nat(50), edits, (length, seed, made) => {
        const before = seed === 0 ? new Uint8Array(length) : randomSample(seed, length);
        let after = before;
        for (const { at, cut, put } of made) {
          const from = at % (after.length + 1);
          after = Uint8Array.from([
            ...after.subarray(0, from),
            ...put,
            ...after.subarray(from + cut),
          ]);
        }
        if (after.length === 0) return;
        const delta = encodeDelta(strong, new BaseIndex([baseOf(before)]), after, 4);
        if (delta !== null)
          assert.deepEqual(applyDelta([before], delta.bytes, after.length), after);
      }),
      { numRuns: 300 },
    );
  });

  test("a delta of anybody's making gives bytes of the right length, or nothing", () => {
    const anything = fc.uint8Array({ maxLength: 60 });
    fc.assert(
      fc.property(anything, fc.integer({ min: 1, max: 300 }), (delta, length) => {
        const made = applyDelta([old.subarray(0, 200)], delta, length);
        assert(made === null || made.length === length);
      }),
      { numRuns: 2_000 },
    );
    assert.equal(applyDelta([old], Uint8Array.of(0), 1), null, "it ends too early");
    assert.equal(applyDelta([old], Uint8Array.of(0, 0, 0, 0), 1), null, "a copy of nothing");
    assert.equal(applyDelta([old], Uint8Array.of(0, 1, 1, 0), 1), null, "a base that there is not");
    assert.equal(applyDelta([old], Uint8Array.of(1, 5, 0), 1), null, "bytes behind the end");
    assert.deepEqual(applyDelta([old], Uint8Array.of(0, 1, 0, 0), 1), old.slice(0, 1));
  });

  test("a sum that was rolled is the sum of the bytes it came to", () => {
    const rolled = new RollingSum();
    const fresh = new RollingSum();
    rolled.reset(old, 0, 1_000);
    for (let at = 0; at < 5_000; at++) {
      rolled.roll(old[at]!, old[at + 1_000]!);
      fresh.reset(old, at + 1, at + 1_001);
      assert.equal(rolled.value, fresh.value);
    }
  });
});
