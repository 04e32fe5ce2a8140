import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { assertSameTrees, treeOf } from "./trees.ts";
import { World } from "./world.ts";
import { chances, Wreck, wreckFor } from "./wreck.ts";

const FILES = 2_000;
const MOST_KILLS = 60;

suite("killed at any moment", { concurrency: 2 }, () => {
  test("EX7: a first sync of 2,000 files ends whole, each file once, with one version", async () => {
    await using world = await World.open();
    const scene = await Wreck.make(world);
    const [a, b] = scene.devices;
    assert.ok(a && b);
    for (let n = 0; n < FILES; n++) {
      const text = n % 100 === 0 ? `${n} `.repeat(50_000) : `file ${n}`;
      a.write(`d${n % 23}/e${n % 5}/f${n}`, text);
    }
    const wanted = treeOf(a.dir);
    const chance = chances(5);
    scene.start();
    const isThere = (): boolean => b.list().length === Object.keys(wanted).length;
    for (let kill = 0; kill < MOST_KILLS && !isThere(); kill++) {
      await pause(300 + 700 * chance());
      await scene.kill(chance);
    }
    assertSameTrees(await scene.assertWhole(), wanted);
    const files = b.list().filter((name) => !name.endsWith("/"));
    for (const name of [files[0], files[999], files[1_999]]) {
      assert.ok(name !== undefined);
      const history = await b.json("history", b.at(name));
      assert.equal(history.length, 1, name);
    }
    assert.deepEqual(await b.json("trash", b.dir), []);
  });

  test("EX7: edits, moves and deletions meanwhile are all there, none twice and none in conflict (T-JR-05)", async () => {
    const { deeds } = await wreckFor(20, 6, () => undefined);
    assert.ok(deeds > 100, `${deeds} deeds in 20 rounds`);
  });
});
