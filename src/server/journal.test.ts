import { strict as assert } from "node:assert";
import { join } from "node:path";
import { test } from "node:test";
import { deviceId, ROOT_NODE } from "#core/ids.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import {
  createFile,
  createFolder,
  fileMeta,
  fileOf,
  move,
  newChunk,
  newCommit,
  remove,
  stageChunks,
  update,
} from "../../test/contracts/tree.ts";
import { TreeWriter } from "../../test/contracts/tree-writer.ts";
import { writeCursor } from "./cursor.ts";
import { nodeDigest } from "./digest.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";

async function open() {
  const metadata = await openSqliteMetadata(":memory:");
  const writer = await TreeWriter.open(metadata);
  return Object.assign(writer, {
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  });
}

async function entriesOf(tree: TreeWriter) {
  return tree.metadata.journals.entries(tree.space.id, 0, 10_000);
}

const landed = (answers: readonly CommitAnswer[]) =>
  answers.filter((answer) => answer.outcome === "committed");

const isGapless = (sequences: readonly number[]) =>
  sequences.every((sequence, index) => sequence === index + 1);

test("JN1: a hundred commits at once get a hundred numbers without a gap", async () => {
  await using tree = await open();
  const commits = Array.from({ length: 100 }, (_, index) => createFile(`${index}`));
  const answers = await Promise.all(commits.map((change) => tree.try(change)));
  const sequences = landed(answers).map(({ sequence }) => sequence);
  assert.equal(sequences.length, 100);
  assert(isGapless(sequences));
  const entries = await entriesOf(tree);
  assert.deepEqual(
    entries.map(({ changes }) => changes[0]?.node),
    commits.map(({ node }) => node),
  );
});

test("JN1: entries say when they landed and which device made them", async () => {
  await using tree = await open();
  await tree.land(createFile("a"));
  tree.device = deviceId("d".repeat(32));
  tree.nowMs = 2_000;
  await tree.land(createFile("b"));
  const told = (await entriesOf(tree)).map(({ timeMs, device }) => [timeMs, device]);
  assert.deepEqual(told, [
    [1_000, undefined],
    [2_000, tree.device],
  ]);
});

test("JN3: a commit that is sent again lands once and gets the same answer", async () => {
  await using tree = await open();
  const commit = await tree.commitOf([createFile("a")]);
  const answers = await Promise.all(Array.from({ length: 5 }, () => tree.send(commit)));
  await tree.land(createFile("b"));
  answers.push(await tree.send(commit));
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  assert.equal(landed(answers)[0]?.sequence, 1);
  assert.equal((await entriesOf(tree)).length, 2);
});

test("JN3: a refused commit stays refused, also when it could land by now", async () => {
  await using tree = await open();
  const holder = createFile("a");
  await tree.land(holder);
  const late = await tree.commitOf([createFile("A")]);
  const refusal = await tree.send(late);
  await tree.land(remove(holder.node, 1));
  assert.equal(refusal.outcome, "refused");
  assert.deepEqual(await tree.send(late), refusal);
  assert.equal(await tree.land(...late.changes), 3);
});

test("JN3: a commit whose chunks were missing needs a fresh id when they are there", async () => {
  await using tree = await open();
  const chunk = { id: newChunk(), pack: "pack-x", offsetBytes: 0, lengthBytes: 10 };
  const early = await tree.commitOf([createFile("a", ROOT_NODE, fileOf([chunk]))]);
  const missing = { outcome: "missing-chunks", missing: [chunk.id] };
  assert.deepEqual(await tree.send(early), missing);
  await tree.metadata.chunks.stage(tree.space.id, [chunk], [chunk.id], 1);
  assert.deepEqual(await tree.send(early), missing);
  await tree.land(...early.changes);
});

test("JN4: whoever follows the feed computes the same chain", async () => {
  await using tree = await open();
  const [chunk] = await stageChunks(tree.metadata, tree.space, [10]);
  assert(chunk !== undefined);
  const file = createFile("a", ROOT_NODE, fileOf([chunk]));
  await tree.land(file, createFolder("b"));
  tree.device = deviceId("d".repeat(32));
  await tree.land(update(file.node, 1, fileOf()), move(file.node, 1, "c"));
  await tree.land(remove(file.node, 2));
  const feed = await tree.journal.feed(tree.space, writeCursor(tree.space, 0));
  assert(feed !== "reset");
  let chain = CHAIN_START;
  for (const entry of feed.entries) {
    chain = nextChain(nodeDigest, chain, entry);
    assert.equal(entry.chain, chain);
    assert.equal(await tree.metadata.journals.chainAt(tree.space.id, entry.sequence), chain);
  }
  assert.deepEqual(await tree.metadata.journals.head(tree.space.id), { sequence: 3, chain });
});

test("JN5: a commit on top of an older head lands, on another past it does not", async () => {
  await using tree = await open();
  const commitOn = async (base: Commit["base"]) =>
    tree.send({ commitId: newCommit(), base, changes: [createFile(newCommit())] });
  const start = { sequence: 0, chain: CHAIN_START };
  for (let count = 0; count < 3; count++) {
    assert.equal((await commitOn(start)).outcome, "committed");
  }
  const head = await tree.metadata.journals.head(tree.space.id);
  const strange = [
    { sequence: 4, chain: head.chain },
    { sequence: 2, chain: head.chain },
    { sequence: 0, chain: head.chain },
    { sequence: 3, chain: CHAIN_START },
  ];
  for (const base of strange) {
    const answer = await commitOn(base);
    assert.equal(answer.outcome === "refused" && answer.code, "diverged", JSON.stringify(base));
  }
  assert.equal((await commitOn(head)).outcome, "committed");
});

