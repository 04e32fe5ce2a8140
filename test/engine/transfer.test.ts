import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { HttpRemote } from "#platform/remote-http.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { treeOf, until, World, type Device } from "./world.ts";

const MIB = 1024 * 1024;

/** All changes of the journal after `sequence`, as any device reads them. */
async function changesAfter(device: Device, sequence: number): Promise<string[]> {
  const { server: url, token, space, startCursor } = device.link;
  const shared = { clock: systemClock, chance: systemChance, digest: systemDigest };
  const remote = new HttpRemote({ ...shared, url, token, space });
  const kinds: string[] = [];
  for (let cursor = startCursor; ;) {
    const feed = await remote.changes(cursor, 0);
    for (const entry of feed.entries) {
      if (entry.sequence > sequence) kinds.push(...entry.changes.map(({ kind }) => kind));
    }
    if (feed.entries.length === 0 || feed.entries.at(-1)?.sequence === feed.head) return kinds;
    cursor = feed.cursor;
  }
}

suite("what travels", () => {
  test("SE2: a folder of 5,000 files that is renamed costs one change and no content", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("photos"));
    for (let n = 0; n < 5_000; n++) writeFileSync(a.path("photos", `${n}.jpg`), `picture ${n}`);
    await world.settle();
    assert.equal(Object.keys(treeOf(b.dir)).length, 5_001);
    const before = { head: await world.head(), sent: a.engine.status(0).sentBytes };
    const received = b.engine.status(0).receivedBytes;
    renameSync(a.path("photos"), a.path("pictures"));
    await until("B has the new name", () => existsSync(b.path("pictures", "4999.jpg")));
    await world.settle();
    assert.deepEqual(await changesAfter(a, before.head), ["move"]);
    assert.equal(a.engine.status(0).sentBytes, before.sent);
    assert.equal(b.engine.status(0).receivedBytes, received);
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
  });

  test("DL2: a file that was renamed over another one is fetched by nobody", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "kept");
    writeFileSync(a.path("g"), "overwritten");
    await world.settle();
    const before = b.engine.status(0).receivedBytes;
    renameSync(a.path("f"), a.path("g"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { g: "kept" });
    assert.equal(b.engine.status(0).receivedBytes, before);
  });

  test("UP1: a copy of a large file uploads nothing, an inserted byte uploads little; both build on what is there [DL2]", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    const bytes = randomBytes(100 * MIB);
    writeFileSync(a.path("video"), bytes);
    await world.settle();
    const whole = a.engine.status(0).sentBytes;
    assert(whole >= 100 * MIB && whole < 101 * MIB, `${whole} bytes for 100 MiB`);
    const received = b.engine.status(0).receivedBytes;
    copyFileSync(a.path("video"), a.path("copy"));
    await world.settle();
    assert.equal(a.engine.status(0).sentBytes, whole);
    assert.equal(b.engine.status(0).receivedBytes, received);
    writeFileSync(a.path("video"), Buffer.concat([Buffer.from("!"), bytes]));
    await world.settle();
    const more = a.engine.status(0).sentBytes - whole;
    assert(more > 0 && more < 3 * MIB, `${more} bytes for one inserted`);
    assert(b.engine.status(0).receivedBytes - received < 3 * MIB);
    assert(readFileSync(b.path("video")).equals(readFileSync(a.path("video"))));
    assert(readFileSync(b.path("copy")).equals(bytes));
  });

  test("DL5: a large file beside small ones holds none of them up, and keeps its time", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("huge"), randomBytes(300 * MIB));
    for (let n = 0; n < 50; n++) writeFileSync(a.path(`small ${n}`), `${n}`);
    await until("the small ones are there", () => existsSync(b.path("small 49")));
    await world.settle();
    const [here, there] = [statSync(a.path("huge")), statSync(b.path("huge"))];
    assert.equal(there.size, here.size);
    assert.equal(Math.floor(there.mtimeMs), Math.floor(here.mtimeMs));
    assert(readFileSync(b.path("huge")).equals(readFileSync(a.path("huge"))));
  });

  test("SC3: a file moved to another disk and back by copy and delete is a move", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("report"), "the only file with these bytes");
    mkdirSync(a.path("sub"));
    await world.settle();
    const before = await world.head();
    copyFileSync(a.path("report"), a.path("sub", "report"));
    unlinkSync(a.path("report"));
    await world.settle();
    assert.deepEqual(await changesAfter(a, before), ["move"]);
    assert.deepEqual(treeOf(b.dir), { "sub/": "", "sub/report": "the only file with these bytes" });
  });

  test("DL6: nothing is fetched for a folder that cannot be made, until it can", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    execFileSync("mkfifo", [b.path("photos")]);
    mkdirSync(a.path("photos"));
    writeFileSync(a.path("photos", "small"), randomBytes(1000));
    writeFileSync(a.path("photos", "large"), randomBytes(20 * MIB));
    await a.settle();
    await until("B knows of all three", () => b.engine.status(0).pending.down === 3);
    writeFileSync(a.path("later"), "what has a place goes on");
    await until("B has gone on", () => existsSync(b.path("later")));
    assert.deepEqual(readdirSync(b.path(".lockstep", "stage")), []);
    assert(b.engine.status(0).receivedBytes < 1000, "what waits for its folder was fetched");
    unlinkSync(b.path("photos"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
  });

  test("CH14: a large file that two accounts have is stored once, and each reads its own", async () => {
    await using world = await World.start();
    await world.signUp("bob");
    const a = await world.device("A");
    const b = await world.device("B", "bob");
    const bytes = randomBytes(20 * MIB);
    writeFileSync(a.path("video"), bytes);
    await a.settle();
    const once = storedBytes(world);
    writeFileSync(b.path("the same"), bytes);
    await b.settle();
    assert(b.engine.status(0).sentBytes > 20 * MIB, "who has it is not to be learned by sending");
    // What was written twice goes when the answers are given.
    await until("the second copy is dropped", () => storedBytes(world) < once * 1.02);
    const c = await world.device("C", "bob");
    await c.settle();
    assert(readFileSync(c.path("the same")).equals(bytes));
  });
});

/** Bytes of all that the server keeps on its disk. */
function storedBytes(world: World): number {
  const below = readdirSync(join(world.root, "data"), { recursive: true, withFileTypes: true });
  const files = below.filter((entry) => entry.isFile());
  return files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
}
