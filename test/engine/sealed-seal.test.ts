import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { codeOf as codeOfError } from "#core/errors.ts";
import { chunkId, commitId, contentHash, ROOT_NODE } from "#core/ids.ts";
import type { FileContent, Manifest } from "#core/node.ts";
import { signCommit } from "#crypto/journal.ts";
import { openMeta } from "#crypto/meta.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { CHAIN_START, hashChanges } from "#protocol/chain.ts";
import type { Change, Commit } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { Follower } from "#sync/follow.ts";
import { Problems } from "#sync/problems.ts";
import {
  DEVICE,
  FOLDER_NODE,
  keysOf,
  NODE,
  OTHER_DEVICE,
  OTHER_FOLDER,
  OTHER_NODE,
  OTHER_SPACE,
  primitives,
  randomSample,
  refuses,
  ROOT,
  SPACE,
} from "../contracts/sealing-world.ts";
import {
  frameOf,
  keyring,
  sealedDevice,
  SealedJournal,
  seedOf,
  STRANGER,
  type SealedDevice,
} from "./sealed-world.ts";

const PIECE_BYTES = 5_000;
const ANY = ["bad-seal", "bad-meta", "bad-name", "bad-manifest", "unknown-epoch"];

function contentOf(bytes: Uint8Array): FileContent {
  const sha256 = contentHash(toHex(systemDigest.sha256(bytes)));
  return { kind: "file", sizeBytes: bytes.length, sha256, executable: false };
}

/** As the engine does it before a commit: chunks first, then whatever the seal wants. */
async function prepared(
  device: SealedDevice,
  bytes: Uint8Array,
): Promise<{ content: FileContent; manifest: Manifest }> {
  const content = contentOf(bytes);
  const manifest: { chunk: ReturnType<typeof chunkId>; lengthBytes: number }[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const frame = frameOf(bytes.subarray(at, at + PIECE_BYTES));
    if (bytes.length > device.seal.inlineBytes) await device.remote.put([frame]);
    manifest.push({ chunk: frame.id, lengthBytes: frame.bytes.length });
  }
  device.store.records.putManifest(content.sha256, manifest);
  await device.seal.prepare([{ content, before: undefined, read: async () => bytes }]);
  return { content, manifest };
}

async function fetchedOf(device: SealedDevice, manifest: Manifest): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const ids = manifest.map(({ chunk }) => chunk);
  for await (const { bytes } of device.remote.fetch(ids)) parts.push(bytes);
  return Buffer.concat(parts);
}

