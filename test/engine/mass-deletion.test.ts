import assert from "node:assert/strict";
import * as fs from "node:fs";
import { suite, test } from "node:test";
import { decideHold, listHolds, type Decision, type HoldReport } from "#sync/holds.ts";
import { treeOf, until, World, type Device } from "./world.ts";

function makeFiles(device: Device, folder: string, count: number): void {
  fs.mkdirSync(device.path(folder), { recursive: true });
  for (let n = 0; n < count; n++) fs.writeFileSync(device.path(folder, `${n}`), `${folder} ${n}`);
}

function holdsOf(device: Device): HoldReport[] {
  return listHolds(device.store.trees, device.store.records);
}

function onlyHold(device: Device): HoldReport {
  const [hold, ...others] = holdsOf(device);
  assert(hold !== undefined && others.length === 0, `${device.name} has one hold`);
  return hold;
}

function decide(device: Device, decision: Decision): void {
  const { id } = onlyHold(device);
  decideHold(device.store, id, decision);
  device.engine.wake();
}

function count(device: Device): number {
  return Object.keys(treeOf(device.dir)).length;
}

function stateOf(device: Device): { state: string; holds: number } {
  const { state, holds } = device.engine.status(0);
  return { state, holds };
}

/** Two devices with 300 files in `big/` and 99 in `rest/`: 401 nodes. */
async function pair(world: World): Promise<[Device, Device]> {
  const a = await world.device("A");
  makeFiles(a, "big", 300);
  makeFiles(a, "rest", 99);
  const b = await world.device("B");
  await world.settle();
  return [a, b];
}

