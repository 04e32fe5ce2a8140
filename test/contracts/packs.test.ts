import { strict as assert } from "node:assert";
import { readdir, readFile, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { utf8 } from "#core/bytes.ts";
import { systemChance } from "#platform/chance.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { ClosedPacks } from "../../src/server/chunks/closed-packs.ts";
import { DiskPacks } from "../../src/server/chunks/disk.ts";
import { MemoryPacks } from "../../src/server/chunks/memory.ts";
import { nodeDigest } from "../../src/server/digest.ts";
import { Intake } from "../../src/server/intake.ts";
import { openSqliteMetadata } from "../../src/server/metadata/sqlite.ts";
import { newPack, packContract } from "./packs.ts";
import { scratchFolder } from "./scratch.ts";
import { sha256 } from "./server-world.ts";
import { newSpace } from "./tree.ts";

packContract("memory", async () => ({
  packs: new MemoryPacks(),
  [Symbol.asyncDispose]: async () => {},
}));

packContract("memory, closed", async () => ({
  packs: new ClosedPacks(new MemoryPacks(), new Uint8Array(32).fill(7)),
  [Symbol.asyncDispose]: async () => {},
}));

test("CH16: packs hold no byte as it was sent, and are read from anywhere (T-SV-09)", async () => {
  const inner = new MemoryPacks();
  const packs = new ClosedPacks(inner, new Uint8Array(32).fill(7));
  const text = Uint8Array.from({ length: 1_000 }, (_, index) => index % 7);
  const names = [newPack(), newPack()];
  for (const name of names) {
    const pack = await packs.create(name);
    assert.equal(await pack.append(text.subarray(0, 333)), 0);
    assert.equal(await pack.append(text.subarray(333)), 333);
    await pack.finish();
    for (const [from, to] of [
      [0, 1_000],
      [15, 17],
      [16, 32],
      [333, 334],
      [999, 1_000],
    ] as const) {
      assert.deepEqual(
        [...(await packs.read(name, from, to - from))],
        [...text.subarray(from, to)],
      );
    }
  }
  const [one, other] = await Promise.all(names.map((name) => inner.read(name, 0, 1_000)));
  assert(one !== undefined && other !== undefined);
  assert.notDeepEqual(one, other);
  for (const closed of [one, other]) assert(new Set(closed).size > 200, "it looks like chance");
  const wrongKey = new ClosedPacks(inner, new Uint8Array(32).fill(8));
  assert.notDeepEqual([...(await wrongKey.read(names[0] ?? "", 0, 1_000))], [...text]);
});

test("GC5: a server that starts lets a collector beside it finish what it writes, and clears up after one that never will", async () => {
  await using scratch = await scratchFolder();
  await using served = await DiskPacks.open(scratch.path);
  await using beside = DiskPacks.beside(scratch.path);
  const name = newPack();
  const pack = await beside.create(name);
  await pack.append(utf8("a chunk"));
  const given = await beside.create(newPack());
  const folder = join(scratch.path, "unfinished-beside");
  await using again = await DiskPacks.open(scratch.path);
  await pack.finish();
  for (const packs of [served, again]) {
    assert.deepEqual([...(await packs.read(name, 0, 7))], [...utf8("a chunk")]);
  }
  const [left] = await readdir(folder);
  const twoDaysAgo = (await stat(folder)).mtimeMs / 1_000 - 2 * 86_400;
  await utimes(join(folder, left ?? ""), twoDaysAgo, twoDaysAgo);
  await using last = await DiskPacks.open(scratch.path);
  assert.deepEqual(await readdir(folder), []);
  assert.deepEqual(await Array.fromAsync(last.list()), [name]);
  await given.discard();
});

test("T-DD-13, CH16: neither names nor contents of what is stored tell which chunks these are", async () => {
  await using folder = await scratchFolder();
  await using disk = await DiskPacks.open(folder.path);
  const metadata = await openSqliteMetadata(":memory:");
  const packs = new ClosedPacks(disk, new Uint8Array(32).fill(7));
  const { chunks, scrub } = metadata;
  const intake = new Intake({ packs, chunks, scrub, digest: nodeDigest, chance: systemChance });
  const texts = ["what everybody has", "what only one has", "x".repeat(5_000)].map(utf8);
  const frames = texts.map((bytes) => ({ id: sha256(bytes), bytes }));
  const spaces = [await newSpace(metadata), await newSpace(metadata)];
  for (const space of spaces) await intake.store(space.id, stream(frames), 0);
  await intake.idle();
  const stored: string[] = [];
  for (const entry of await readdir(folder.path, { recursive: true, withFileTypes: true })) {
    stored.push(entry.name);
    if (!entry.isFile()) continue;
    stored.push((await readFile(join(entry.parentPath, entry.name))).toString("latin1"));
  }
  const all = stored.join("\n");
  assert(all.length > 5_000);
  for (const { id, bytes } of frames) {
    const raw = Buffer.from(id, "hex");
    const forms = [id, raw.toString("latin1"), raw.toString("base64url"), id.slice(0, 16)];
    const text = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
    for (const form of [...forms, text]) assert(!all.includes(form), form);
  }
  await metadata[Symbol.asyncDispose]();
});

async function* stream(frames: readonly ChunkFrame[]): AsyncGenerator<ChunkFrame> {
  yield* frames;
}

packContract("disk", async () => {
  const folder = await scratchFolder();
  const packs = await DiskPacks.open(folder.path);
  return {
    packs,
    [Symbol.asyncDispose]: async () => {
      await packs[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});
