import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import { cutKeyFrom, cutSizes } from "#chunking/cut.ts";
import { randomSample, textSample } from "#chunking/sample-bytes.ts";
import { splitAll } from "#chunking/split.ts";
import { concat, toHex, utf8 } from "#core/bytes.ts";
import { chunkId, contentHash, nodeId, ROOT_NODE, type ChunkId } from "#core/ids.ts";
import type { FileContent, Manifest } from "#core/node.ts";
import { systemDigest } from "#platform/digest.ts";
import { neededChunks } from "#protocol/kept-chunks.ts";
import { Draw } from "#sim/chance.ts";
import type { ClosedContent } from "#sync/ports.ts";
import { upload } from "#sync/upload.ts";
import { DEVICE, OTHER_DEVICE } from "../contracts/sealing-world.ts";
import { keyring, sealedDevice, Shelf, type SealedDevice } from "./sealed-world.ts";

const FILE = nodeId("f1".repeat(16));
const SIZES = cutSizes(13);
const CUT_KEY = cutKeyFrom(randomSample(7, 48));
/** Edits of each kind of file; LOCKSTEP_EDITS=1000 makes a thousand. */
const EDITS = Number(process.env["LOCKSTEP_EDITS"] ?? 25);

/** Some of the old chunks' bytes, so that some edits are told by signatures alone. */
const KEPT_BYTES = 60_000;

type Edit = (draw: Draw, bytes: Uint8Array) => Uint8Array;

function splice(bytes: Uint8Array, at: number, cut: number, put: Uint8Array): Uint8Array {
  return concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
}

/** Somewhere something is put in, written over, cut out, copied, or moved. */
const anywhere: Edit = (draw, bytes) => {
  const at = draw.below(bytes.length + 1);
  const length = draw.below(draw.pick([2, 40, 3_000]));
  const fresh = draw.bytes(length);
  const part = bytes.slice(at, at + draw.below(9_000));
  switch (draw.below(5)) {
    case 0:
      return splice(bytes, at, 0, fresh);
    case 1:
      return splice(bytes, at, length, fresh);
    case 2:
      return bytes.length > 40_000 ? splice(bytes, at, length, new Uint8Array(0)) : bytes;
    case 3:
      return bytes.length < 200_000 ? splice(bytes, draw.below(bytes.length), 0, part) : bytes;
    default:
      return splice(splice(bytes, at, part.length, new Uint8Array(0)), 0, 0, part);
  }
};

const lines: Edit = (draw, bytes) =>
  splice(bytes, draw.below(bytes.length), 0, utf8(`\n${draw.below(1e9)} was here\n`));

/** What people keep in files, and how it changes. */
const KINDS: Record<string, { readonly first: Uint8Array; readonly edit: Edit }> = {
  "random bytes": { first: randomSample(1, 120_000), edit: anywhere },
  text: { first: textSample(2, 120_000), edit: lines },
  "text, torn anywhere": { first: textSample(3, 90_000), edit: anywhere },
  "a log": {
    first: textSample(4, 60_000),
    edit: (draw, bytes) => concat([bytes, textSample(draw.below(1e6), draw.below(900))]),
  },
  "a log that is cut off at its start": {
    first: textSample(5, 90_000),
    edit: (draw, bytes) => concat([bytes.slice(700), textSample(draw.below(1e6), 700)]),
  },
  "a database of pages": {
    first: randomSample(6, 128 * 1024),
    edit: (draw, bytes) => {
      const page = draw.below(bytes.length / 4_096) * 4_096;
      return splice(bytes, page, 4_096, draw.bytes(4_096));
    },
  },
  "a disk image of zeros": { first: new Uint8Array(200_000), edit: anywhere },
  "a few bytes again and again": {
    first: new Uint8Array(120_000).map((_, at) => at % 7),
    edit: anywhere,
  },
  "an archive": {
    first: gzipSync(textSample(8, 300_000)),
    edit: (draw) => gzipSync(concat([textSample(8, 300_000), draw.bytes(draw.below(5_000))])),
  },
  "one that comes and goes": {
    first: randomSample(9, 60_000),
    edit: (draw, bytes) => {
      const whole = randomSample(9, 60_000);
      return draw.chance(0.2)
        ? whole
        : draw.chance(0.1)
          ? draw.bytes(3_000)
          : anywhere(draw, bytes);
    },
  },
};

