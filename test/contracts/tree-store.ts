import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chunkId, contentHash, nodeId, ROOT_NODE } from "#core/ids.ts";
import type { NodeId } from "#core/ids.ts";
import type { Content, Manifest, NodeKind } from "#core/node.ts";
import { FOLDER } from "#core/node.ts";
import type { DeviceRecords, TreeStore } from "#sync/ports.ts";
import { agrees, isEmpty } from "#sync/tree.ts";
import type { Blindness, LocalSide, NodeRow, Placing, RemoteSide, SyncedSide } from "#sync/tree.ts";

/** A device's database that nobody else has. */
export type TreeStoreUnderTest = AsyncDisposable & {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
};

export type OpenTreeStore = (options: { folding: boolean }) => Promise<TreeStoreUnderTest>;

/** What every device database has to answer alike. */
export function treeStoreContract(store: string, open: OpenTreeStore): void {
  rowContract(store, open);
  findContract(store, open);
  transactionContract(store, open);
  recordContract(store, open);
}

const id = (number: number): NodeId => nodeId(number.toString(16).padStart(32, "0"));
const chunk = (number: number) => chunkId(number.toString(16).padStart(64, "0"));
const hash = (number: number) => contentHash(number.toString(16).padStart(64, "0"));

const contentOf = (number: number): Content => ({
  kind: "file",
  sizeBytes: number,
  sha256: hash(number),
  executable: number % 2 === 1,
});

/** A file that all three sides agree on. */
export function agreedRow(number: number, parent: NodeId, name: string): NodeRow {
  const place = { parent, name };
  const content = contentOf(number);
  const file = `1:${number}:0`;
  const remote: RemoteSide = { ...place, content, mtimeMs: 17.5, crev: number, lrev: number };
  const synced: SyncedSide = { ...place, content, file, crev: number, lrev: number };
  const local: LocalSide = {
    ...place,
    content,
    file,
    stamp: { sizeBytes: number, mtimeNs: 1_700_000_000_123_456_789n, ctimeNs: -1n },
    executable: content.kind === "file" && content.executable,
    racy: false,
    blind: null,
    missedMs: null,
    parkedFrom: null,
  };
  return { id: id(number), kind: "file", remote, synced, local, displacing: null, placing: null };
}

const anyId = fc.integer({ min: 0, max: 9 }).map(id);
const anyName = fc.oneof(
  fc.constantFrom("a", "A", "é", "e\u0301", "straße", "STRASSE", "x".repeat(255), "two\nlines"),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
);
const anyContent: fc.Arbitrary<Content> = fc.oneof(
  fc.integer({ min: 0, max: 5 }).map(contentOf),
  fc.constant(FOLDER),
  fc.string({ maxLength: 50 }).map((target): Content => ({ kind: "symlink", target })),
);
const anyFile = fc.integer({ min: 0, max: 5 }).map((number) => `1:${number}:0`);
const anyNs = fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n });
const anyPlace = fc.tuple(anyId, anyName).map(([parent, name]) => ({ parent, name }));
const anyStamp = fc
  .tuple(fc.maxSafeNat(), anyNs, anyNs)
  .map(([sizeBytes, mtimeNs, ctimeNs]) => ({ sizeBytes, mtimeNs, ctimeNs }));
const anyMs = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value || 0);
const anyBlind = fc.constantFrom<Blindness>("absent", "unreadable", "ignored", "unsupported");

const anyRemote = fc
  .tuple(anyPlace, anyContent, anyMs, fc.maxSafeNat(), fc.maxSafeNat())
  .map(([at, content, mtimeMs, crev, lrev]): RemoteSide => ({
    ...at,
    content,
    mtimeMs,
    crev,
    lrev,
  }));
const anySynced = fc
  .tuple(anyPlace, anyContent, anyFile, fc.maxSafeNat(), fc.maxSafeNat())
  .map(([at, content, file, crev, lrev]): SyncedSide => ({ ...at, content, file, crev, lrev }));
const anyLocal = fc
  .tuple(
    fc.tuple(anyPlace, fc.option(anyContent), anyFile, anyStamp),
    fc.tuple(fc.boolean(), fc.boolean(), fc.option(anyBlind)),
    fc.tuple(fc.option(fc.maxSafeNat()), fc.option(anyPlace)),
  )
  .map(
    ([
      [at, content, file, stamp],
      [executable, racy, blind],
      [missedMs, parkedFrom],
    ]): LocalSide => ({
      ...at,
      content,
      file,
      stamp,
      executable,
      racy,
      blind,
      missedMs,
      parkedFrom,
    }),
  );

