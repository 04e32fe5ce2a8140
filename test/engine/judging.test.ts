import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { codeOf } from "#core/errors.ts";
import { commitId, nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Change } from "#protocol/commit.ts";
import { writePlainMeta } from "#protocol/meta.ts";
import { DEVICE, OTHER_DEVICE } from "../contracts/sealing-world.ts";
import { Follower } from "#sync/follow.ts";
import { plainSeal } from "#sync/plain-seal.ts";
import { Problems } from "#sync/problems.ts";

const [A, B, C, D] = ["1", "2", "3", "4"].map((digit) => nodeId(digit.repeat(32)));
assert(A && B && C && D);
const FOLDER_META = writePlainMeta({ content: { kind: "folder" }, mtimeMs: 0 });

function folder(node: NodeId, parent: NodeId = ROOT_NODE, name = `n${node.slice(0, 1)}`): Change {
  return { kind: "create", node, type: "folder", parent, name, meta: FOLDER_META, chunks: [] };
}

function link(node: NodeId, target: string, name = `n${node.slice(0, 1)}`): Change {
  const meta = writePlainMeta({ content: { kind: "symlink", target }, mtimeMs: 0 });
  return { kind: "create", node, type: "symlink", parent: ROOT_NODE, name, meta, chunks: [] };
}

function update(node: NodeId, crev: number, meta: string): Change {
  return { kind: "update", node, crev, meta, chunks: [] };
}

function move(node: NodeId, lrev: number, parent: NodeId, name = "moved"): Change {
  return { kind: "move", node, lrev, parent, name };
}

const remove = (node: NodeId, crev: number, lrev = crev): Change => {
  return { kind: "delete", node, crev, lrev };
};

/** Follows commits one after the other; the code with which the last one is refused, or "". */
function followed(trusts: boolean, ...commits: Change[][]): { code: string; nodes: number } {
  using closing = new DisposableStack();
  const store = openDeviceStore(":memory:", { folding: true });
  closing.defer(() => store.close());
  const quiet = (): void => undefined;
  const follower = new Follower({
    ...store,
    problems: new Problems(),
    seal: { ...plainSeal(store.records), trusts },
    digest: systemDigest,
    clock: systemClock,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    device: DEVICE,
    startCursor: "0",
  });
  let chain = CHAIN_START;
  for (const [at, changes] of commits.entries()) {
    const sequence = at + 1;
    const id = commitId(sequence.toString(16).padStart(32, "0"));
    const rest = { sequence, commitId: id, device: OTHER_DEVICE, timeMs: 0, changes };
    chain = nextChain(systemDigest, chain, rest);
    const feed = { entries: [{ ...rest, chain }], cursor: String(sequence), head: sequence };
    const nodes = store.records.count("remote");
    try {
      follower.apply(String(at), feed);
    } catch (error) {
      assert.equal(at, commits.length - 1, `entry ${sequence}: ${String(error)}`);
      assert.equal(store.records.count("remote"), nodes, "nothing of it is applied");
      return { code: codeOf(error), nodes };
    }
  }
  return { code: "", nodes: store.records.count("remote") };
}

const judged = (...commits: Change[][]): string => followed(false, ...commits).code;
const BROKEN = "journal-broken";
const other = writePlainMeta({ content: { kind: "symlink", target: "y" }, mtimeMs: 0 });

suite("judging a journal", () => {
  test("SL13: what an honest server lands is taken over", () => {
    const swap = [move(A, 1, ROOT_NODE, "nb"), move(B, 1, ROOT_NODE, "na")];
    const setup = [folder(A, ROOT_NODE, "na"), folder(B, ROOT_NODE, "nb")];
    assert.equal(judged(setup, swap, [folder(C, A)], [move(C, 3, B)], [remove(A, 1, 2)]), "");
    assert.equal(judged([folder(A), folder(B, A)], [remove(A, 1), remove(B, 1)]), "");
    assert.equal(judged([link(A, "x")], [update(A, 1, other)], [update(A, 2, other)]), "");
    assert.equal(judged([link(A, "x")], [update(A, 1, other), move(A, 1, ROOT_NODE)]), "");
    assert.equal(judged([folder(A)], [move(A, 1, ROOT_NODE, "N1")]), "");
  });

  test("SL13: an edit of a content that another one took the place of is refused", () => {
    assert.equal(judged([link(A, "x")], [update(A, 1, other)], [update(A, 1, other)]), BROKEN);
    assert.equal(judged([folder(A)], [move(A, 1, ROOT_NODE)], [move(A, 1, ROOT_NODE)]), BROKEN);
  });

  test("SL13: a deletion of what was edited or moved meanwhile is refused", () => {
    assert.equal(judged([link(A, "x")], [update(A, 1, other)], [remove(A, 1, 1)]), BROKEN);
    assert.equal(judged([folder(A)], [move(A, 1, ROOT_NODE)], [remove(A, 1, 1)]), BROKEN);
  });

  test("SL13: a change of nothing, and a node that is made twice, are refused", () => {
    assert.equal(judged([update(A, 1, other)]), BROKEN);
    assert.equal(judged([folder(A)], [remove(A, 1)], [remove(A, 1)]), BROKEN);
    assert.equal(judged([link(A, "x")], [link(A, "y")]), BROKEN);
  });

  test("SL13: two nodes of one name in a folder are refused, by whatever keys they were told apart", () => {
    assert.equal(
      judged([folder(A, ROOT_NODE, "letter")], [folder(B, ROOT_NODE, "LETTER")]),
      BROKEN,
    );
    const setup = [folder(A), folder(B), folder(C, A, "x"), folder(D, B, "x")];
    assert.equal(judged(setup, [move(C, 1, B, "x")]), BROKEN);
  });

  test("SL13: what would stand below itself, in a file, or in nothing is refused", () => {
    assert.equal(judged([folder(A), folder(B, A)], [move(A, 1, B)]), BROKEN);
    assert.equal(judged([link(A, "x")], [folder(B, A)]), BROKEN);
    assert.equal(judged([folder(B, A)]), BROKEN);
    assert.equal(judged([folder(A), folder(B, A)], [remove(A, 1)]), BROKEN);
  });

  test("SL13, FO5: of a node that could not be read the revisions are nobody's business", () => {
    const unread = update(A, 1, "no meta");
    assert.equal(judged([link(A, "x")], [unread], [update(A, 2, other)]), "");
  });

  test("SL13: a plain space's server is believed", () => {
    const commits = [[link(A, "x")], [update(A, 1, other)], [remove(A, 1, 1)]];
    assert.deepEqual(followed(true, ...commits), { code: "", nodes: 0 });
  });
});