type Revision = { readonly bytes: Uint8Array; readonly content: FileContent } & {
  readonly closed: ClosedContent;
  readonly follows: number;
};

function manifestOf(bytes: Uint8Array): Manifest {
  let at = 0;
  return splitAll(bytes, SIZES, CUT_KEY).map((lengthBytes) => {
    const part = bytes.subarray(at, (at += lengthBytes));
    return { chunk: chunkId(toHex(systemDigest.sha256(part))), lengthBytes };
  });
}

/** The file as it is on the device's disk and at the server. */
function settle(
  { store, disk }: SealedDevice,
  { bytes, content, follows }: Pick<Revision, "bytes" | "content"> & { readonly follows?: number },
  manifest: Manifest,
): void {
  disk.files.set("file", bytes);
  const place = { parent: ROOT_NODE, name: "file" };
  const stamp = { sizeBytes: content.sizeBytes, mtimeNs: 1n, ctimeNs: 1n };
  const seen = { executable: false, racy: false, blind: null, missedMs: null, parkedFrom: null };
  store.trees.transaction(() => {
    store.trees.put({
      id: FILE,
      kind: "file",
      remote:
        follows === undefined
          ? null
          : { ...place, content, mtimeMs: 0, crev: follows + 1, lrev: 1 },
      synced: null,
      local: { ...place, content, file: "1:1:0", stamp, ...seen },
      displacing: null,
      placing: null,
    });
    store.records.setSources(FILE, manifest);
  });
}

/** Edits the file as a device does that sends each revision; what the server was sent of it. */
async function write(device: SealedDevice, kind: string, draw: Draw): Promise<Revision[]> {
  const { first, edit } = KINDS[kind]!;
  const { store, disk, seal } = device;
  const revisions: Revision[] = [];
  let before: Revision | undefined;
  let needed: readonly ChunkId[] = [];
  for (let bytes = first; revisions.length <= EDITS; bytes = edit(draw, bytes)) {
    const sha256 = contentHash(toHex(systemDigest.sha256(bytes)));
    const content: FileContent = {
      kind: "file",
      sha256,
      sizeBytes: bytes.length,
      executable: false,
    };
    const manifest = manifestOf(bytes);
    disk.files.set("file", bytes);
    store.records.putManifest(sha256, manifest);
    const world = { ...store, ...device, disk: { look: disk }, digest: systemDigest };
    const local = { ...world, isDoubtful: false } as unknown as Parameters<typeof upload>[0];
    if (before === undefined) settle(device, { bytes, content }, []);
    const moved = await upload(local, [{ node: FILE, content }], { sentBytes: 0 });
    assert.deepEqual(moved, []);
    const follows = revisions.length;
    const open = { content, mtimeMs: 1, manifest };
    const closed = seal.closeContent(FILE, follows, open, before?.content);
    assert(closed !== null);
    needed = neededChunks(needed, closed);
    const lacking = needed.filter((id) => !device.shelf.chunks.has(id));
    assert.deepEqual(lacking, [], "a commit would miss chunks");
    before = { bytes, content, closed, follows };
    revisions.push(before);
    settle(device, before, manifest);
    // Not every edit waits until the device has come to rest.
    if (draw.chance(0.7)) while (await seal.rest(new AbortController().signal));
  }
  return revisions;
}

/** A revision's bytes, as a device has them that got it from the server. */
async function restore(device: SealedDevice, { closed, content, follows }: Revision) {
  const { store, seal, remote } = device;
  const opened = store.trees.transaction(() => seal.openContent(FILE, follows, closed));
  const before = store.trees.get(FILE)?.remote?.content;
  const manifest = opened.manifest ?? (await seal.manifest(content.sha256, before));
  assert(manifest !== undefined);
  store.records.putManifest(content.sha256, manifest);
  const ids = manifest.map(({ chunk }) => chunk);
  const parts: Uint8Array[] = [];
  while (parts.length < ids.length) {
    for await (const { bytes } of remote.fetch(ids.slice(parts.length))) parts.push(bytes);
  }
  return { bytes: concat(parts), manifest };
}

