import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { chunkId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { newSpace } from "../../test/contracts/tree.ts";
import { MemoryPacks } from "./chunks/memory.ts";
import type { PackStore } from "./chunks/port.ts";
import { nodeDigest } from "./digest.ts";
import { realChance } from "./real-world.ts";
import { Intake } from "./intake.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";
import { scrubChunks, type ScrubOptions } from "./scrub.ts";

const AT_ONCE: ScrubOptions = { bytesPerSecond: null };

function frame(text: string): ChunkFrame {
  return { id: chunkId(createHash("sha256").update(text).digest("hex")), bytes: utf8(text) };
}

async function* stream(...frames: ChunkFrame[]): AsyncGenerator<ChunkFrame> {
  yield* frames;
}

/** A clock that only sleeping moves. */
class StillClock implements Clock {
  #ms = 0;
  nowMs(): number {
    return this.#ms;
  }
  today(): string {
    return "1970-01-01";
  }
  monotonicMs(): number {
    return this.#ms;
  }
  async sleep(ms: number): Promise<void> {
    this.#ms += ms;
  }
  after(): never {
    throw new Error("scrubbing sleeps");
  }
}

/** Packs whose bytes somebody may twist, or take away, or whose disk may be away. */
class RottenPacks implements Pick<PackStore, "read"> {
  readonly #packs: PackStore;
  readonly rotten = new Set<string>();
  readonly gone = new Set<string>();
  isAway = false;

  constructor(packs: PackStore) {
    this.#packs = packs;
  }

  async read(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    if (this.isAway) throw new WorldError("unavailable", "Away.", { retryable: true });
    if (this.gone.has(name)) throw new WorldError("pack-missing", "Gone.");
    const bytes = (await this.#packs.read(name, offsetBytes, lengthBytes)).slice();
    // The first byte of the pack.
    if (this.rotten.has(name) && offsetBytes === 0) bytes[0] = (bytes[0] ?? 0) ^ 1;
    return bytes;
  }
}

async function open() {
  const metadata = await openSqliteMetadata(":memory:");
  const memory = new MemoryPacks();
  const packs = new RottenPacks(memory);
  const { chunks, scrub } = metadata;
  const world = { chunks, scrub, digest: nodeDigest, chance: realChance };
  const reading = Object.assign(Object.create(memory) as MemoryPacks, {
    read: packs.read.bind(packs),
    create: memory.create.bind(memory),
    remove: memory.remove.bind(memory),
    list: memory.list.bind(memory),
  });
  const intake = new Intake({ ...world, packs: reading });
  const space = await newSpace(metadata);
  const clock = new StillClock();
  return {
    space,
    packs,
    intake,
    metadata,
    clock,
    scrub: (options: ScrubOptions = AT_ONCE) => scrubChunks({ ...world, packs, clock }, options),
    packOf: async ({ id }: ChunkFrame) => (await chunks.held(space.id, [id]))[0]?.pack ?? "",
    fetch: async ({ id }: ChunkFrame) => Array.fromAsync(await intake.fetch(space.id, [id])),
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  };
}

test("QU3: a scrub finds the one chunk of which a bit was turned over, and the others go on", async () => {
  await using server = await open();
  const { intake, space, packs, metadata } = server;
  const [bad, good] = [frame("turned over"), frame("as it was")];
  await intake.store(space.id, stream(bad, good), 0);
  const sound = { packs: 1, chunks: 2, bytes: 20, damaged: 0, quarantined: 0, released: 0 };
  assert.deepEqual(await server.scrub(), sound);
  packs.rotten.add(await server.packOf(bad));
  assert.deepEqual(await server.scrub(), { ...sound, damaged: 1, quarantined: 1 });
  assert.deepEqual(await metadata.scrub.quarantined(space.id, 10), [bad.id]);
  await assert.rejects(server.fetch(bad), { code: "chunk-damaged", message: new RegExp(bad.id) });
  assert.deepEqual(await server.fetch(good), [good]);
  assert.deepEqual(await server.scrub(), { ...sound, damaged: 1 });

  await intake.store(space.id, stream(bad), 0);
  assert.deepEqual(await server.fetch(bad), [bad]);
  const { damaged, quarantined } = await server.scrub();
  assert.deepEqual({ damaged, quarantined }, { damaged: 0, quarantined: 0 });
});

test("QU3: a pack that is gone is found, and its chunks are back when it is", async () => {
  await using server = await open();
  const { intake, space, packs } = server;
  const chunks = [frame("one"), frame("two")];
  await intake.store(space.id, stream(...chunks), 0);
  packs.gone.add(await server.packOf(frame("one")));
  assert.equal((await server.scrub()).quarantined, 2);
  packs.gone.clear();
  assert.equal((await server.scrub()).released, 2);
  for (const chunk of chunks) assert.deepEqual(await server.fetch(chunk), [chunk]);
});

test("QU3: while the store is away nothing is called damaged", async () => {
  await using server = await open();
  const { intake, space, packs, metadata } = server;
  await intake.store(space.id, stream(frame("one")), 0);
  packs.isAway = true;
  await assert.rejects(server.scrub(), { code: "unavailable" });
  assert.deepEqual(await metadata.scrub.quarantined(space.id, 10), []);
});

test("QU3: a scrub reads no faster than it may", async () => {
  await using server = await open();
  const { intake, space, clock } = server;
  for (let at = 0; at < 10; at++) await intake.store(space.id, stream(frame(`chunk ${at}`)), 0);
  const { bytes } = await server.scrub({ bytesPerSecond: 7 });
  assert.equal(bytes, 70);
  assert.equal(clock.nowMs(), 10_000);
});

test("QU1: who meets a damaged chunk first puts it into quarantine; it is not given out again", async () => {
  await using server = await open();
  const { intake, space, packs, metadata } = server;
  const [bad, good] = [frame("turned over"), frame("as it was")];
  await intake.store(space.id, stream(bad, good), 0);
  packs.rotten.add(await server.packOf(bad));
  await assert.rejects(server.fetch(bad), { code: "chunk-damaged" });
  assert.deepEqual(await metadata.scrub.quarantined(space.id, 10), [bad.id]);
  packs.rotten.clear();
  await assert.rejects(server.fetch(bad), { code: "chunk-damaged" });
  assert.deepEqual(await server.fetch(good), [good]);
});