suite("mass deletions on this disk", { concurrency: 3 }, () => {
  test("MD1, MD3: a mass deletion is not sent, everything else goes on", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    fs.rmSync(a.path("big"), { recursive: true });
    await a.settle();
    fs.unlinkSync(b.path("rest", "0"));
    fs.writeFileSync(a.path("rest", "1"), "edited");
    await world.settle();
    assert.equal(count(b), 400);
    assert.equal(fs.readFileSync(b.path("rest", "1"), "utf8"), "edited");
    assert(!fs.existsSync(a.path("rest", "0")));
    const { id, ...hold } = onlyHold(a);
    assert.match(id, /^[0-9a-f]{8}$/);
    assert.deepEqual(
      { ...hold, sample: hold.sample[0] },
      { direction: "up", deletes: 301, of: 401, sample: "big" },
    );
    assert.deepEqual(stateOf(a), { state: "held", holds: 1 });
    assert.match(a.engine.status(0).reason ?? "", /^301 deletions wait .* lockstep holds\.$/);
    assert.deepEqual(stateOf(b), { state: "in-sync", holds: 0 });
  });

  test("MD6: rejected, the files come back to this disk", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    const before = treeOf(a.dir);
    fs.rmSync(a.path("big"), { recursive: true });
    await a.settle();
    const head = await world.head();
    decide(a, "reject");
    await world.settle();
    assert.deepEqual(treeOf(a.dir), before);
    assert.deepEqual(treeOf(b.dir), before);
    assert.equal(await world.head(), head);
    assert.deepEqual(stateOf(a), { state: "in-sync", holds: 0 });
  });

  test("MD5: approved, exactly what was held goes everywhere, and nobody else asks", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    fs.rmSync(a.path("big"), { recursive: true });
    await a.settle();
    decide(a, "approve");
    fs.unlinkSync(a.path("rest", "0"));
    await world.settle();
    assert.equal(count(b), 99);
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    for (const device of [a, b]) assert.deepEqual(stateOf(device), { state: "in-sync", holds: 0 });
  });

  test("MD1: what is deleted after an approval is judged for itself", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    for (const folder of ["one", "two", "three"]) makeFiles(a, folder, 250);
    const b = await world.device("B");
    await world.settle();
    fs.rmSync(a.path("one"), { recursive: true });
    fs.rmSync(a.path("two"), { recursive: true });
    await a.settle();
    assert.equal(onlyHold(a).deletes, 502);
    decide(a, "approve");
    await a.settle();
    fs.rmSync(a.path("three"), { recursive: true });
    await world.settle();
    assert.equal(onlyHold(a).deletes, 251);
    assert.equal(count(b), 251);
  });

  test("MD1: a folder that loses all of 20 nodes is asked about, one that loses 19 is not", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    makeFiles(a, "d", 19);
    await world.settle();
    fs.rmSync(a.path("d"), { recursive: true });
    await world.settle();
    assert.equal(count(b), 20);
    const { deletes, of } = onlyHold(a);
    assert.deepEqual({ deletes, of }, { deletes: 20, of: 20 });
    decide(a, "approve");
    await world.settle();
    assert.equal(count(b), 0);
    makeFiles(a, "d", 18);
    await world.settle();
    fs.rmSync(a.path("d"), { recursive: true });
    await world.settle();
    assert.equal(count(b), 0);
    assert.deepEqual(stateOf(a), { state: "in-sync", holds: 0 });
  });

  test("MD1: few deletions, and moves of however many, are not held", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    for (let n = 0; n < 150; n++) fs.unlinkSync(a.path("big", `${n}`));
    fs.renameSync(a.path("rest"), a.path("moved"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.equal(count(b), 251);
    fs.mkdirSync(a.path("elsewhere"));
    for (const name of fs.readdirSync(a.path("big"))) {
      fs.renameSync(a.path("big", name), a.path("elsewhere", name));
    }
    fs.rmdirSync(a.path("big"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.deepEqual(stateOf(a), { state: "in-sync", holds: 0 });
  });

  test("MD1, MD2: deletions that come in slices are one, and so are those of ten minutes", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    // The first hundred are sent before anybody knows of more.
    for (let n = 0; n < 100; n++) fs.unlinkSync(a.path("big", `${n}`));
    await world.settle();
    assert.equal(count(b), 301);
    // It remembers over a restart.
    await a.down();
    a.up();
    for (let n = 100; n < 200; n++) fs.unlinkSync(a.path("big", `${n}`));
    await world.settle();
    const { deletes, of } = onlyHold(a);
    assert.deepEqual({ deletes, of }, { deletes: 100, of: 401 });
    assert.equal(count(b), 301);
  });

  test("MD4: a hold outlives its engine and keeps its id while it grows; what comes back leaves it", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    for (let n = 0; n < 250; n++) fs.unlinkSync(a.path("big", `${n}`));
    await a.settle();
    const { id } = onlyHold(a);
    await a.down();
    for (let n = 250; n < 300; n++) fs.unlinkSync(a.path("big", `${n}`));
    fs.writeFileSync(a.path("big", "0"), "written again");
    a.up();
    await world.settle();
    const hold = onlyHold(a);
    assert.deepEqual({ id: hold.id, deletes: hold.deletes }, { id, deletes: 299 });
    // Others edit, move out and add.
    fs.writeFileSync(b.path("big", "1"), "edited at B");
    fs.renameSync(b.path("big", "2"), b.path("two"));
    fs.writeFileSync(b.path("big", "new"), "n");
    await world.settle();
    assert.equal(onlyHold(a).deletes, 297);
    for (const name of ["big/0", "big/1", "two", "big/new"])
      assert(fs.existsSync(a.path(name)), name);
    decide(a, "approve");
    await world.settle();
    assert.deepEqual(treeOf(a.dir), treeOf(b.dir));
    assert.equal(count(b), 105);
  });

  test("MD3: a folder of a held one's name waits for the answer and nothing else does", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    fs.rmSync(a.path("big"), { recursive: true });
    await a.settle();
    fs.renameSync(a.path("rest"), a.path("big"));
    fs.writeFileSync(a.path("other"), "o");
    await until("the other file crossed", () => fs.existsSync(b.path("other")));
    await world.settle();
    assert.equal(stateOf(a).holds, 1);
    decide(a, "approve");
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.equal(stateOf(a).holds, 0);
    assert.equal(fs.readFileSync(b.path("big", "7"), "utf8"), "rest 7");
  });

  test("MD7: a device that is told so asks nothing, and the others still do", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    await a.down();
    a.up(null);
    fs.rmSync(a.path("big"), { recursive: true });
    await world.settle();
    assert.deepEqual(stateOf(a), { state: "in-sync", holds: 0 });
    assert.deepEqual(stateOf(b), { state: "held", holds: 1 });
    assert.equal(count(b), 401);
  });
});

