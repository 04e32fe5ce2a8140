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

type Scrubbed = { readonly code: number | null; readonly damaged: number; readonly chunks: number };

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
      await settled(devices);
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
