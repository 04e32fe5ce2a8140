import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { chunkId, ROOT_NODE } from "#core/ids.ts";
import { foldName } from "#core/names.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { MemoryStore } from "../../src/sim/memory-store.ts";
import { sealedRecordsContract } from "./sealed-records.ts";
import { agreedRow, treeStoreContract } from "./tree-store.ts";

treeStoreContract("in memory", async (options) => {
  const store = openDeviceStore(":memory:", options);
  return { ...store, [Symbol.asyncDispose]: async () => store.close() };
});

treeStoreContract("in a file", async (options) => {
  const place = await newPlace();
  const store = openDeviceStore(place.path, options);
  return {
    ...store,
    async [Symbol.asyncDispose]() {
      store.close();
      await place[Symbol.asyncDispose]();
    },
  };
});

sealedRecordsContract("in a file", async () => {
  const place = await newPlace();
  const store = openDeviceStore(place.path, { folding: true });
  return {
    records: store.sealedRecords,
    trees: store.trees,
    async [Symbol.asyncDispose]() {
      store.close();
      await place[Symbol.asyncDispose]();
    },
  };
});

test("DB9: what is remembered of sealed contents is there when the file is opened again", async () => {
  await using place = await newPlace();
  const chunk = chunkId("a".repeat(64));
  const first = openDeviceStore(place.path, { folding: true });
  first.trees.transaction(() => first.sealedRecords.putInline(chunk, new Uint8Array([1])));
  first.close();
  const second = openDeviceStore(place.path, { folding: true });
  assert.deepEqual(second.sealedRecords.inline(chunk), new Uint8Array([1]));
  second.close();
});

async function newPlace(): Promise<AsyncDisposable & { path: string }> {
  const folder = await fs.mkdtemp(join(tmpdir(), "lockstep-store-"));
  return {
    path: join(folder, "device.sqlite"),
    [Symbol.asyncDispose]: () => fs.rm(folder, { recursive: true }),
  };
}

const rowOf = (number: number) => agreedRow(number, ROOT_NODE, `File ${number}`);

function refuses(path: string, code: string): void {
  assert.throws(
    () => openDeviceStore(path, { folding: true }),
    (error) => {
      assert.ok(error instanceof WorldError, String(error));
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.includes(path));
      return true;
    },
  );
}

test("DB6: what was committed is there when the file is opened again", async () => {
  await using place = await newPlace();
  const first = openDeviceStore(place.path, { folding: true });
  first.trees.transaction(() => {
    first.trees.put(rowOf(1));
    first.records.setSetting("cursor", "17");
  });
  first.close();
  first.close();
  const second = openDeviceStore(place.path, { folding: true });
  assert.deepEqual(second.trees.get(rowOf(1).id), rowOf(1));
  assert.equal(second.records.setting("cursor"), "17");
  second.close();
  assert.deepEqual(await fs.readdir(join(place.path, "..")), ["device.sqlite"]);
});

test("DB6: a killed process leaves what it committed and nothing else", async () => {
  await using place = await newPlace();
  const script = `
    import { openDeviceStore } from "#platform/device-store.ts";
    const store = openDeviceStore(${JSON.stringify(place.path)}, { folding: true });
    store.records.setSetting("committed", "yes");
    store.trees.lazily(() => store.records.setSetting("lazily", "yes"));
    store.trees.transaction(() => {
      store.records.setSetting("halfway", "yes");
      process.kill(process.pid, "SIGKILL");
    });`;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "--eval", script]);
  assert.equal(signal, "SIGKILL");
  const store = openDeviceStore(place.path, { folding: true });
  assert.equal(store.records.setting("committed"), "yes");
  assert.equal(store.records.setting("lazily"), "yes");
  assert.equal(store.records.setting("halfway"), undefined);
  store.close();
});

test("DB6: with power goes what was done lazily since the last transaction, the newest first", () => {
  const store = new MemoryStore(foldName, null);
  const settings = (): string[] => ["a", "b", "c", "d"].filter((name) => store.setting(name));
  const set = (name: string) => () => store.setSetting(name, "yes");
  store.lazily(set("a"));
  store.transaction(set("b"));
  store.losePower((most) => most);
  assert.deepEqual(settings(), ["a", "b"]);
  store.lazily(set("c"));
  store.transaction(() => undefined);
  store.lazily(set("d"));
  store.losePower((most) => most - 1);
  assert.deepEqual(settings(), ["a", "b", "c"]);
  store.losePower((most) => most);
  assert.deepEqual(settings(), ["a", "b"]);
});

