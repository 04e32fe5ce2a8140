import assert from "node:assert/strict";
import { test } from "node:test";
import { concat } from "#core/bytes.ts";
import { ROOT_NODE } from "#core/ids.ts";
import type { LogFields } from "#core/world.ts";
import { frameHead, FRAMES_MEDIA_TYPE } from "#protocol/frames.ts";
import { fillRoute } from "#protocol/routes.ts";
import { FOLDER_META } from "./tree.ts";
import { makeFolder, ServerWorld, sha256, testNode, type Person } from "./server-world.ts";

const KIB = 1024;

async function send(person: Person, space: string, ...chunks: readonly Uint8Array[]) {
  const frames = chunks.flatMap((bytes) => [frameHead(sha256(bytes), bytes.length), bytes]);
  return person.call("POST", fillRoute("chunks", { space }), {
    body: concat(frames) as Uint8Array<ArrayBuffer>,
    headers: { "content-type": FRAMES_MEDIA_TYPE },
  });
}

const bytesOf = (kib: number, fill: number) => new Uint8Array(kib * KIB).fill(fill);

test("LM1: what an account may have stored ends at its quota, whatever of it comes at once", async () => {
  await using world = await ServerWorld.open(undefined, { quotaBytes: 100 * KIB });
  const [alice, bob] = [await world.signUp("alice"), await world.signUp("bob")];
  const [home, work] = [await alice.space("home"), await alice.space("work")];
  const room = async () =>
    (await alice.call("GET", fillRoute("chunksRoom", { space: home.space }))).json.roomBytes;
  assert.equal(await room(), 100 * KIB);
  assert.equal((await send(alice, home.space, bytesOf(60, 1))).status, 200);
  assert.equal(await room(), 40 * KIB);
  const over = await send(alice, work.space, bytesOf(30, 2), bytesOf(30, 3));
  assert.equal(over.status, 507);
  assert.equal(over.json.code, "over-quota");
  const asked = [sha256(bytesOf(30, 2)), sha256(bytesOf(30, 3))];
  const missing = await alice.call("POST", fillRoute("chunksMissing", { space: work.space }), {
    json: { chunks: asked },
  });
  assert.deepEqual(missing.json.missing, asked.slice(1));
  assert.equal(await room(), 10 * KIB);
  assert.equal((await send(alice, work.space, bytesOf(10, 4))).status, 200);
  assert.equal((await send(alice, work.space, bytesOf(1, 5))).json.code, "over-quota");
  // Others have room of their own, also for what is stored already.
  const theirs = await bob.space("home");
  assert.equal((await send(bob, theirs.space, bytesOf(60, 1))).status, 200);
});

test("LM1: what is counted is believed for a minute, and then counted again", async () => {
  await using world = await ServerWorld.open(undefined, { quotaBytes: 100 * KIB });
  const alice = await world.signUp("alice");
  const { space } = await alice.space("home");
  // Sent twice it takes no second room, which only counting shows.
  assert.equal((await send(alice, space, bytesOf(60, 1))).status, 200);
  assert.equal((await send(alice, space, bytesOf(60, 1))).json.code, "over-quota");
  world.clock.advance(61_000);
  const room = await alice.call("GET", fillRoute("chunksRoom", { space }));
  assert.equal(room.json.roomBytes, 40 * KIB);
});

test("LM1: of a commit that there is no room for nothing lands, and deleting goes on", async () => {
  const metaBytes = Buffer.byteLength(FOLDER_META);
  await using world = await ServerWorld.open(undefined, { quotaBytes: 10 * metaBytes });
  const alice = await world.signUp("alice");
  const { space } = await alice.space("home");
  const folders = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => {
      return makeFolder(testNode(from + at), ROOT_NODE, `folder ${from + at}`);
    });
  assert.equal((await alice.commit(space, folders(1, 7))).status, 200);
  const beyond = await alice.commit(space, folders(8, 6));
  assert.equal(beyond.status, 409);
  const { outcome, code, node } = beyond.json;
  assert.deepEqual([outcome, code, node], ["refused", "over-quota", testNode(11)]);
  assert.equal((await alice.commit(space, folders(8, 3))).status, 200);
  assert.equal((await alice.commit(space, folders(11, 1))).json.code, "over-quota");
  const gone = { kind: "delete", node: testNode(1), crev: 1, lrev: 1 } as never;
  assert.equal((await alice.commit(space, [gone])).status, 200);
});

test("LM3: an account that asks too often is told when to come back, and others are not", async () => {
  await using world = await ServerWorld.open(undefined, { requestsPerSecond: 2 });
  const [alice, bob] = [await world.signUp("alice"), await world.signUp("bob")];
  const ask = (person: Person) => person.call("GET", "/v1/spaces");
  let asked = 0;
  while ((await ask(alice)).status === 200) asked++;
  assert.ok(asked <= 40, `${asked} at once`);
  const refused = await ask(alice);
  assert.equal(refused.status, 429);
  assert.equal(refused.json.code, "too-many-requests");
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal((await ask(bob)).status, 200);
  world.clock.advance(1_000);
  assert.equal((await ask(alice)).status, 200);
  assert.equal((await ask(alice)).status, 200);
  assert.equal((await ask(alice)).status, 429);
});

test("LM4: the audit log has a line for whoever is let in, and for what may be done since", async () => {
  const lines: LogFields[] = [];
  const note = (_event: string, fields: LogFields = {}): void => void lines.push(fields);
  const audit = { debug: note, info: note, warn: note, error: note };
  await using world = await ServerWorld.open(undefined, { audit });
  const alice = await world.signUp("alice");
  const made = lines.map(({ what, outcome }) => `${String(what)} ${String(outcome)}`);
  assert.deepEqual(made, ["account-made done", "device-signed-in done"]);
  const [{ account } = {}, { device } = {}] = lines;
  assert.match(String(account), /^[0-9a-f]{32}$/);
  assert.match(String(device), /^[0-9a-f]{32}$/);
  await alice.space("home");
  await alice.call("DELETE", `/v1/devices/${"0".repeat(32)}`);
  await alice.call("DELETE", `/v1/devices/${String(device)}`);
  await alice.call("GET", "/v1/spaces");
  assert.deepEqual(
    lines.slice(2).map((line) => [line["what"], line["outcome"], line["account"], line["device"]]),
    [
      ["space-made", "done", account, device],
      ["device-revoked", "refused", account, "0".repeat(32)],
      ["device-revoked", "done", account, device],
    ],
  );
  const text = JSON.stringify(lines);
  for (const secret of ["alice", "home", alice.token]) assert.ok(!text.includes(secret), secret);
  assert.ok(world.log.every(({ event }) => event !== "audit"));
});
