import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { frameShared, sealPrivate, sealShared } from "#crypto/chunk.ts";
import type { ChunkWork } from "#crypto/chunk-work.ts";
import type { Primitives } from "#crypto/primitives.ts";
import { keysOf, randomSample, SPACE, textSample } from "./sealing-world.ts";

const MIB = 1024 * 1024;
const space = keysOf(SPACE, 3);
const KEYS = { key: space.content, epoch: space.epoch };

/** Few and many, small and large, that compress and that do not. */
const BATCHES: readonly (readonly Uint8Array[])[] = [
  [],
  [randomSample(1, 1)],
  [textSample(2, 20_000), randomSample(3, 16_384)],
  [randomSample(4, MIB), textSample(5, MIB), new Uint8Array(MIB), randomSample(6, 100_000)],
  Array.from({ length: 60 }, (_, at) => (at % 2 ? textSample : randomSample)(at, 16_384 + at)),
];

const copies = (raw: readonly Uint8Array[]): Uint8Array[] => raw.map((one) => one.slice());

/** What every side of the port does: the same as chunk.ts does to one chunk after the other. */
export function chunkWorkContract(
  side: string,
  primitives: Primitives,
  open: () => { work: ChunkWork } & AsyncDisposable,
): void {
  test(`SF4: ${side}: chunks are sealed and opened in their order`, async () => {
    await using given = open();
    for (const raw of BATCHES) {
      const sealed = await given.work.sealPrivate(KEYS, copies(raw));
      assert.deepEqual(
        sealed,
        raw.map((one) => sealPrivate(primitives, KEYS, one)),
      );
      assert.deepEqual(await given.work.open(sealed), raw);
    }
  });

  test(`SL6: ${side}: chunks are framed, then sealed for everybody`, async () => {
    await using given = open();
    for (const batch of BATCHES) {
      const raw = batch.filter(({ length }) => length >= 16_384);
      const framed = await given.work.frameShared(1, copies(raw));
      assert.deepEqual(
        framed,
        raw.map((one) => frameShared(primitives, 1, one)),
      );
      const answers = raw.map((_, at) => randomSample(at, 64));
      const sealed = await given.work.sealShared(framed, answers);
      assert.deepEqual(
        sealed,
        raw.map((one, at) => sealShared(primitives, frameShared(primitives, 1, one), answers[at]!)),
      );
      assert.deepEqual(await given.work.open(sealed), raw);
    }
  });

  test(`SL7: ${side}: what was framed for everybody is sealed for the space as if it never was`, async () => {
    await using given = open();
    for (const batch of BATCHES) {
      const raw = batch.filter(({ length }) => length >= 16_384);
      const framed = await given.work.frameShared(1, copies(raw));
      assert.deepEqual(
        await given.work.sealUnshared(KEYS, framed),
        raw.map((one) => sealPrivate(primitives, KEYS, one)),
      );
    }
  });

  test(`SF4: ${side}: pieces of one buffer that go different ways all arrive`, async () => {
    await using given = open();
    const whole = randomSample(7, 3 * MIB);
    const piece = (from: number, to: number): Uint8Array => whole.slice().subarray(from, to);
    const shared = whole.slice();
    const pieces = [
      shared.subarray(0, MIB),
      shared.subarray(MIB, 2 * MIB),
      shared.subarray(2 * MIB),
    ];
    const [first, others] = await Promise.all([
      given.work.sealPrivate(KEYS, pieces.slice(0, 1)),
      given.work.sealPrivate(KEYS, pieces.slice(1)),
    ]);
    assert.deepEqual(await given.work.open([...first, ...others]), [
      piece(0, MIB),
      piece(MIB, 2 * MIB),
      piece(2 * MIB, 3 * MIB),
    ]);
  });

  test(`SF4: ${side}: a chunk that does not open is a bad-chunk, and others go on`, async () => {
    await using given = open();
    const raw = [randomSample(8, MIB), randomSample(9, MIB)];
    const sealed = await given.work.sealPrivate(KEYS, copies(raw));
    const spoiled = sealed.map(({ entry, stored }) => ({ entry, stored: stored.slice() }));
    spoiled[1]!.stored[500_000]! ^= 1;
    await assert.rejects(given.work.open(spoiled), { code: "bad-chunk" });
    const ids = raw.map((one) => toHex(primitives.hashes.sha256([one])));
    assert.deepEqual(
      sealed.map(({ entry }) => entry.raw as string),
      ids,
    );
    assert.deepEqual(await given.work.open(sealed), raw);
  });
}
