import { strict as assert } from "node:assert";
import { test } from "node:test";
import { toHex, utf8 } from "#core/bytes.ts";
import { chunkId, ROOT_NODE, type ChunkId } from "#core/ids.ts";
import type { Chance } from "#core/world.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MAX_BATCH_BYTES } from "#protocol/limits.ts";
import { createFile, fileOf, newChunk, newSpace } from "../../test/contracts/tree.ts";
import { TreeWriter } from "../../test/contracts/tree-writer.ts";
import { MemoryPacks } from "./chunks/memory.ts";
import type { PackStore } from "./chunks/port.ts";
import { nodeDigest } from "./digest.ts";
import { Intake } from "./intake.ts";
import type { ChunkIndex } from "./metadata/port.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";

/** Names of packs count up: different, and the same in every run. */
function counting(): Chance {
  let count = 0;
  return { bytes: (length) => new Uint8Array(length).fill(++count) };
}

function frameOf(bytes: Uint8Array): ChunkFrame {
  return { id: chunkId(toHex(nodeDigest.sha256(bytes))), bytes };
}

const frame = (text: string): ChunkFrame => frameOf(utf8(text));

async function* stream(...frames: ChunkFrame[]): AsyncGenerator<ChunkFrame> {
  yield* frames;
}

const idsOf = (frames: readonly ChunkFrame[]): ChunkId[] => frames.map(({ id }) => id);

async function open() {
  const metadata = await openSqliteMetadata(":memory:");
  const packs = new MemoryPacks();
  const world = {
    packs,
    chunks: metadata.chunks,
    scrub: metadata.scrub,
    digest: nodeDigest,
    chance: counting(),
  };
  const intake = new Intake(world);
  return {
    metadata,
    packs,
    world,
    intake,
    space: await newSpace(metadata),
    packCount: async () => {
      await intake.idle();
      return (await Array.fromAsync(packs.list())).length;
    },
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  };
}

async function fetchAll(
  intake: Intake,
  space: { id: Parameters<Intake["fetch"]>[0] },
  ids: ChunkId[],
) {
  return Array.fromAsync(await intake.fetch(space.id, ids));
}

test("CH4: one wrong chunk keeps the whole batch out, and is named", async () => {
  await using store = await open();
  const { intake, space, metadata } = store;
  const big = frameOf(new Uint8Array(5 * 1024 * 1024));
  const wrong = { id: newChunk(), bytes: utf8("forged") };
  const batch = intake.store(space.id, stream(frame("a"), big, wrong, frame("b")), 0);
  await assert.rejects(batch, { code: "hash-mismatch", message: new RegExp(wrong.id) });
  const ids = [...idsOf([frame("a"), big, frame("b")]), wrong.id];
  assert.deepEqual(await metadata.chunks.held(space.id, ids), []);
  assert.deepEqual(await metadata.chunks.stored(ids), new Set());
  assert.equal(await store.packCount(), 0);
});

test("CH4: of a batch that breaks off what came whole is stored", async () => {
  await using store = await open();
  const { space, metadata, intake } = store;
  const cut = new Error("the connection is gone");
  const whole = [frameOf(new Uint8Array(5 * 1024 * 1024)), frame("a")];
  async function* breaking(): AsyncGenerator<ChunkFrame> {
    yield* whole;
    throw cut;
  }
  await assert.rejects(intake.store(space.id, breaking(), 0), cut);
  const held = await metadata.chunks.held(space.id, idsOf(whole));
  assert.deepEqual(new Set(held.map(({ id }) => id)), new Set(idsOf(whole)));
  assert.deepEqual(await fetchAll(intake, space, idsOf(whole)), whole);
  assert.equal(await store.packCount(), 1);
});

test("CH4: whoever asks again after a break waits until what came is stored", async () => {
  await using store = await open();
  const { space, metadata, world } = store;
  const other = await newSpace(metadata);
  const staging = Promise.withResolvers<void>();
  const chunks: Omit<ChunkIndex, "heldBytes"> = {
    stored: (ids) => metadata.chunks.stored(ids),
    held: (id, ids) => metadata.chunks.held(id, ids),
    renew: (id, ids, untilMs) => metadata.chunks.renew(id, ids, untilMs),
    stage: async (...what) => {
      await staging.promise;
      return metadata.chunks.stage(...what);
    },
  };
  const intake = new Intake({ ...world, chunks });
  async function* breaking(): AsyncGenerator<ChunkFrame> {
    yield frame("a");
    throw new Error("the connection is gone");
  }
  const broken = assert.rejects(intake.store(space.id, breaking(), 0), /gone/);
  // Its pack is written by then, and the index is asked to take it.
  while ((await Array.fromAsync(store.packs.list())).length < 1) await Promise.resolve();
  const asking = intake
    .salvaged(space.id)
    .then(() => metadata.chunks.held(space.id, [frame("a").id]));
  await intake.salvaged(other.id);
  staging.resolve();
  assert.equal((await asking).length, 1);
  await broken;
});

