import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ROOT_NODE, type ChunkId } from "#core/ids.ts";
import type { ChunkPlace } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import {
  createFile,
  fileOf,
  newChunk,
  newNode,
  newSpace,
  remove,
  stageChunks,
  update,
} from "./tree.ts";
import { TreeWriter } from "./tree-writer.ts";

/** The lease that `stageChunks` gives. */
const LEASE_MS = 1_000;

function present<T>(value: T | undefined): T {
  assert(value !== undefined);
  return value;
}

const idsOf = (places: readonly ChunkPlace[]): ChunkId[] => places.map(({ id }) => id);

/** What a database has to answer a collector. */
export function collectionContract(database: string, open: OpenMetadata): void {
  linkContract(database, open);
  packContract(database, open);
}

function linkContract(database: string, open: OpenMetadata): void {
  test(`GC5: of two collectors one has its turn, until it ends or is given back (${database})`, async () => {
    await using under = await open();
    const { links } = under.metadata.collection;
    const peer = (await under.peer()).collection.links;
    assert.equal(await links.takeTurn("one", 100, 200), true);
    assert.equal(await peer.takeTurn("other", 150, 250), false);
    assert.equal(await links.takeTurn("one", 190, 300), true);
    assert.equal(await peer.takeTurn("other", 299, 400), false);
    assert.equal(await peer.takeTurn("other", 300, 400), true);
    assert.equal(await peer.takeTurn("other", 310, 0), true);
    assert.equal(await links.takeTurn("one", 320, 400), true);
  });

  test(`contents are listed by node with their times, and spaces by id (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { links } = metadata.collection;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const [one, two] = await stageChunks(metadata, writer.space, [10, 20]);
    const file = createFile("a", ROOT_NODE, fileOf([present(one)]));
    await writer.land(file);
    writer.nowMs = 2_000;
    await writer.land(update(file.node, 1, fileOf([present(two)])));
    await writer.land({ kind: "move", node: file.node, lrev: 1, parent: ROOT_NODE, name: "b" });
    writer.nowMs = 3_000;
    await writer.land(remove(file.node, 2, 3));
    const other = createFile("c");
    await writer.land(other);

    const rows = await links.contents(space, 10);
    const shared = { forgotten: false, deletedMs: 3_000, node: file.node };
    const expected = [
      { ...shared, sequence: 1, timeMs: 1_000, chunks: [present(one).id], isLast: false },
      { ...shared, sequence: 2, timeMs: 2_000, chunks: [present(two).id], isLast: true },
      {
        node: other.node,
        sequence: 5,
        timeMs: 3_000,
        chunks: [],
        forgotten: false,
        isLast: true,
        deletedMs: null,
      },
    ].toSorted((a, b) => (a.node === b.node ? a.sequence - b.sequence : a.node < b.node ? -1 : 1));
    assert.deepEqual(rows, expected);
    const first = await links.contents(space, 1);
    assert.deepEqual([...first, ...(await links.contents(space, 9, first[0]))], expected);

    const more = (await newSpace(metadata)).id;
    const ids = [space, more].toSorted();
    assert.deepEqual(await links.spaces(10), ids);
    assert.deepEqual(await links.spaces(1, ids[0]), ids.slice(1));
  });

  test(`GC2: a forgotten version is still listed, and what a living file holds is never forgotten (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { journals } = metadata;
    const { links } = metadata.collection;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const places = await stageChunks(metadata, writer.space, [10, 20]);
    const [one, two] = [present(places[0]), present(places[1])];
    const file = createFile("a", ROOT_NODE, fileOf([one]));
    const { node } = file;
    await writer.land(file);
    await writer.land(update(node, 1, fileOf([two])));
    const [living] = await journals.nodes(space, [node]);
    const keys = [
      { node, sequence: 1 },
      { node, sequence: 2 },
      { node: newNode(), sequence: 1 },
    ];
    assert.equal(await links.forget(space, keys), 1);
    assert.equal(await links.forget(space, keys), 0);
    const [present2, gone] = await journals.revisions(space, node, 100, 10);
    assert.deepEqual([present2?.chunks, present2?.forgotten], [[two.id], undefined]);
    assert.deepEqual([gone?.chunks, gone?.forgotten, gone?.meta], [[], true, file.meta]);
    assert.deepEqual(await journals.nodes(space, [node]), [living]);
    const known = (await links.contents(space, 10)).map(({ forgotten }) => forgotten);
    assert.deepEqual(known, [true, false]);

    await writer.land(remove(node, 2, 1));
    assert.equal(await links.forget(space, keys), 1);
    const [tombstone] = await journals.trash(space, 100, 10);
    assert.deepEqual([tombstone?.chunks, tombstone?.forgotten], [[], true]);
    assert.equal((await journals.entries(space, 0, 10)).length, 3);
  });

  test(`GC3: only a link that no later entry has named is condemned (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { links } = metadata.collection;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const places = await stageChunks(metadata, writer.space, [10, 20, 30]);
    const [one, two, staged] = places.map(({ id }) => id);
    const file = createFile("a", ROOT_NODE, fileOf(places.slice(0, 1)));
    await writer.land(file);
    await writer.land(update(file.node, 1, fileOf(places.slice(0, 2))));
    const stateOf = async () =>
      Object.fromEntries((await links.links(space, 10)).map(({ chunk, ...link }) => [chunk, link]));
    const before = {
      [present(one)]: { leaseMs: null, touched: 2, lengthBytes: 10 },
      [present(two)]: { leaseMs: null, touched: 2, lengthBytes: 20 },
      [present(staged)]: { leaseMs: LEASE_MS, touched: 0, lengthBytes: 30 },
    };
    assert.deepEqual(await stateOf(), before);
    const all = idsOf(places);
    assert.equal(await links.condemn(space, all, { sequence: 1, leaseMs: 5_000 }), 0);
    assert.deepEqual(await stateOf(), before);
    assert.equal(
      await links.condemn(space, [...all, newChunk()], { sequence: 2, leaseMs: 5_000 }),
      2,
    );
    const condemned = (await stateOf())[present(one)];
    assert.deepEqual(condemned, { leaseMs: 5_000, touched: 2, lengthBytes: 10 });

    // Held still: asking prolongs, an entry links again, and so does the collector's own word.
    assert.equal((await metadata.chunks.held(space, all)).length, 3);
    await metadata.chunks.renew(space, [present(two)], 9_000);
    assert.equal((await stateOf())[present(two)]?.leaseMs, 9_000);
    await links.revive(space, [present(two), newChunk()]);
    assert.equal((await stateOf())[present(two)]?.leaseMs, null);
    await writer.land(createFile("b", ROOT_NODE, fileOf(places.slice(0, 1))));
    const linked = (await stateOf())[present(one)];
    assert.deepEqual(linked, { leaseMs: null, touched: 3, lengthBytes: 10 });
    const page = await links.links(space, 1);
    const rest = await links.links(space, 10, page[0]?.chunk);
    assert.equal(page.length + rest.length, 3);
  });

  test(`GC3: a claim ends when its lease is past, and an entry that names its chunk is refused then (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { links, packs } = metadata.collection;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const other = await newSpace(metadata);
    const places = await stageChunks(metadata, writer.space, [10, 20, 30]);
    const all = idsOf(places);
    await writer.land(createFile("a", ROOT_NODE, fileOf(places.slice(0, 1))));
    await metadata.chunks.stage(other.id, [], all.slice(2), 9_000);
    assert.equal(await links.sweep(space, LEASE_MS - 1, 10), 0);
    assert.equal(await links.sweep(space, LEASE_MS, 1), 1);
    assert.equal(await links.sweep(space, LEASE_MS, 10), 1);
    assert.deepEqual(idsOf(await metadata.chunks.held(space, all)), all.slice(0, 1));
    const late = await writer.try(createFile("b", ROOT_NODE, fileOf(places.slice(1, 2))));
    assert.deepEqual(late, { outcome: "missing-chunks", missing: all.slice(1, 2) });

    const { chunks, next } = await packs.unheld(10);
    assert.deepEqual([chunks.map(({ id }) => id), next], [all.slice(1, 2), null]);
    const removed = await packs.removeUnheld(all);
    assert.deepEqual(removed, [{ id: all[1], lengthBytes: 20 }]);
    assert.deepEqual(await metadata.chunks.stored(all), new Set([all[0], all[2]]));
    assert.equal((await metadata.chunks.held(other.id, all)).length, 1);
  });
}

