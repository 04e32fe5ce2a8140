import { strict as assert } from "node:assert";
import { test } from "node:test";
import { deviceId, ROOT_NODE, type ChunkId } from "#core/ids.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import type { NodeRow } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import {
  createFile,
  createFolder,
  fileOf,
  folders,
  move,
  newNode,
  newSpace,
  stageChunks,
} from "./tree.ts";
import { TreeWriter } from "./tree-writer.ts";

/** The tree as of the head. */
export function treeContract(database: string, open: OpenMetadata): void {
  test(`nodes are found by id, by name and by folder (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { journals } = metadata;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const chunks = await stageChunks(metadata, writer.space, [10, 20]);
    const folder = createFolder("Docs");
    const file = createFile("A.txt", folder.node, fileOf(chunks));
    const others = Array.from({ length: 5 }, (_, index) => createFolder(`${index}`, folder.node));
    await writer.land(folder, file, ...others);

    const [found] = await journals.nodes(space, [file.node, newNode()]);
    const { node: id, kind: _, ...place } = file;
    const revs = { crev: 1, lrev: 1, deleted: false };
    assert.deepEqual(found, { id, ...place, key: "a.txt", ...revs });
    const slots = [
      { parent: folder.node, key: "a.txt" },
      { parent: ROOT_NODE, key: "a.txt" },
    ];
    assert.deepEqual(await journals.holders(space, slots), [found]);

    const page = await journals.children(space, folder.node, 4);
    const rest = await journals.children(space, folder.node, 4, page.at(-1)?.id);
    const ids = [...page, ...rest].map((row) => row.id);
    assert.deepEqual(ids, [file, ...others].map(({ node }) => node).toSorted());
    assert.deepEqual(await journals.children((await newSpace(metadata)).id, folder.node, 4), []);
  });

  test(`JN9: names change owners within one append (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const writer = await TreeWriter.open(metadata);
    const [a, b, c] = [createFolder("a"), createFolder("b"), createFolder("c")];
    await writer.land(a, b, c);
    const ring = [["b", a] as const, ["c", b] as const, ["a", c] as const];
    await writer.land(...ring.map(([name, { node }]) => move(node, 1, name)));
    for (const [name, { node }] of ring) {
      const slot = { parent: ROOT_NODE, key: name };
      const [holder] = await metadata.journals.holders(writer.space.id, [slot]);
      assert.equal(holder?.id, node);
    }
  });

  test(`100,000 nodes are written and looked up (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const space = (await newSpace(under.metadata)).id;
    let last: NodeRow | undefined;
    for (let sequence = 1; sequence <= 100; sequence++) {
      const append = folders(sequence, 1_000);
      assert.equal(await journals.append(space, append), "appended");
      last = append.nodes.at(-1);
    }
    assert(last !== undefined);
    assert.deepEqual(await journals.nodes(space, [last.id]), [last]);
    assert.deepEqual(await journals.holders(space, [{ parent: ROOT_NODE, key: last.key }]), [last]);
    assert.equal((await journals.children(space, ROOT_NODE, 1_001)).length, 1_001);
    const since = await journals.changedSince(space, 99, 10);
    assert.deepEqual(new Set(since.map(({ crev }) => crev)), new Set([100]));
  });
}

/** What nodes were. */
export function historyContract(database: string, open: OpenMetadata): void {
  test(`SS7: a content has the chunks that its update kept, too (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { journals } = metadata;
    const space = await newSpace(metadata);
    const places = await stageChunks(metadata, space, [10, 20, 30]);
    const [one, two, three] = places.map(({ id }) => id).toSorted();
    assert(one !== undefined && two !== undefined && three !== undefined);
    const created = createFile("a", ROOT_NODE, { ...fileOf(), chunks: [one, two] });
    const { node, meta } = created;
    const row = (crev: number, chunks: ChunkId[]) => {
      const name = { parent: ROOT_NODE, name: "a", key: "a" };
      const revs = { crev, lrev: 1, deleted: false };
      return {
        id: node,
        type: "file" as const,
        ...name,
        meta,
        chunks,
        lengths: undefined,
        ...revs,
      };
    };
    const land = async (change: Change, rows: ReturnType<typeof row>[]) => {
      const { sequence } = await journals.head(space.id);
      const { entry } = folders(sequence + 1);
      const append = { entry: { ...entry, changes: [change] }, nodes: rows };
      assert.equal(await journals.append(space.id, append), "appended");
    };
    await land({ ...created, lengths: undefined }, [row(1, [one, two])]);
    const keeps = { drops: [one], all: "0".repeat(64) };
    await land({ kind: "update", node, crev: 1, meta, chunks: [three], keeps }, [
      row(2, [two, three]),
    ]);
    assert.deepEqual(await journals.nodes(space.id, [node]), [row(2, [two, three])]);
    const history = await journals.revisions(space.id, node, 100, 10);
    assert.deepEqual(
      history.map(({ chunks }) => chunks),
      [
        [two, three],
        [one, two],
      ],
    );
  });

  test(`JN18: every state of a node stays, and a tombstone is its last (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { journals } = metadata;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const [one, two] = await stageChunks(metadata, writer.space, [10, 20]);
    assert(one !== undefined && two !== undefined);
    const file = createFile("a", ROOT_NODE, fileOf([one]));
    const { node } = file;
    await writer.land(file);
    writer.nowMs = 2_000;
    writer.device = deviceId("d".repeat(32));
    await writer.land({ kind: "update", node, crev: 1, ...fileOf([two]) });
    await writer.land({ kind: "move", node, lrev: 1, parent: ROOT_NODE, name: "b" });
    await writer.land({ kind: "delete", node, crev: 2, lrev: 3 });

    const history = await journals.revisions(space, node, 100, 10);
    const told = history.map((row) => [
      row.sequence,
      row.name,
      row.chunks[0],
      row.timeMs,
      row.device,
      row.deleted,
    ]);
    const { device } = writer;
    assert.deepEqual(told, [
      [4, "b", two.id, 2_000, device, true],
      [3, "b", two.id, 2_000, device, false],
      [2, "a", two.id, 2_000, device, false],
      [1, "a", one.id, 1_000, undefined, false],
    ]);
    assert.deepEqual(await journals.revisions(space, node, 4, 2), history.slice(1, 3));
    assert.deepEqual(await journals.revisionAt(space, node, 2), history[2]);
    assert.deepEqual(await journals.revisionAt(space, node, 99), history[0]);
    assert.equal(await journals.revisionAt(space, node, 0), undefined);
    assert.deepEqual(await journals.trash(space, 100, 10), history.slice(0, 1));
    assert.deepEqual(await journals.trash(space, 4, 10), []);
    const [tombstone] = await journals.nodes(space, [node]);
    assert.deepEqual([tombstone?.crev, tombstone?.lrev, tombstone?.deleted], [4, 4, true]);
  });
}

/** What is read in pages. */
export function pageContract(database: string, open: OpenMetadata): void {
  test(`pages of changes and of the trash end with a whole commit (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const writer = await TreeWriter.open(under.metadata);
    const { id: space } = writer.space;
    const first = ["a", "b", "c"].map((name) => createFolder(name));
    const second = ["d", "e"].map((name) => createFolder(name));
    await writer.land(...first);
    await writer.land(...second);
    const ids = (rows: readonly NodeRow[]) => rows.map(({ id }) => id);
    const nodes = (changes: typeof first) => changes.map(({ node }) => node).toSorted();
    assert.deepEqual(ids(await journals.changedSince(space, 0, 1)), nodes(first));
    assert.deepEqual(ids(await journals.changedSince(space, 1, 100)), nodes(second));
    const gone = (changes: typeof first, crev: number) =>
      changes.map(({ node }) => ({ kind: "delete" as const, node, crev, lrev: crev }));
    await writer.land(...gone(first, 1));
    await writer.land(...gone(second, 2));
    assert.deepEqual(ids(await journals.trash(space, 100, 1)).toSorted(), nodes(second));
    assert.deepEqual(ids(await journals.trash(space, 4, 2)).toSorted(), nodes(first));
  });

  test(`JN20: entries come back to the letter, in order, bounded (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { journals } = metadata;
    const { id: space } = await newSpace(metadata);
    const row = await journals.space(space);
    assert(row !== undefined);
    const chunks = await stageChunks(metadata, row, [1, 2, 3]);
    const changes = [
      createFile("one \u{1f600}\n", ROOT_NODE, fileOf([...chunks, ...chunks])),
      createFolder("two"),
      createFile("three", ROOT_NODE, fileOf(chunks.slice(1))),
    ];
    const device = deviceId("e".repeat(32));
    const entry: Entry = { ...folders(1).entry, device, changes };
    const revs = { crev: 1, lrev: 1, deleted: false };
    const nodes = changes.map(({ node: id, kind: _, lengths, ...rest }) => {
      return { id, ...rest, key: rest.name, lengths, ...revs };
    });
    assert.equal(await journals.append(space, { entry, nodes }), "appended");
    const rest = [folders(2), folders(3)];
    for (const append of rest) assert.equal(await journals.append(space, append), "appended");

    const all = [entry, ...rest.map((append) => append.entry)];
    assert.deepEqual(await journals.entries(space, 0, 10), all);
    assert.deepEqual(await journals.entries(space, 1, 1), all.slice(1, 2));
    assert.deepEqual(await journals.entries(space, 0, 10, 1), all.slice(0, 1));
    assert.deepEqual(await journals.entries(space, 3, 10), []);
  });
}
