import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { settled, treeOf } from "./trees.ts";
import { type Device, type Server, until, World } from "./world.ts";

/** How long people go on while everything is collected: seconds; ten minutes by hand. */
const SECONDS = Number(process.env["LOCKSTEP_COLLECT_SECONDS"] ?? "6");

/** What is not current is forgotten at once, and goes two seconds later. */
const HASTY = ["--keep-all", "1s", "--keep-daily", "0s", "--collect-grace", "2s"];

const FILES = 12;
const LARGE_BYTES = 400_000;

/** Bytes that nothing else has, the same for every name. */
function bytesOf(name: string, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at * 32 < length; at++) {
    blocks.push(createHash("sha256").update(`${name} ${at}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

/** A server that starts clears up: what went while it was read is read again. */
function bytesIn(folder: string): number {
  for (;;) {
    try {
      const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
      return files
        .filter((file) => file.isFile())
        .reduce((sum, { parentPath, name }) => sum + sizeOf(path.join(parentPath, name)), 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || !fs.existsSync(folder)) throw error;
    }
  }
}

/** 0 for what goes meanwhile. */
function sizeOf(file: string): number {
  return fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

async function collect(world: World, { data }: Server, ...more: string[]) {
  const ended = await world.start(["gc", "--data", data, "--json", ...HASTY, ...more]).ended;
  if (ended.code !== 0) {
    assert.match(ended.stderr, /Another collector is at work/);
    return null;
  }
  return JSON.parse(ended.stdout);
}

suite("collecting", () => {
  test("GC7, GC8: gc beside a running server frees what was edited and deleted, and history tells of it", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B");
    const [a] = devices as [Device, Device];
    const packs = path.join(server.data, "packs");
    a.write("letter", bytesOf("first", LARGE_BYTES));
    a.write("gone", bytesOf("gone", LARGE_BYTES));
    await settled(devices);
    a.write("letter", bytesOf("second", LARGE_BYTES));
    fs.rmSync(a.at("gone"));
    const before = await settled(devices);
    assert.ok(bytesIn(packs) > 3 * LARGE_BYTES);

    const kept = await world.start(["gc", "--data", server.data]).ended;
    assert.match(kept.stdout, /Removed 0 chunks/, "by itself it keeps for months");
    await until(async () => {
      const dry = await collect(world, server, "--dry-run");
      return dry?.spaces[0]?.versions === 2;
    }, "the retention is over");
    assert.ok(bytesIn(packs) > 3 * LARGE_BYTES, "a dry run changes nothing");
    await until(async () => {
      await collect(world, server);
      return bytesIn(packs) < 1.5 * LARGE_BYTES;
    }, "the packs are gone");
    const versions = await a.json("history", a.at("letter"));
    assert.deepEqual(
      versions.map((version: { kept: boolean }) => version.kept),
      [true, false],
    );
    const restored = await a.run(
      "restore",
      a.at("letter"),
      "--version",
      String(versions[1].version),
    );
    assert.equal(restored.code, 1);
    assert.match(restored.stderr, /no longer keeps version/);
    assert.deepEqual((await a.json("trash", a.dir))[0].kept, false);

    const c = world.device("C");
    await c.link(server, "alice");
    await c.sync();
    assert.deepEqual(await settled([...devices, c]), before);
    // Its chunks are gone everywhere: what comes back is sent anew.
    a.write("gone", bytesOf("gone", LARGE_BYTES));
    a.write("letter", bytesOf("first", LARGE_BYTES));
    assert.deepEqual(await settled([...devices, c]), treeOf(a.dir));
  });

  test(`GC3, GC5: people edit and delete while collectors run and servers are killed, ${SECONDS} s: all is there and the room comes back`, async (context) => {
    await using world = await World.open();
    const env = { LOCKSTEP_COLLECT_EVERY: "1s", LOCKSTEP_KEEP_ALL: "1s" };
    const hasty = { ...env, LOCKSTEP_KEEP_DAILY: "0s", LOCKSTEP_COLLECT_GRACE: "2s" };
    const { server: first, devices } = await world.synced("A", "B");
    const port = Number(new URL(first.url).port);
    let server = first;
    const endMs = performance.now() + SECONDS * 1_000;
    const state = { isOver: false, deeds: 0, most: 0, kills: 0, runs: 0 };
    const people = async (device: Device): Promise<void> => {
      for (let deed = 0; !state.isOver; deed++) {
        const name = `${device.name} ${deed % FILES}`;
        const isDeleted = deed % 5 === 4 && fs.existsSync(device.at(name));
        if (isDeleted) fs.rmSync(device.at(name));
        else {
          const head = bytesOf(`${name} ${deed % 3}`, 1 + (deed % 7) * 9_000);
          device.write(name, Buffer.concat([head, bytesOf(name, LARGE_BYTES / 2)]));
        }
        state.deeds++;
        await pause(100);
      }
    };
    const collectors = async (): Promise<void> => {
      while (!state.isOver) {
        if ((await collect(world, server)) !== null) state.runs++;
        state.most = Math.max(state.most, bytesIn(path.join(server.data, "packs")));
      }
    };
    const killers = async (): Promise<void> => {
      while (!state.isOver) {
        await pause(3_000);
        await server.process.stop("SIGKILL");
        server = await world.server({ data: server.data, port, env: hasty });
        state.kills++;
      }
    };
    const all = [...devices.map(people), collectors(), killers()];
    await until(() => performance.now() > endMs, "the time is over", (SECONDS + 60) * 1_000);
    state.isOver = true;
    await Promise.all(all);
    const tree = await settled(devices);
    const c = world.device("C");
    await c.link(server, "alice");
    await c.sync();
    assert.deepEqual(await settled([c]), tree, "another device gets all that there is");
    assert.ok(state.kills > 0 && state.runs > 0);
    const { dir } = devices[0] as Device;
    const live = Object.keys(tree).reduce((sum, name) => sum + sizeOf(path.join(dir, name)), 0);
    await until(async () => {
      await collect(world, server);
      // An edited chunk may need some of those that it was made of.
      return bytesIn(path.join(server.data, "packs")) < 3 * live;
    }, "the room is back");
    context.diagnostic(JSON.stringify({ ...state, live }));
  });
});
