// Servers and devices as real processes over MongoDB, where what nobody needs goes after seconds.

import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { after, before, test } from "node:test";
import { treeOf, settled } from "../e2e/trees.ts";
import { type Device, until, World } from "../e2e/world.ts";
import { MongoServer, mongoMissing } from "./mongo-server.ts";

const skip = mongoMissing();
const FORGETFUL = {
  LOCKSTEP_COLLECT_EVERY: "1s",
  LOCKSTEP_KEEP_ALL: "1s",
  LOCKSTEP_KEEP_DAILY: "0s",
  LOCKSTEP_COLLECT_GRACE: "2s",
};
const KILLS = 4;
const FILE_BYTES = 300_000;

let started: MongoServer | undefined;
before(async () => {
  if (skip === false) started = await MongoServer.start();
});
after(() => started?.[Symbol.asyncDispose]());

test(
  "GC3, GC5: people edit and delete over MongoDB while a server collects and is killed: all is there and the room comes back",
  { skip },
  async () => {
    assert(started !== undefined, "MongoDB is up");
    await using database = await started.database();
    await using world = await World.open();
    const env = { ...FORGETFUL, LOCKSTEP_DATABASE: database.url };
    let server = await world.server({ env });
    const { data, url } = server;
    const [a, b] = [world.device("A"), world.device("B")];
    await a.ok("account", "create", "--server", url, "--account", "alice");
    for (const device of [a, b]) await device.link(server, "alice");
    for (const device of [a, b]) await device.sync();
    const beside = async (command: string) => {
      const { code, stdout } = await world.start([command, "--json", "--data", data], { env })
        .ended;
      return code === 0 ? JSON.parse(stdout) : null;
    };
    for (let kill = 0; kill < KILLS; kill++) {
      for (const device of [a, b] as Device[]) {
        for (let file = 0; file < 4; file++) {
          const name = `${device.name} ${file}`;
          if (file === kill % 4 && fs.existsSync(device.at(name))) fs.rmSync(device.at(name));
          else fs.writeFileSync(device.at(name), randomBytes(FILE_BYTES));
        }
      }
      await server.process.stop("SIGKILL");
      await beside("gc");
      server = await world.server({ data, port: Number(new URL(url).port), env });
      await settled([a, b]);
    }
    const tree = treeOf(a.dir);
    let stored = { damaged: 0, bytes: 0 };
    await until(
      async () => {
        await beside("gc");
        stored = await beside("scrub");
        assert.equal(stored.damaged, 0);
        return stored.bytes < 2 * FILE_BYTES * Object.keys(tree).length;
      },
      () => `the room comes back: ${stored.bytes} bytes are stored`,
    );
    const c = world.device("C");
    await c.link(server, "alice");
    await c.sync();
    assert.deepEqual(await settled([c]), tree, "another device gets all that there is");
  },
);
