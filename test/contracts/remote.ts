import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { chunkId, commitId, nodeId, ROOT_NODE } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import type { PlannedOn, Change, Commit } from "#protocol/commit.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MAX_CHUNK_BYTES } from "#protocol/limits.ts";
import { writePlainMeta } from "#protocol/meta.ts";
import type { Remote } from "#sync/ports.ts";

/** A server with one empty plain space, as two devices of its account reach it. */
export type RemoteUnderTest = AsyncDisposable & {
  readonly remote: Remote;
  readonly other: Remote;
  /** The cursor before the first entry. */
  readonly start: string;
};

export type OpenRemote = () => Promise<RemoteUnderTest>;

/** What every way to a server has to answer alike. */
export function remoteContract(way: string, open: OpenRemote): void {
  chunkContract(way, open);
  commitContract(way, open);
  feedContract(way, open);
}

/** As long as it takes for another request to arrive. */
const ROUND_TRIPS = 8;

const AT_START: PlannedOn = { sequence: 0, chain: CHAIN_START };

function newFrame(lengthBytes: number): ChunkFrame {
  const bytes = new Uint8Array(randomBytes(lengthBytes));
  return { id: chunkId(createHash("sha256").update(bytes).digest("hex")), bytes };
}

function makeFolder(name: string): Change {
  return {
    kind: "create",
    node: nodeId(randomBytes(16).toString("hex")),
    type: "folder",
    parent: ROOT_NODE,
    name,
    meta: writePlainMeta({ content: { kind: "folder" }, mtimeMs: 0 }),
    chunks: [],
  };
}

function makeFile(name: string, { id, bytes }: ChunkFrame): Change {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const meta = { kind: "file", sizeBytes: bytes.length, sha256, executable: false, mtimeMs: 5 };
  return {
    kind: "create",
    node: nodeId(randomBytes(16).toString("hex")),
    type: "file",
    parent: ROOT_NODE,
    name,
    meta: JSON.stringify(meta),
    chunks: [id],
    lengths: [bytes.length],
  };
}

function commitOf(changes: Change[], base: PlannedOn = AT_START): Commit {
  return { commitId: commitId(randomBytes(16).toString("hex")), base, changes };
}

