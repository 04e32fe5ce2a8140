import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, suite, test } from "node:test";
import { cephMissing } from "./ceph.ts";
import { Backs, Fleet, sail } from "./fleet.ts";
import { arrives } from "../e2e/trees.ts";
import { assertSentence, PASSWORD, World } from "../e2e/world.ts";

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

  test("MP1: what is saved at one server is at the others' devices without any polling", async () => {
    await using world = await World.open();
    const fleet = await Fleet.start(world, all(), 2);
    const [a, b] = [world.device("A"), world.device("B")];
    const to = ["--server", fleet.at(0).url, "--account", "ada"];
    await a.ok("account", "create", ...to);
    await a.link(fleet.at(0), "ada");
    await b.link(fleet.at(1), "ada");
    await a.sync();
    await b.sync();
    const beganMs = performance.now();
    a.write("letter.txt", "from A");
    await arrives(b, "letter.txt", "from A");
    b.write("letter.txt", "and back from B");
    await arrives(a, "letter.txt", "and back from B");
    // A device's question waits half a minute at its server: this is an order below.
    assert.ok(performance.now() - beganMs < 10_000);
    for (const { process } of fleet.servers) {
      for (const secret of [PASSWORD, ...fleet.secrets]) assert.ok(!process.said.includes(secret));
    }
  });

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
    "EX7: three servers, one of them killed again and again: nothing is lost, nothing doubled",
    { timeout: KILLING_MS + 120_000 },
    async (context) => {
      const { kills, deeds, paths } = await sail(all(), KILLING_MS, 7);
      context.diagnostic(`${kills} kills, ${deeds} deeds, ${paths} files and folders at the end`);
      assert.ok(deeds > 50, `${deeds} deeds`);
    },
  );
});
