import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { openDisk } from "#platform/disk.ts";
import { IgnoreRules } from "#sync/ignore.ts";
import { look } from "#sync/look.ts";
import { Matcher } from "#sync/match.ts";
import { World } from "./world.ts";

test("SC4, SC9: a look at everything lists what is below a folder that was moved where it stands now", async () => {
  await using world = await World.start();
  const a = await world.device("A");
  mkdirSync(a.path("top", "in", "deep"), { recursive: true });
  writeFileSync(a.path("top", "in", "deep", "f"), "known");
  await a.settle();
  await a.down();
  mkdirSync(a.path("other"));
  renameSync(a.path("top"), a.path("other", "new"));
  writeFileSync(a.path("other", "new", "in", "deep", "fresh"), "unknown");
  await using disk = openDisk(a.dir);
  const store = openDeviceStore(join(world.root, "A.sqlite"), { folding: true });
  try {
    const { trees } = store;
    const inside = (folder: string): string =>
      trees.children("local", folder as typeof ROOT_NODE)[0]?.id ?? assert.fail("no such folder");
    const deep = inside(inside(inside(ROOT_NODE)));
    const seen = await look({ disk, trees, rules: new IgnoreRules() }, "all");
    const listed = seen.folders.find(({ id }) => id === deep);
    assert.deepEqual(
      listed?.found.map(({ entry }) => entry.name),
      ["fresh"],
    );
    assert.equal(seen.unsteady, false);
    assert.equal(seen.missing.size, 1, "nothing but the folder that was moved is missing");
  } finally {
    store.close();
  }
});

test("SC2, SC4: a file that moved with its path to another folder of that name is the same file", async () => {
  await using world = await World.start();
  const a = await world.device("A");
  for (const folder of ["d", "x"]) mkdirSync(a.path(folder));
  writeFileSync(a.path("d", "f"), "known");
  await a.settle();
  await a.down();
  await using disk = openDisk(a.dir);
  const store = openDeviceStore(join(world.root, "A.sqlite"), { folding: true });
  try {
    const { trees } = store;
    const idOf = (name: string, folder: NodeId = ROOT_NODE): NodeId =>
      trees.named("local", folder, name)[0]?.id ?? assert.fail(`no ${name}`);
    const [x, f] = [idOf("x"), idOf("f", idOf("d"))];
    renameSync(a.path("d", "f"), a.path("x", "f"));
    rmdirSync(a.path("d"));
    renameSync(a.path("x"), a.path("d"));
    const seen = await look({ disk, trees, rules: new IgnoreRules() }, "all");
    const fresh = (): NodeId => nodeId("1".repeat(32));
    const around = { trees, fresh, arrivals: new Map(), outage: null, sent: new Set<NodeId>() };
    trees.transaction(() => new Matcher(around, seen, 1_000_000, true).run());
    assert.equal(trees.get(f)?.local?.parent, x);
  } finally {
    store.close();
  }
});

test("SC6: what was sent and may have landed is not gone because one look misses it", async () => {
  await using world = await World.start();
  const a = await world.device("A");
  for (const folder of ["d", "o"]) mkdirSync(a.path(folder));
  await a.settle();
  await a.down();
  await using disk = openDisk(a.dir);
  const store = openDeviceStore(join(world.root, "A.sqlite"), { folding: true });
  try {
    const { trees } = store;
    const row = trees.named("local", ROOT_NODE, "d")[0] ?? assert.fail("no d");
    // The commit that made it is under way.
    trees.put({ ...row, remote: null, synced: null });
    renameSync(a.path("d"), a.path("o", "d"));
    const seen = await look({ disk, trees, rules: new IgnoreRules() }, [ROOT_NODE]);
    const fresh = (): NodeId => nodeId("1".repeat(32));
    const around = { trees, fresh, arrivals: new Map(), outage: null, sent: new Set([row.id]) };
    trees.transaction(() => new Matcher(around, seen, 1_000_000, false).run());
    assert.equal(trees.get(row.id)?.local?.blind, "absent");
  } finally {
    store.close();
  }
});

test("SC6, SC4: a new folder that one look misses takes nothing along that the server has", async () => {
  await using world = await World.start();
  const a = await world.device("A");
  mkdirSync(a.path("d"));
  writeFileSync(a.path("d", "f"), "known");
  await a.settle();
  await a.down();
  await using disk = openDisk(a.dir);
  const store = openDeviceStore(join(world.root, "A.sqlite"), { folding: true });
  try {
    const { trees } = store;
    const [known] = trees.children("local", ROOT_NODE);
    assert(known?.local);
    // A person made it, moved "d" in, and moves it on while everything is looked at.
    mkdirSync(a.path("new"));
    const fresh = nodeId("1".repeat(32));
    const stat = (await disk.look.stat("new")) ?? assert.fail("nothing was made");
    const local = { ...known.local, name: "new", file: stat.file, stamp: stat.stamp };
    trees.put({ ...known, id: fresh, remote: null, synced: null, local });
    trees.put({ ...known, local: { ...known.local, parent: fresh } });
    renameSync(a.path("d"), a.path("new", "d"));
    renameSync(a.path("new"), a.path(".lockstep", "gone"));
    const rules = new IgnoreRules();
    const seen = await look({ disk, trees, rules }, "all");
    const draw = (): NodeId => nodeId("2".repeat(32));
    const around = {
      trees,
      fresh: draw,
      arrivals: new Map(),
      outage: null,
      sent: new Set<NodeId>(),
    };
    trees.transaction(() => new Matcher(around, seen, 1_000_000, true).run());
    assert.equal(trees.get(known.id)?.local?.parent, fresh);
    assert.equal(trees.get(fresh)?.local?.blind, "absent");
  } finally {
    store.close();
  }
});