test("DB3: names are compared anew when the space turns out to fold otherwise", async () => {
  await using place = await newPlace();
  const first = openDeviceStore(place.path, { folding: false });
  first.trees.put(rowOf(1));
  assert.equal(first.trees.named("remote", ROOT_NODE, "FILE 1").length, 0);
  first.close();
  const second = openDeviceStore(place.path, { folding: true });
  assert.equal(second.trees.named("remote", ROOT_NODE, "FILE 1").length, 1);
  second.close();
});

test("DB7: no database and another program's are refused and left alone", async () => {
  await using place = await newPlace();
  await fs.writeFile(place.path, "this is not a database, it is a letter ".repeat(100));
  refuses(place.path, "database-damaged");
  assert.match(await fs.readFile(place.path, "utf8"), /a letter/);
  await fs.rm(place.path);
  const foreign = new DatabaseSync(place.path);
  foreign.exec("CREATE TABLE theirs (value TEXT); PRAGMA user_version = 1");
  foreign.close();
  refuses(place.path, "database-damaged");
});

test("DB7: a database of a newer Lockstep is refused and left alone", async () => {
  await using place = await newPlace();
  openDeviceStore(place.path, { folding: true }).close();
  const newer = new DatabaseSync(place.path);
  newer.exec("PRAGMA user_version = 999");
  newer.close();
  refuses(place.path, "database-newer");
});

test("DB10: what an earlier version agreed on without its revisions stays agreed on", async () => {
  await using place = await newPlace();
  const rows = [1, 2, 3, 4, 5].map(rowOf);
  const [same, edited, moved, executable, deleted] = rows;
  assert(same?.synced && edited?.synced && moved?.synced && executable?.synced && deleted?.synced);
  const other = edited.synced.content;
  const bit = { ...executable.synced.content, executable: true } as typeof other;
  const before = [
    same,
    { ...edited, synced: { ...edited.synced, content: same.synced.content } },
    { ...moved, synced: { ...moved.synced, name: "elsewhere" } },
    { ...executable, synced: { ...executable.synced, content: bit } },
    { ...deleted, remote: null },
  ];
  const store = openDeviceStore(place.path, { folding: true });
  for (const row of before) store.trees.put(row);
  store.close();
  const earlier = new DatabaseSync(place.path);
  earlier.exec(`ALTER TABLE nodes DROP COLUMN synced_crev;
    ALTER TABLE nodes DROP COLUMN synced_lrev;
    ALTER TABLE sealed_chunks DROP COLUMN bases; DROP TABLE signatures;
    PRAGMA user_version = 2`);
  earlier.close();
  const opened = openDeviceStore(place.path, { folding: true });
  const revisions = rows.map(({ id }) => {
    const { crev, lrev } = opened.trees.get(id)?.synced ?? assert.fail("no row");
    return [crev, lrev];
  });
  assert.deepEqual(revisions, [
    [1, 1],
    [0, 2],
    [3, 0],
    [4, 4],
    [0, 0],
  ]);
  const changed = opened.trees.changed().map(({ id }) => id);
  assert.deepEqual(changed, [edited, moved, executable, deleted].map(({ id }) => id).sort());
  opened.close();
});

test("DB7: damage inside is noticed, at the latest when it is read", async () => {
  await using place = await newPlace();
  const store = openDeviceStore(place.path, { folding: true });
  store.trees.transaction(() => {
    for (let number = 1; number <= 2_000; number++) store.trees.put(rowOf(number));
  });
  store.close();
  const file = await fs.open(place.path, "r+");
  const { size } = await file.stat();
  for (let at = 8 * 4_096; at < size; at += 4_096) {
    await file.write(Buffer.alloc(4_096, 0x5a), 0, 4_096, at);
  }
  await file.close();
  const damaged = (error: unknown) =>
    error instanceof WorldError && error.code === "database-damaged";
  assert.throws(() => {
    const opened = openDeviceStore(place.path, { folding: true });
    try {
      for (let number = 1; number <= 2_000; number++) opened.trees.get(rowOf(number).id);
    } finally {
      opened.close();
    }
  }, damaged);
});

test("DB7: after a crash the whole file is checked before it is used", async () => {
  await using place = await newPlace();
  const store = openDeviceStore(place.path, { folding: true });
  store.trees.transaction(() => {
    for (let number = 1; number <= 2_000; number++) store.trees.put(rowOf(number));
  });
  store.close();
  const { size } = await fs.stat(place.path);
  const file = await fs.open(place.path, "r+");
  await file.write(Buffer.alloc(4_096, 0x5a), 0, 4_096, size - 2 * 4_096);
  await file.close();
  await fs.writeFile(`${place.path}-wal`, "what a crash left");
  refuses(place.path, "database-damaged");
});
