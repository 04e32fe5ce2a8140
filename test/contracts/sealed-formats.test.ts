import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { openChunk } from "#crypto/chunk.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";
import { Draw } from "../../src/sim/chance.ts";
import { virtualPrimitives } from "../../src/sim/virtual-primitives.ts";
import { entryOf, ourOutputs, readVectors } from "./sealed-vectors.ts";
import { secondOpen, secondOutputs } from "./second-formats.ts";
import { secondRistretto } from "./second-primitives.ts";

// What has been stored once must be read forever: these bytes change with a new edition only.

const vectors = readVectors();
const dreamed = virtualPrimitives(new Draw(1, "vectors"));

describe("SF2: the sealed formats' frozen bytes come", () => {
  test("SF2: of our code and this machine's library", async () => {
    const outputs = ourOutputs(vectors, systemPrimitives, await openRistretto());
    assert.deepEqual(outputs, vectors.outputs);
  });

  test("SF2: of our code and a dreamed machine, with noble's group", () => {
    assert.deepEqual(ourOutputs(vectors, dreamed, secondRistretto), vectors.outputs);
  });

  test("SF2: of a second implementation, over WebCrypto and noble, that shares no code", async () => {
    assert.deepEqual(await secondOutputs(vectors.inputs), vectors.outputs);
  });
});

test("SF2: a frozen chunk that was compressed opens by both implementations", async () => {
  const { entry, stored, raw } = vectors.packed;
  for (const primitives of [systemPrimitives, dreamed]) {
    assert.equal(toHex(openChunk(primitives, entryOf(entry), fromHex(stored))), raw);
  }
  assert.equal(toHex(await secondOpen(entry, fromHex(stored))), raw);
});