test("CH4: a batch that breaks off and cannot be kept stores nothing", async () => {
  await using store = await open();
  const { space, metadata, world } = store;
  let drawn = 0;
  const chance = { bytes: (length: number) => new Uint8Array(length).fill(drawn++ % 2) };
  const cut = new Error("the connection is gone");
  const packs: PackStore = {
    create: async (name) => {
      const writer = await world.packs.create(name);
      return {
        append: (bytes) => writer.append(bytes),
        finish: () => Promise.reject(new Error("the disk is full")),
        discard: () => writer.discard(),
      };
    },
    read: (...what) => world.packs.read(...what),
    list: () => world.packs.list(),
    remove: (name) => world.packs.remove(name),
  };
  const intake = new Intake({ ...world, packs, chance });
  async function* breaking(): AsyncGenerator<ChunkFrame> {
    yield frameOf(new Uint8Array(5 * 1024 * 1024));
    throw cut;
  }
  await assert.rejects(intake.store(space.id, breaking(), 0), cut);
  const ids = idsOf([frameOf(new Uint8Array(5 * 1024 * 1024))]);
  assert.deepEqual(await metadata.chunks.stored(ids), new Set());
  assert.equal(await store.packCount(), 0);
  // Even the names of the packs that were given up are free again.
  assert.equal(await new Intake({ ...world, chance }).store(space.id, stream(frame("a")), 0), 1);
});

test("CH5: what is stored already or comes twice takes room once", async () => {
  await using store = await open();
  const { intake, space, metadata } = store;
  const [a, b, c] = [frame("a"), frame("bb"), frame("ccc")];
  assert.equal(await intake.store(space.id, stream(a, a, b), 0), 3);
  assert.equal(await store.packCount(), 1);
  const other = await newSpace(metadata);
  assert.equal(await intake.store(other.id, stream(b, c, b), 0), 3);
  const places = await metadata.chunks.held(other.id, idsOf([b, c]));
  const byId = new Map(places.map((place) => [place.id, place]));
  assert.deepEqual([byId.get(b.id)?.offsetBytes, byId.get(c.id)?.offsetBytes], [1, 0]);
  assert.equal(await store.packCount(), 2);
});

test("CH5: a batch without anything fresh leaves no pack, an empty one writes nothing", async () => {
  await using store = await open();
  const { intake, space, metadata } = store;
  await intake.store(space.id, stream(frame("a")), 0);
  const other = await newSpace(metadata);
  assert.equal(await intake.store(other.id, stream(frame("a")), 0), 1);
  assert.equal(await intake.store(space.id, stream(), 0), 0);
  assert.equal(await store.packCount(), 1);
  assert.deepEqual(await fetchAll(intake, other, idsOf([frame("a")])), [frame("a")]);
});

/** The same packs, telling what is done to them; sizes, no names. */
function watched(packs: PackStore, told: string[]): PackStore {
  return {
    list: () => packs.list(),
    remove: (name) => packs.remove(name),
    read: (name, offsetBytes, lengthBytes) => packs.read(name, offsetBytes, lengthBytes),
    create: async (name) => {
      told.push("create");
      const writer = await packs.create(name);
      return {
        append: (bytes) => {
          told.push(`append ${bytes.length}`);
          return writer.append(bytes);
        },
        finish: () => {
          told.push("finish");
          return writer.finish();
        },
        discard: () => writer.discard(),
      };
    },
  };
}

test("CH15: what others have is written and made durable like what nobody has (T-DD-04)", async () => {
  const deeds: string[][] = [];
  for (const others of [[], [frame("one")], [frame("one"), frame("another")]]) {
    await using store = await open();
    await store.intake.store((await newSpace(store.metadata)).id, stream(...others), 0);
    const told: string[] = [];
    const intake = new Intake({ ...store.world, packs: watched(store.packs, told) });
    await intake.store(store.space.id, stream(frame("one"), frame("another")), 0);
    deeds.push(told);
  }
  for (const told of deeds) assert.deepEqual(told, deeds[0]);
  assert.deepEqual(deeds[0], ["create", "create", "append 3", "append 7", "finish", "finish"]);
});