suite("contents of a sealed space", () => {
  for (const size of [0, 1, 4_096]) {
    test(`SL1: a file of ${size} bytes travels in its meta and names no chunk`, async () => {
      using device = sealedDevice();
      using other = sealedDevice(keyring(), device.shelf, OTHER_DEVICE);
      const bytes = randomSample(1, size);
      const { content, manifest } = await prepared(device, bytes);
      const closed = device.seal.closeContent(NODE, 0, { content, mtimeMs: 77.4, manifest });
      assert(closed !== null);
      assert.deepEqual(closed.chunks, []);
      assert.deepEqual(device.shelf.puts, []);
      const opened = other.seal.openContent(NODE, 0, closed);
      assert.deepEqual(opened.content, content);
      assert.equal(opened.mtimeMs, 77);
      assert.deepEqual(await fetchedOf(other, opened.manifest ?? []), Buffer.from(bytes));
    });
  }

  test("SL1: what a device closed itself opens for it at its place and at no other", async () => {
    using device = sealedDevice();
    const { seal } = device;
    const bytes = randomSample(1, 100);
    const { content, manifest } = await prepared(device, bytes);
    const closed = seal.closeContent(NODE, 3, { content, mtimeMs: 77.4, manifest });
    const { name } = seal.closeName(NODE, ROOT_NODE, "name");
    assert(closed !== null);
    const base = { sequence: 0, chain: CHAIN_START };
    seal.sign({ commitId: commitId("1".repeat(32)), base, changes: [] });
    assert.equal(seal.openName(NODE, ROOT_NODE, name), "name");
    assert.deepEqual(seal.openContent(NODE, 3, closed), { content, mtimeMs: 77, manifest });
    for (const work of [
      () => seal.openName(OTHER_NODE, ROOT_NODE, name),
      () => seal.openName(NODE, FOLDER_NODE, name),
      () => seal.openContent(OTHER_NODE, 3, closed),
      () => seal.openContent(NODE, 4, closed),
    ]) {
      assert.throws(work, { code: "bad-seal" });
    }
  });

  for (const [chunks, pieces] of [
    [1, 0],
    [38, 0],
    [39, 1],
    [400, 2],
  ] as const) {
    test(`SL1: a list of ${chunks} chunks is sent in ${pieces} pieces or more, and read again`, async () => {
      using device = sealedDevice();
      using other = sealedDevice(keyring(), device.shelf, OTHER_DEVICE);
      const bytes = randomSample(2, chunks * PIECE_BYTES);
      const { content, manifest } = await prepared(device, bytes);
      const closed = device.seal.closeContent(NODE, 3, { content, mtimeMs: 1, manifest });
      assert(closed !== null);
      assert(closed.chunks.length >= chunks + pieces);
      if (pieces === 0) assert.equal(closed.chunks.length, chunks);
      assert(closed.chunks.every((id) => device.shelf.chunks.has(id)));
      const opened = other.seal.openContent(NODE, 3, closed);
      if (opened.manifest !== null) {
        assert.equal(pieces, 0);
        other.store.records.putManifest(content.sha256, opened.manifest);
      }
      assert.deepEqual(await other.seal.manifest(content.sha256, undefined), manifest);
      assert.deepEqual(await fetchedOf(other, manifest), Buffer.from(bytes));
    });
  }

  test("SL1: pieces that are swapped, left out or one too many are refused (BE-6)", async () => {
    using device = sealedDevice();
    const bytes = randomSample(2, 400 * PIECE_BYTES);
    const { content, manifest } = await prepared(device, bytes);
    const closed = device.seal.closeContent(NODE, 0, { content, mtimeMs: 1, manifest });
    assert(closed !== null);
    for (const twist of ["reversed", "one more", "cut short"] as const) {
      using other = sealedDevice(keyring(), device.shelf, OTHER_DEVICE);
      other.seal.openContent(NODE, 0, closed);
      device.shelf.twist = (frames) => {
        if (twist === "reversed") return frames.toReversed();
        if (twist === "one more") return [...frames, ...frames.slice(0, 1)];
        return frames.map(({ id, bytes: stored }) => ({ id, bytes: stored.slice(0, -1) }));
      };
      await assert.rejects(
        other.seal.manifest(content.sha256, undefined),
        { code: "bad-chunk" },
        twist,
      );
    }
  });

  test("SL1: a content that was not prepared is not closed", async () => {
    using device = sealedDevice();
    for (const size of [12, 9_000]) {
      const bytes = randomSample(3, size);
      const content = contentOf(bytes);
      const manifest = [{ chunk: frameOf(bytes).id, lengthBytes: size }];
      assert.equal(device.seal.closeContent(NODE, 0, { content, mtimeMs: 1, manifest }), null);
    }
  });

  test("SL1: a meta opens for its node, its revision and its space alone (T-CR-03)", async () => {
    using device = sealedDevice();
    const { seal } = device;
    const { content, manifest } = await prepared(device, randomSample(4, 100));
    const closed = seal.closeContent(NODE, 2, { content, mtimeMs: 1, manifest });
    assert(closed !== null);
    assert.deepEqual(seal.openContent(NODE, 2, closed).content, content);
    refuses(() => seal.openContent(NODE, 3, closed), ANY, "another revision");
    refuses(() => seal.openContent(OTHER_NODE, 2, closed), ANY, "another node");
    refuses(() => seal.openName(NODE, ROOT_NODE, closed.meta), ANY, "a meta for a name");
    const elsewhere = new Map([[1, keysOf(OTHER_SPACE, 1, ROOT)]]);
    const place = { node: NODE, follows: 2 };
    refuses(() => openMeta(primitives, elsewhere, place, closed.meta), ANY, "another space");
  });

  test("SL1: a name opens for its node in its folder alone (BE-7)", () => {
    using device = sealedDevice();
    const { seal } = device;
    const { name } = seal.closeName(NODE, FOLDER_NODE, "letter");
    assert.equal(seal.openName(NODE, FOLDER_NODE, name), "letter");
    refuses(() => seal.openName(OTHER_NODE, FOLDER_NODE, name), ANY, "another node");
    refuses(() => seal.openName(NODE, OTHER_FOLDER, name), ANY, "another folder");
    const meta = { meta: name, chunks: [] };
    refuses(() => seal.openContent(NODE, 0, meta), ANY, "a name for a meta");
  });

  test("SL1: what older keys closed opens, and newer keys close it anew", () => {
    using device = sealedDevice();
    const old = device.seal.closeName(NODE, ROOT_NODE, "letter");
    device.keys = keyring("shared", 2);
    assert.equal(device.seal.openName(NODE, ROOT_NODE, old.name), "letter");
    const now = device.seal.closeName(NODE, ROOT_NODE, "LETTER");
    assert.notEqual(now.key, old.key);
    using behind = sealedDevice();
    refuses(() => behind.seal.openName(NODE, ROOT_NODE, now.name), "unknown-epoch");
  });
});

