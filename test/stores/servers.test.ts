import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { cephMissing } from "./ceph.ts";
import { Backs, sail } from "./fleet.ts";
import { settled, untilStatus, type Status } from "../e2e/trees.ts";
import { assertSentence, World } from "../e2e/world.ts";

/** How long servers are killed; LOCKSTEP_TEST_SERVERS_S makes it longer. */
const KILLING_MS = Number(process.env["LOCKSTEP_TEST_SERVERS_S"] ?? 5) * 1_000;

/** How long a database or a bucket is away; LOCKSTEP_TEST_AWAY_S makes it longer. */
const AWAY_MS = Number(process.env["LOCKSTEP_TEST_AWAY_S"] ?? 3) * 1_000;

const skip = await cephMissing();

suite("several servers over one database and one bucket", { skip }, () => {
  let backs: Backs | undefined;
  const all = (): Backs => {
    assert.ok(backs !== undefined, "database and bucket are up");
    return backs;
  };
  before(async () => {
    backs = await Backs.start();
  });
  after(() => backs?.[Symbol.asyncDispose]());

  test("CH17: a server with another key than its database's does not start, and makes none", async () => {
    await using world = await World.open();
    const env = await all().fresh();
    const first = await world.server({ env });
    const other = path.join(world.folder, "other");
    const without = world.start(["serve", "--data", other, "--port", "0"], { env });
    const ended = await without.ended;
    assert.equal(ended.code, 1);
    assertSentence(ended, /master\.key is not there/);
    assert.ok(!fs.existsSync(path.join(other, "master.key")));
    fs.writeFileSync(path.join(other, "master.key"), "0".repeat(64));
    const wrong = await world.start(["serve", "--data", other, "--port", "0"], { env }).ended;
    assert.equal(wrong.code, 1);
    assertSentence(wrong, /every server of a database needs the same master key/);
    fs.copyFileSync(path.join(first.data, "master.key"), path.join(other, "master.key"));
    await world.server({ env, data: other });
  });

  test("MP8: a server whose chunks lie elsewhere than the others' does not start", async () => {
    await using world = await World.open();
    const { LOCKSTEP_CHUNKS = "", ...env } = await all().fresh();
    const keys = ["--key-file", path.join(world.folder, "master.key")];
    const serve = (name: string, chunks: string) => {
      const args = ["serve", "--data", path.join(world.folder, name), "--port", "0", ...keys];
      return world.start(args, { env: { ...env, LOCKSTEP_CHUNKS: chunks } });
    };
    const folder = `file:${path.join(world.folder, "packs")}`;
    const first = serve("first", folder);
    await first.says(/^listening on/);
    for (const elsewhere of [`${folder}-2`, LOCKSTEP_CHUNKS]) {
      const ended = await serve("other", elsewhere).ended;
      assert.equal(ended.code, 1);
      assertSentence(ended, /chunks of this database lie elsewhere/);
    }
    const ended = await serve("same", folder).ended;
    assert.equal(ended.code, 1);
    assertSentence(ended, /Another server has the .*folder .*packs open/);
    await first.stop();
    // The folder is known wherever it was moved to.
    fs.renameSync(path.join(world.folder, "packs"), path.join(world.folder, "moved"));
    await serve("first", `file:${path.join(world.folder, "moved")}`).says(/^listening on/);
  });

  test(
    "MP5, CH18: while the database or the bucket is away devices say so; when it is back all heals",
    { timeout: 2 * AWAY_MS + 240_000 },
    async (context) => {
      const { gateway, postgres } = all();
      if (gateway === null || !postgres.isOwn) {
        context.skip("needs a database and an object store that it may stop");
        return;
      }
      await using world = await World.open();
      const env = await all().fresh();
      const keys = ["--key-file", path.join(world.folder, "master.key")];
      const args = [...keys, "--key-service", path.join(world.folder, "key-service.key")];
      const servers = [await world.server({ env, args }), await world.server({ env, args })];
      const [a, b] = [world.device("A"), world.device("B")];
      const [one, other] = servers;
      assert.ok(one !== undefined && other !== undefined);
      await a.ok("account", "create", "--server", one.url, "--account", "alice");
      await a.link(one, "alice");
      await b.link(other, "alice");
      for (const device of [a, b]) await device.sync();
      for (const [name, store] of Object.entries({ database: postgres, bucket: gateway })) {
        const start = await store.stop();
        const backMs = performance.now() + AWAY_MS;
        fs.writeFileSync(a.at(`${name} A`), randomBytes(400_000));
        fs.writeFileSync(b.at(`${name} B`), randomBytes(400_000));
        for (const device of [a, b]) {
          const isTold = ({ state, problems }: Status) =>
            state !== "in-sync" || problems.length > 0;
          await untilStatus(device, `tells that the ${name} is away`, isTold);
        }
        assert.equal((await fetch(`${one.url}/healthz`)).status, 200);
        const isReady: boolean = (await fetch(`${one.url}/readyz`)).status === 200;
        assert.equal(isReady, name !== "database");
        await pause(Math.max(0, backMs - performance.now()));
        assert.ok(!fs.existsSync(b.at(`${name} A`)) && !fs.existsSync(a.at(`${name} B`)));
        await start();
        const tree = await settled([a, b]);
        for (const file of [`${name} A`, `${name} B`]) assert.ok(file in tree, file);
      }
      for (const { process } of servers) assert.ok(!process.hasEnded);
    },
  );

  test(
    "EX7, GC3, MP1, MP6: three servers that all collect, one of them killed again and again: nothing is lost, nothing doubled",
    { timeout: KILLING_MS + 120_000 },
    async (context) => {
      const { kills, deeds, collections, paths, crossingsMs } = await sail(all(), KILLING_MS, 7);
      context.diagnostic(`${kills} kills, ${deeds} deeds, ${paths} files and folders at the end`);
      context.diagnostic(`${collections} collections`);
      const [p50, p95] = [0.5, 0.95].map((share) =>
        crossingsMs[Math.floor(share * crossingsMs.length)]?.toFixed(0),
      );
      context.diagnostic(
        `${crossingsMs.length} edits crossed servers, p50 ${p50} ms, p95 ${p95} ms`,
      );
      assert.ok(deeds > 50, `${deeds} deeds`);
      assert.ok(collections > 0, "the servers have collected");
    },
  );
});