test("CH15: an account earns as much for what others have as for what nobody has (T-DD-03)", async () => {
  await using store = await open();
  const { world, space, metadata } = store;
  const earned: [string, number][] = [];
  const onAccepted = async (owner: string, bytes: number): Promise<void> =>
    void earned.push([owner, bytes]);
  const intake = new Intake({ ...world, onAccepted });
  const other = await newSpace(metadata);
  await intake.store(space.id, stream(frame("one"), frame("two"), frame("one")), 0);
  await intake.store(other.id, stream(frame("one"), frame("another")), 0);
  await intake.store(other.id, stream(frame("another"), frame("two")), 0);
  await intake.store(other.id, stream(frame("another")), 0);
  assert.deepEqual(earned, [
    [space.id, 6],
    [other.id, 10],
    [other.id, 3],
  ]);
});

test("CH15: what was written for nothing goes some time after the answer", async () => {
  await using store = await open();
  const { world, space, metadata } = store;
  const resting = Promise.withResolvers<void>();
  const intake = new Intake({ ...world, beforeRemoving: () => resting.promise });
  for (const owner of [space, await newSpace(metadata), await newSpace(metadata)]) {
    await intake.store(owner.id, stream(frame("one")), 0);
  }
  // Of the first the empty one, of the others both.
  assert.equal(await store.packCount(), 6);
  resting.resolve();
  await intake.idle();
  assert.equal(await store.packCount(), 1);
});

test("CH6: nobody gets chunks by knowing their ids", async () => {
  await using store = await open();
  const { intake, space, metadata } = store;
  const secret = frame("secret");
  await intake.store(space.id, stream(secret), 0);
  const other = await newSpace(metadata);
  const fetching = intake.fetch(other.id, [secret.id]);
  await assert.rejects(fetching, { code: "not-found", message: new RegExp(secret.id) });
  const writer = new TreeWriter(metadata, other);
  const place = { id: secret.id, pack: "", offsetBytes: 0, lengthBytes: 6 };
  const answer = await writer.try(createFile("a", ROOT_NODE, fileOf([place])));
  assert.deepEqual(answer, { outcome: "missing-chunks", missing: [secret.id] });
});

test("CH7: chunks are staged for 72 hours from when they came", async () => {
  await using store = await open();
  const leases: number[] = [];
  const chunks: Omit<ChunkIndex, "heldBytes"> = {
    held: (space, ids) => store.metadata.chunks.held(space, ids),
    stored: (ids) => store.metadata.chunks.stored(ids),
    renew: (space, ids, leaseMs) => store.metadata.chunks.renew(space, ids, leaseMs),
    stage: async (_space, _written, _ids, leaseMs) => {
      leases.push(leaseMs);
      return new Set();
    },
  };
  const intake = new Intake({ ...store.world, chunks });
  await intake.store(store.space.id, stream(frame("a")), 5_000);
  assert.deepEqual(leases, [5_000 + 72 * 3_600_000]);
});

test("CH8: a crash between pack and record leaves chunks that can be sent again", async () => {
  await using store = await open();
  const { space, metadata, world } = store;
  const crash = new Error("killed");
  const chunks: Omit<ChunkIndex, "heldBytes"> = {
    held: (id, ids) => metadata.chunks.held(id, ids),
    stored: (ids) => metadata.chunks.stored(ids),
    renew: (id, ids, leaseMs) => metadata.chunks.renew(id, ids, leaseMs),
    stage: () => Promise.reject(crash),
  };
  const batch = [frame("a"), frame("b")];
  const dying = new Intake({ ...world, chunks });
  await assert.rejects(dying.store(space.id, stream(...batch), 0), crash);
  assert.equal(await store.packCount(), 2);
  assert.deepEqual(await metadata.chunks.held(space.id, idsOf(batch)), []);
  assert.deepEqual(await metadata.chunks.stored(idsOf(batch)), new Set());

  assert.equal(await store.intake.store(space.id, stream(...batch), 0), 2);
  assert.deepEqual(await fetchAll(store.intake, space, idsOf(batch)), batch);
  assert.equal(await store.packCount(), 3);
});

test("CH9: chunks come in the order of the question, repeats included", async () => {
  await using store = await open();
  const { intake, space } = store;
  const [a, b, c, d] = [frame("a"), frame("bb"), frame("ccc"), frame("dddd")];
  await intake.store(space.id, stream(a, b, c), 0);
  await intake.store(space.id, stream(d), 0);
  await intake.store(space.id, stream(frame("e"), frame("ff")), 0);
  // The last two lie where they would be neighbours in one pack, but in two.
  const asked = [c, a, b, d, b, b, a, frame("ff")];
  assert.deepEqual(await fetchAll(intake, space, idsOf(asked)), asked);
});

test("CH9: one chunk that is not held makes the question fail before the first byte", async () => {
  await using store = await open();
  const { intake, space } = store;
  const [a, unknown] = [frame("a"), frame("unknown")];
  await intake.store(space.id, stream(a), 0);
  const fetching = intake.fetch(space.id, idsOf([a, unknown, a]));
  await assert.rejects(fetching, { code: "not-found", message: new RegExp(unknown.id) });
});