suite("a file that is edited again and again", () => {
  for (const kind of Object.keys(KINDS)) {
    test(`SL16: every revision comes back bit for bit: ${kind}`, async () => {
      using author = sealedDevice(keyring("private"), new Shelf(), DEVICE, KEPT_BYTES);
      const revisions = await write(author, kind, new Draw(1, kind));
      using follower = sealedDevice(keyring("private"), author.shelf, OTHER_DEVICE);
      for (const revision of revisions) {
        const { bytes, manifest } = await restore(follower, revision);
        assert(Buffer.from(bytes).equals(revision.bytes), `revision ${revision.follows}`);
        settle(follower, revision, manifest);
      }
      using late = sealedDevice(keyring("private"), author.shelf, DEVICE);
      for (const revision of revisions.toReversed()) {
        const { bytes } = await restore(late, revision);
        assert(Buffer.from(bytes).equals(revision.bytes), `revision ${revision.follows}, late`);
      }
      const stored = [...author.shelf.chunks.values()].reduce((sum, { length }) => sum + length, 0);
      const whole = revisions.reduce((sum, { bytes }) => sum + bytes.length, 0);
      assert(stored < whole, `${stored} bytes stored of ${whole}`);
    });
  }
});

/** A file of so many chunks that its list takes pieces. */
const LONG = new Draw(11, "long file").bytes(1_000_000);

/** Sends one revision of the file, as the engine does it, and puts it in the place of `before`. */
async function sendLong(
  device: SealedDevice,
  bytes: Uint8Array,
  before?: Revision,
): Promise<{ readonly revision: Revision; readonly sentBytes: number }> {
  const { store, disk, seal, shelf } = device;
  const sha256 = contentHash(toHex(systemDigest.sha256(bytes)));
  const content: FileContent = { kind: "file", sha256, sizeBytes: bytes.length, executable: false };
  const manifest = manifestOf(bytes);
  if (before === undefined) settle(device, { bytes, content }, []);
  disk.files.set("file", bytes);
  store.records.putManifest(sha256, manifest);
  const had = new Set(shelf.chunks.keys());
  const world = { ...store, ...device, disk: { look: disk }, digest: systemDigest };
  const local = { ...world, isDoubtful: false } as unknown as Parameters<typeof upload>[0];
  assert.deepEqual(await upload(local, [{ node: FILE, content }], { sentBytes: 0 }), []);
  const follows = before === undefined ? 0 : before.follows + 1;
  const closed = seal.closeContent(
    FILE,
    follows,
    { content, mtimeMs: 1, manifest },
    before?.content,
  );
  assert(closed !== null, "some chunk was neither sent nor known");
  const fresh = [...shelf.chunks].filter(([id]) => !had.has(id));
  const revision = { bytes, content, closed, follows };
  settle(device, revision, manifest);
  return { revision, sentBytes: fresh.reduce((sum, [, { length }]) => sum + length, 0) };
}

