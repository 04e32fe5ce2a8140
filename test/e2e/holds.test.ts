import assert from "node:assert/strict";
import * as fs from "node:fs";
import { suite, test } from "node:test";
import { assertSameTrees, settled, treeOf } from "./trees.ts";
import { assertSentence, type Device, World } from "./world.ts";

/** `big/` with 300 files and `rest/` with 98: 400 nodes. */
function makeTree(device: Device): void {
  for (let n = 0; n < 300; n++) device.write(`big/${n}`, `big ${n}`);
  for (let n = 0; n < 98; n++) device.write(`rest/${n}`, `rest ${n}`);
}

async function pair(world: World): Promise<[Device, Device]> {
  const { devices } = await world.synced("A", "B");
  const [a, b] = devices;
  assert.ok(a && b);
  makeTree(a);
  await settled(devices);
  return [a, b];
}

/** Waits until a device has nothing left to do but to be answered, and gives what it asks. */
// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as a script would
async function asked(device: Device): Promise<any> {
  const waited = await device.run("wait", device.dir);
  assertSentence(
    waited,
    /^lockstep: \d+ deletions wait for your yes or no: see lockstep holds\.\n$/,
  );
  assert.equal(waited.code, 3);
  const [hold, ...others] = await device.json("holds", device.dir);
  assert.ok(hold !== undefined && others.length === 0);
  return hold;
}

suite("mass deletions", { concurrency: 2 }, () => {
  test("CL28, MD1, MD6: rm -rf of 300 files of 400 is shown and rejected, and they are back", async () => {
    await using world = await World.open();
    const [a, b] = await pair(world);
    const before = treeOf(a.dir);
    fs.rmSync(a.at("big"), { recursive: true });
    const { id, sample, ...hold } = await asked(a);
    assert.deepEqual(hold, { direction: "up", deletes: 301, of: 400 });
    assert.equal(sample[0], "big");
    const { state, holds, pending } = await a.json("status", a.dir);
    assert.deepEqual(
      { state, holds, pending },
      { state: "held", holds: 1, pending: { up: 0, down: 0 } },
    );
    assert.match(
      await a.ok("status", a.dir),
      /held: deletions wait for you\n.* 301 deletions wait/,
    );
    assert.match(
      await a.ok("why", a.at("big/7")),
      new RegExp(`deleted on this disk.*\n.*hold ${id}, lockstep holds`),
    );
    const shown = await a.ok("holds", a.dir);
    assert.match(
      shown,
      new RegExp(`^${id}  301 of 400 deleted on this disk, in ${a.dir}\n  big\n`),
    );
    assert.match(
      shown,
      new RegExp(`\n  lockstep holds approve ${id} .*\n  lockstep holds reject ${id} `),
    );
    // From any terminal, without the folder's name.
    assert.match(
      await a.ok("holds", "reject", id),
      /^301 deletions in .* will be undone on this disk\.\n$/,
    );
    assertSameTrees(await settled([a, b]), before);
    assert.deepEqual(await a.json("holds", a.dir), []);
    assert.equal(await a.ok("holds", a.dir), "No deletions are held.\n");
    const log = await a.ok("log", a.dir, "-n", "1000");
    assert.match(log, new RegExp(`held here +301 deletions, hold ${id}\n`));
    assert.match(log, new RegExp(`rejected here +301 deletions, hold ${id}\n`));
  });

  test("CL28, MD5: approved while no engine runs, they are deleted everywhere and nobody else is asked", async () => {
    await using world = await World.open();
    const [a, b] = await pair(world);
    await a.engine.stop();
    fs.rmSync(a.at("big"), { recursive: true });
    const once = await a.run("sync", a.dir, "--once");
    assert.equal(once.code, 3);
    assert.match(once.stderr, /301 deletions wait/);
    const { holds, pending } = await a.json("status", a.dir);
    assert.deepEqual({ holds, pending }, { holds: 1, pending: { up: 0, down: 0 } });
    const [{ id }] = await a.json("holds", a.dir);
    const unknown = await a.run("holds", "approve", "00000000", a.dir);
    assert.equal(unknown.code, 2);
    assertSentence(unknown, /There is no hold 00000000: lockstep holds shows those there are/);
    assert.deepEqual(await a.json("holds", "approve", id, a.dir), {
      id,
      decision: "approve",
      deletes: 301,
    });
    await a.ok("sync", a.dir, "--once");
    await b.settle();
    assert.equal(b.list().length, 99);
    assert.deepEqual(await b.json("holds", b.dir), []);
  });

  test("MD1: 150 deletions, and a folder of 5,000 files that moves, are not held", async () => {
    await using world = await World.open();
    const [a, b] = await pair(world);
    for (let n = 0; n < 5_000; n++) a.write(`many/${n}`, `m${n}`);
    await settled([a, b]);
    fs.mkdirSync(a.at("elsewhere"));
    fs.renameSync(a.at("many"), a.at("elsewhere/many"));
    for (let n = 0; n < 150; n++) fs.unlinkSync(a.at(`big/${n}`));
    assertSameTrees(await settled([a, b]), treeOf(a.dir));
    assert.equal(b.list().length, 400 - 150 + 5_002);
  });

  test("MD7, MD3: with LOCKSTEP_HOLD=off a device asks nothing, and the other keeps its files until it is answered", async () => {
    await using world = await World.open();
    const [a, b] = await pair(world);
    await a.engine.stop();
    const environment = { LOCKSTEP_HOLD: "off", LOCKSTEP_HOME: a.home };
    world.start(["sync", a.dir], { env: environment });
    fs.rmSync(a.at("big"), { recursive: true });
    fs.rmSync(a.at("rest"), { recursive: true });
    await a.settle();
    const { id, direction } = await asked(b);
    assert.equal(direction, "down");
    assert.ok(b.list().length >= 350, `${b.list().length} are left`);
    const kept = treeOf(b.dir);
    await b.ok("holds", "reject", id, b.dir);
    assertSameTrees(await settled([b, a]), kept);
  });
});