test("JN19: of twenty who want one name or edit one file exactly one gets it", async () => {
  await using tree = await open();
  const file = createFile("shared");
  await tree.land(file);
  let crev = 1;
  for (let round = 0; round < 10; round++) {
    const edits = Array.from({ length: 20 }, () => tree.try(update(file.node, crev, fileOf())));
    const names = Array.from({ length: 20 }, () => tree.try(createFile(`name ${round}`)));
    const [edited] = landed(await Promise.all(edits));
    assert.equal(landed(await Promise.all(edits)).length, 1);
    assert.equal(landed(await Promise.all(names)).length, 1);
    crev = edited?.sequence ?? 0;
  }
  const entries = await entriesOf(tree);
  assert.equal(entries.length, 21);
  assert(isGapless(entries.map(({ sequence }) => sequence)));
});

test("JN19: two servers of one database never let both of two rivals land", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "server.db");
  await using one = await openSqliteMetadata(path);
  await using two = await openSqliteMetadata(path);
  const first = await TreeWriter.open(one);
  const second = new TreeWriter(two, first.space);
  const server = (index: number) => (index % 2 === 0 ? first : second);
  for (let round = 0; round < 20; round++) {
    const rivals = Array.from({ length: 10 }, (_, index) =>
      server(index).try(createFile(`name ${round}`), createFile(newCommit())),
    );
    const answers = await Promise.all(rivals);
    assert.equal(answers.filter((answer) => answer.outcome === "committed").length, 1);
  }
  const repeated = await first.commitOf([createFile("once")]);
  const repeats = Array.from({ length: 10 }, (_, index) => server(index).send(repeated));
  const told = await Promise.all(repeats);
  for (const answer of told) assert.deepEqual(answer, told[0]);
  const entries = await entriesOf(first);
  assert.equal(entries.length, 21);
  assert(isGapless(entries.map(({ sequence }) => sequence)));
});

test("JN20: the feed goes through the whole journal in bounded steps", async () => {
  await using tree = await open();
  for (let count = 0; count < 25; count++) await tree.land(createFile(`${count}`));
  let cursor = writeCursor(tree.space, 0);
  const seen: number[] = [];
  for (;;) {
    const feed = await tree.journal.feed(tree.space, cursor, 10);
    assert(feed !== "reset");
    assert.equal(feed.head, 25);
    if (feed.entries.length === 0) break;
    assert(feed.entries.length <= 10);
    seen.push(...feed.entries.map(({ sequence }) => sequence));
    cursor = feed.cursor;
  }
  assert.equal(seen.length, 25);
  assert(isGapless(seen));
  assert.equal(cursor, writeCursor(tree.space, 25));
});

test("JN20: the feed gives what landed last as it is stored", async () => {
  await using tree = await open();
  tree.device = deviceId("d".repeat(32));
  for (const change of [createFolder("a"), createFile("b"), createFile("c")]) {
    await tree.land(change);
    const stored = await entriesOf(tree);
    for (const from of stored.keys()) {
      const feed = await tree.journal.feed(tree.space, writeCursor(tree.space, from));
      assert(feed !== "reset");
      assert.deepEqual(feed.entries, stored.slice(from));
    }
  }
});

test("JN20: an answer of the feed stays small however large the entries are", async () => {
  await using tree = await open();
  for (let count = 0; count < 6; count++) {
    const files = Array.from({ length: 50 }, (_, index) => {
      const meta = fileMeta(0) + " ".repeat(60_000);
      return createFile(`${count} ${index}`, ROOT_NODE, { ...fileOf(), meta });
    });
    await tree.land(...files);
  }
  const feed = await tree.journal.feed(tree.space, writeCursor(tree.space, 0));
  assert(feed !== "reset");
  assert.deepEqual(
    feed.entries.map(({ sequence }) => sequence),
    [1, 2],
  );
  assert.equal(feed.cursor, writeCursor(tree.space, 2));
});

test("JN21: a cursor from another journal resets the feed", async () => {
  await using tree = await open();
  await tree.land(createFile("a"));
  const strange = { epoch: "e".repeat(32) };
  assert.equal(await tree.journal.feed(tree.space, writeCursor(strange, 0)), "reset");
  assert.equal(await tree.journal.feed(tree.space, writeCursor(tree.space, 2)), "reset");
});

test("JN22: who waits for the journal is woken by what lands, not by what is refused", async () => {
  await using tree = await open();
  const wait = tree.announcer.waitBeyond(tree.space.id, 0, 1_000);
  await tree.refusal(createFile(".."));
  assert.equal(tree.announcer.waiting, 1);
  await tree.land(createFile("a"));
  assert.equal(await wait, true);
});

test("JN23: too many commits at once are turned away and may come again", async () => {
  await using tree = await open();
  const elsewhere = await TreeWriter.open(tree.metadata);
  const commits = Array.from({ length: 300 }, (_, index) => createFile(`${index}`));
  const base = await tree.metadata.journals.head(tree.space.id);
  const sent = commits.map((change) =>
    tree.send({ commitId: newCommit(), base, changes: [change] }),
  );
  const other = elsewhere.try(createFile("a"));
  const answers = await Promise.allSettled(sent);
  const turnedAway = answers.filter((answer) => answer.status === "rejected");
  assert.equal(turnedAway.length, 300 - 256);
  for (const { reason } of turnedAway) {
    assert.deepEqual([reason.code, reason.retryable], ["unavailable", true]);
  }
  assert.equal((await other).outcome, "committed");
  assert.equal(await tree.land(createFile("later")), 257);
});
