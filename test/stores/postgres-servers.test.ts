import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import { fillRoute, ROUTES } from "#protocol/routes.ts";
import { openPostgresMetadata } from "../../src/server/metadata/postgres.ts";
import { MemoryPacks } from "../../src/server/chunks/memory.ts";
import { realClock } from "../../src/server/real-world.ts";
import {
  makeFolder,
  Person,
  sha256,
  ServerWorld,
  testNode,
  until,
} from "../contracts/server-world.ts";
import { PostgresServer } from "./postgres-server.ts";

const NO_LOG = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const ROOT = testNode(0);
const byNumber = (one: number, other: number): number => one - other;

let postgres: PostgresServer | undefined;
before(async () => {
  postgres = await PostgresServer.start();
});
after(() => postgres?.[Symbol.asyncDispose]());

/** Two servers over one database and the same packs. */
async function two(): Promise<AsyncDisposable & { one: ServerWorld; other: ServerWorld }> {
  assert(postgres !== undefined, "PostgreSQL is up");
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await postgres.database());
  const packs = new MemoryPacks();
  const open = async (name: string): Promise<ServerWorld> => {
    const metadata = await openPostgresMetadata(url, { clock: realClock, log: NO_LOG });
    return opened.use(await ServerWorld.open(metadata, { packs, name }));
  };
  const [one, other] = [await open("one"), await open("other")];
  const all = opened.move();
  return { one, other, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

test("MP7: a sign-in that begins at one server ends at another, and its token opens both", async () => {
  await using servers = await two();
  const { one, other } = servers;
  assert.equal((await one.register("ada")).status, 201);
  const { proof } = await one.prove("ada");
  const enrolled = await other.call("POST", ROUTES.devices, { json: { proof, device: "laptop" } });
  assert.equal(enrolled.status, 201);
  for (const world of [one, other]) {
    const person = new Person(world, "ada", enrolled.json.token);
    assert.equal((await person.call("GET", ROUTES.devices)).json.devices.length, 1);
  }
  const again = await other.register("Ada");
  assert.equal(again.json.code, "account-taken");
});

test("MP7: a join code that one server gave out makes one device, at whichever server", async () => {
  await using servers = await two();
  const { one, other } = servers;
  const here = await one.signUp("ada");
  const there = new Person(other, "ada", here.token);
  const locator = sha256("code");
  const offer = { locator, commitment: "promise" };
  assert.equal((await here.call("POST", ROUTES.joinCodes, { json: offer })).status, 201);
  const asked = await Promise.all(
    [one, other].map((world, at) =>
      world.call("POST", ROUTES.join, { json: { locator, request: `request-${at}` } }),
    ),
  );
  assert.deepEqual(asked.map(({ status }) => status).sort(byNumber), [204, 404]);
  const answer = { locator, number: 2, message: "nonce" };
  assert.equal((await there.call("POST", ROUTES.joinAnswers, { json: answer })).status, 204);
  const wish = { locator, device: "desk" };
  const made = await Promise.all(
    [here, there].map((person) => person.call("POST", ROUTES.joinDevices, { json: wish })),
  );
  assert.deepEqual(made.map(({ status }) => status).sort(byNumber), [201, 409]);
});

test("MP2: ten wrong passwords at two servers are ten", async () => {
  await using servers = await two();
  const { one, other } = servers;
  await one.signUp("ada");
  for (let tries = 0; tries < 10; tries++) {
    const world = tries % 2 === 0 ? one : other;
    assert.equal((await world.prove("ada", "wrong")).answer.status, 200);
  }
  for (const world of [one, other]) {
    const { answer } = await world.prove("ada");
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [429, "600"]);
  }
});

test("MP1: a long poll at one server is answered by a commit at another", async () => {
  await using servers = await two();
  const { one, other } = servers;
  const here = await one.signUp("ada");
  const there = new Person(other, "ada", here.token);
  const { space, start: cursor } = await here.space("work");
  const poll = there.call(
    "GET",
    `${fillRoute("changes", { space })}?cursor=${cursor}&waitMs=50000`,
  );
  await until(() => other.clock.sleeping > 0);
  const made = makeFolder(testNode(1), ROOT, "Docs");
  assert.equal((await here.commit(space, [made])).json.outcome, "committed");
  const { json } = await poll;
  assert.equal(json.entries.length, 1);
  assert.equal(json.head, 1);
});

test("CH5: what was sent to one server is stored once and given out by another", async () => {
  await using servers = await two();
  const { one, other } = servers;
  const here = await one.signUp("ada");
  const there = new Person(other, "ada", here.token);
  const { space } = await here.space("work");
  const bytes = new TextEncoder().encode("the same at both");
  const sent = await Promise.all([here.put(space, bytes), there.put(space, bytes)]);
  assert.deepEqual(
    sent.map(({ status }) => status),
    [200, 200],
  );
  const fetched = await there.call("POST", fillRoute("chunksFetch", { space }), {
    json: { chunks: [sha256(bytes)] },
  });
  assert.equal(fetched.status, 200);
  assert.deepEqual(Buffer.from(fetched.bytes.subarray(-bytes.length)), Buffer.from(bytes));
});
