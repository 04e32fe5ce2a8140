import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { applyDelta } from "./delta.ts";
import { encodeExactly } from "./exact-delta.ts";
import { randomSample, textSample } from "./sample-bytes.ts";

/** How many bytes it takes to make `raw` of the bases; asserts that they make it. */
function deltaBytes(raw: Uint8Array, ...bases: Uint8Array[]): number {
  const delta = encodeExactly(bases, raw);
  if (delta === null) return raw.length;
  const used = delta.used.map((base) => bases[base]!);
  assert.deepEqual(applyDelta(used, delta.bytes, raw.length), raw);
  return delta.bytes.length;
}

function splice(raw: Uint8Array, at: number, cut: number, put: Uint8Array): Uint8Array {
  return Uint8Array.from([...raw.subarray(0, at), ...put, ...raw.subarray(at + cut)]);
}

suite("deltas to bytes that are at hand", () => {
  const old = randomSample(1, 100_000);

  test("an edit costs the bytes that are new, wherever it stands, and a dozen more", () => {
    for (const at of [0, 1, 50_001, 99_999, 100_000]) {
      assert(deltaBytes(splice(old, at, 0, Uint8Array.of(7)), old) < 16, `put in at ${at}`);
      assert(deltaBytes(splice(old, at, 5, Uint8Array.of(7)), old) < 16, `written over at ${at}`);
      assert(deltaBytes(splice(old, at, 300, new Uint8Array(0)), old) < 16, `cut out at ${at}`);
    }
    const page = randomSample(2, 4_096);
    assert(deltaBytes(splice(old, 30_001, 4_096, page), old) < 4_096 + 16);
  });

  test("what several bases hold is copied from each of them, and from no other", () => {
    const bases = [3, 4, 5].map((seed) => randomSample(seed, 20_000));
    const mixed = Uint8Array.from([
      ...bases[2]!.subarray(15_000),
      ...bases[0]!.subarray(0, 9_000),
      ...bases[2]!.subarray(7, 90),
    ]);
    const delta = encodeExactly(bases, mixed);
    assert.deepEqual(delta?.used, [0, 2], "those first from which most is copied");
    assert(deltaBytes(mixed, ...bases) < 24);
    assert(deltaBytes(Uint8Array.from(bases.flatMap((base) => [...base])), ...bases) < 24);
  });

  test("strangers, and bytes that are too few to be found, share nothing", () => {
    assert.equal(encodeExactly([old], randomSample(9, 90_000)), null);
    assert.equal(encodeExactly([], old), null);
    assert.equal(encodeExactly([old], old.subarray(0, 15)), null);
    assert.equal(encodeExactly([old.subarray(0, 15)], old), null);
  });

  test("bytes that repeat themselves cost no time that matters", () => {
    const zeros = new Uint8Array(1_000_000);
    assert(deltaBytes(splice(zeros, 500_000, 0, Uint8Array.of(1)), zeros) < 32);
    const sevens = new Uint8Array(1_000_000).map((_, at) => at % 7);
    assert(deltaBytes(splice(sevens, 500_000, 0, Uint8Array.of(9)), sevens) < 32);
  });

  test("any edits of anything are undone", () => {
    const edit = fc.record({
      at: fc.nat(),
      cut: fc.nat(3_000),
      put: fc.uint8Array({ maxLength: 40 }),
    });
    const edits = fc.array(edit, { maxLength: 6 });
    const samples = [
      randomSample,
      textSample,
      (_: number, length: number) => new Uint8Array(length),
    ];
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30_000 }), fc.nat(50), edits, (length, seed, made) => {
        const before = samples[seed % 3]!(seed, length);
        let after = before;
        for (const { at, cut, put } of made) {
          after = splice(after, at % (after.length + 1), cut, put);
        }
        if (after.length > 0) deltaBytes(after, before.subarray(0, length >> 1), before);
      }),
      { numRuns: 200 },
    );
  });
});
