import assert from "node:assert/strict";
import { readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import type { NodeRow } from "#sync/tree.ts";
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
});

function heldName({ id, local }: NodeRow): string {
  assert(local !== null);
  const { parent, name, stamp } = local;
  return `${Date.now()}.${stamp.sizeBytes}.${stamp.mtimeNs}.${id}-${parent}-${name}`;
}
