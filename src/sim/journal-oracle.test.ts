import assert from "node:assert/strict";
import { test } from "node:test";
import { commitId, nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { writePlainMeta } from "#protocol/meta.ts";
import { nodeDigest } from "#server/digest.ts";
import { Replay } from "./journal-oracle.ts";
import { Past } from "./past.ts";

const FOLDER = writePlainMeta({ content: { kind: "folder" }, mtimeMs: 0 });
const a = nodeId("a".repeat(32));
const b = nodeId("b".repeat(32));

function folder(node: NodeId, parent: NodeId, name: string): Change {
  return { kind: "create", node, type: "folder", parent, name, meta: FOLDER, chunks: [] };
}

function journal(...commits: readonly Change[][]): Entry[] {
  let chain = CHAIN_START;
  return commits.map((changes, index) => {
    const id = commitId(String(index).padStart(32, "0"));
    const entry = { sequence: index + 1, commitId: id, timeMs: 0, changes };
    chain = nextChain(nodeDigest, chain, entry);
    return { ...entry, chain };
  });
}

function wrong(entries: readonly Entry[]): string[] {
  const replay = new Replay(true);
  for (const entry of entries) replay.take(entry);
  return replay.wrong;
}

const made = [folder(a, ROOT_NODE, "one"), folder(b, a, "two")];
const faults: readonly [what: string, entries: Entry[], wrong: RegExp][] = [
  ["a gap", journal(made, [{ kind: "delete", node: b, crev: 1, lrev: 1 }]).slice(1), /follow/],
  ["one name twice", journal([folder(a, ROOT_NODE, "x"), folder(b, ROOT_NODE, "X")]), /twice/],
  ["a change of what was not", journal([{ kind: "delete", node: a, crev: 1, lrev: 1 }]), /nothing/],
  ["no folder around it", journal([folder(b, a, "x")]), /in no folder/],
  ["a folder that was not empty", journal(made, [del(a, 1)]), /not empty/],
  ["another revision", journal(made, [move(b, 1, ROOT_NODE)], [move(b, 1, a)]), /revision/],
  ["a ring", journal(made, [move(a, 1, b)]), /in no folder/],
];

function del(node: NodeId, revision: number): Change {
  return { kind: "delete", node, crev: revision, lrev: revision };
}

function move(node: NodeId, lrev: number, parent: NodeId): Change {
  return { kind: "move", node, lrev, parent, name: "two" };
}

for (const [what, entries, expected] of faults) {
  test(`a journal's replay tells of ${what}`, () => {
    assert.match(wrong(entries).join("\n"), expected);
  });
}

test("a journal's replay has nothing against a tree", () => {
  assert.deepEqual(wrong(journal(made, [move(b, 1, ROOT_NODE)], [del(a, 1)])), []);
});

test("the past of a server has each state of each line of its history", () => {
  const past = new Past();
  past.append({ sequence: 1, chain: "c1" }, made);
  past.append({ sequence: 2, chain: "c2" }, [move(b, 1, ROOT_NODE)]);
  past.rewindTo("c1");
  past.append({ sequence: 2, chain: "d2" }, [del(b, 1)]);
  const parents = ["c1", "c2", "d2"].map((chain) => {
    const moment = past.moment(chain);
    assert.ok(moment);
    return past.at(b, moment)?.parent ?? null;
  });
  assert.deepEqual(parents, [a, ROOT_NODE, null]);
});
