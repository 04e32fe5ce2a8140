import assert from "node:assert/strict";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { openDisk } from "#platform/disk.ts";
import { IgnoreRules } from "#sync/ignore.ts";
import { look } from "#sync/look.ts";
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