suite("the list of a long file's chunks", () => {
  test("SF13: an edit sends a few hundred bytes of it, however often it is edited", async () => {
    using author = sealedDevice(keyring("private"), new Shelf(), DEVICE, 10_000_000);
    let { revision } = await sendLong(author, LONG);
    while (await author.seal.rest(new AbortController().signal));
    using follower = sealedDevice(keyring("private"), author.shelf, OTHER_DEVICE, 10_000_000);
    const follow = async (): Promise<void> => {
      const { bytes, manifest } = await restore(follower, revision);
      assert(Buffer.from(bytes).equals(revision.bytes), `revision ${revision.follows}`);
      settle(follower, revision, manifest);
    };
    await follow();
    const draw = new Draw(5, "long");
    const revisions = [revision];
    let sum = 0;
    for (let round = 0; round < 20; round++) {
      const at = draw.below(revision.bytes.length);
      const bytes = splice(revision.bytes, at, 3, draw.bytes(5));
      const sent = await sendLong(author, bytes, revision);
      revision = sent.revision;
      revisions.push(revision);
      sum += sent.sentBytes;
      await follow();
    }
    // An edit alone takes 312 bytes of these, and a piece of 10 KB now and then starts anew.
    assert(sum / 20 < 1_500, `${sum / 20} bytes an edit`);
    // Who edited and who followed say the same of what the server has.
    const edited = splice(revision.bytes, 70_000, 0, Uint8Array.of(1));
    const { revision: theirs } = await sendLong(follower, edited, revision);
    assert(theirs.closed.keeps !== undefined, "it names what changed, not all");
    using late = sealedDevice(keyring("private"), author.shelf, DEVICE);
    for (const one of [theirs, revisions[15], revisions[3], revisions[0]]) {
      assert(one !== undefined);
      const { bytes } = await restore(late, one);
      assert(Buffer.from(bytes).equals(one.bytes), `revision ${one.follows}, late`);
    }
  });

  test("SF13: pieces that the server lost are sent again, and are whole", async () => {
    using author = sealedDevice(keyring("private"), new Shelf(), DEVICE, 10_000_000);
    const { revision: first } = await sendLong(author, LONG);
    const before = new Set(author.shelf.chunks.keys());
    const { revision } = await sendLong(author, splice(LONG, 9, 1, Uint8Array.of(1)), first);
    for (const id of author.shelf.chunks.keys()) {
      if (!before.has(id)) author.shelf.chunks.delete(id);
    }
    const { content } = revision;
    const world = { ...author.store, ...author, disk: { look: author.disk }, digest: systemDigest };
    const doubting = { ...world, isDoubtful: true } as unknown as Parameters<typeof upload>[0];
    await upload(doubting, [{ node: FILE, content }], { sentBytes: 0 });
    const open = { content, mtimeMs: 1, manifest: manifestOf(revision.bytes) };
    const closed = author.seal.closeContent(FILE, 1, open);
    assert(closed !== null);
    assert.deepEqual(
      closed.chunks.filter((id) => !author.shelf.chunks.has(id)),
      [],
    );
    using late = sealedDevice(keyring("private"), author.shelf, OTHER_DEVICE);
    const { bytes } = await restore(late, { ...revision, closed });
    assert(Buffer.from(bytes).equals(revision.bytes));
  });

  test("SL16: a device that had the same file before it joined sends an edit of it, too", async () => {
    using author = sealedDevice(keyring("private"));
    const { revision } = await sendLong(author, LONG);
    using joined = sealedDevice(keyring("private"), author.shelf, OTHER_DEVICE);
    const { store, seal } = joined;
    store.trees.transaction(() => seal.openContent(FILE, 0, revision.closed));
    store.records.putManifest(revision.content.sha256, manifestOf(LONG));
    settle(joined, revision, manifestOf(LONG));
    const edited = splice(LONG, 500_000, 2, Uint8Array.of(1));
    const { revision: theirs } = await sendLong(joined, edited, revision);
    const { bytes } = await restore(author, theirs);
    assert(Buffer.from(bytes).equals(edited));
  });

  test("UP1: a copy of a file that the server has asks and sends nothing", async () => {
    using author = sealedDevice(keyring("private"));
    await sendLong(author, LONG);
    const { shelf } = author;
    const asked: number[] = [];
    const missing = shelf.missing.bind(shelf);
    shelf.missing = async (ids) => (asked.push(ids.length), missing(ids));
    shelf.puts.length = 0;
    const world = { ...author.store, ...author, digest: systemDigest, isDoubtful: false };
    const local = { ...world, disk: { look: author.disk } } as unknown as Parameters<
      typeof upload
    >[0];
    const content = author.store.trees.get(FILE)?.local?.content as FileContent;
    const copy = nodeId("f2".repeat(16));
    await upload(local, [{ node: copy, content }], { sentBytes: 0 });
    assert.deepEqual(shelf.puts, []);
    assert(
      asked.every((count) => count < 10),
      `asked about ${asked.join(", ")} chunks`,
    );
  });
});
