import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, toHex, utf8 } from "#core/bytes.ts";
import { contentHash } from "#core/ids.ts";
import {
  flipped,
  keysOf,
  NODE,
  OTHER_NODE,
  OTHER_SPACE,
  primitives,
  refuses,
  SPACE,
  randomSample,
} from "../../test/contracts/sealing-world.ts";
import { fromBase64Url, toBase64Url } from "./base64url.ts";
import { sealPrivate, type SealedEntry } from "./chunk.ts";
import { metaContext } from "./keys.ts";
import { writeManifest, type Manifest } from "./manifest.ts";
import { contentOf, MAX_INLINE_BYTES, openMeta, sealMeta, type SealedMeta } from "./meta.ts";
import { pad, padme } from "./padding.ts";
import { sealText } from "./sealed-text.ts";

const keys = keysOf(SPACE, 1);
const epochs = new Map([1, 2].map((epoch) => [epoch, keysOf(SPACE, epoch)]));
const place = { node: NODE, follows: 7 };
const close = (meta: SealedMeta): string => sealMeta(primitives, keys, place, meta);
const opening =
  (text: string, at = place) =>
  () =>
    openMeta(primitives, epochs, at, text);
const CODES = ["bad-meta", "bad-manifest", "bad-seal", "unknown-epoch"];

function inline(bytes: Uint8Array, mtimeMs = 0): SealedMeta {
  return { kind: "file", executable: false, mtimeMs, body: { kind: "inline", bytes } };
}

function listed(count: number): SealedMeta {
  const entries = Array.from({ length: count }, (_, at): SealedEntry => {
    return sealPrivate(primitives, { key: keys.content, epoch: 1 }, randomSample(at, 40)).entry;
  });
  const sha256 = contentHash("cd".repeat(32));
  const manifest = { level: 0, sizeBytes: 40 * count, sha256, entries };
  return { kind: "file", executable: true, mtimeMs: 5, body: { kind: "chunks", manifest } };
}

test("SF12: what a node holds comes back as it was, whatever it is", () => {
  const metas: readonly SealedMeta[] = [
    { kind: "folder" },
    { kind: "symlink", target: "../elsewhere/é" },
    { kind: "symlink", target: "x".repeat(4_096) },
    inline(new Uint8Array(0)),
    inline(randomSample(1, MAX_INLINE_BYTES), -1),
    inline(utf8("hello"), Number.MAX_SAFE_INTEGER),
    inline(utf8("hello"), Number.MIN_SAFE_INTEGER),
    listed(0),
    listed(1),
    listed(38),
  ];
  for (const meta of metas) assert.deepEqual(opening(close(meta))(), meta);
});

test("SF12: the content is what the meta says, and of small files what it hashes to", () => {
  const { hashes } = primitives;
  const sha256 = contentHash(toHex(hashes.sha256([utf8("hello")])));
  const hello = { kind: "file", sizeBytes: 5, sha256, executable: false };
  assert.deepEqual(contentOf(hashes, inline(utf8("hello"))), hello);
  const long = { kind: "file", sizeBytes: 80, sha256: "cd".repeat(32), executable: true };
  assert.deepEqual(contentOf(hashes, listed(2)), long);
  assert.deepEqual(contentOf(hashes, { kind: "folder" }), { kind: "folder" });
  const link = { kind: "symlink", target: "x" } as const;
  assert.deepEqual(contentOf(hashes, link), link);
});

test("SF12: folders, links, empty, and small files and lists are of one length on the wire", () => {
  const small = [
    { kind: "folder" } as const,
    { kind: "symlink", target: "x".repeat(200) } as const,
    inline(new Uint8Array(0)),
    inline(randomSample(1, 240)),
    listed(1),
  ];
  assert.equal(new Set(small.map((meta) => close(meta).length)).size, 1);
  // The wire takes 64 KiB; the largest metas stay far below.
  for (const meta of [inline(randomSample(1, MAX_INLINE_BYTES)), listed(38)]) {
    assert.ok(close(meta).length < 6_500);
  }
});

test("SF8: a meta opens for its node, its revision and its space only", () => {
  const text = close(inline(utf8("hello")));
  refuses(opening(text, { ...place, follows: 8 }), "bad-seal");
  refuses(opening(text, { ...place, node: OTHER_NODE }), "bad-seal");
  const elsewhere = new Map([[1, keysOf(OTHER_SPACE, 1)]]);
  refuses(() => openMeta(primitives, elsewhere, place, text), "bad-seal");
});

test("SF8: a meta does not open with any byte changed", () => {
  for (const changed of flipped(fromBase64Url(close(listed(1)))!)) {
    refuses(opening(toBase64Url(changed)), ["bad-seal", "unknown-epoch"]);
  }
});

/** What somebody who has the keys could seal. */
function sealing(plain: Uint8Array, padded = pad(plain, padme)): string {
  return sealText(primitives, keys, metaContext(keys, place), padded);
}

test("SF12: a meta that was sealed by a key holder in another form than ours is refused", () => {
  const link = Uint8Array.of(1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 120);
  assert.deepEqual(opening(sealing(link))(), { kind: "symlink", target: "x" });
  const folder = link.subarray(0, 12).with(1, 2);
  const file = link.subarray(0, 12).with(1, 1);
  const list: Manifest = {
    level: 0,
    sizeBytes: 0,
    sha256: contentHash("ab".repeat(32)),
    entries: [],
  };
  assert.equal(opening(sealing(concat([file.with(3, 1), writeManifest(list)])))().kind, "file");
  const bad: Readonly<Record<string, Uint8Array>> = {
    nothing: new Uint8Array(0),
    "another edition": link.with(0, 2),
    "an unknown kind": link.with(1, 4),
    "a link with flags": link.with(2, 1),
    "a link with a time": link.with(11, 1),
    "a link to nowhere": link.subarray(0, 14).with(13, 0),
    "a link that is cut off": link.subarray(0, 14),
    "a link that is no text": link.with(14, 0xff),
    "a link with more": Uint8Array.of(...link, 0),
    "a folder with more": Uint8Array.of(...folder, 0),
    "a file with unknown flags": file.with(2, 2),
    "a file of an unknown form": file.with(3, 2),
    "a list of an unknown form": concat([file.with(3, 2), writeManifest(list)]),
    "a file with an impossible time": file.with(4, 0x7f),
    "a file with a list that is none": Uint8Array.of(...file.with(3, 1), 1, 2, 3),
    "a file that is too large for its meta": Uint8Array.of(...file, ...randomSample(1, 4_097)),
  };
  for (const [what, plain] of Object.entries(bad)) {
    refuses(opening(sealing(plain)), ["bad-meta", "bad-manifest"], what);
  }
  const padded = pad(link, padme);
  refuses(opening(sealing(link, padded.subarray(0, 255))), "bad-meta");
  refuses(opening(sealing(link, padded.with(255, 1))), "bad-meta");
  refuses(
    opening(
      sealing(
        link,
        pad(link, (length) => padme(length) * 2),
      ),
    ),
    "bad-meta",
  );
});

test("SF16: any bytes that a key holder seals are a meta or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (plain) => {
      refuses(opening(sealing(plain)), CODES);
    }),
  );
});
