import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { createServer } from "node:net";
import * as path from "node:path";
import { suite, test } from "node:test";
import { arrives, assertSameTrees, settled, untilStatus } from "./trees.ts";
import { type Device, World } from "./world.ts";

/** Of the class of the largest files, and more than a process may hold at once. */
const SPARSE_BYTES = 1_100 * 1024 ** 2;
const MOST_RSS_MIB = 350;
const MANY_FILES = 2_000;

/** The most memory that a process had so far. */
function mostMiB(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

function bytesBelow(folder: string): number {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => {
    return sum + fs.statSync(path.join(parentPath, name)).blocks * 512;
  }, 0);
}

/** Goes down a chain of folders by relative steps: no call takes so long a path. */
function inChain(top: string, work: (at: string) => void): void {
  const before = process.cwd();
  try {
    process.chdir(top);
    for (;;) {
      const [inner] = fs.readdirSync(".", { withFileTypes: true }).filter((e) => e.isDirectory());
      if (inner === undefined) break;
      process.chdir(inner.name);
    }
    work(".");
  } finally {
    process.chdir(before);
  }
}

const LINUX_ONLY = process.platform === "linux" ? false : "reads /proc, makes long paths";

suite("what a disk may hold", { concurrency: 2 }, () => {
  test("SC7, ST2: pipes, sockets and names that no device can hold are named, the rest goes on", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices as [Device, Device];
    execFileSync("mkfifo", [a.at("pipe")]);
    const socket = createServer().listen(a.at("socket"));
    fs.writeFileSync(Buffer.from(`${a.dir}/odd \xff`, "latin1"), "no UTF-8");
    a.write("bell \u0007", "no name for a tree");
    a.write("plain", "text");
    await arrives(b, "plain", "text");
    const expected = {
      "bell \u0007": "bad-name",
      "odd %FF": "bad-name",
      pipe: "unsupported-kind",
      socket: "unsupported-kind",
    };
    await untilStatus(a, "names them", ({ state, problems }) => {
      const codes = Object.fromEntries(problems.map(({ path: at, code }) => [at, code]));
      return state === "in-sync" && JSON.stringify(codes) === JSON.stringify(expected);
    });
    for (const name of ["pipe", "socket", "bell \u0007"]) {
      assert.match(await a.ok("why", a.at(name)), /cannot be synced/, name);
    }
    assert.deepEqual(b.list(), ["plain"]);
    socket.close();
  });

  test("EX8: a link out of the root is no link on another device, which says so; others are", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices as [Device, Device];
    a.write("d/f", "text");
    const links = { out: "/etc/hostname", up: "../../x", in: "d/f", dangling: "nowhere" };
    for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, a.at(name));
    await untilStatus(b, "names two", ({ problems }) => {
      return (
        problems.map(({ path: at, code }) => `${at} ${code}`).join() ===
        "out outside-root,up outside-root"
      );
    });
    assert.match(await b.ok("why", b.at("out")), /its target lies outside the synced folder/);
    assert.equal(fs.readlinkSync(b.at("in")), "d/f");
    assert.equal(fs.readlinkSync(b.at("dangling")), "nowhere");
    for (const name of ["out", "up"]) fs.rmSync(a.at(name));
    assert.equal(Object.keys(await settled([a, b])).length, 4);
  });

  test(
    "DK10: a path of 4,000 bytes arrives, moves with its top folder and goes",
    { skip: LINUX_ONLY },
    async () => {
      await using world = await World.open();
      const { devices } = await world.synced("A", "B");
      const [a, b] = devices as [Device, Device];
      fs.mkdirSync(a.at("top"));
      a.write("stays", "so that nobody is asked whether all is to go");
      const before = process.cwd();
      let bytes = "top".length;
      process.chdir(a.at("top"));
      for (; bytes + 200 < 4_000 - 150; bytes += 200) {
        fs.mkdirSync("x".repeat(199));
        process.chdir("x".repeat(199));
      }
      fs.writeFileSync("f".repeat(4_000 - bytes - 1), "deep");
      process.chdir(before);
      for (const device of [a, b, a, b]) await device.settle();
      inChain(b.at("top"), (at) => {
        const [name = ""] = fs.readdirSync(at);
        assert.deepEqual([name.length, fs.readFileSync(name, "utf8")], [4_000 - bytes - 1, "deep"]);
      });
      fs.renameSync(a.at("top"), a.at("bottom"));
      for (const device of [a, b]) await device.settle();
      inChain(b.at("bottom"), (at) => assert.equal(fs.readdirSync(at).length, 1));
      assert.deepEqual(fs.readdirSync(b.dir).toSorted(), [".lockstep", "bottom", "stays"]);
      fs.rmSync(a.at("bottom"), { recursive: true });
      for (const device of [a, b]) await device.settle();
      assert.deepEqual(b.list(), ["stays"]);
    },
  );

  test(
    "FR6, DK7: a sparse file takes little memory, room and traffic, and stays sparse",
    { skip: LINUX_ONLY },
    async () => {
      await using world = await World.open();
      const { server, devices } = await world.synced("A", "B");
      const [a, b] = devices as [Device, Device];
      a.write("image", randomBytes(100_000));
      fs.truncateSync(a.at("image"), SPARSE_BYTES - 1);
      fs.appendFileSync(a.at("image"), "!");
      await settled([a, b]);
      assert.ok(fs.statSync(b.at("image")).blocks * 512 < 32 * 1024 ** 2, "it is sparse");
      assert.ok(bytesBelow(server.data) < 32 * 1024 ** 2, "the server has its zeros once");
      for (const { pid } of [a.engine, b.engine, server.process]) {
        assert.ok(mostMiB(pid) < MOST_RSS_MIB, `${mostMiB(pid)} MiB`);
      }
    },
  );

  test("SC4, SE2: a folder of 2,000 files arrives, and its renaming is one change", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices as [Device, Device];
    fs.mkdirSync(a.at("many"));
    for (let n = 0; n < MANY_FILES; n++) fs.writeFileSync(a.at(`many/${n}`), `${n}`);
    await settled([a, b]);
    const [{ version }] = await b.json("history", b.at("many/7"));
    fs.renameSync(a.at("many"), a.at("renamed"));
    const tree = await settled([a, b]);
    assert.equal(Object.keys(tree).length, MANY_FILES + 1);
    assert.equal((await b.json("history", b.at("renamed/7")))[0].version, version);
  });

  test("EN3: an older LOCKSTEP_HOME that is put back deletes nothing and makes no copies", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices as [Device, Device];
    a.write("f", "first");
    a.write("goes", "later");
    await settled([a, b]);
    await a.engine.stop();
    fs.cpSync(a.home, `${a.home} of before`, { recursive: true });
    await a.sync();
    a.write("f", "second");
    a.write("new/f", "new");
    fs.rmSync(a.at("goes"));
    await settled([a, b]);
    b.write("f", "third");
    const tree = await settled([a, b]);
    await a.engine.stop();
    fs.rmSync(a.home, { recursive: true });
    fs.renameSync(`${a.home} of before`, a.home);
    a.write("offline", "before it starts again");
    await a.sync();
    const after = await settled([a, b]);
    assertSameTrees({ ...after, offline: "" }, { ...tree, offline: "" });
    assert.equal(b.read("offline"), "before it starts again");
    assert.deepEqual(await a.json("conflicts", a.dir), []);
    assert.match(await a.ok("log", a.dir), /united/);
  });
});