/** A device that signs, and one that checks. */
function pair(): Disposable & {
  author: SealedDevice;
  reader: SealedDevice;
  journal: SealedJournal;
  sign: (changes: Change[], base?: { sequence: number; chain: string }) => Commit;
  codeOf: (entry: Entry) => string;
} {
  const author = sealedDevice(keyring("shared", 1, OTHER_DEVICE), undefined, OTHER_DEVICE);
  const reader = sealedDevice();
  const journal = new SealedJournal();
  let count = 0;
  return {
    author,
    reader,
    journal,
    sign: (changes, base = journal.head) => {
      const id = commitId((++count).toString(16).padStart(32, "e"));
      return author.seal.sign({ commitId: id, base, changes });
    },
    codeOf: (entry) => {
      try {
        reader.store.trees.transaction(() => reader.seal.check(entry));
        return "";
      } catch (error) {
        return codeOfError(error);
      }
    },
    [Symbol.dispose]: () => {
      author[Symbol.dispose]();
      reader[Symbol.dispose]();
    },
  };
}

function created({ seal }: SealedDevice, node = NODE, name = "letter"): Change {
  const closed = seal.closeName(node, ROOT_NODE, name);
  const content = seal.closeContent(node, 0, {
    content: { kind: "symlink", target: name },
    mtimeMs: 0,
    manifest: [],
  });
  assert(content !== null);
  return {
    kind: "create",
    node,
    type: "symlink",
    parent: ROOT_NODE,
    ...closed,
    ...content,
  };
}

const LINK = {
  content: { kind: "symlink", target: "elsewhere" },
  mtimeMs: 0,
  manifest: [],
} as const;

/** Follows entries behind a sequence as the engine does; the code with which they are refused. */
function followerOf({ store, seal }: SealedDevice): (entries: Entry[], from: number) => string {
  const quiet = (): void => undefined;
  const follower = new Follower({
    ...store,
    seal,
    problems: new Problems(),
    digest: systemDigest,
    clock: systemClock,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    device: DEVICE,
    startCursor: "0",
  });
  return (entries, from) => {
    const head = entries.at(-1)?.sequence ?? from;
    try {
      follower.apply(String(from), { entries, cursor: String(head), head });
      return "";
    } catch (error) {
      return codeOfError(error);
    }
  };
}

