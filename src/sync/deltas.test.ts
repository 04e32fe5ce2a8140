import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { codeOf } from "#core/errors.ts";
import { chunkId, contentHash, nodeId, ROOT_NODE, type ChunkId } from "#core/ids.ts";
import { allBases, depthOf, type SealedEntry } from "#crypto/chunk.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { randomSample } from "../../test/contracts/sealing-world.ts";
import { frameOf, keyring, sealedDevice } from "../../test/engine/sealed-world.ts";

type Device = ReturnType<typeof sealedDevice>;

const FILE = nodeId("f1".repeat(16));
const quiet = new AbortController().signal;

/** A file of one chunk on the device's disk, as a look and a reading leave it. */
function keep({ store, disk }: Device, { id, bytes }: ChunkFrame): void {
  disk.files.set("file", bytes);
  const sha256 = contentHash(id);
  const content = { kind: "file", sha256, sizeBytes: bytes.length, executable: false } as const;
  const stamp = { sizeBytes: bytes.length, mtimeNs: 1n, ctimeNs: 1n };
  store.trees.transaction(() => {
    store.trees.put({
      id: FILE,
      kind: "file",
      remote: null,
      synced: null,
      local: {
        parent: ROOT_NODE,
        name: "file",
        content,
        file: "1:1:0",
        stamp,
        executable: false,
        racy: false,
        blind: null,
        missedMs: null,
        parkedFrom: null,
      },
      displacing: null,
      placing: null,
    });
    store.records.setSources(FILE, [{ chunk: id, lengthBytes: bytes.length }]);
  });
}

/** Sends a chunk that is like these; returns the bytes that the server got for it. */
async function send(device: Device, frame: ChunkFrame, alike: readonly ChunkId[]): Promise<number> {
  const before = new Set(device.shelf.chunks.keys());
  await device.remote.put([{ ...frame, alike }]);
  const fresh = [...device.shelf.chunks].filter(([id]) => !before.has(id));
  return fresh.reduce((sum, [, bytes]) => sum + bytes.length, 0);
}

function sealed({ store }: Device, { id }: ChunkFrame): SealedEntry {
  const entry = store.sealedRecords.sealed(id);
  assert(entry !== undefined);
  return entry;
}

async function signAll({ seal }: Device): Promise<void> {
  while (await seal.rest(quiet));
}

/** A device with a chunk that was sent, lies on its disk, and was signed. */
async function withFile(
  bytes = randomSample(1, 60_000),
  keptBytes = 0,
): Promise<{ device: Device; old: ChunkFrame }> {
  const device = sealedDevice(keyring(), undefined, undefined, keptBytes);
  const old = frameOf(bytes);
  await device.remote.put([old]);
  keep(device, old);
  await signAll(device);
  return { device, old };
}

function edited(
  bytes: Uint8Array,
  at: number,
  put: Uint8Array = Uint8Array.of(1, 2, 3),
): ChunkFrame {
  return frameOf(Uint8Array.from([...bytes.subarray(0, at), ...put, ...bytes.subarray(at)]));
}

async function fetched({ remote }: Device, ...frames: ChunkFrame[]): Promise<ChunkFrame[]> {
  const heard: ChunkFrame[] = [];
  for await (const frame of remote.fetch(frames.map(({ id }) => id))) heard.push(frame);
  return heard;
}

/** Another device of the space, which heard of these chunks by a manifest. */
function other(device: Device, ...frames: ChunkFrame[]): Device {
  const stranger = sealedDevice(keyring(), device.shelf);
  for (const frame of frames) stranger.store.sealedRecords.putSealed(sealed(device, frame));
  return stranger;
}