function packContract(database: string, open: OpenMetadata): void {
  test(`GC4: a chunk that is sent again while it is removed lies where it was sent to (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { links, packs } = metadata.collection;
    const space = await newSpace(metadata);
    const places = await stageChunks(metadata, space, [10, 20]);
    const all = idsOf(places);
    await links.sweep(space.id, LEASE_MS, 10);
    const again = places.map((place) => ({ ...place, pack: "another-pack" }));
    const used = await Promise.all([
      metadata.chunks.stage(space.id, again, all, 9_000),
      packs.removeUnheld(all),
      packs.removeUnheld(all),
    ]);
    const held = await metadata.chunks.held(space.id, all);
    assert.equal(held.length, 2);
    for (const { pack } of held) assert(pack === places[0]?.pack || used[0].has(pack));
    assert.deepEqual(await packs.removeUnheld(all), []);
  });

  test(`chunks that nobody holds are found page by page (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { links, packs } = metadata.collection;
    const space = await newSpace(metadata);
    const places = await stageChunks(metadata, space, [1, 2, 3, 4, 5]);
    await links.sweep(space.id, LEASE_MS, 10);
    const found: ChunkId[] = [];
    let after: ChunkId | undefined;
    do {
      const { chunks, next } = await packs.unheld(2, after);
      found.push(...chunks.map(({ id }) => id));
      after = next ?? undefined;
    } while (after !== undefined);
    assert.deepEqual(found, idsOf(places).toSorted());
  });

  test(`GC4: a pack is doomed when nothing lies in it, and its row goes after that (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { links, packs } = metadata.collection;
    const space = await newSpace(metadata);
    const [gone] = await stageChunks(metadata, space, [10]);
    const stays = await stageChunks(metadata, await newSpace(metadata), [20, 30]);
    const [name, other] = [present(gone).pack, present(stays[0]).pack];
    const lively = { name: other, sizeBytes: 50, liveBytes: 50, chunks: 2, doomedMs: null };
    const full = { name, sizeBytes: 10, liveBytes: 10, chunks: 1, doomedMs: null };
    const inOrder = [lively, full].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(await packs.packs(10), inOrder);
    assert.deepEqual(await packs.packs(1, inOrder[0]?.name), inOrder.slice(1));
    await packs.doom([name, other], 500);
    await packs.drop([name, other]);
    assert.deepEqual(await packs.packs(10), inOrder, "chunks lie in both");

    await links.sweep(space.id, LEASE_MS, 10);
    await packs.removeUnheld([present(gone).id]);
    await packs.drop([name]);
    await packs.doom([name, other, "of-nobody"], 600);
    await packs.doom([name], 700);
    const doomed = (await packs.packs(10)).find((row) => row.name === name);
    assert.deepEqual(doomed, { ...full, liveBytes: 0, chunks: 0, doomedMs: 600 });
    await packs.drop([name, other]);
    assert.deepEqual(await packs.packs(10), [lively]);
  });

  test(`GC4: chunks move together, those that lie where they were copied from (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { packs } = metadata.collection;
    const { scrub } = metadata;
    const space = await newSpace(metadata);
    const places = await stageChunks(metadata, space, [10, 20, 30]);
    const [one, two, three] = places.map(present);
    assert(one && two && three);
    const moved = [
      { from: one, offsetBytes: 0 },
      { from: { ...two, offsetBytes: two.offsetBytes + 1 }, offsetBytes: 10 },
      { from: { ...three, pack: "elsewhere" }, offsetBytes: 30 },
    ];
    assert.equal(await packs.move({ name: "merged-pack", sizeBytes: 60 }, moved), 1);
    const [first] = await metadata.chunks.held(space.id, [one.id]);
    assert.deepEqual(first, { ...one, pack: "merged-pack", offsetBytes: 0 });
    assert.deepEqual(idsOf(await scrub.inPack(one.pack)), [two.id, three.id]);
    const late = [{ from: one, offsetBytes: 0 }];
    assert.equal(await packs.move({ name: "too-late", sizeBytes: 10 }, late), 0);
    assert.deepEqual(await scrub.inPack("too-late"), []);
    const sizes = (await packs.packs(10)).map(({ name, sizeBytes }) => [name, sizeBytes]);
    assert.deepEqual(
      new Map(sizes as [string, number][]),
      new Map([
        [one.pack, 60],
        ["merged-pack", 60],
        ["too-late", 10],
      ]),
    );
  });

  test(`GC6: an object without a row is noted when it is first seen (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const { packs } = metadata.collection;
    const [place] = await stageChunks(metadata, await newSpace(metadata), [10]);
    const names = [present(place).pack, "stray-a", "stray-b"];
    const never = Number.POSITIVE_INFINITY;
    assert.deepEqual(
      await packs.strays(names, null),
      new Map([
        ["stray-a", never],
        ["stray-b", never],
      ]),
    );
    assert.deepEqual(await packs.strays(names.slice(0, 2), 100), new Map([["stray-a", 100]]));
    const later = new Map([
      ["stray-a", 100],
      ["stray-b", 200],
    ]);
    assert.deepEqual(await packs.strays(names, 200), later);
    await packs.drop(["stray-a"]);
    assert.deepEqual(await packs.strays(names.slice(0, 2), 300), new Map([["stray-a", 300]]));
  });
}
