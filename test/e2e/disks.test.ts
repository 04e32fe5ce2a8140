import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { beNobody, mounted, mounting, namespacing, NOBODY, withFewWatches } from "./mounts.ts";
import { arrives, assertSameTrees, settled, treeOf, untilStatus } from "./trees.ts";
import { World } from "./world.ts";

const FILES = ["f", "d/one", "d/e/two"];

/** A server and two devices in sync, with some files. */
async function inSync(world: World) {
  const { server, devices } = await world.synced("A", "B");
  const [a, b] = devices;
  assert.ok(a && b);
  for (const name of FILES) a.write(name, name);
  return { server, a, b, tree: await settled(devices) };
}

suite("real disks", { concurrency: 2 }, () => {
  test(
    "RT2: a root that is unmounted stops its engine, which says so, and deletes nothing anywhere",
    { skip: mounting },
    async () => {
      await using world = await World.open();
      const server = await world.server();
      const [a, b] = ["A", "B"].map((name) => world.device(name));
      assert.ok(a && b);
      await a.ok("account", "create", "--server", server.url, "--account", "alice");
      const backing = path.join(world.folder, "backing");
      fs.mkdirSync(backing);
      await mounted(["--bind", backing], b.dir, async (unmount) => {
        for (const device of [a, b]) await device.link(server, "alice");
        for (const device of [a, b]) await device.sync();
        for (const name of FILES) a.write(name, name);
        const tree = await settled([a, b]);
        unmount();
        // Nobody is told of that: whoever asks hears it all the same.
        const { state, reason } = await b.json("status", b.dir);
        assert.deepEqual([state, /is missing, unmounted/.test(reason)], ["halted", true]);
        assert.equal((await b.engine.ended).code, 3);
        assert.match(await b.ok("why", b.at("f")), /is missing, unmounted/);
        assert.equal((await b.run("sync", b.dir, "--once")).code, 3);
        await a.settle();
        assertSameTrees(treeOf(a.dir), tree);
        assert.deepEqual(fs.readdirSync(b.dir), []);
      });
      await mounted(["--bind", backing], b.dir, async () => {
        a.write("f", "meanwhile");
        await b.sync();
        assert.equal(Object.keys(await settled([a, b])).length, 5);
        assert.equal(b.read("f"), "meanwhile");
        await b.engine.stop();
      });
    },
  );

  test("RT2: a root whose files are all gone with its marker stops its engine; it is linked anew", async () => {
    await using world = await World.open();
    const { server, a, b, tree } = await inSync(world);
    for (const name of fs.readdirSync(b.dir)) fs.rmSync(b.at(name), { recursive: true });
    assert.equal((await b.engine.ended).code, 3);
    const { state, reason } = await b.json("status", b.dir);
    assert.deepEqual([state, /lockstep unlink/.test(reason)], ["halted", true]);
    await a.settle();
    assertSameTrees(treeOf(a.dir), tree);
    await b.ok("unlink", b.dir);
    await b.link(server, "alice");
    await b.sync();
    assertSameTrees(await settled([a, b]), tree);
  });

  test(
    "SC7, DK15: what is mounted over a folder is left alone, and nothing below it counts as deleted",
    { skip: mounting },
    async () => {
      await using world = await World.open();
      const { a, b } = await inSync(world);
      await mounted(["-t", "tmpfs", "tmpfs"], a.at("d"), async (unmount) => {
        fs.writeFileSync(a.at("d/somebody's"), "of another disk");
        // B's changes below it give A's engine something to do there.
        for (let n = 0; n < 3; n++) {
          b.write(`d/new ${n}/f`, "from B");
          b.write(`d/e/${n}`, "from B");
          b.write("d/one", `version ${n}`);
          b.write(`beside ${n}`, "from B");
          await arrives(a, `beside ${n}`, "from B");
          // Two looks that agree would have made deletions of it.
          await a.settle();
        }
        await untilStatus(a, "names the mount", ({ problems }) =>
          problems.some(({ path: at, code }) => at === "d" && code === "other-file-system"),
        );
        assert.match(await a.ok("why", a.at("d/one")), /other-file-system/);
        assert.deepEqual(fs.readdirSync(a.at("d")), ["somebody's"]);
        unmount();
      });
      const tree = await settled([a, b]);
      const files = Object.keys(tree).filter((name) => !name.endsWith("/"));
      assert.equal(files.length, FILES.length + 9);
      assert.equal(a.read("d/one"), "version 2");
      assert.deepEqual(await b.json("trash", b.dir), []);
      assert.deepEqual(await b.json("conflicts", b.dir), []);
    },
  );

  test(
    "ST2: a root that may not be entered is named with the way out, and heals",
    { skip: beNobody },
    async () => {
      await using world = await World.open();
      const { server, devices } = await world.synced("A");
      const [a] = devices;
      assert.ok(a);
      const b = world.device("B");
      await b.link(server, "alice");
      execFileSync("chown", ["-R", String(NOBODY), b.home, b.dir]);
      fs.chmodSync(world.folder, 0o755);
      const engine = world.start(["sync", b.dir], { env: { LOCKSTEP_HOME: b.home }, uid: NOBODY });
      a.write("f", "first");
      await arrives(b, "f", "first");
      fs.chmodSync(b.dir, 0o000);
      a.write("f", "second");
      await untilStatus(b, "says so", ({ state, reason }) => {
        return state === "working" && /permission is denied; give this account/.test(reason ?? "");
      });
      assert.match(await b.ok("why", b.at("f")), /permission is denied/);
      fs.chmodSync(b.dir, 0o755);
      await arrives(b, "f", "second");
      await untilStatus(b, "is well", ({ state, reason }) => state === "in-sync" && !reason);
      await engine.stop();
    },
  );

  test(
    "WA5: where few folders may be watched, status says which setting helps, and all is found",
    { skip: namespacing },
    async () => {
      await using world = await World.open();
      const { server, devices } = await world.synced("A");
      const [a] = devices;
      const b = world.device("B");
      assert.ok(a);
      for (let n = 0; n < 20; n++) a.write(`d${n}/f`, "f");
      await b.link(server, "alice");
      const env = { LOCKSTEP_HOME: b.home };
      const engine = world.start(["sync", b.dir], { env, within: withFewWatches(8) });
      await arrives(b, "d19/f", "f");
      await b.settle();
      await untilStatus(b, "names the setting", ({ state, reason }) => {
        return state === "in-sync" && /sysctl fs\.inotify\.max_user_watches=/.test(reason ?? "");
      });
      for (let n = 0; n < 20; n++) b.write(`d${n}/g`, "g");
      for (let n = 0; n < 20; n++) await arrives(a, `d${n}/g`, "g");
      await engine.stop();
    },
  );
});