test("CH9: an answer is cut short between two chunks at 32 MiB", async () => {
  await using store = await open();
  const { intake, space } = store;
  const large = frameOf(new Uint8Array(8 * 1024 * 1024));
  await intake.store(space.id, stream(large), 0);
  const asked = Array.from({ length: 6 }, () => large.id);
  assert.equal((await fetchAll(intake, space, asked)).length, 3);
});

/** The same packs with one byte of each answer turned over. */
function damaged(packs: PackStore): PackStore {
  return {
    create: (name) => packs.create(name),
    list: () => packs.list(),
    remove: (name) => packs.remove(name),
    read: async (name, offsetBytes, lengthBytes) => {
      const bytes = await packs.read(name, offsetBytes, lengthBytes);
      return bytes.fill((bytes[0] ?? 0) ^ 1, 0, 1);
    },
  };
}

test("CH10: damaged bytes are never given out", async () => {
  await using store = await open();
  const { space, packs, world } = store;
  const [a, b] = [frame("aaaa"), frame("bbbb")];
  await store.intake.store(space.id, stream(a, b), 0);
  const intake = new Intake({ ...world, packs: damaged(packs) });
  const reading = fetchAll(intake, space, idsOf([a, b]));
  await assert.rejects(reading, { code: "chunk-damaged", message: new RegExp(a.id) });
});

test("CH11: a batch above the limits stores nothing", async () => {
  await using store = await open();
  const { intake, space } = store;
  const bytes = new Uint8Array(8 * 1024 * 1024);
  const large = Array.from({ length: 4 }, (_, index) => frameOf(bytes.slice().fill(index, 0, 1)));
  const sizes = large.reduce((sum, one) => sum + one.bytes.length, 0);
  assert.equal(sizes, MAX_BATCH_BYTES);
  await assert.rejects(intake.store(space.id, stream(...large), 0), { code: "body-too-large" });
  const many = Array.from({ length: 10_001 }, (_, index) => frame(`${index}`));
  await assert.rejects(intake.store(space.id, stream(...many), 0), { code: "body-too-large" });
  assert.equal(await store.packCount(), 0);
  assert.equal(await intake.store(space.id, stream(...many.slice(1)), 0), 10_000);
});

test("CH12: chunks side by side are read at once, at most 8 MiB of them", async () => {
  await using store = await open();
  const { space, packs, world } = store;
  const reads: number[] = [];
  const counted: PackStore = {
    create: (name) => packs.create(name),
    list: () => packs.list(),
    remove: (name) => packs.remove(name),
    read: (name, offsetBytes, lengthBytes) => {
      reads.push(lengthBytes);
      return packs.read(name, offsetBytes, lengthBytes);
    },
  };
  const mebibyte = 1024 * 1024;
  const frames = Array.from({ length: 20 }, (_, index) =>
    frameOf(new Uint8Array(mebibyte).fill(index)),
  );
  const intake = new Intake({ ...world, packs: counted });
  await intake.store(space.id, stream(...frames), 0);
  assert.deepEqual(await fetchAll(intake, space, idsOf(frames)), frames);
  assert.deepEqual(reads, [8 * mebibyte, 8 * mebibyte, 4 * mebibyte]);
});

test("CH13: chunks that were merged into another pack meanwhile come all the same", async () => {
  await using store = await open();
  const { space, packs, metadata, world } = store;
  const [a, b] = [frame("a"), frame("bb")];
  await store.intake.store(space.id, stream(a, b), 0);
  let merged = false;
  const chunks: Omit<ChunkIndex, "heldBytes"> = {
    stored: (ids) => metadata.chunks.stored(ids),
    stage: (id, written, ids, leaseMs) => metadata.chunks.stage(id, written, ids, leaseMs),
    renew: (id, ids, leaseMs) => metadata.chunks.renew(id, ids, leaseMs),
    held: async (id, ids) => {
      const places = await metadata.chunks.held(id, ids);
      return merged ? places.map((place) => ({ ...place, pack: "merged" })) : places;
    },
  };
  const intake = new Intake({ ...world, chunks });
  const frames = await intake.fetch(space.id, idsOf([b, a]));
  const [place] = await metadata.chunks.held(space.id, [a.id]);
  assert(place !== undefined);
  const whole = await packs.create("merged");
  await whole.append(await packs.read(place.pack, 0, 3));
  await whole.finish();
  await packs.remove(place.pack);
  merged = true;
  assert.deepEqual(await Array.fromAsync(frames), [b, a]);
});
