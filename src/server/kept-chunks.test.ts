import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { deviceId, nodeId, ROOT_NODE, type ChunkId } from "#core/ids.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import { nameChunks, neededChunks } from "#protocol/kept-chunks.ts";
import { FIRST_KEYS, newChunk, stageChunks } from "../../test/contracts/tree.ts";
import { TreeWriter } from "../../test/contracts/tree-writer.ts";
import { nodeDigest } from "./digest.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";

const NODE = nodeId("ab".repeat(16));
type Update = Extract<Change, { kind: "update" }>;

/** A sealed space with one file of four chunks; `fifth` is at the server too. */
async function open() {
  const metadata = await openSqliteMetadata(":memory:");
  const writer = await TreeWriter.open(metadata, { keys: FIRST_KEYS });
  writer.device = deviceId("d".repeat(32));
  const places = await stageChunks(metadata, writer.space, [1, 2, 3, 4, 5]);
  const ids = places.map(({ id }) => id);
  const send = async (change: Change): Promise<CommitAnswer> => {
    const signed: Partial<Commit> = { keyEpoch: 1, signature: "5".repeat(128) };
    return writer.send({ ...(await writer.commitOf([change])), ...signed });
  };
  const four = ids.slice(0, 4);
  const file = { kind: "create", type: "file", node: NODE, parent: ROOT_NODE } as const;
  const named = { name: "c2VhbGVk", key: "dG9rZW4", meta: "b3BhcXVl", chunks: four };
  assert.equal((await send({ ...file, ...named })).outcome, "committed");
  return {
    four,
    fifth: ids[4]!,
    send,
    update: (more: Partial<Update>): Update => {
      return { kind: "update", node: NODE, crev: 1, meta: "bmV3", chunks: [], ...more };
    },
    async chunks(): Promise<readonly ChunkId[] | undefined> {
      return (await metadata.journals.nodes(writer.space.id, [NODE]))[0]?.chunks;
    },
    lastEntry: async () => (await metadata.journals.entries(writer.space.id, 1, 9, 1e9)).at(-1),
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  };
}

test("SS7: an update that names what changed of its chunks needs all that it kept", async () => {
  await using tree = await open();
  const [first, second, ...others] = tree.four;
  assert(first && second);
  const after = [first, ...others, tree.fifth].toSorted();
  const named = nameChunks(nodeDigest, tree.four, after);
  assert.deepEqual(named.chunks, [tree.fifth]);
  assert.deepEqual(named.keeps?.drops, [second]);
  assert.equal((await tree.send(tree.update(named))).outcome, "committed");
  assert.deepEqual(await tree.chunks(), after);
  const [change] = (await tree.lastEntry())?.changes ?? [];
  assert(change?.kind === "update");
  assert.deepEqual([change.chunks, change.keeps], [named.chunks, named.keeps], "as it was sent");
});

test("SS7: one that takes the revision before it for another one lands not at all", async () => {
  await using tree = await open();
  const after = [...tree.four.slice(1), tree.fifth];
  const right = nameChunks(nodeDigest, tree.four, after);
  assert(right.keeps !== undefined);
  const wrong: Record<string, Partial<Update>> = {
    "others before": nameChunks(nodeDigest, [...tree.four.slice(1), newChunk()], after),
    "one dropped too many": { ...right, keeps: { ...right.keeps, drops: tree.four.slice(0, 2) } },
    "one dropped too few": { ...right, keeps: { ...right.keeps, drops: [] } },
    "named twice": { ...right, chunks: [tree.fifth, tree.fifth] },
    "kept and named": { ...right, chunks: [tree.fifth, tree.four[2]!] },
    "another hash": { ...right, keeps: { ...right.keeps, all: "0".repeat(64) } },
  };
  for (const [what, more] of Object.entries(wrong)) {
    const answer = await tree.send(tree.update(more));
    assert.equal(answer.outcome === "refused" && answer.code, "chunks-differ", what);
  }
  const lacking = nameChunks(nodeDigest, tree.four, [...tree.four.slice(1), newChunk()]);
  assert.equal((await tree.send(tree.update(lacking))).outcome, "missing-chunks");
  const stale = await tree.send(tree.update({ ...right, crev: 7 }));
  assert.equal(stale.outcome === "refused" && stale.code, "stale");
  assert.deepEqual(await tree.chunks(), tree.four);
});

test("SS7: a plain space and a folder take none", async () => {
  await using metadata = await openSqliteMetadata(":memory:");
  const plain = await TreeWriter.open(metadata, {});
  const keeps = { drops: [], all: "0".repeat(64) };
  const update: Update = { kind: "update", node: NODE, crev: 1, meta: "{}", chunks: [], keeps };
  const answer = await plain.send(await plain.commitOf([update]));
  assert.equal(answer.outcome === "refused" && answer.code, "bad-change");
});

test("SS7: what both sides make of any two lists is the second one", () => {
  const list = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 40 });
  const idOf = (number: number) => number.toString(16).padStart(64, "0") as ChunkId;
  fc.assert(
    fc.property(list, list, (left, right) => {
      const [before, after] = [left.map(idOf), right.map(idOf).toSorted()];
      const named = nameChunks(nodeDigest, before, after);
      assert.deepEqual(neededChunks(before, named).toSorted(), after);
      assert(named.chunks.length + (named.keeps?.drops.length ?? 0) <= after.length);
    }),
  );
});