suite("entries of a sealed space's journal", () => {
  test("SL9: what a device signed for this journal is believed, also on an older base", () => {
    using world = pair();
    const { author, journal, sign, codeOf } = world;
    const base = journal.head;
    const entries = [NODE, OTHER_NODE, FOLDER_NODE].map((node) =>
      journal.land(sign([created(author, node, node)], base), OTHER_DEVICE),
    );
    assert.deepEqual(entries.map(codeOf), ["", "", ""]);
  });

  test("SL9: an entry that its device did not make is refused (BE-10, T-JR-03)", () => {
    const cases: Record<string, [code: string, twist: (entry: Entry) => Entry]> = {
      "of a stranger": ["device-unknown", (entry) => ({ ...entry, device: STRANGER })],
      "of another device": ["signature-bad", (entry) => ({ ...entry, device: DEVICE })],
      "of no device": ["signature-bad", ({ device: _device, ...entry }) => entry],
      unsigned: ["signature-bad", ({ signature: _signature, ...entry }) => entry],
      "signed by nobody": ["signature-bad", (entry) => ({ ...entry, signature: "0".repeat(128) })],
      "without a base": ["signature-bad", ({ base: _base, ...entry }) => entry],
      "on another base": [
        "signature-bad",
        (entry) => ({ ...entry, base: { sequence: 0, chain: "ab".repeat(32) } }),
      ],
      "of another commit": [
        "signature-bad",
        (entry) => ({ ...entry, commitId: commitId("ab".repeat(16)) }),
      ],
      "of unknown keys": ["epoch-unknown", (entry) => ({ ...entry, keyEpoch: 9 })],
      "without changes": ["signature-bad", (entry) => ({ ...entry, changes: [] })],
    };
    for (const [what, [code, twist]] of Object.entries(cases)) {
      using world = pair();
      const { author, journal, sign, codeOf } = world;
      const entry = journal.land(sign([created(author)]), OTHER_DEVICE, twist);
      assert.equal(codeOf(entry), code, what);
    }
  });

  test("SL9: no plain field of a change can be another one (BE-8, BE-7)", () => {
    const twists: Record<string, (change: Extract<Change, { kind: "create" }>) => Change> = {
      node: (change) => ({ ...change, node: OTHER_NODE }),
      type: (change) => ({ ...change, type: "folder" }),
      parent: (change) => ({ ...change, parent: FOLDER_NODE }),
      key: (change) => ({ ...change, key: `${change.key}A` }),
      name: (change) => ({ ...change, name: `${change.name}A` }),
      meta: (change) => ({ ...change, meta: `${change.meta}A` }),
      chunks: (change) => ({ ...change, chunks: [chunkId("ab".repeat(32))] }),
      lengths: (change) => ({ ...change, lengths: [1] }),
      kind: ({ node }) => ({ kind: "delete", node, crev: 1, lrev: 1 }),
    };
    for (const [field, twist] of Object.entries(twists)) {
      using world = pair();
      const { author, journal, sign, codeOf } = world;
      const entry = journal.land(sign([created(author)]), OTHER_DEVICE, (landed) => {
        const [change] = landed.changes;
        assert(change?.kind === "create");
        return { ...landed, changes: [twist(change)] };
      });
      assert.equal(codeOf(entry), "signature-bad", field);
    }
  });

  test("SL9: what a device signed for another space is refused (BE-7)", () => {
    using world = pair();
    const { author, journal, sign, codeOf } = world;
    const commit = sign([created(author)]);
    const facts = {
      space: OTHER_SPACE,
      commit: commit.commitId,
      device: OTHER_DEVICE,
      epoch: 1,
      base: commit.base,
      changes: hashChanges(systemDigest, commit.changes),
    };
    const seed = seedOf(OTHER_DEVICE);
    const there = signCommit(primitives, seed, facts);
    const here = signCommit(primitives, seed, { ...facts, space: SPACE });
    assert.equal(commit.signature, here);
    const entry = journal.land({ ...commit, signature: there }, OTHER_DEVICE);
    assert.equal(codeOf(entry), "signature-bad");
  });

  test("SL12: an entry whose device saw another past is refused (T-JR-02)", () => {
    using world = pair();
    const { author, journal, sign, codeOf } = world;
    const first = journal.land(sign([created(author)]), OTHER_DEVICE);
    assert.equal(codeOf(first), "");
    const fork = { sequence: 1, chain: "ab".repeat(32) };
    const forked = journal.land(sign([created(author, OTHER_NODE)], fork), OTHER_DEVICE);
    assert.equal(codeOf(forked), "journal-forked");
    const ahead = { sequence: 7, chain: "ab".repeat(32) };
    const future = journal.land(sign([created(author, OTHER_NODE)], ahead), OTHER_DEVICE);
    assert.equal(codeOf(future), "journal-forked");
  });

  test("SL13: a commit that comes a second time is refused (T-JR-03)", () => {
    using world = pair();
    const { author, journal, sign, codeOf } = world;
    const commit = sign([created(author)]);
    assert.equal(codeOf(journal.land(commit, OTHER_DEVICE)), "");
    assert.equal(codeOf(journal.land(commit, OTHER_DEVICE)), "journal-broken");
  });

  test("SL13: devices of a sealed space judge what the server lets land", () => {
    using world = pair();
    const { author, reader, journal, sign } = world;
    const follow = followerOf(reader);
    const before = author.seal.closeContent(NODE, 1, LINK);
    assert(before !== null);
    const edit = (): Change => ({ kind: "update", node: NODE, crev: 1, ...before });
    const made = journal.land(sign([created(author)]), OTHER_DEVICE);
    const base = journal.head;
    const edits = [1, 2].map(() => journal.land(sign([edit()], base), OTHER_DEVICE));
    assert.equal(follow([made], 0), "");
    assert.equal(follow(edits, 1), "journal-broken");
    assert.equal(reader.store.trees.get(NODE)?.remote?.crev, 1);
  });

  test("SL12: what was read once is the same when it is read again, after a union, too", () => {
    using world = pair();
    const { author, journal, sign, codeOf } = world;
    const first = journal.land(sign([created(author)]), OTHER_DEVICE);
    const second = journal.land(sign([created(author, OTHER_NODE)]), OTHER_DEVICE);
    assert.deepEqual([first, second].map(codeOf), ["", ""]);
    assert.deepEqual([first, second].map(codeOf), ["", ""]);
    const other = new SealedJournal();
    const start = { sequence: 0, chain: CHAIN_START };
    const forged = other.land(sign([created(author, OTHER_FOLDER)], start), OTHER_DEVICE);
    assert.equal(codeOf(forged), "journal-forked");
  });

  test("SL9: after new keys began nothing counts that older ones closed, or was planned before", () => {
    using world = pair();
    const { author, reader, journal, sign, codeOf } = world;
    const before = journal.head;
    assert.equal(codeOf(journal.land(sign([created(author)]), OTHER_DEVICE)), "");
    const late = sign([created(author, FOLDER_NODE)]);
    author.keys = keyring("shared", 2, OTHER_DEVICE);
    reader.keys = keyring("shared", 2);
    assert.equal(codeOf(journal.land(sign([created(author, OTHER_NODE)]), OTHER_DEVICE)), "");
    assert.equal(codeOf(journal.land(late, OTHER_DEVICE)), "epoch-unknown");
    const early = sign([created(author, OTHER_FOLDER)], before);
    assert.equal(codeOf(journal.land(early, OTHER_DEVICE)), "epoch-unknown");
  });
});
