import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import type { News } from "../../src/server/metadata/port.ts";
import { openPostgresMetadata } from "../../src/server/metadata/postgres.ts";
import { realClock } from "../../src/server/real-world.ts";
import { metadataContract } from "../contracts/metadata.ts";
import { collectionContract } from "../contracts/metadata-collection.ts";
import { sharedContract } from "../contracts/metadata-shared.ts";
import { PostgresServer } from "./postgres-server.ts";
import { createFile, folders, newSpace } from "../contracts/tree.ts";
import { TreeWriter } from "../contracts/tree-writer.ts";

const WORLD = {
  clock: realClock,
  log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
};

let started: PostgresServer | undefined;
before(async () => {
  started = await PostgresServer.start();
});
after(() => started?.[Symbol.asyncDispose]());

function server(): PostgresServer {
  assert(started !== undefined, "PostgreSQL is up");
  return started;
}

async function open() {
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await server().database());
  const metadata = opened.use(await openPostgresMetadata(url, WORLD));
  const all = opened.move();
  return {
    url,
    metadata,
    peer: async () => all.use(await openPostgresMetadata(url, WORLD)),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

metadataContract("postgresql", open);
collectionContract("postgresql", open);
sharedContract("postgresql", open);

test("JN24: a PostgreSQL database of a newer version is refused and left as it was", async () => {
  await using under = await open();
  await server().run("UPDATE lockstep.version SET version = 1000", under.url);
  const opening = openPostgresMetadata(under.url, WORLD);
  await assert.rejects(opening, { code: "database-too-new", message: /version 1000/ });
  const [row] = await server().run("SELECT version FROM lockstep.version", under.url);
  assert.deepEqual(row, { version: 1000 });
});

test("JN24: a PostgreSQL schema of another program is refused and left as it was", async () => {
  await using database = await server().database();
  const { url } = database;
  await server().run("CREATE SCHEMA lockstep", url);
  await server().run("CREATE TABLE lockstep.recipes (name text)", url);
  await assert.rejects(openPostgresMetadata(url, WORLD), { code: "database-foreign" });
  const tables = await server().run(
    "SELECT relname FROM pg_class WHERE relnamespace = 'lockstep'::regnamespace AND relkind = 'r'",
    url,
  );
  assert.deepEqual(tables, [{ relname: "recipes" }]);
});

test("MP3: servers that start at once on an empty database make its schema once", async () => {
  await using database = await server().database();
  await using opened = new AsyncDisposableStack();
  const openings = Array.from({ length: 5 }, () => openPostgresMetadata(database.url, WORLD));
  const [first, ...others] = await Promise.all(openings);
  assert(first !== undefined);
  for (const metadata of [first, ...others]) opened.use(metadata);
  const space = await newSpace(first);
  for (const { journals } of others) assert.deepEqual(await journals.space(space.id), space);
});

test("MP4: connections that the database closes are made again, and no news is lost", async () => {
  await using under = await open();
  const { metadata, url } = under;
  const peer = await under.peer();
  const writer = await TreeWriter.open(metadata);
  const news: News[] = [];
  let wake = Promise.withResolvers<void>();
  metadata.shared?.listen((one) => {
    news.push(one);
    wake.resolve();
  });
  await writer.land(createFile("a"));
  await server().run(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    url,
  );
  assert.equal((await metadata.journals.head(writer.space.id)).sequence, 1);
  assert.equal(await peer.journals.append(writer.space.id, folders(2)), "appended");
  while (!news.includes("missed")) {
    await wake.promise;
    wake = Promise.withResolvers();
  }
  assert.equal(await peer.journals.append(writer.space.id, folders(3)), "appended");
  while (!news.some((one) => one !== "missed" && one.sequence === 3)) {
    await wake.promise;
    wake = Promise.withResolvers();
  }
});

test("MP5: while PostgreSQL is away every call is unavailable, and goes on when it is back", async (context) => {
  if (!server().isOwn) {
    context.skip("needs a PostgreSQL that it may stop: unset LOCKSTEP_TEST_POSTGRES");
    return;
  }
  await using under = await open();
  const { metadata, url } = under;
  const { journals } = metadata;
  const space = await newSpace(metadata);
  assert.equal(await journals.append(space.id, folders(1)), "appended");
  const start = await server().stop();
  const away = { code: "unavailable", retryable: true };
  const late = folders(2);
  await assert.rejects(journals.head(space.id), away);
  await assert.rejects(journals.append(space.id, late), away);
  await assert.rejects(openPostgresMetadata(url, WORLD), away);
  await start();
  assert.equal((await journals.head(space.id)).sequence, 1);
  assert.equal(await journals.append(space.id, late), "appended");
});
