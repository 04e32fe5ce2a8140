import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { codeOf, WorldError } from "#core/errors.ts";
import { commitId } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import { CURSOR_START, type Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { DEVICE, flipped, randomSample, textSample } from "../../test/contracts/sealing-world.ts";
import { frameOf, keyring, sealedDevice, STRANGER } from "../../test/engine/sealed-world.ts";
import { acceptRestore, writePosition } from "./settings.ts";

const CHAIN = "ab".repeat(32);
const COMMIT = { commitId: commitId("e1".repeat(16)), base: { sequence: 0, chain: CHAIN_START } };

/** A device whose server has chunks of several kinds, and the frames that it sent. */
async function withChunks(): Promise<ReturnType<typeof sealedDevice> & { frames: ChunkFrame[] }> {
  const device = sealedDevice();
  const bytes = [
    randomSample(1, 20_000),
    textSample(2, 300),
    randomSample(3, 40_000),
    textSample(4, 9_000),
  ];
  const frames = bytes.map(frameOf);
  await device.remote.put(frames);
  return Object.assign(device, { frames });
}

async function fetched(
  { remote }: Pick<ReturnType<typeof sealedDevice>, "remote">,
  frames: readonly ChunkFrame[],
): Promise<{ frames: ChunkFrame[]; code: string }> {
  const heard: ChunkFrame[] = [];
  try {
    for await (const frame of remote.fetch(frames.map(({ id }) => id))) heard.push(frame);
    return { frames: heard, code: "" };
  } catch (error) {
    return { frames: heard, code: codeOf(error) };
  }
}

async function codeOfAnswer(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "";
  } catch (error) {
    return codeOf(error);
  }
}

suite("chunks of a sealed space", () => {
  test("SL1: chunks come opened, in the order asked, also those that stand in a meta", async () => {
    using device = await withChunks();
    const inline = frameOf(textSample(5, 40));
    device.store.sealedRecords.putInline(inline.id, inline.bytes);
    const [first, second, third, fourth] = device.frames;
    assert(first && second && third && fourth);
    const wanted = [third, inline, fourth, first, second];
    assert.deepEqual(await fetched(device, wanted), { frames: wanted, code: "" });
    assert.equal(device.shelf.fetches, 1, "all that is not in a meta is one question");
  });

  test("SL1: a fetch that ends early gives what came, and what follows is asked for again", async () => {
    using device = await withChunks();
    device.shelf.twist = (frames) => frames.slice(0, 3);
    const heard = await fetched(device, device.frames);
    assert.deepEqual(heard, { frames: device.frames.slice(0, 3), code: "" });
    device.shelf.twist = (frames) => frames;
    assert.deepEqual(
      (await fetched(device, device.frames.slice(3))).frames,
      device.frames.slice(3),
    );
  });

  test("SL1: what the space has is not sent again, and is known as sealed all the same", async () => {
    using device = await withChunks();
    const shelf = device.shelf;
    using other = sealedDevice(keyring(), shelf);
    const ids = device.frames.map(({ id }) => id);
    assert.deepEqual(await other.remote.missing(ids), ids, "it knows no stored id of theirs");
    shelf.puts.length = 0;
    await other.remote.put(device.frames);
    assert.deepEqual(shelf.puts, []);
    assert.deepEqual(await other.remote.missing(ids), []);
    assert.deepEqual((await fetched(other, device.frames)).frames, device.frames);
  });

  test("SL1: a chunk that nobody said how to open is asked of nobody", async () => {
    using device = await withChunks();
    const heard = await fetched(device, [frameOf(textSample(6, 77))]);
    assert.deepEqual(heard, { frames: [], code: "no-manifest" });
    assert.equal(device.shelf.fetches, 0);
  });

  test("SL1: a flipped bit of a stored chunk is refused wherever it is (BE-5)", async () => {
    using device = await withChunks();
    const [, small] = device.frames;
    assert(small);
    const [stored] = [...device.shelf.chunks.values()].toSorted((a, b) => a.length - b.length);
    assert(stored);
    for (const bad of flipped(stored)) {
      device.shelf.twist = (frames) => frames.map(({ id }) => ({ id, bytes: bad }));
      assert.deepEqual(await fetched(device, [small]), { frames: [], code: "bad-chunk" });
    }
  });

  test("SL1: chunks that are moved, left out, doubled or cut short are refused (BE-6)", async () => {
    using device = await withChunks();
    const lies: Record<string, (frames: ChunkFrame[]) => ChunkFrame[]> = {
      reversed: (frames) => frames.toReversed(),
      "the second left out": (frames) => frames.toSpliced(1, 1),
      "the first twice": ([first, ...rest]) => (first ? [first, first, ...rest] : []),
      "one too many": (frames) => [...frames, ...frames.slice(0, 1)],
      "the last cut short": (frames) =>
        frames.map(({ id, bytes }, at) => ({ id, bytes: at === 3 ? bytes.slice(0, -1) : bytes })),
      "the last empty": (frames) =>
        frames.map(({ id, bytes }, at) => ({ id, bytes: at === 3 ? bytes.slice(0, 0) : bytes })),
    };
    for (const [what, twist] of Object.entries(lies)) {
      device.shelf.twist = twist;
      const heard = await fetched(device, device.frames);
      assert.equal(heard.code, "bad-chunk", what);
      // Only what is right was given out before.
      assert.deepEqual(heard.frames, device.frames.slice(0, heard.frames.length), what);
    }
  });
});