const anyPlacing = fc
  .tuple(anyPlace, anyContent, fc.option(anyFile))
  .map(([place, content, file]): Placing => ({ ...place, content, file }));

const anyRow = fc
  .tuple(
    fc.tuple(anyId, fc.constantFrom<NodeKind>("file", "folder", "symlink")),
    fc.tuple(fc.option(anyRemote), fc.option(anySynced), fc.option(anyLocal)),
    fc.tuple(fc.option(anyFile), fc.option(anyPlacing)),
  )
  .map(([[id, kind], [remote, synced, local], [displacing, placing]]): NodeRow => ({
    id,
    kind,
    remote,
    synced,
    local,
    displacing,
    placing,
  }));

const idsOf = (rows: readonly NodeRow[]): string[] => rows.map((row) => row.id);

function rowContract(name: string, open: OpenTreeStore): void {
  test(`DB1: ${name}: a row comes back as it was put, whatever is in it`, async () => {
    await using store = await open({ folding: true });
    fc.assert(
      fc.property(anyRow, (row) => {
        store.trees.put(row);
        assert.deepEqual(store.trees.get(row.id), isEmpty(row) ? undefined : row);
      }),
    );
  });

  test(`DB2: ${name}: it finds what a plain list of the same rows would`, async () => {
    await using store = await open({ folding: true });
    const list = new Map<NodeId, NodeRow>();
    fc.assert(
      fc.property(fc.array(anyRow, { maxLength: 5 }), anyId, (rows, parent) => {
        store.trees.transaction(() => rows.forEach((row) => store.trees.put(row)));
        for (const row of rows) {
          if (isEmpty(row)) list.delete(row.id);
          else list.set(row.id, row);
        }
        const kept = [...list.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
        const changed = kept.filter((row) => !agrees(row));
        assert.deepEqual(store.trees.changed(), changed);
        for (const side of ["remote", "synced", "local"] as const) {
          assert.equal(store.records.count(side), kept.filter((row) => row[side] !== null).length);
          const below = kept.filter((row) => row[side]?.parent === parent);
          assert.deepEqual(idsOf(store.trees.children(side, parent)).sort(), idsOf(below));
        }
        const held = kept.filter((row) => row.local?.file === "1:3:0");
        assert.deepEqual(store.trees.holding("1:3:0"), held);
        const folders = kept.filter((row) => row.kind === "folder" && row.local !== null);
        assert.deepEqual(store.trees.localFolders().sort(), idsOf(folders));
      }),
      { numRuns: 60 },
    );
  });

  test(`DB2: ${name}: a row is changed until its three sides agree`, async () => {
    await using store = await open({ folding: true });
    const row = agreedRow(1, ROOT_NODE, "file");
    store.trees.put({ ...row, synced: null });
    assert.deepEqual(idsOf(store.trees.changed()), [row.id]);
    store.trees.put(row);
    assert.deepEqual(store.trees.changed(), []);
    store.trees.put({ ...row, displacing: "1:1:0" });
    assert.deepEqual(idsOf(store.trees.changed()), [row.id]);
    store.trees.put({ ...row, remote: null, synced: null, local: null });
    assert.deepEqual(store.trees.changed(), []);
    assert.equal(store.trees.get(row.id), undefined);
  });
}

function findContract(name: string, open: OpenTreeStore): void {
  test(`DB3: ${name}: a folding space finds a name in any case, others in its own`, async () => {
    for (const folding of [true, false]) {
      await using store = await open({ folding });
      store.trees.put(agreedRow(1, ROOT_NODE, "Straße"));
      store.trees.put(agreedRow(2, id(9), "Straße"));
      const found = (wanted: string) => idsOf(store.trees.named("local", ROOT_NODE, wanted));
      assert.deepEqual(found("Straße"), [id(1)]);
      assert.deepEqual(found("STRASSE"), folding ? [id(1)] : []);
      assert.deepEqual(found("strase"), []);
    }
  });

  test(`DB3: ${name}: a name is found composed or decomposed, and kept as it was`, async () => {
    for (const folding of [true, false]) {
      await using store = await open({ folding });
      store.trees.put(agreedRow(1, ROOT_NODE, "cafe\u0301"));
      const [row] = store.trees.named("remote", ROOT_NODE, "caf\u00e9");
      assert.equal(row?.remote?.name, "cafe\u0301");
    }
  });

  test(`DB3: ${name}: each side is found where that side is`, async () => {
    await using store = await open({ folding: true });
    const row = agreedRow(1, ROOT_NODE, "here");
    const local = { ...(row.local as LocalSide), parent: id(9), name: "there" };
    store.trees.put({ ...row, local });
    assert.equal(store.trees.named("synced", ROOT_NODE, "here").length, 1);
    assert.equal(store.trees.named("local", ROOT_NODE, "here").length, 0);
    assert.equal(store.trees.named("local", id(9), "THERE").length, 1);
    assert.equal(store.trees.children("local", ROOT_NODE).length, 0);
  });
}

function transactionContract(name: string, open: OpenTreeStore): void {
  const put = (store: TreeStoreUnderTest, number: number) =>
    store.trees.put(agreedRow(number, ROOT_NODE, `${number}`));
  const fail = () => {
    throw new Error("halfway");
  };

  test(`DB4: ${name}: nothing of a transaction that throws is kept`, async () => {
    await using store = await open({ folding: true });
    put(store, 1);
    assert.throws(
      () =>
        store.trees.transaction(() => {
          put(store, 2);
          store.records.setSetting("cursor", "2");
          assert.equal(store.records.count("local"), 2);
          fail();
        }),
      /halfway/,
    );
    assert.equal(store.trees.get(id(2)), undefined);
    assert.equal(store.records.setting("cursor"), undefined);
    assert.equal(store.records.count("local"), 1);
  });

  test(`DB4: ${name}: rows that differ are those from before a transaction that throws`, async () => {
    await using store = await open({ folding: true });
    const { trees } = store;
    const differing = (number: number): NodeRow => ({
      ...agreedRow(number, ROOT_NODE, `${number}`),
      synced: null,
    });
    trees.put(differing(2));
    assert.deepEqual(idsOf(trees.changed()), [id(2)]);
    assert.throws(() =>
      trees.transaction(() => {
        trees.put(differing(3));
        trees.put(differing(1));
        put(store, 2);
        assert.deepEqual(idsOf(trees.changed()), [id(1), id(3)]);
        fail();
      }),
    );
    assert.deepEqual(trees.changed(), [differing(2)]);
    assert.deepEqual(trees.children("local", ROOT_NODE), [differing(2)]);
    assert.deepEqual(trees.get(id(2)), differing(2));
  });

  test(`DB4: ${name}: what counts rows that change tells of those taken back, and of no look`, async () => {
    await using store = await open({ folding: true });
    const { trees, records } = store;
    put(store, 1);
    const { changes } = trees;
    trees.get(id(1));
    trees.named("local", ROOT_NODE, "1");
    records.setSetting("cursor", "1");
    trees.transaction(() => trees.changed());
    assert.equal(trees.changes, changes);
    put(store, 2);
    const grown = trees.changes;
    assert.ok(grown > changes);
    let within = 0;
    assert.throws(() =>
      trees.transaction(() => {
        put(store, 3);
        within = trees.changes;
        fail();
      }),
    );
    assert.ok(within > grown && trees.changes > within);
  });

  test(`DB4: ${name}: a transaction in another is part of it`, async () => {
    await using store = await open({ folding: true });
    const { trees } = store;
    assert.throws(() =>
      trees.transaction(() => {
        trees.transaction(() => put(store, 1));
        fail();
      }),
    );
    assert.equal(trees.get(id(1)), undefined);
    const result = trees.transaction(() => {
      put(store, 2);
      assert.throws(() =>
        trees.transaction(() => {
          put(store, 3);
          fail();
        }),
      );
      return trees.transaction(() => "result");
    });
    assert.equal(result, "result");
    assert.deepEqual(
      [2, 3].map((number) => trees.get(id(number)) !== undefined),
      [true, false],
    );
  });

  test(`DB4: ${name}: what is done lazily is all or nothing, and part of what it is in`, async () => {
    await using store = await open({ folding: true });
    const { trees } = store;
    assert.throws(() =>
      trees.lazily(() => {
        put(store, 1);
        fail();
      }),
    );
    assert.throws(() =>
      trees.transaction(() => {
        trees.lazily(() => put(store, 2));
        fail();
      }),
    );
    const result = trees.lazily(() => {
      trees.transaction(() => put(store, 3));
      return "result";
    });
    assert.equal(result, "result");
    assert.deepEqual(
      [1, 2, 3].map((number) => trees.get(id(number)) !== undefined),
      [false, false, true],
    );
  });

  test(`DB4: ${name}: work that would go on after its transaction is a mistake`, async () => {
    await using store = await open({ folding: true });
    assert.throws(
      () => store.trees.transaction(async () => put(store, 1)),
      /a transaction ends before its work does/,
    );
    assert.equal(store.trees.get(id(1)), undefined);
  });
}

function recordContract(name: string, open: OpenTreeStore): void {
  const manifest: Manifest = [
    { chunk: chunk(1), lengthBytes: 10 },
    { chunk: chunk(2), lengthBytes: 8 * 1024 * 1024 },
    { chunk: chunk(1), lengthBytes: 10 },
  ];

  test(`DB5: ${name}: settings and manifests come back, and can be replaced`, async () => {
    await using store = await open({ folding: true });
    const { records } = store;
    assert.equal(records.setting("cursor"), undefined);
    records.setSetting("cursor", "1");
    records.setSetting("cursor", "two ✓");
    assert.equal(records.setting("cursor"), "two ✓");
    records.setSetting("cursor", null);
    assert.equal(records.setting("cursor"), undefined);
    assert.equal(records.manifest(hash(1)), undefined);
    records.putManifest(hash(1), manifest);
    records.putManifest(hash(2), []);
    assert.deepEqual(records.manifest(hash(1)), manifest);
    assert.deepEqual(records.manifest(hash(2)), []);
    records.putManifest(hash(1), manifest.slice(0, 1));
    assert.deepEqual(records.manifest(hash(1)), manifest.slice(0, 1));
  });

  test(`DB8: ${name}: what no row names any more is dropped`, async () => {
    await using store = await open({ folding: true });
    const { records, trees } = store;
    const { remote, synced, local, ...row } = agreedRow(1, ROOT_NODE, "f");
    assert(remote && synced && local);
    const elsewhere = { ...remote, content: contentOf(2) };
    trees.put({ ...row, remote: elsewhere, synced, local: { ...local, content: contentOf(3) } });
    trees.put({ ...agreedRow(4, ROOT_NODE, "gone"), local: null });
    for (let number = 1; number <= 5; number++) records.putManifest(hash(number), manifest);
    for (const number of [1, 4, 5]) records.setSources(id(number), manifest);
    records.dropUnnamed();
    for (const number of [1, 2, 3, 4]) assert.deepEqual(records.manifest(hash(number)), manifest);
    assert.equal(records.manifest(hash(5)), undefined);
    const nodes = new Set(records.sources(chunk(1)).map(({ node }) => node));
    assert.deepEqual([...nodes], [id(1)]);
  });

  test(`DB5: ${name}: a chunk is found in every file that holds it at the time`, async () => {
    await using store = await open({ folding: true });
    const { records } = store;
    records.setSources(id(1), manifest);
    records.setSources(id(2), manifest.slice(0, 1));
    const found = (number: number) =>
      records
        .sources(chunk(number))
        .map(
          ({ node, offsetBytes, lengthBytes }) => `${Number(node)} ${offsetBytes} ${lengthBytes}`,
        )
        .sort();
    const ofFirst = ["1 0 10", `1 ${8 * 1024 * 1024 + 10} 10`];
    assert.deepEqual(found(1), [...ofFirst, "2 0 10"]);
    assert.deepEqual(found(2), [`1 10 ${8 * 1024 * 1024}`]);
    records.setSources(id(2), null);
    assert.deepEqual(found(1), ofFirst);
    records.setSources(id(1), [{ chunk: chunk(3), lengthBytes: 1 }]);
    assert.deepEqual([found(1), found(3)], [[], ["1 0 1"]]);
  });

  test(`DB5: ${name}: of the places of a very common chunk some are named`, async () => {
    await using store = await open({ folding: true });
    const zeros = Array.from({ length: 5_000 }, () => ({ chunk: chunk(7), lengthBytes: 4_096 }));
    store.records.setSources(id(1), zeros);
    const { length } = store.records.sources(chunk(7));
    assert.ok(length > 0 && length <= 1_000, `${length}`);
  });
}
