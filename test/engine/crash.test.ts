import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { contentHash, ROOT_NODE } from "#core/ids.ts";
import { systemClock } from "#platform/clock.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { openDisk } from "#platform/disk.ts";
import { Executor } from "#sync/execute.ts";
import { IgnoreRules } from "#sync/ignore.ts";
import type { LocalOp } from "#sync/planner.ts";
import { Problems } from "#sync/problems.ts";
import type { NodeRow } from "#sync/tree.ts";
import { Unsynced } from "#sync/unsynced.ts";
import { treeOf, World, type Device } from "./world.ts";

function rowOf(device: Device, name: string): NodeRow {
  return device.store.trees.named("remote", ROOT_NODE, name)[0] ?? assert.fail(`no ${name}`);
}

suite("a device that is killed", () => {
  test("EX7: between replacing a file and recording it, it takes the file for what it is", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "first");
    await world.settle();
    const row = rowOf(b, "f");
    // As the kill leaves it: the displacement on record, the old inode held, the new one in place.
    b.store.trees.put({ ...row, displacing: row.local?.file ?? null });
    await b.down();
    renameSync(b.path("f"), b.path(".lockstep", "hold", heldName(row)));
    writeFileSync(b.path("f"), "second");
    writeFileSync(a.path("f"), "second");
    await a.settle();
    b.up();
    await world.settle();
    for (const device of [a, b]) assert.deepEqual(treeOf(device.dir), { f: "second" });
    assert.equal(rowOf(b, "f").id, row.id);
    assert.equal(statSync(b.path("f")).nlink, 1);
    assert.equal(readdirSync(b.path(".lockstep", "hold")).length, 1);
  });

  for (const kind of ["file", "folder"]) {
    test(`EX7, EX4: between moving a ${kind} and recording it, the move is its own and no person's`, async () => {
      await using world = await World.start();
      const a = await world.device("A");
      const b = await world.device("B");
      mkdirSync(a.path("d"));
      for (const name of ["f", "d/f"]) writeFileSync(a.path(name), "first");
      await world.settle();
      const [from, to] = kind === "file" ? ["f", "g"] : ["d", "e"];
      const row = rowOf(b, from);
      assert(row.remote);
      const place = { parent: ROOT_NODE, name: to };
      b.store.trees.put({ ...row, remote: { ...row.remote, ...place } });
      await b.down();
      await moveAndDie(world, b, { kind: "move", id: row.id, to: place });
      renameSync(a.path(from), a.path(to));
      await a.settle();
      assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
      rmSync(a.path(to), { recursive: true });
      await a.settle();
      b.up();
      await world.settle();
      for (const device of [a, b])
        assert.deepEqual(Object.keys(treeOf(device.dir)), kind === "file" ? ["d/", "d/f"] : ["f"]);
    });
  }

  test("EX7, EX4: between putting a file in place and recording it, it knows it where a person moved it", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("d"));
    writeFileSync(a.path("f"), "moved");
    await world.settle();
    const row = rowOf(b, "f");
    const { remote, local } = row;
    assert(remote !== null && local !== null);
    // As the kill leaves it: what is to be put in place is on record, and stands there.
    const placing = { parent: ROOT_NODE, name: "f", content: remote.content, file: local.file };
    b.store.trees.put({ ...row, synced: null, local: null, placing });
    await b.down();
    renameSync(b.path("f"), b.path("d", "f"));
    b.up();
    await world.settle();
    for (const device of [a, b]) assert.deepEqual(treeOf(device.dir), { "d/": "", "d/f": "moved" });
    assert.equal(a.store.trees.get(row.id)?.remote?.parent, rowOf(a, "d").id);
  });

  test("EX7: what it had staged and is wanted no more when it is back does not stay", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "first");
    await world.settle();
    const row = rowOf(b, "f");
    const content = row.remote?.content;
    assert(row.remote && content?.kind === "file");
    // As the kill leaves it: a second content is known and half of it is staged.
    const sha256 = contentHash("ab".repeat(32));
    b.store.trees.put({ ...row, remote: { ...row.remote, content: { ...content, sha256 } } });
    await b.down();
    writeFileSync(b.path(".lockstep", "stage", `${row.id}-${sha256.slice(0, 32)}`), "sec");
    writeFileSync(a.path("f"), "third");
    await a.settle();
    b.up();
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { f: "third" });
    assert.deepEqual(readdirSync(b.path(".lockstep", "stage")), []);
  });
});

function heldName({ id, local }: NodeRow): string {
  assert(local !== null);
  const { parent, name, stamp } = local;
  return `${Date.now()}.${stamp.sizeBytes}.${stamp.mtimeNs}.${id}-${parent}-${name}`;
}

/** Carries out a move on a device's disk, and ends before that is durable and recorded. */
async function moveAndDie(world: World, { dir, name }: Device, op: LocalOp): Promise<void> {
  await using disk = openDisk(dir);
  const store = openDeviceStore(join(world.root, `${name}.sqlite`), { folding: true });
  const die = async (): Promise<never> => Promise.reject(new Error("killed"));
  const change = new Proxy(disk.change, {
    get: (target, method) =>
      method === "syncFolders" ? die : Reflect.get(target, method).bind(target),
  });
  const used = { ...disk, change };
  const executor = new Executor(
    {
      ...store,
      disk: used,
      unsynced: new Unsynced(used),
      clock: systemClock,
      problems: new Problems(),
      rules: new IgnoreRules(),
      nameKey: (text) => text,
      lookAgain: () => undefined,
      folderMade: () => undefined,
      folderRemoved: () => undefined,
    },
    [op],
  );
  await assert.rejects(executor.rearrange(new AbortController().signal), /killed/);
  store.close();
}