/** Three devices, of which C has deleted `big/` without being asked, in slices. */
async function deletedAtC(world: World): Promise<[Device, Device, Device]> {
  const [a, b] = await pair(world);
  const c = await world.device("C");
  await c.down();
  c.up(null);
  await c.settle();
  for (let slice = 0; slice < 3; slice++) {
    for (let n = slice * 100; n < slice * 100 + 100; n++) fs.unlinkSync(c.path("big", `${n}`));
    await c.settle();
  }
  fs.rmdirSync(c.path("big"));
  await world.settle();
  return [a, b, c];
}

suite("mass deletions elsewhere", { concurrency: 3 }, () => {
  test("MD2, MD3: they are not done here, whatever the commits they come in", async () => {
    await using world = await World.start();
    const [a, b] = await deletedAtC(world);
    for (const device of [a, b]) {
      const { direction, deletes } = onlyHold(device);
      assert.equal(direction, "down");
      // The first slice may have been done before anybody knew of more.
      assert(deletes >= 201 && count(device) >= 301, `${device.name} holds ${deletes}`);
      assert.equal(stateOf(device).state, "held");
    }
  });

  test("MD6: one that keeps them brings them back to all, and the others ask no more", async () => {
    await using world = await World.start();
    const [a, b, c] = await deletedAtC(world);
    const kept = treeOf(b.dir);
    decide(b, "reject");
    await world.settle();
    for (const device of [a, b, c]) {
      assert.deepEqual(treeOf(device.dir), kept, device.name);
      assert.deepEqual(stateOf(device), { state: "in-sync", holds: 0 });
    }
  });

  test("MD5, MD6: approved on one and rejected on another, they are back everywhere, once", async () => {
    await using world = await World.start();
    const [a, b, c] = await deletedAtC(world);
    const kept = treeOf(b.dir);
    decide(a, "approve");
    await a.settle();
    assert.equal(count(a), 100);
    decide(b, "reject");
    await world.settle();
    for (const device of [a, b, c]) assert.deepEqual(treeOf(device.dir), kept, device.name);
    for (const device of [a, b, c])
      assert.deepEqual(stateOf(device), { state: "in-sync", holds: 0 });
  });

  test("MD3: what is edited, moved out or added here lives on, the rest is still held", async () => {
    await using world = await World.start();
    const [a, b, c] = await deletedAtC(world);
    const before = onlyHold(a).deletes;
    fs.writeFileSync(a.path("big", "299"), "edited");
    fs.renameSync(a.path("big", "298"), a.path("out"));
    fs.writeFileSync(a.path("big", "new"), "n");
    await world.settle();
    for (const name of ["big/299", "out", "big/new"]) assert(fs.existsSync(c.path(name)), name);
    assert.equal(onlyHold(a).deletes, before - 3);
    decide(a, "approve");
    decide(b, "approve");
    await world.settle();
    for (const device of [a, b]) assert.deepEqual(treeOf(device.dir), treeOf(c.dir));
    assert.equal(count(c), 104);
  });

  test("MD4: an older device database with a hold in it deletes nothing and holds nothing back", async () => {
    await using world = await World.start();
    const [a, b] = await pair(world);
    fs.rmSync(a.path("big"), { recursive: true });
    await a.settle();
    await a.down();
    const database = `${world.root}/A.sqlite`;
    fs.copyFileSync(database, `${database}.older`);
    a.up();
    decide(a, "approve");
    await world.settle();
    assert.equal(count(b), 100);
    await a.down();
    for (const end of ["-wal", "-shm"]) fs.rmSync(database + end, { force: true });
    fs.copyFileSync(`${database}.older`, database);
    a.up();
    await world.settle();
    assert.equal(count(b), 100);
    assert.deepEqual(treeOf(a.dir), treeOf(b.dir));
    assert.deepEqual(stateOf(a), { state: "in-sync", holds: 0 });
  });
});
