import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { suite, test } from "node:test";
import { beNobody, mounting, NOBODY, onSmallDisk } from "./mounts.ts";
import { arrives, settled, untilStatus } from "./trees.ts";
import { until, World } from "./world.ts";

const MIB = 1024 * 1024;
suite("trouble", { concurrency: 2 }, () => {
  test(
    "a device's full disk is named, others go on, and it heals when there is room",
    { skip: mounting },
    async () => {
      await using world = await World.open();
      const server = await world.server();
      const devices = ["A", "B"].map((name) => world.device(name));
      const [a, b] = devices;
      assert.ok(a && b);
      await a.ok("account", "create", "--server", server.url, "--account", "alice");
      // 100 MiB of every disk are left to others.
      await onSmallDisk(a.dir, 120, async (grow) => {
        for (const device of devices) await device.link(server, "alice");
        for (const device of devices) await device.sync();
        b.write("big", randomBytes(60 * MIB));
        b.write("small", "fits");
        await arrives(a, "small", "fits");
        await untilStatus(a, "names the file", ({ problems }) =>
          problems.some(({ path, code }) => path === "big" && code === "no-space"),
        );
        a.write("from A", "goes on");
        await arrives(b, "from A", "goes on");
        assert.equal((await a.run("wait", a.dir, "--timeout", "20")).code, 1);
        grow(400);
        await settled(devices);
        await untilStatus(
          a,
          "is well",
          ({ state, problems }) => state === "in-sync" && problems.length === 0,
        );
        for (const device of devices) await device.engine.stop();
      });
    },
  );

  test(
    "a server's full disk is named, refuses cleanly, and heals when there is room",
    { skip: mounting },
    async () => {
      await using world = await World.open();
      const data = `${world.folder}/small disk`;
      await onSmallDisk(data, 40, async (grow) => {
        const server = await world.server({ data });
        const devices = ["A", "B"].map((name) => world.device(name));
        const [a, b] = devices;
        assert.ok(a && b);
        await a.ok("account", "create", "--server", server.url, "--account", "alice");
        for (const device of devices) await device.link(server, "alice");
        for (const device of devices) await device.sync();
        b.write("big", randomBytes(80 * MIB));
        await untilStatus(b, "names the file", ({ problems }) =>
          problems.some(({ path }) => path === "big"),
        );
        assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
        grow(400);
        await settled(devices);
        await server.process.stop();
      });
    },
  );

  test("while the server is away devices say so; when it is back all heals by itself", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B");
    const [a, b] = devices;
    assert.ok(a && b);
    await server.process.stop();
    a.write("f", "made while it was away");
    for (const device of devices) {
      await untilStatus(
        device,
        "is offline",
        ({ state, reason }) => state === "offline" && reason !== null,
      );
    }
    await world.server({ data: server.data, port: Number(new URL(server.url).port) });
    await arrives(b, "f", "made while it was away");
    await settled(devices);
  });

  test("a signal in the middle of work ends every process with 0, and the next start goes on", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B");
    const [a, b] = devices;
    assert.ok(a && b);
    for (let n = 0; n < 1_000; n++) a.write(`d/${n}`, `file ${n}`);
    a.write("big", randomBytes(60 * MIB));
    await until(() => fs.existsSync(b.at("d")), "work is under way");
    for (const process of [a.engine, server.process, b.engine]) {
      assert.equal((await process.stop("SIGINT")).code, 0);
    }
    await world.server({ data: server.data, port: Number(new URL(server.url).port) });
    for (const device of devices) await device.sync();
    assert.equal(Object.keys(await settled(devices)).length, 1_002);
  });

  test(
    "what a device may not read or list is named, the rest goes on, and no work is made of it",
    { skip: beNobody },
    async () => {
      await using world = await World.open();
      const { server, devices } = await world.synced("A");
      const [a] = devices;
      const b = world.device("B");
      assert.ok(a);
      await b.link(server, "alice");
      // From here on B's engine is one of a user who is not root.
      execFileSync("chown", ["-R", String(NOBODY), b.home, b.dir]);
      fs.chmodSync(world.folder, 0o755);
      const engine = world.start(["sync", b.dir], { env: { LOCKSTEP_HOME: b.home }, uid: NOBODY });
      a.write("closed/f", "v1");
      a.write("f", "v1");
      await arrives(b, "closed/f", "v1");
      b.write("secret.tmp", "mine alone");
      fs.chmodSync(b.at("secret.tmp"), 0o000);
      fs.renameSync(b.at("secret.tmp"), b.at("secret"));
      fs.chmodSync(b.at("closed"), 0o000);
      a.write("closed/f", "v2");
      a.write("f", "v2");
      await arrives(b, "f", "v2");
      await untilStatus(b, "names both and is done", ({ state, problems }) => {
        const paths = problems.map(({ path }) => path).join();
        return state === "in-sync" && paths === "closed,secret";
      });
      fs.chmodSync(b.at("secret"), 0o644);
      fs.chmodSync(b.at("closed"), 0o755);
      await arrives(b, "closed/f", "v2");
      await untilStatus(b, "is well", ({ problems }) => problems.length === 0);
      await engine.stop();
    },
  );
});