async function rejectsWith(code: string, work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof WorldError, `a WorldError, not ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return true;
  });
}

function chunkContract(way: string, open: OpenRemote): void {
  test(`HC1: ${way}: what was put is no longer missing and comes back as it was`, async () => {
    await using world = await open();
    const frames = [1, 100_000, 300_000].map(newFrame);
    const ids = frames.map((frame) => frame.id);
    assert.deepEqual((await world.remote.missing(ids)).sort(), [...ids].sort());
    await world.remote.put(frames.slice(0, 2));
    assert.deepEqual(await world.other.missing(ids), ids.slice(2));
    await world.remote.put(frames);
    assert.deepEqual(await world.other.missing(ids), []);
    const back = await Array.fromAsync(world.other.fetch(ids.toReversed()));
    assert.deepEqual(back, frames.toReversed());
  });

  test(`HC1: ${way}: nothing asked is nothing answered`, async () => {
    await using world = await open();
    await world.remote.put([]);
    assert.deepEqual(await world.remote.missing([]), []);
    assert.deepEqual(await Array.fromAsync(world.remote.fetch([])), []);
  });

  test(`HC1: ${way}: a chunk that is nowhere is said so before any other comes`, async () => {
    await using world = await open();
    const [here, nowhere] = [newFrame(10), newFrame(11)];
    await world.remote.put([here]);
    await rejectsWith("not-found", Array.fromAsync(world.remote.fetch([here.id, nowhere.id])));
  });

  test(`HC1: ${way}: more than one answer holds comes in several`, async () => {
    await using world = await open();
    const frames = Array.from({ length: 5 }, () => newFrame(MAX_CHUNK_BYTES));
    await world.remote.put(frames.slice(0, 3));
    await world.remote.put(frames.slice(3));
    let waiting = frames.map((frame) => frame.id);
    for (let rounds = 0; waiting.length > 0; rounds++) {
      assert.ok(rounds < 5, "each answer brings something");
      const back = await Array.fromAsync(world.remote.fetch(waiting));
      assert.deepEqual(
        back.map((frame) => frame.id),
        waiting.slice(0, back.length),
      );
      waiting = waiting.slice(back.length);
    }
  });

  test(`HC1: ${way}: whoever has seen enough may leave`, async () => {
    await using world = await open();
    const frames = Array.from({ length: 4 }, () => newFrame(500_000));
    await world.remote.put(frames);
    for await (const frame of world.remote.fetch(frames.map(({ id }) => id))) {
      assert.deepEqual(frame, frames[0]);
      break;
    }
    assert.deepEqual(await world.remote.missing(frames.map(({ id }) => id)), []);
  });
}

function commitContract(way: string, open: OpenRemote): void {
  test(`HC2: ${way}: a commit lands, and again is the same one`, async () => {
    await using world = await open();
    const frame = newFrame(1_000);
    await world.remote.put([frame]);
    const commit = commitOf([makeFolder("folder"), makeFile("Datei ü 🗂️", frame)]);
    const answer = await world.remote.commit(commit);
    assert.equal(answer.outcome, "committed");
    assert.deepEqual(await world.remote.commit(commit), answer);
    const { entries } = await world.other.changes(world.start, 0);
    assert.deepEqual(
      entries.map((entry) => entry.changes),
      [commit.changes],
    );
    assert.equal(entries[0]?.commitId, commit.commitId);
    assert.ok(answer.outcome === "committed" && entries[0]?.chain === answer.chain);
  });

  test(`HC2: ${way}: why nothing landed is an answer and no error`, async () => {
    await using world = await open();
    const frame = newFrame(1_000);
    const lacking = await world.remote.commit(commitOf([makeFile("file", frame)]));
    assert.deepEqual(lacking, { outcome: "missing-chunks", missing: [frame.id] });
    const first = await world.remote.commit(commitOf([makeFolder("Name")]));
    assert.ok(first.outcome === "committed");
    const again = makeFolder("NAME");
    const refused = await world.other.commit(commitOf([again], first));
    assert.ok(refused.outcome === "refused");
    assert.equal(refused.code, "name-taken");
    assert.equal(refused.node, again.node);
  });
}

function feedContract(way: string, open: OpenRemote): void {
  test(`HC3: ${way}: the feed waits for an entry and brings it at once`, async () => {
    await using world = await open();
    const { cursor, entries } = await world.other.changes(world.start, 0);
    assert.deepEqual(entries, []);
    const waiting = world.other.changes(cursor, 20_000);
    // Meanwhile the request has come to where it waits.
    for (let trip = 0; trip < ROUND_TRIPS; trip++) await world.other.missing([newFrame(1).id]);
    const commit = commitOf([makeFolder("new")]);
    await world.remote.commit(commit);
    const feed = await waiting;
    assert.equal(feed.entries[0]?.commitId, commit.commitId);
    assert.equal(feed.head, 1);
    assert.deepEqual((await world.other.changes(feed.cursor, 0)).entries, []);
  });

  test(`HC9: ${way}: a device hears of its own commit as it landed`, async () => {
    await using world = await open();
    const waiting = world.remote.changes(world.start, 20_000);
    for (let trip = 0; trip < ROUND_TRIPS; trip++) await world.other.missing([newFrame(1).id]);
    const commit = commitOf([makeFolder("own")]);
    await world.remote.commit(commit);
    const { entries } = await waiting;
    assert.deepEqual(entries, (await world.other.changes(world.start, 0)).entries);
    assert.deepEqual(entries[0]?.changes, commit.changes);
  });

  test(`HC3: ${way}: a wait ends with nothing when its time is over, or its signal`, async () => {
    await using world = await open();
    assert.deepEqual((await world.remote.changes(world.start, 1)).entries, []);
    const stop = new AbortController();
    const waiting = world.remote.changes(world.start, 20_000, stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await assert.rejects(world.remote.changes(world.start, 0, stop.signal), /enough/);
  });

  test(`HC3: ${way}: a cursor of no past of this space is a reset`, async () => {
    await using world = await open();
    await rejectsWith("reset", world.remote.changes("nonsense", 0));
  });
}
