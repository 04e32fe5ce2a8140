import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, suite, test } from "node:test";
import { cephMissing } from "./ceph.ts";
import { Backs, sail } from "./fleet.ts";
import { assertSentence, World } from "../e2e/world.ts";

/** How long servers are killed; LOCKSTEP_TEST_SERVERS_S makes it longer. */
const KILLING_MS = Number(process.env["LOCKSTEP_TEST_SERVERS_S"] ?? 8) * 1_000;

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

  test(
    "EX7, MP1, MP6: three servers, one of them killed again and again: nothing is lost, nothing doubled",
    { timeout: KILLING_MS + 120_000 },
    async (context) => {
      const { kills, deeds, paths, crossingsMs } = await sail(all(), KILLING_MS, 7);
      context.diagnostic(`${kills} kills, ${deeds} deeds, ${paths} files and folders at the end`);
      const [p50, p95] = [0.5, 0.95].map((share) =>
        crossingsMs[Math.floor(share * crossingsMs.length)]?.toFixed(0),
      );
      context.diagnostic(
        `${crossingsMs.length} edits crossed servers, p50 ${p50} ms, p95 ${p95} ms`,
      );
      assert.ok(deeds > 50, `${deeds} deeds`);
    },
  );
});