suite("deltas of a sealed space", () => {
  test("SL16: an edited chunk is sent as what is new in it, though its old bytes are gone", async () => {
    const { device, old } = await withFile();
    const now = edited(old.bytes, 30_000);
    device.disk.files.clear();
    const bytes = await send(device, now, [old.id]);
    assert(bytes < 1_300, `${bytes} bytes`);
    assert.deepEqual(sealed(device, now).bases, [sealed(device, old)]);
    assert.deepEqual(device.shelf.fetches, 0);
  });

  test("SL16: whoever has the old bytes in a file fetches the new ones alone", async () => {
    const { device, old } = await withFile();
    const now = edited(old.bytes, 0);
    await send(device, now, [old.id]);
    const near = other(device, now);
    keep(near, old);
    const asked: number[] = [];
    near.shelf.twist = (frames) => (asked.push(frames.length), frames);
    assert.deepEqual(await fetched(near, now), [now]);
    assert.deepEqual(asked, [1]);
    const far = other(device, now);
    assert.deepEqual(await fetched(far, now), [now]);
    assert.deepEqual(asked, [1, 2], "who has nothing fetches the bases as well");
    // A file that is not what it was is no base.
    near.disk.files.set("file", edited(old.bytes, 5).bytes);
    assert.deepEqual(await fetched(near, now), [now]);
  });

  test("SL16: edits of edits stay small, and never lie deeper than four", async () => {
    const { device, old } = await withFile();
    let before = old;
    const frames: ChunkFrame[] = [];
    for (let round = 0; round < 30; round++) {
      const now = edited(before.bytes, (round * 7_919) % before.bytes.length);
      await send(device, now, [before.id]);
      const entry = sealed(device, now);
      assert(depthOf(entry) <= 4 && allBases(entry).length <= 8);
      frames.push(now);
      before = now;
    }
    const deltas = frames.filter((frame) => sealed(device, frame).bases !== undefined);
    assert(deltas.length >= 20, `${deltas.length} deltas`);
    assert.deepEqual(await fetched(other(device, ...frames), ...frames), frames);
  });

  test("SL16: what shares nothing, or too little, is sent whole", async () => {
    const { device, old } = await withFile();
    for (const now of [frameOf(randomSample(2, 60_000)), frameOf(new Uint8Array(60_000))]) {
      await send(device, now, [old.id]);
      assert.equal(sealed(device, now).bases, undefined);
    }
  });

  test("SL16: a delta whose base the server lost is missing, and goes whole the next time", async () => {
    const { device, old } = await withFile();
    const now = edited(old.bytes, 9);
    await send(device, now, [old.id]);
    assert.deepEqual(await device.remote.missing([now.id]), []);
    device.shelf.chunks.delete(sealed(device, old).chunk);
    assert.deepEqual(await device.remote.missing([now.id]), [now.id]);
    await send(device, now, [old.id]);
    assert.equal(sealed(device, now).bases, undefined);
    assert.deepEqual(await device.remote.missing([now.id]), []);
    assert.deepEqual(await fetched(other(device, now), now), [now]);
  });

  test("SL16: bases that a server swaps, cuts or leaves out are refused", async () => {
    const { device, old } = await withFile();
    const now = edited(old.bytes, 9);
    await send(device, now, [old.id]);
    const lies: ((frames: ChunkFrame[]) => ChunkFrame[])[] = [
      (frames) => frames.toReversed(),
      (frames) => frames.slice(1),
      (frames) => frames.map(({ id, bytes }) => ({ id, bytes: bytes.slice(0, -1) })),
      (frames) => [...frames, ...frames],
    ];
    for (const lie of lies) {
      const far = other(device, now);
      far.shelf.twist = lie;
      await assert.rejects(fetched(far, now), (error) => codeOf(error) === "bad-chunk");
    }
    device.shelf.twist = (frames) => frames.slice(0, 1);
    assert.deepEqual(await fetched(other(device, now), now), [], "cut short: ask again");
  });

  test("SL16: what lies nowhere on this disk is not signed, and asked about once", async () => {
    const device = sealedDevice();
    await device.remote.put([frameOf(randomSample(1, 9_000))]);
    assert.equal(await device.seal.rest(quiet), true);
    assert.equal(await device.seal.rest(quiet), false);
    assert.equal(device.store.sealedRecords.signature(chunkId("00".repeat(32))), undefined);
  });

  test("SL16: what is new is in a delta to whichever old chunks are nearest to it", async () => {
    const { device, old } = await withFile();
    const strangers = [4, 5, 6].map((seed) => frameOf(randomSample(seed, 60_000)));
    for (const stranger of strangers) await send(device, stranger, [old.id]);
    const half = Uint8Array.from([
      ...old.bytes.subarray(0, 30_000),
      ...strangers[1]!.bytes.subarray(20_000, 50_000),
    ]);
    const all = [...strangers, old].map(({ id }) => id);
    const bytes = await send(device, frameOf(half), all);
    assert(bytes < 3_000, `${bytes} bytes`);
    const bases = sealed(device, frameOf(half)).bases?.map(({ raw }) => raw);
    assert.deepEqual(bases?.toSorted(), [old.id, strangers[1]!.id].toSorted());
  });

  test("SL17: what was kept of a file tells to the byte what is new in it", async () => {
    const { device, old } = await withFile(randomSample(1, 60_000), 100_000);
    device.disk.files.clear();
    const first = edited(old.bytes, 30_000, randomSample(2, 4_000));
    const sent = await send(device, first, [old.id]);
    assert(sent < 4_500, `${sent} bytes`);
    assert.deepEqual(sealed(device, first).bases, [sealed(device, old)]);
    // What was edited is kept without a rest, in the place of what was there before.
    const second = edited(first.bytes, 9_000);
    assert.equal(await send(device, second, [first.id]), 312, "the least that is ever sent");
    const frames = [first, second];
    assert.deepEqual(await fetched(other(device, ...frames), ...frames), frames);
  });

  test("SL17: what other files still hold does as well", async () => {
    const { device, old } = await withFile();
    const now = edited(old.bytes, 30_000);
    assert.equal(await send(device, now, [old.id]), 312);
    assert.deepEqual(await fetched(other(device, now), now), [now]);
  });

  test("SL17: what was kept and is not what it was is no base", async () => {
    const { device, old } = await withFile(randomSample(1, 60_000), 100_000);
    device.disk.files.clear();
    const now = edited(old.bytes, 30_000);
    const damaged = old.bytes.slice();
    damaged[10]! ^= 1;
    device.kept.get = () => damaged;
    const bytes = await send(device, now, [old.id]);
    assert(bytes > 1_000, `${bytes} bytes`);
    assert.deepEqual(await fetched(other(device, now), now), [now]);
  });

  test("SL17: without one equal block, what stood there before is a base", async () => {
    const { device, old } = await withFile(randomSample(1, 60_000), 100_000);
    const now = frameOf(old.bytes.map((byte, at) => (at % 700 === 0 ? byte ^ 1 : byte)));
    device.disk.files.clear();
    const before = new Set(device.shelf.chunks.keys());
    await device.remote.put([{ ...now, alike: [old.id], nearest: old.id }]);
    assert.equal(device.shelf.chunks.size, before.size + 1);
    assert.deepEqual(sealed(device, now).bases, [sealed(device, old)]);
    assert.deepEqual(await fetched(other(device, now), now), [now]);
  });
});
