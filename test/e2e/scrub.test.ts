import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { settled, treeOf } from "./trees.ts";
import { type Device, type Server, until, World } from "./world.ts";

/** Turns a bit over every so many bytes: nothing that is longer stays as it was. */
const ROT_BYTES = 100;

function packsOf({ data }: Server): string[] {
  const entries = fs.readdirSync(path.join(data, "packs"), { recursive: true });
  return entries.map((name) => path.join(data, "packs", String(name))).filter(isPack);
}

const isPack = (file: string): boolean => file.endsWith(".pack");

function rot(file: string): void {
  const bytes = fs.readFileSync(file);
  for (let at = 0; at < bytes.length; at += ROT_BYTES) bytes[at] = (bytes[at] ?? 0) ^ 1;
  fs.writeFileSync(file, bytes);
}

type Scrubbed = {
  readonly code: number | null;
  readonly damaged: number;
  readonly chunks: number;
  readonly files: readonly { path: string | null; isCurrent: boolean; isDeleted: boolean }[];
};

async function scrub(world: World, { data }: Server): Promise<Scrubbed> {
  const { code, stdout, stderr } = await world.start(["scrub", "--data", data, "--json"]).ended;
  assert.equal(stderr, "");
  return { code, ...JSON.parse(stdout) };
}

/** A device that begins with nothing. */
async function newcomer(world: World, server: Server, space: string): Promise<Device> {
  const device = world.device("new");
  await device.link(server, "alice", "--space", space);
  await device.sync();
  return device;
}

suite("scrub", { concurrency: 2 }, () => {
  test("DL7: what is damaged at the server is a problem of its file, and the others go on", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A");
    const [a] = devices as [Device];
    const film = new Uint8Array(randomBytes(900_000));
    a.write("film", film);
    await settled(devices);
    // What was written in vain goes a little later.
    const packs = packsOf(server).filter((pack) => fs.statSync(pack).size >= film.length);
    a.write("song", new Uint8Array(randomBytes(300_000)));
    a.write("text", "few bytes");
    const before = await settled(devices);
    await a.engine.stop();
    for (const pack of packs) rot(pack);

    const late = world.device("new");
    await late.link(server, "alice", "--space", "sealed");
    const running = late.start("sync", late.dir);
    const { film: _, ...others } = before;
    await until(async () => {
      // While it starts its database is its own.
      const { code, stdout } = await late.run("status", late.dir, "--json");
      return code === 0 && JSON.parse(stdout).problems[0]?.code === "chunk-damaged";
    }, "the damage is a problem");
    const { problems } = await late.json("status", late.dir);
    assert.equal(problems.length, 1, JSON.stringify(problems));
    const [{ path: damaged, message }] = problems;
    assert.equal(damaged, "film");
    assert.match(message, /server's copy of it is damaged.*lockstep scrub/);
    assert.match(await late.ok("why", late.at("film")), /server's copy of it is damaged/);
    await until(() => Promise.resolve(late.read("text") !== null), "the others come");
    assert.deepEqual(treeOf(late.dir), others);

    await a.sync();
    // Its pauses have grown, and begin anew with an engine.
    await running.stop();
    await late.sync();
    await until(
      () => Promise.resolve(late.read("film") !== null),
      "it comes when it is sent again",
    );
    assert.deepEqual(await settled([a, late]), before);
    assert.deepEqual((await late.json("status", late.dir)).problems, []);
  });

  for (const space of ["sealed", "plain"] as const) {
    test(`QU3, QU4: what rots or goes at the server comes back from the devices (${space})`, async () => {
      await using world = await World.open();
      const { server, devices } = await (space === "plain"
        ? world.plainSynced("A", "B")
        : world.synced("A", "B"));
      const [a] = devices as [Device, Device];
      const large = new Uint8Array(randomBytes(3_000_000));
      a.write("edited", large);
      a.write("whole", new Uint8Array(randomBytes(900_000)));
      a.write("small", "few bytes");
      a.write("gone", new Uint8Array(randomBytes(20_000)));
      await settled(devices);
      fs.rmSync(a.at("gone"));
      // Of a sealed file this chunk becomes a delta to one that the device has no more.
      large[1_500_000] = (large[1_500_000] ?? 0) ^ 1;
      a.write("edited", large);
      const before = await settled(devices);
      const clean = await scrub(world, server);
      assert.deepEqual({ code: clean.code, damaged: clean.damaged }, { code: 0, damaged: 0 });

      const [gone = "", ...others] = packsOf(server);
      fs.rmSync(gone);
      for (const pack of others) rot(pack);
      const found = await scrub(world, server);
      assert.deepEqual(
        { code: found.code, damaged: found.damaged },
        { code: 1, damaged: found.chunks },
      );

      const named = found.files.map(({ path: name, isCurrent, isDeleted }) => {
        return `${name} ${isDeleted ? "deleted" : "here"} ${isCurrent}`;
      });
      const expected = [
        "edited here true",
        "gone deleted true",
        "small here true",
        "whole here true",
      ];
      const sealed = ["null deleted true", "null here true", "null here true"];
      assert.deepEqual(named.toSorted(), space === "plain" ? expected : sealed);

      // What only the history has is damaged for good.
      await until(async () => {
        await a.settle();
        return (await scrub(world, server)).damaged < found.damaged / 4;
      }, "devices send again what they have");
      const late = await newcomer(world, server, space);
      assert.deepEqual(treeOf(late.dir), before);
      assert.deepEqual(await settled([...devices, late]), before);
    });
  }
});