suite("the journal of a sealed space", () => {
  test("SL12: a server that has less than a device has read stops it, with both numbers (T-JR-01)", async () => {
    using device = sealedDevice();
    const { remote, shelf, store } = device;
    store.sealedRecords.putEntry(120, { chain: CHAIN, commitId: COMMIT.commitId });
    shelf.feed = () => ({ entries: [], cursor: "120", head: 87 });
    await assert.rejects(remote.changes("120", 0), {
      code: "journal-went-back",
      message: /from #120 to #87/,
    });
    shelf.feed = () => ({ entries: [], cursor: "120", head: 120 });
    assert.equal((await remote.changes("120", 0)).head, 120);
  });

  test("SL12: a cursor of another past stops the device, with both numbers (T-JR-01)", async () => {
    using device = sealedDevice();
    const { remote, shelf, store } = device;
    store.sealedRecords.putEntry(120, { chain: CHAIN, commitId: COMMIT.commitId });
    const asked: string[] = [];
    shelf.changes = async (cursor) => {
      asked.push(cursor);
      if (cursor !== CURSOR_START) throw new WorldError("reset", "It is of no past.");
      return { entries: [], cursor: "87", head: 87 };
    };
    await assert.rejects(remote.changes("120", 0), {
      code: "journal-went-back",
      message: /from #120 to #87/,
    });
    assert.deepEqual(asked, ["120", CURSOR_START]);
  });

  /** A device that has read 120 entries of a journal, and a server of another epoch. */
  function behindRestored(restores: Feed["restores"], head = 87) {
    const device = sealedDevice();
    const { shelf, store } = device;
    for (const at of [86, 87, 88, 120]) {
      const id = commitId(at.toString(16).padStart(32, "0"));
      store.sealedRecords.putEntry(at, { chain: chainOf(at), commitId: id });
    }
    shelf.changes = async (cursor) => {
      if (cursor !== CURSOR_START) throw new WorldError("reset", "It is of no past.");
      const more = restores === undefined ? {} : { restores };
      return { entries: [], cursor: "87", head, ...more };
    };
    return device;
  }
  const chainOf = (sequence: number): string => sequence.toString(16).padStart(64, "c");
  const RESTORED = { epoch: "one", sequence: 87, chain: chainOf(87) };

  test("SL14: an announced restore stops the device until a person knows of this one", async () => {
    using device = behindRestored([RESTORED]);
    const { remote, store } = device;
    const { records, sealedRecords } = store;
    const asked = { code: "server-restored", message: /ends with #87; this device has seen #120/ };
    assert.equal(acceptRestore(records), false, "nothing was offered yet");
    for (const _ of [1, 2]) await assert.rejects(remote.changes("120", 0), asked);
    assert.equal(sealedRecords.lastSequence(), 120);
    assert.equal(acceptRestore(records), true);
    await assert.rejects(remote.changes("120", 0), { code: "reset" });
    assert.equal(sealedRecords.lastSequence(), 87);
    assert.equal(sealedRecords.chainAt(87), chainOf(87), "what came before stays known");
    assert.equal(await codeOfAnswer(() => remote.changes("120", 0)), "reset", "also after a crash");
    writePosition(records, {
      cursor: "one.87",
      sequence: 87,
      chain: chainOf(87),
      restores: ["one"],
    });
    const again = () => remote.changes("one.90", 0);
    assert.equal(await codeOfAnswer(again), "journal-went-back", "a yes is for one restore");
    using another = behindRestored([RESTORED, { ...RESTORED, epoch: "two" }]);
    writePosition(another.store.records, {
      cursor: "1",
      sequence: 1,
      chain: CHAIN,
      restores: ["one"],
    });
    acceptRestore(another.store.records);
    await assert.rejects(another.remote.changes("120", 0), asked);
  });

  test("SL14: an announcement takes back the journal's end, and nothing that stands before it", async () => {
    using other = behindRestored([{ ...RESTORED, chain: CHAIN }]);
    await assert.rejects(other.remote.changes("120", 0), {
      code: "journal-forked",
      message: /#87/,
    });
    assert.equal(acceptRestore(other.store.records), false);
    using empty = behindRestored([{ epoch: "one", sequence: 0, chain: CHAIN }]);
    assert.equal(await codeOfAnswer(() => empty.remote.changes("120", 0)), "journal-forked");
    // Where nothing that this device has seen is lost, nobody is asked.
    using ahead = behindRestored([{ epoch: "one", sequence: 130, chain: CHAIN }], 130);
    assert.equal(await codeOfAnswer(() => ahead.remote.changes("120", 0)), "reset");
    assert.equal(ahead.store.sealedRecords.lastSequence(), 120);
  });

  test("SL14: a device that was away for several restores goes back to the lowest of them", async () => {
    const later = { epoch: "two", sequence: 110, chain: CHAIN };
    using device = behindRestored([RESTORED, later], 110);
    const { remote, store } = device;
    assert.equal(await codeOfAnswer(() => remote.changes("120", 0)), "server-restored");
    acceptRestore(store.records);
    assert.equal(await codeOfAnswer(() => remote.changes("120", 0)), "reset");
    assert.equal(store.sealedRecords.lastSequence(), 87);
    using other = behindRestored([RESTORED, later], 110);
    const followed = { cursor: "1", sequence: 120, chain: chainOf(120), restores: ["one"] };
    writePosition(other.store.records, followed);
    other.store.sealedRecords.putEntry(110, { chain: CHAIN, commitId: COMMIT.commitId });
    acceptRestore(other.store.records);
    const asked = { code: "server-restored", message: /ends with #110; this device has seen #120/ };
    await assert.rejects(other.remote.changes("120", 0), asked);
    // Of the restores that it has followed, the copy was made before the latest.
    using ahead = behindRestored([RESTORED, later], 110);
    writePosition(ahead.store.records, { ...followed, restores: ["one", "lost"] });
    ahead.store.sealedRecords.putEntry(110, { chain: CHAIN, commitId: COMMIT.commitId });
    await assert.rejects(ahead.remote.changes("120", 0), asked);
  });

  test("SL14: a device that begins anew meets a restore that it has not followed as any other does", async () => {
    using device = behindRestored([RESTORED], 130);
    const { remote, store } = device;
    const again = () => codeOfAnswer(() => remote.changes(CURSOR_START, 0));
    assert.equal(await again(), "server-restored");
    acceptRestore(store.records);
    assert.equal(await again(), "reset");
    assert.equal(await again(), "", "then what it knows is what the copy has");
  });

  test("SL14: a commit that meets a restored server says so", async () => {
    using device = behindRestored([RESTORED]);
    const { remote, shelf, store } = device;
    writePosition(store.records, { cursor: "old.120", sequence: 120, chain: chainOf(120) });
    shelf.answer = () => ({ outcome: "refused", code: "diverged", detail: "Never heard of it." });
    const commit = { ...COMMIT, base: { sequence: 120, chain: chainOf(120) }, changes: [] };
    assert.equal(await codeOfAnswer(() => remote.commit(commit)), "server-restored");
  });

  test("SL12: a commit that was accepted and is forgotten stops the device", async () => {
    using device = sealedDevice();
    const { remote, shelf } = device;
    shelf.answer = () => ({ outcome: "committed", sequence: 5, chain: CHAIN });
    shelf.feed = () => ({ entries: [], cursor: "4", head: 4 });
    const asked = remote.changes("4", 0);
    await remote.commit({ ...COMMIT, changes: [] });
    // Asked before the commit was answered: the server may not have had it then.
    assert.equal((await asked).head, 4);
    assert.equal(await codeOfAnswer(() => remote.changes("4", 0)), "journal-went-back");
  });

  test("SL12: a commit is answered with the place and chain that the journal has (T-JR-02)", async () => {
    using device = sealedDevice();
    const { remote, shelf, store } = device;
    const { commitId: other } = { commitId: commitId("e2".repeat(16)) };
    store.sealedRecords.putEntry(5, { chain: CHAIN, commitId: other });
    const answer = (sequence: number, chain: string, id = COMMIT.commitId): Promise<string> => {
      shelf.answer = () => ({ outcome: "committed", sequence, chain });
      return codeOfAnswer(() => remote.commit({ ...COMMIT, commitId: id, changes: [] }));
    };
    assert.equal(await answer(5, "cd".repeat(32)), "journal-forked");
    assert.equal(await answer(6, CHAIN, other), "journal-forked");
    assert.equal(await answer(5, CHAIN, other), "");
    assert.equal(await answer(6, CHAIN), "");
    assert.equal(await answer(6, CHAIN), "", "the same answer again is the same answer");
  });

  test("SL12: a server that denies the base of a commit stops the device (T-JR-02)", async () => {
    using device = sealedDevice();
    const { remote, shelf } = device;
    shelf.answer = () => ({ outcome: "refused", code: "diverged", detail: "Never heard of it." });
    const commit = { ...COMMIT, base: { sequence: 42, chain: CHAIN }, changes: [] };
    await assert.rejects(remote.commit(commit), { code: "journal-forked", message: /#42/ });
  });

  test("SL9: the keyring is read again when somebody or some key is not known yet", async () => {
    using device = sealedDevice();
    const { remote, shelf } = device;
    shelf.answer = () => ({ outcome: "refused", code: "epoch-old", detail: "Others are in use." });
    await remote.commit({ ...COMMIT, changes: [] });
    assert.equal(device.refreshed, 1);
    const rest = { commitId: COMMIT.commitId, sequence: 1, timeMs: 0, changes: [], chain: CHAIN };
    shelf.feed = () => ({
      entries: [{ ...rest, device: DEVICE, keyEpoch: 1 }],
      cursor: "1",
      head: 1,
    });
    await remote.changes("0", 0);
    assert.equal(device.refreshed, 1, "all of this was known");
    shelf.feed = () => ({
      entries: [{ ...rest, device: DEVICE, keyEpoch: 2 }],
      cursor: "1",
      head: 1,
    });
    await remote.changes("0", 0);
    shelf.feed = () => ({
      entries: [{ ...rest, device: STRANGER, keyEpoch: 1 }],
      cursor: "1",
      head: 1,
    });
    await remote.changes("0", 0);
    assert.equal(device.refreshed, 3);
  });
});
