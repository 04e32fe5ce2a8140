import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, toHex } from "#core/bytes.ts";
import { chunkId, contentHash } from "#core/ids.ts";
import {
  flipped,
  keysOf,
  primitives,
  refuses,
  SPACE,
  randomSample,
} from "../../test/contracts/sealing-world.ts";
import { allBases, openChunk, sealPrivate, type SealedChunk, type SealedEntry } from "./chunk.ts";
import { chunkSecret } from "./keys.ts";
import {
  closeManifest,
  namedChunks,
  openPieces,
  readEntries,
  readManifest,
  sealPiece,
  writeEntries,
  writeManifest,
  MAX_LISTED_BYTES,
  type Manifest,
} from "./manifest.ts";

const keys = keysOf(SPACE, 1);

function entryOf(seed: number): SealedEntry {
  const sample = randomSample(seed, 96);
  return {
    chunk: chunkId(toHex(sample.subarray(0, 32))),
    secret: chunkSecret(sample.subarray(32, 64)),
    raw: chunkId(toHex(sample.subarray(64))),
    lengthBytes: (seed % 1_000) + 1,
    domain: seed % 2 === 0 ? "shared" : "private",
    epoch: (seed % 7) + 1,
  };
}

function fileOf(entries: readonly SealedEntry[]): Omit<Manifest, "level"> {
  const sizeBytes = entries.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  return { sizeBytes, sha256: contentHash("ab".repeat(32)), entries };
}

const entriesOf = (count: number): SealedEntry[] =>
  Array.from({ length: count }, (_, at) => entryOf(at + 1));

/** Every piece stands for itself. */
function closed(file: Omit<Manifest, "level">) {
  return closeManifest(file, (bytes) => sealPiece(primitives, keys, bytes));
}

function opened(manifest: Manifest, stored: readonly Uint8Array[]): Manifest {
  return openPieces(manifest, (entry, at) => openChunk(primitives, entry, stored[at]!));
}

/** Down to the file's own chunks, as a device reads it. */
function openAll(manifest: Manifest, pieces: readonly SealedChunk[]): Manifest {
  const stored = new Map(pieces.map((piece) => [piece.entry.chunk, piece.stored]));
  let open = manifest;
  while (open.level > 0) {
    open = opened(
      open,
      open.entries.map(({ chunk }) => stored.get(chunk)!),
    );
  }
  return open;
}

/** A chunk as a delta to others. */
const delta = (...bases: readonly number[]): SealedEntry => ({
  ...entryOf(1),
  bases: bases.map(entryOf),
});

function nested(depth: number): SealedEntry {
  return depth === 0 ? entryOf(1) : { ...entryOf(2 * depth + 1), bases: [nested(depth - 1)] };
}

const deltaFile = (entry: SealedEntry): Manifest => ({ ...fileOf([entry]), level: 0 });

test("SF18: a list holds the bases of its deltas, and a commit names them", () => {
  const deep = { ...entryOf(101), bases: [nested(3), entryOf(4)] };
  for (const count of [1, 8, 40, 300]) {
    const entries = entriesOf(count).with(Math.floor(count / 2), deep);
    const { manifest, pieces } = closed(fileOf(entries));
    const written = writeManifest(manifest);
    assert.ok(written.length <= MAX_LISTED_BYTES, `${count}: ${written.length} bytes`);
    assert.deepEqual(openAll(readManifest(written), pieces).entries, entries);
    const named = namedChunks(entries);
    for (const { chunk } of allBases(deep)) assert.ok(named.includes(chunk));
  }
  assert.deepEqual(readEntries(writeEntries([deep, entryOf(1)])), [deep, entryOf(1)]);
});

test("SF13: a manifest of any length stands in 4 KiB and its pieces, and comes back whole", () => {
  for (const count of [0, 1, 38, 39, 64, 65, 1_025, 3_000, 40_000]) {
    const file = fileOf(entriesOf(count));
    const { manifest, pieces } = closed(file);
    const written = writeManifest(manifest);
    assert.ok(written.length <= MAX_LISTED_BYTES, `${count}: ${written.length} bytes`);
    assert.equal(manifest.level > 0, count > 38);
    const open = openAll(readManifest(written), pieces);
    assert.deepEqual(open, { ...file, level: 0 }, `${count}`);
  }
});

test("SF13: of a long list with one chunk changed, inserted or gone, few pieces are sent anew", () => {
  const entries = entriesOf(40_000);
  const piecesOf = (list: readonly SealedEntry[]): Map<string, number> => {
    const { pieces } = closed(fileOf(list));
    return new Map(pieces.map(({ entry, stored }) => [entry.chunk, stored.length]));
  };
  const before = piecesOf(entries);
  const all = [...before.values()].reduce((sum, length) => sum + length, 0);
  assert.ok(all > 40_000 * 104);
  const edits = {
    changed: entries.with(20_000, entryOf(999_999)),
    inserted: entries.toSpliced(20_000, 0, entryOf(999_999)),
    gone: entries.toSpliced(20_000, 1),
    longer: [...entries, entryOf(999_999)],
  };
  for (const [edit, list] of Object.entries(edits)) {
    const fresh = [...piecesOf(list)].filter(([chunk]) => !before.has(chunk));
    const bytes = fresh.reduce((sum, [, length]) => sum + length, 0);
    assert.ok(fresh.length <= 8, `${edit}: ${fresh.length} pieces`);
    assert.ok(bytes < all / 20, `${edit}: ${bytes} of ${all} bytes`);
  }
});

