import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Ristretto } from "#crypto/ristretto.ts";
import { virtualRistretto } from "../../src/sim/virtual-ristretto.ts";
import { openRistretto, randomSample } from "./sealing-world.ts";

const real = await openRistretto();

// What oblivious evaluation needs of a group, held to both sides of the port.
for (const [side, { elements, scalars }] of [
  ["real", real],
  ["dreamed", virtualRistretto],
] satisfies [string, Ristretto][]) {
  const scalar = (seed: number): Uint8Array => scalars.reduce(randomSample(seed, 64));
  const times = (by: Uint8Array, element: Uint8Array): Uint8Array => {
    const product = elements.multiply(by, element);
    assert(product !== null);
    return product;
  };

  suite(`a group: ${side}`, () => {
    test("SL6: what is blinded, multiplied and unblinded is what was multiplied", () => {
      for (let seed = 1; seed < 20; seed++) {
        const element = elements.fromUniform(randomSample(seed, 64));
        const [blind, key] = [scalar(100 + seed), scalar(200 + seed)];
        const evaluated = times(key, times(blind, element));
        assert.deepEqual(times(scalars.invert(blind), evaluated), times(key, element));
        assert(elements.isElement(evaluated));
        assert.equal(evaluated.length, 32);
      }
    });

    test("SL6: sums and products of scalars are those of elements", () => {
      const [one, other] = [scalar(1), scalar(2)];
      const generated = (by: Uint8Array): Uint8Array => {
        const product = elements.multiplyGenerator(by);
        assert(product !== null);
        return product;
      };
      const both = scalars.multiply(one, other);
      assert.deepEqual(generated(both), times(one, generated(other)));
      const difference = scalars.subtract(one, other);
      assert.deepEqual(elements.add(generated(difference), generated(other)), generated(one));
    });

    test("SL6: nothing, and what is beyond the group, is no element", () => {
      assert(!elements.isElement(new Uint8Array(32)));
      assert(!elements.isElement(new Uint8Array(32).fill(0xff)));
      const element = elements.fromUniform(randomSample(1, 64));
      assert.equal(elements.multiply(new Uint8Array(32), element), null);
      assert.equal(elements.multiplyGenerator(new Uint8Array(32)), null);
    });
  });
}
