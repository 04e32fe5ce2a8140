import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { foldName } from "#core/names.ts";
import type { NodeKind } from "#core/node.ts";
import type { Change } from "#protocol/commit.ts";
import { createFile, createFolder, fileOf, newNode } from "../../test/contracts/tree.ts";
import { TreeWriter } from "../../test/contracts/tree-writer.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";

/** The whole tree in memory, checked whole: slow, and too plain to be wrong. */
type Known = {
  readonly type: NodeKind;
  readonly parent: NodeId;
  readonly name: string;
  readonly crev: number;
  readonly lrev: number;
  readonly deleted: boolean;
};
type Tree = ReadonlyMap<NodeId, Known>;

function applied(tree: Tree, changes: readonly Change[], sequence: number): Tree | undefined {
  const after = new Map(tree);
  for (const change of changes) {
    const before = tree.get(change.node);
    const now = after.get(change.node);
    if (change.kind === "create") {
      if (now !== undefined) return undefined;
      const { type, parent, name } = change;
      const revs = { crev: sequence, lrev: sequence, deleted: false };
      after.set(change.node, { type, parent, name, ...revs });
      continue;
    }
    if (before === undefined || now === undefined || before.deleted || now.deleted)
      return undefined;
    if ("crev" in change && (change.crev !== before.crev || now.crev === sequence))
      return undefined;
    if ("lrev" in change && (change.lrev !== before.lrev || now.lrev === sequence))
      return undefined;
    if (change.kind === "update") {
      if (now.type !== "file") return undefined;
      after.set(change.node, { ...now, crev: sequence });
    } else if (change.kind === "move") {
      const { parent, name } = change;
      after.set(change.node, { ...now, parent, name, lrev: sequence });
    } else after.set(change.node, { ...now, crev: sequence, lrev: sequence, deleted: true });
  }
  return isSound(after) ? after : undefined;
}

function isSound(tree: Tree): boolean {
  const names = new Set<string>();
  for (const { parent, name, deleted } of tree.values()) {
    if (deleted) continue;
    const slot = `${parent}/${foldName(name)}`;
    if (names.has(slot)) return false;
    names.add(slot);
    let steps = 0;
    for (let at = parent; at !== ROOT_NODE; steps++) {
      const folder = tree.get(at);
      const stands = folder?.type === "folder" && !folder.deleted && steps <= tree.size;
      if (folder === undefined || !stands) return false;
      at = folder.parent;
    }
  }
  return true;
}

type Wish = {
  readonly kind: Change["kind"];
  readonly node: number;
  readonly parent: number;
  readonly name: string;
  readonly folder: boolean;
  /** Mostly not: speaks of any node there ever was, or of revisions that are over. */
  readonly wild: boolean;
};

const wish: fc.Arbitrary<Wish> = fc.record({
  kind: fc.constantFrom("create", "create", "update", "move", "move", "delete"),
  node: fc.nat(100),
  parent: fc.nat(100),
  name: fc.constantFrom("a", "A", "b", "c", "d", "e", "f"),
  folder: fc.boolean(),
  wild: fc.nat(24).map((number) => number === 0),
});

/** Wishes speak of what is there where that is possible, so that most commits are near to right. */
function changesOf(tree: Tree, wishes: readonly Wish[]): Change[] {
  const created: NodeId[] = [];
  return wishes.map(({ kind, node, parent, name, folder, wild }): Change => {
    const all = [...tree.keys()];
    const living = all.filter((id) => tree.get(id)?.deleted === false);
    const folders = living.filter((id) => tree.get(id)?.type === "folder");
    const pick = (ids: readonly NodeId[], number: number) => ids[number % ids.length];
    const above = pick(wild ? all : [ROOT_NODE, ...folders, ...created], parent) ?? ROOT_NODE;
    const id = pick(wild ? all : living, node);
    if (kind === "create" || id === undefined) {
      const fresh = wild && id !== undefined ? id : newNode();
      if (folder) created.push(fresh);
      return folder
        ? createFolder(name, above, fresh)
        : { ...createFile(name, above), node: fresh };
    }
    const crev = (tree.get(id)?.crev ?? 0) + (wild ? 1 : 0);
    const lrev = tree.get(id)?.lrev ?? 0;
    if (kind === "update") return { kind, node: id, crev, ...fileOf() };
    if (kind === "move") return { kind, node: id, lrev, parent: above, name };
    return { kind, node: id, crev, lrev };
  });
}

test("JN2: a commit lands exactly when the whole tree is sound after it", async () => {
  await using metadata = await openSqliteMetadata(":memory:");
  let landed = 0;
  let refusals = 0;
  const stories = fc.array(fc.array(wish, { minLength: 1, maxLength: 4 }), {
    minLength: 30,
    maxLength: 40,
  });
  const story = fc.asyncProperty(stories, async (commits) => {
    const writer = await TreeWriter.open(metadata);
    let tree: Tree = new Map();
    for (const wishes of commits) {
      const changes = changesOf(tree, wishes);
      const { sequence } = await metadata.journals.head(writer.space.id);
      const expected = applied(tree, changes, sequence + 1);
      const answer = await writer.try(...changes);
      const wanted = expected === undefined ? "refused" : "committed";
      assert.equal(answer.outcome, wanted, JSON.stringify({ changes, answer }));
      if (expected === undefined) refusals++;
      else landed++;
      tree = expected ?? tree;
    }
    const rows = await metadata.journals.nodes(writer.space.id, [...tree.keys()]);
    const stored = rows.map(({ id, type, parent, name, crev, lrev, deleted }): [NodeId, Known] => [
      id,
      { type, parent, name, crev, lrev, deleted },
    ]);
    assert.deepEqual(new Map(stored), tree);
  });
  await fc.assert(story, { numRuns: 100, seed: 20_231_114 });
  assert(landed > 500 && refusals > 500, `${landed} landed, ${refusals} were refused`);
});