test("SF13: a list of one and the same chunk is cut into pieces like any other", () => {
  const zeros = { ...entryOf(1), secret: chunkSecret(new Uint8Array(32)) };
  for (const entry of [zeros, entryOf(1)]) {
    const entries = Array.from({ length: 20_000 }, () => entry);
    const { manifest, pieces } = closed(fileOf(entries));
    assert.equal(openAll(manifest, pieces).entries.length, 20_000);
    assert.ok(new Set(pieces.map((piece) => piece.entry.chunk)).size < 8);
    assert.ok(pieces.every(({ entry: piece }) => piece.lengthBytes < 120_000));
  }
});

test("SF13: pieces in another order, of another level, or that are no pieces are refused", () => {
  const file = fileOf(entriesOf(40_000));
  const { manifest, pieces } = closed(file);
  assert.ok(manifest.level >= 2);
  const stored = new Map(pieces.map((piece) => [piece.entry.chunk, piece.stored]));
  const fetch = (entries: readonly SealedEntry[]): Uint8Array[] =>
    entries.map(({ chunk }) => stored.get(chunk)!);
  const good = fetch(manifest.entries);
  const tooHigh = { ...manifest, level: manifest.level + 1 };
  refuses(() => opened(tooHigh, good), "bad-manifest");
  const tooLow = { ...manifest, level: manifest.level - 1 };
  refuses(() => opened(tooLow, good), "bad-manifest");
  // Whoever may write can seal anything: a list that does not add up is refused all the same.
  let lists = manifest;
  while (lists.level > 1) lists = opened(lists, fetch(lists.entries));
  assert.ok(lists.entries.length > 1);
  const reversed = fetch(lists.entries).toReversed();
  refuses(() => opened(lists, reversed), "bad-chunk");
  const swapped = { ...lists, sizeBytes: lists.sizeBytes + 1 };
  refuses(() => opened(swapped, fetch(lists.entries)), "bad-manifest");
  const nothing = sealPrivate(primitives, { key: keys.manifest, epoch: 1 }, randomSample(1, 80));
  const wrong = { ...manifest, entries: [nothing.entry] };
  refuses(() => opened(wrong, [nothing.stored]), "bad-manifest");
});

test("SF16: a list that names its pieces again and again is refused before it fills the memory", () => {
  const file = fileOf(Array.from({ length: 64 }, () => entryOf(1)));
  const [piece] = closed(file).pieces;
  const listing = (times: number) => () =>
    opened(
      { ...file, level: 1, entries: Array.from({ length: times }, () => piece!.entry) },
      Array.from({ length: times }, () => piece!.stored),
    );
  assert.equal(listing(1)().entries.length, 64);
  // 2^18 chunks and no more.
  assert.throws(listing(4_097), /too long/);
});

test("SF4: a manifest of another form than ours is refused", () => {
  const file = { ...fileOf(entriesOf(3)), level: 0 };
  const bytes = writeManifest(file);
  assert.deepEqual(readManifest(bytes), file);
  for (let length = 0; length < bytes.length; length++) {
    refuses(() => readManifest(bytes.subarray(0, length)), "bad-manifest", `${length}`);
  }
  refuses(() => readManifest(concat([bytes, new Uint8Array(1)])), "bad-manifest");
  const bad: Readonly<Record<string, Uint8Array>> = {
    "another edition": bytes.with(4, 2),
    "a level without pieces": writeManifest({ ...file, level: 1, entries: [] }),
    "a level beyond all": bytes.with(5, 10),
    "shared pieces": writeManifest({ ...file, level: 1 }),
    "a spare byte in use": bytes.with(7, 1),
    "another size": bytes.with(15, bytes[15]! + 1),
    "an unknown domain": bytes.with(52 + 100, 3),
    "a base in the place of the next chunk": bytes.with(52 + 103, 1),
    "more bases than there may be": writeManifest(deltaFile(delta(1, 2, 3, 4, 5, 6))),
    "deltas that are too deep": writeManifest(deltaFile(nested(5))),
    "too many bases in all": writeManifest(
      deltaFile({ ...entryOf(1), bases: [delta(3, 4, 5), delta(6, 7, 8), delta(2)] }),
    ),
    "a base of a chunk for everybody": writeManifest(
      deltaFile({ ...entryOf(2), bases: [entryOf(1)] }),
    ),
    "an empty chunk": writeManifest({ ...file, entries: [{ ...entryOf(1), lengthBytes: 0 }] }),
    "too many entries": writeManifest({ ...fileOf(entriesOf(39)), level: 0 }),
  };
  for (const [what, changed] of Object.entries(bad)) {
    refuses(() => readManifest(changed), "bad-manifest", what);
  }
});

test("SF16: any bytes at all are a manifest or refused", () => {
  const bytes = writeManifest({ ...fileOf(entriesOf(2)), level: 0 });
  for (const changed of flipped(bytes)) {
    try {
      readManifest(changed);
    } catch {
      refuses(() => readManifest(changed), "bad-manifest");
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (any) => {
      refuses(() => readManifest(any), "bad-manifest");
    }),
  );
});

test("SF17: a commit names each chunk once, by id, whatever their order in the file", () => {
  const entries = entriesOf(50);
  const { pieces } = closed(fileOf(entriesOf(100)));
  const all = pieces.map(({ entry }) => entry);
  const named = namedChunks(entries, all);
  assert.deepEqual(named, namedChunks(all, entries.toReversed(), entries));
  assert.deepEqual(named, named.toSorted());
  assert.equal(named.length, 50 + all.length);
});
