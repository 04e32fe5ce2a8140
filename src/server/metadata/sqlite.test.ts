import { strict as assert } from "node:assert";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { scratchFolder } from "../../../test/contracts/scratch.ts";
import { createFile, fileOf, stageChunks } from "../../../test/contracts/tree.ts";
import { TreeWriter } from "../../../test/contracts/tree-writer.ts";
import { openSqliteMetadata } from "./sqlite.ts";

async function scratch() {
  const folder = await scratchFolder();
  return {
    path: join(folder.path, "server.db"),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** Changes a database in the way that another program would. */
function change(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

test("JN24: a database of a newer version is refused and left as it was", async () => {
  await using file = await scratch();
  await (await openSqliteMetadata(file.path))[Symbol.asyncDispose]();
  change(file.path, "PRAGMA user_version = 1000");
  const before = await readFile(file.path);
  const opening = openSqliteMetadata(file.path);
  await assert.rejects(opening, { code: "database-too-new", message: /version 1000/ });
  assert.deepEqual(await readFile(file.path), before);
});

test("JN24: a database of another program is refused and left as it was", async () => {
  await using file = await scratch();
  change(file.path, "CREATE TABLE recipes (name TEXT)");
  const before = await readFile(file.path);
  await assert.rejects(openSqliteMetadata(file.path), { code: "database-foreign" });
  assert.deepEqual(await readFile(file.path), before);
});

test("JN24: a file that is no database is refused and left as it was", async () => {
  await using file = await scratch();
  await writeFile(file.path, "Dear diary, ".repeat(1_000));
  const before = await readFile(file.path);
  await assert.rejects(openSqliteMetadata(file.path), { code: "database-damaged" });
  assert.deepEqual(await readFile(file.path), before);
});

test("JN24: a damaged database says so instead of answering", async () => {
  await using file = await scratch();
  {
    await using metadata = await openSqliteMetadata(file.path);
    const writer = await TreeWriter.open(metadata);
    await writer.land(createFile("a"));
  }
  const bytes = await readFile(file.path);
  await writeFile(file.path, bytes.fill(0x5a, 4_096));
  const using = async () => {
    await using metadata = await openSqliteMetadata(file.path);
    await TreeWriter.open(metadata);
  };
  await assert.rejects(using, { code: "database-damaged", message: /backup/ });
});

test("JN25: what landed is there when the database is opened again", async () => {
  await using file = await scratch();
  const first = await openSqliteMetadata(file.path);
  const writer = await TreeWriter.open(first);
  const chunks = await stageChunks(first, writer.space, [10, 20]);
  const created = createFile("a", undefined, fileOf(chunks));
  await writer.land(created);
  const { journals } = first;
  const { id: space } = writer.space;
  const entries = await journals.entries(space, 0, 10);
  const rows = await journals.nodes(space, [created.node]);
  await first[Symbol.asyncDispose]();

  await using second = await openSqliteMetadata(file.path);
  assert.deepEqual(await second.journals.space(space), writer.space);
  assert.deepEqual(await second.journals.entries(space, 0, 10), entries);
  assert.deepEqual(await second.journals.nodes(space, [created.node]), rows);
  assert.equal(await new TreeWriter(second, writer.space).land(createFile("b")), 2);
});

test("JN25: what landed is there after the server was killed", async () => {
  await using file = await scratch();
  await using first = await openSqliteMetadata(file.path);
  const writer = await TreeWriter.open(first);
  await writer.land(createFile("a"));
  // A copy of the files while the database is open is what a power cut leaves.
  const killed = `${file.path}.killed`;
  await writeFile(killed, await readFile(file.path));
  await writeFile(`${killed}-wal`, await readFile(`${file.path}-wal`));
  await using second = await openSqliteMetadata(killed);
  assert.equal((await second.journals.head(writer.space.id)).sequence, 1);
});

/** The lease of the only chunk in a database; null when it is linked for good. */
function leaseIn(path: string): unknown {
  const database = new DatabaseSync(path);
  const lease = database.prepare("SELECT lease_ms FROM links").get()?.["lease_ms"];
  database.close();
  return lease;
}

test("CH7: asking for a chunk prolongs its lease and never shortens it", async () => {
  await using file = await scratch();
  await using metadata = await openSqliteMetadata(file.path);
  const writer = await TreeWriter.open(metadata);
  const { id: space } = writer.space;
  const [chunk] = await stageChunks(metadata, writer.space, [10]);
  assert(chunk !== undefined);
  assert.equal(leaseIn(file.path), 1_000);
  await metadata.chunks.renew(space, [chunk.id], 3_000);
  await metadata.chunks.renew(space, [chunk.id], 2_000);
  assert.equal(leaseIn(file.path), 3_000);
  await metadata.chunks.stage(space, [], [chunk.id], 2_500);
  assert.equal(leaseIn(file.path), 3_000);
  await metadata.chunks.stage(space, [], [chunk.id], 4_000);
  assert.equal(leaseIn(file.path), 4_000);

  await writer.land(createFile("a", undefined, fileOf([chunk])));
  assert.equal(leaseIn(file.path), null);
  await metadata.chunks.renew(space, [chunk.id], 5_000);
  await metadata.chunks.stage(space, [], [chunk.id], 5_000);
  assert.equal(leaseIn(file.path), null);
});
