import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ROOT_NODE, type ChunkId } from "#core/ids.ts";
import type { ChunkPlace } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import {
  createFile,
  fileOf,
  folders,
  newChunk,
  newSpace,
  remove,
  stageChunks,
  update,
} from "./tree.ts";
import { TreeWriter } from "./tree-writer.ts";

const byId = <T extends { readonly id: string }>(rows: readonly T[]): T[] =>
  rows.toSorted((left, right) => (left.id < right.id ? -1 : 1));

/** Where chunks lie and who holds them. */
export function chunkContract(database: string, open: OpenMetadata): void {
  test(`CH6: a chunk of another space is stored but not held (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const [mine, other] = [await newSpace(metadata), await newSpace(metadata)];
    const places = await stageChunks(metadata, mine, [10, 20]);
    const ids = places.map(({ id }) => id);
    const unknown = newChunk();
    assert.deepEqual(byId(await metadata.chunks.held(mine.id, [...ids, unknown])), byId(places));
    assert.deepEqual(await metadata.chunks.held(other.id, ids), []);
    assert.deepEqual(await metadata.chunks.stored([...ids, unknown]), new Set(ids));
    await metadata.chunks.stage(other.id, [], ids, 1_000);
    assert.deepEqual(byId(await metadata.chunks.held(other.id, ids)), byId(places));
  });

  test(`LM1: an account has what its spaces hold, each chunk once a space (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const mine = await newSpace(metadata);
    assert.equal(await metadata.chunks.heldBytes(mine.account), 0);
    const places = await stageChunks(metadata, mine, [10, 20]);
    await stageChunks(metadata, mine, [5]);
    const other = await newSpace(metadata);
    await metadata.chunks.stage(
      other.id,
      [],
      places.map(({ id }) => id),
      1_000,
    );
    assert.notEqual(other.account, mine.account);
    assert.equal(await metadata.chunks.heldBytes(mine.account), 35);
    assert.equal(await metadata.chunks.heldBytes(other.account), 30);
    // Small sealed files lie in their meta, and every version of them stays.
    const writer = new TreeWriter(metadata, mine);
    const file = createFile("a");
    const edited = update(file.node, 1, fileOf(places));
    await writer.land(file);
    await writer.land(edited);
    await writer.land({ kind: "move", node: file.node, lrev: 1, parent: ROOT_NODE, name: "b" });
    await writer.land(remove(file.node, 2, 3));
    const metas = Buffer.byteLength(file.meta) + Buffer.byteLength(edited.meta);
    assert.equal(await metadata.chunks.heldBytes(mine.account), 35 + metas);
  });

  test(`of two places of one chunk the first stays (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const space = await newSpace(metadata);
    const [place] = await stageChunks(metadata, space, [10]);
    assert(place !== undefined);
    const second: ChunkPlace = { ...place, pack: "another" };
    await metadata.chunks.stage(space.id, [second], [place.id], 1_000);
    assert.deepEqual(await metadata.chunks.held(space.id, [place.id]), [place]);
  });

  test(`staging a chunk that is stored nowhere stages nothing (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const space = await newSpace(metadata);
    const [place] = await stageChunks(metadata, await newSpace(metadata), [10]);
    assert(place !== undefined);
    const ids: ChunkId[] = [place.id, newChunk()];
    const staging = metadata.chunks.stage(space.id, [], ids, 1_000);
    await assert.rejects(staging, { code: "chunk-gone", retryable: true });
    assert.deepEqual(await metadata.chunks.held(space.id, ids), []);
  });

  test(`JN16: no entry names a chunk that its space lacks (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const space = await newSpace(metadata);
    const chunks = await stageChunks(metadata, await newSpace(metadata), [10]);
    const file = createFile("a", ROOT_NODE, fileOf(chunks));
    const { entry } = folders(1);
    const { node: id, kind: _, ...rest } = file;
    const revs = { crev: 1, lrev: 1, deleted: false, lengths: rest.lengths };
    const append = {
      entry: { ...entry, changes: [file] },
      nodes: [{ id, ...rest, ...revs, key: "a" }],
    };
    assert.equal(await metadata.journals.append(space.id, append), "missing-chunks");
    assert.deepEqual(await metadata.journals.nodes(space.id, [id]), []);
    const ids = chunks.map((chunk) => chunk.id);
    await metadata.chunks.stage(space.id, [], ids, 1_000);
    await metadata.chunks.renew(space.id, ids, 2_000);
    assert.equal(await metadata.journals.append(space.id, append), "appended");
    await metadata.chunks.renew(space.id, [...ids, newChunk()], 3_000);
    assert.equal((await metadata.chunks.held(space.id, ids)).length, 1);
  });

  test(`QU1: a chunk in quarantine is missing to everybody, and asked for by its spaces (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const [mine, other] = [await newSpace(metadata), await newSpace(metadata)];
    const places = await stageChunks(metadata, mine, [10, 20]);
    const [bad, good] = places;
    assert(bad !== undefined && good !== undefined);
    const ids = places.map(({ id }) => id);
    assert.equal(await metadata.scrub.quarantine([bad], true), 1);
    assert.equal(await metadata.scrub.quarantine([bad], true), 0);
    assert.deepEqual(await metadata.chunks.held(mine.id, ids), [good]);
    assert.deepEqual(await metadata.chunks.stored(ids), new Set([good.id]));
    assert.deepEqual(await metadata.scrub.quarantined(mine.id, 10), [bad.id]);
    assert.deepEqual(await metadata.scrub.quarantined(other.id, 10), []);
    const staging = metadata.chunks.stage(other.id, [], [bad.id], 1_000);
    await assert.rejects(staging, { code: "chunk-gone" });
    assert.equal(await metadata.scrub.quarantine([bad], false), 1);
    assert.equal((await metadata.chunks.held(mine.id, ids)).length, 2);
    assert.deepEqual(await metadata.scrub.quarantined(mine.id, 10), []);
  });

  test(`QU2: a chunk in quarantine that is sent again lies where it was written last (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const [mine, other] = [await newSpace(metadata), await newSpace(metadata)];
    const [place] = await stageChunks(metadata, mine, [10]);
    assert(place !== undefined);
    await metadata.scrub.quarantine([place], true);
    const again: ChunkPlace = { ...place, pack: "again", offsetBytes: 7 };
    const used = await metadata.chunks.stage(other.id, [again], [place.id], 1_000);
    assert.deepEqual(used, new Set(["again"]));
    assert.deepEqual(await metadata.chunks.held(mine.id, [place.id]), [again]);
    // What is known of the place before says nothing of this one.
    assert.equal(await metadata.scrub.quarantine([place], true), 0);
    assert.deepEqual(await metadata.scrub.quarantined(mine.id, 10), []);
  });

  test(`packs and what lies in them are read over in order (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const space = await newSpace(metadata);
    const [one, two] = [newChunk(), newChunk()];
    const place = (id: ChunkId, pack: string, offsetBytes: number): ChunkPlace => {
      return { id, pack, offsetBytes, lengthBytes: 5 };
    };
    const three = newChunk();
    const written = [place(one, "walrus", 5), place(two, "walrus", 0), place(three, "whale", 0)];
    await metadata.chunks.stage(space.id, written, [one, two, three], 1_000);
    await metadata.scrub.quarantine([place(one, "walrus", 5)], true);
    assert.ok((await metadata.scrub.storedBytes()) >= 15);
    const names = await metadata.scrub.packs("walru", 2);
    assert.deepEqual(names, ["walrus", "whale"]);
    assert.deepEqual(await metadata.scrub.packs("walrus", 1), ["whale"]);
    assert.deepEqual(await metadata.scrub.inPack("walrus"), [
      { ...place(two, "walrus", 0), isQuarantined: false },
      { ...place(one, "walrus", 5), isQuarantined: true },
    ]);
  });
}
