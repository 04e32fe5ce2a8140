import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { settled, treeOf } from "./trees.ts";
import { type Device, type Server, World } from "./world.ts";

/** Kills the server, puts the backup into its data folder, and starts it on the same port. */
async function goBack(world: World, server: Server, backup: string, ...more: string[]) {
  await server.process.stop("SIGKILL");
  const aside = path.join(world.folder, "aside");
  fs.mkdirSync(aside);
  for (const name of fs.readdirSync(server.data)) {
    if (name.startsWith("metadata.sqlite")) {
      fs.renameSync(path.join(server.data, name), path.join(aside, name));
    }
  }
  const restore = ["backup", "restore", backup, "--data", server.data, ...more];
  const restored = await world.start(restore).ended;
  assert.equal(restored.code, 0, restored.stderr);
  const port = Number(new URL(server.url).port);
  return { server: await world.server({ data: server.data, port }), said: restored.stdout };
}

async function backUp(world: World, server: Server): Promise<string> {
  const backup = path.join(world.folder, "backup");
  const made = await world.start(["backup", backup, "--data", server.data]).ended;
  assert.equal(made.code, 0, made.stderr);
  return backup;
}

suite("backups", { concurrency: 2 }, () => {
  test("SL14, SL18, BK1: a restored backup that is announced goes on by a word of each device's: all is as it was", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B", "C");
    const [a, b, c] = devices as [Device, Device, Device];
    a.write("kept", "as it was");
    a.write("edited", "first words");
    a.write("gone", "deleted after the backup");
    a.write("large", "x".repeat(300_000));
    await settled(devices);
    const backup = await backUp(world, server);
    b.write("new", "made after the backup");
    b.write("edited", "last words");
    b.write("large 2", "y".repeat(300_000));
    fs.rmSync(c.at("gone"));
    fs.renameSync(c.at("kept"), c.at("kept elsewhere"));
    const before = await settled(devices);
    const { said } = await goBack(world, server, backup, "--announce");
    assert.match(said, /ask once/);
    for (const device of devices) {
      const ended = await device.engine.ended;
      assert.equal(ended.code, 3, ended.stderr);
      assert.match(ended.stderr, /operator says that a backup was restored, which ends with #\d+/);
      assert.deepEqual(treeOf(device.dir), before, "nothing is changed");
    }
    // Asked again without an answer it stays where it is.
    assert.equal((await a.run("sync", a.dir, "--once")).code, 3);
    for (const device of devices) {
      await device.ok("sync", device.dir, "--once", "--after-restore");
    }
    for (const device of devices) await device.sync();
    // Nothing stands twice, and what was deleted stays so.
    assert.deepEqual(await settled(devices), before);
    // An answer is for one restore.
    a.write("after", "all is well");
    assert.equal((await settled(devices))["after"] === undefined, false);
    assert.equal(b.read("after"), "all is well");
  });

  test("SA16: keys that were renewed after the backup are had again by linking with the password", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B", "C");
    const [a, b, c] = devices as [Device, Device, Device];
    a.write("before", "everybody");
    await settled(devices);
    const backup = await backUp(world, server);
    await a.ok("devices", "revoke", "C", "--folder", a.dir);
    a.write("after", "not for C");
    b.write("before", "nor this");
    const living = [a, b];
    const before = await settled(living);
    await goBack(world, server, backup, "--announce");
    for (const device of living) {
      assert.equal((await device.engine.ended).code, 3);
      const ended = await device.run("sync", device.dir, "--once", "--after-restore");
      assert.equal(ended.code, 3, ended.stderr);
      const [told, command = ""] =
        /Sign in with lockstep (link .*), run this again/.exec(ended.stderr) ?? [];
      assert.match(told ?? "", /--account alice/, ended.stderr);
      assert.deepEqual(treeOf(device.dir), before, "nothing is changed");
      await device.ok(...command.split(" "));
      await device.ok("sync", device.dir, "--once", "--after-restore");
    }
    await a.ok("devices", "revoke", "C", "--folder", a.dir);
    for (const device of living) await device.sync();
    assert.deepEqual(await settled(living), before);
    assert.equal((await c.run("sync", c.dir, "--once", "--after-restore")).code, 3);
    assert.equal(c.read("after"), null);
    assert.equal(c.read("before"), "everybody");
    a.write("then", "all is well");
    await settled(living);
    assert.equal(b.read("then"), "all is well");
  });

  test("SL12, BK1: a restored backup that nobody announced stops the devices, and changes nothing", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B");
    const [a, b] = devices as [Device, Device];
    a.write("before", "1");
    await settled(devices);
    const backup = await backUp(world, server);
    b.write("later", "2");
    const before = await settled(devices);
    await goBack(world, server, backup);
    for (const device of devices) {
      const ended = await device.engine.ended;
      assert.equal(ended.code, 3, ended.stderr);
      assert.match(ended.stderr, /went back from #\d+ to #\d+: nothing is changed/);
      const still = await device.run("sync", device.dir, "--once", "--after-restore");
      assert.equal(still.code, 3, "a yes to what nobody has said is none");
      assert.deepEqual(treeOf(device.dir), before);
    }
    const { state, reason } = await a.json("status", a.dir);
    assert.equal(state, "halted");
    assert.match(reason, /Unlink and link the folder/);
  });

  test("BK1: a backup of a server at work is whole, and the next one copies what is new", async () => {
    await using world = await World.open();
    const { server, devices } = await world.plainSynced("A");
    const [a] = devices as [Device];
    for (let n = 0; n < 50; n++) a.write(`early ${n}`, `${n} `.repeat(4_000));
    await settled(devices);
    let isOver = false;
    const writing = (async () => {
      for (let n = 0; !isOver; n++) {
        a.write(`late ${n}`, `${n} `.repeat(4_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const first = await world.start([
      "backup",
      path.join(world.folder, "backup"),
      "--json",
      "--data",
      server.data,
    ]).ended;
    assert.equal(first.code, 0, first.stderr);
    isOver = true;
    await writing;
    await settled(devices);
    const again = await world.start([
      "backup",
      path.join(world.folder, "backup"),
      "--json",
      "--data",
      server.data,
    ]).ended;
    const [one, two] = [first, again].map(({ stdout }) => JSON.parse(stdout));
    assert.ok(one.packs === one.copied && one.packs > 0);
    assert.equal(two.copied, two.packs - one.packs);
    await a.engine.stop();
    const data = path.join(world.folder, "another");
    fs.mkdirSync(data);
    fs.copyFileSync(path.join(server.data, "master.key"), path.join(data, "master.key"));
    const backup = path.join(world.folder, "backup");
    const restored = await world.start(["backup", "restore", backup, "--data", data]).ended;
    assert.equal(restored.code, 0, restored.stderr);
    const over = await world.start(["backup", "restore", backup, "--data", data]).ended;
    assert.equal(over.code, 1);
    assert.match(over.stderr, /in the way: move it elsewhere first/);
    const copy = await world.server({ data });
    const b = world.device("B");
    await b.link(copy, "alice", "--space", "plain");
    await b.sync();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
  });

  test("LM5: what an operator does beside a server stands in its audit log, done or failed", async () => {
    await using world = await World.open();
    const server = await world.server();
    await server.process.stop();
    const backup = path.join(world.folder, "backup");
    const [on, home] = [["--data", server.data], path.join(world.folder, "operator")];
    const run = async (audit: Record<string, string>, ...args: string[]) => {
      const { code } = await world.start(args, { env: { LOCKSTEP_HOME: home, ...audit } }).ended;
      return code;
    };
    const file = path.join(world.folder, "audit");
    const toFile = { LOCKSTEP_AUDIT_FILE: file };
    assert.equal(await run(toFile, "backup", backup, ...on), 0);
    assert.equal(await run(toFile, "gc", "--dry-run", ...on), 0);
    assert.equal(await run(toFile, "gc", ...on), 0);
    assert.equal(await run({}, "scrub", ...on), 0);
    assert.equal(await run({}, "backup", "restore", backup, "--announce", ...on), 1);
    const data = ["--data", path.join(world.folder, "another")];
    assert.equal(await run({}, "backup", "restore", backup, "--announce", ...data), 0);
    const linesOf = (from: string): string[] => {
      const lines = fs.readFileSync(from, "utf8").trim().split("\n");
      for (const line of lines) assert.ok(!line.includes(world.folder), line);
      return lines.map((line) => {
        const { event, what, outcome, announced, code } = JSON.parse(line);
        return [event, what, outcome, announced, code].filter(Boolean).join(" ");
      });
    };
    assert.deepEqual(linesOf(file), ["audit backup-made done", "audit collected done"]);
    assert.deepEqual(linesOf(path.join(home, "log", "audit.log")), [
      "audit scrubbed done",
      "audit backup-restored failed data-in-the-way",
      "audit backup-restored done true",
    ]);
  });
});
