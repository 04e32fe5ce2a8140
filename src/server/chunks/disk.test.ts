import { strict as assert } from "node:assert";
import { mkdir, readdir, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { utf8 } from "#core/bytes.ts";
import { newPack, writePack } from "../../../test/contracts/packs.ts";
import { scratchFolder } from "../../../test/contracts/scratch.ts";
import { DiskPacks } from "./disk.ts";

/** Every file below a folder. */
async function filesOf(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test("CH1: finished packs are there when the folder is opened again", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "data", "chunks");
  const name = newPack();
  {
    await using packs = await DiskPacks.open(path);
    await writePack(packs, name, "kept");
  }
  await using packs = await DiskPacks.open(path);
  assert.deepEqual(await Array.fromAsync(packs.list()), [name]);
  assert.deepEqual(await packs.read(name, 0, 4), Buffer.from("kept"));
});

test("CH2: what a killed server left unfinished is removed at the next start", async () => {
  await using folder = await scratchFolder();
  const [whole, part] = [newPack(), newPack()];
  await using killed = await DiskPacks.open(folder.path);
  await writePack(killed, whole, "whole");
  const pack = await killed.create(part);
  await pack.append(utf8("half"));
  assert.equal((await filesOf(folder.path)).length, 2);
  await using packs = await DiskPacks.open(folder.path);
  assert.deepEqual(await filesOf(folder.path), [`${whole}.pack`]);
  await pack.discard();
  await writePack(packs, part, "whole this time");
});

test("CH1: files of other programs are no packs", async () => {
  await using folder = await scratchFolder();
  await using packs = await DiskPacks.open(folder.path);
  await writeFile(join(folder.path, "README"), "hello");
  await mkdir(join(folder.path, "zz"));
  await writeFile(join(folder.path, "zz", ".DS_Store"), "hello");
  assert.deepEqual(await Array.fromAsync(packs.list()), []);
});

test("CH3: reading a hundred packs keeps few files open", async () => {
  await using folder = await scratchFolder();
  const packs = await DiskPacks.open(folder.path);
  const names = Array.from({ length: 100 }, newPack);
  await Promise.all(names.map((name) => writePack(packs, name, name)));
  await Promise.all(names.map((name) => packs.read(name, 0, 1)));
  assert((await openBelow(folder.path)) <= 64);
  await packs[Symbol.asyncDispose]();
  assert.equal(await openBelow(folder.path), 0);
});

/** How many files below a folder this process has open, where the system tells. */
async function openBelow(folder: string): Promise<number> {
  const open = await readdir("/proc/self/fd").catch(() => []);
  const targets = await Promise.all(
    open.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return targets.filter((target) => target.startsWith(folder)).length;
}
