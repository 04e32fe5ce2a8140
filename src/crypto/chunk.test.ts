import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import { chunkId } from "#core/ids.ts";
import { sealWith, twoKeyChunk } from "../../test/contracts/salamander.ts";
import {
  flipped,
  keysOf,
  OTHER_SPACE,
  primitives,
  refuses,
  SPACE,
  randomSample,
  textSample,
} from "../../test/contracts/sealing-world.ts";
import * as chunk from "./chunk.ts";
import { chunkSecret, rootKey } from "./keys.ts";

const keys = keysOf(SPACE, 1);
const sealing = { key: keys.content, epoch: 1 };
const evaluated = randomSample(1, 64);

const own = (raw: Uint8Array): chunk.SealedChunk => chunk.sealPrivate(primitives, sealing, raw);
const shared = (raw: Uint8Array, answer = evaluated): chunk.SealedChunk =>
  chunk.sealShared(primitives, chunk.frameShared(primitives, 1, raw), answer);
/** The entry of other bytes, as a server would have it that changes both. */
const renamed = (entry: chunk.SealedEntry, stored: Uint8Array): chunk.SealedEntry => ({
  ...entry,
  chunk: chunkId(toHex(primitives.hashes.sha256([stored]))),
});
const opening = (entry: chunk.SealedEntry, stored: Uint8Array) => () =>
  chunk.openChunk(primitives, entry, stored);

test("SF4: a chunk of any size opens to what was sealed", () => {
  for (const length of [1, 243, 244, 245, 16_384, 65_536, 1_000_000, 4_194_304]) {
    for (const raw of [randomSample(length, length), textSample(length, length)]) {
      const { entry, stored } = own(raw);
      assert.equal(entry.lengthBytes, length);
      assert.deepEqual(opening(entry, stored)(), raw);
      if (length < chunk.MIN_SHARED_BYTES) continue;
      const other = shared(raw);
      assert.deepEqual(opening(other.entry, other.stored)(), raw);
    }
  }
});

test("SF4: a chunk does not open with any byte changed, also under the id of the changed one", () => {
  for (const { entry, stored } of [own(randomSample(1, 150)), own(textSample(1, 4_000))]) {
    for (const changed of flipped(stored)) {
      refuses(opening(entry, changed), "bad-chunk");
      refuses(opening(renamed(entry, changed), changed), "bad-chunk");
    }
  }
  const { entry, stored } = shared(randomSample(2, 16_384));
  for (const changed of flipped(stored, 97)) {
    refuses(opening(renamed(entry, changed), changed), "bad-chunk");
  }
});

test("SF4: a chunk does not open cut off, with a byte more, or empty", () => {
  const { entry, stored } = own(randomSample(1, 150));
  for (let length = 0; length < stored.length; length++) {
    const cut = stored.subarray(0, length);
    refuses(opening(renamed(entry, cut), cut), "bad-chunk");
  }
  const more = Uint8Array.of(...stored, 0);
  refuses(opening(renamed(entry, more), more), "bad-chunk");
});

test("SF4: a chunk opens as no other: not by its bytes, secret, domain, epoch, or length (T-DD-10)", () => {
  const one = own(randomSample(1, 150));
  const two = own(randomSample(2, 150));
  const { entry, stored } = one;
  refuses(opening({ ...entry, raw: two.entry.raw }, stored), "bad-chunk");
  refuses(opening(entry, two.stored), "bad-chunk");
  refuses(opening({ ...entry, secret: two.entry.secret }, stored), "bad-chunk");
  refuses(opening({ ...entry, domain: "shared" }, stored), "bad-chunk");
  refuses(opening({ ...entry, epoch: 2 }, stored), "bad-chunk");
  refuses(opening({ ...entry, lengthBytes: 149 }, stored), "bad-chunk");
  const later = chunk.sealPrivate(
    primitives,
    { key: keys.content, epoch: 2 },
    randomSample(1, 150),
  );
  refuses(opening({ ...later.entry, epoch: 1 }, later.stored), "bad-chunk");
});

test("SF4: other bytes that somebody sealed with a chunk's own secret are refused", () => {
  const { entry } = shared(textSample(1, 20_000));
  const head = shared(textSample(1, 20_000)).stored.subarray(0, 8);
  const forged = sealWith(primitives, entry.secret, head, textSample(2, 20_000));
  refuses(opening(renamed(entry, forged), forged), "bad-chunk");
  const honest = sealWith(primitives, entry.secret, head, textSample(1, 20_000));
  assert.equal(opening(renamed(entry, honest), honest)().length, 20_000);
});

test("SF5: a ciphertext that GCM opens under two keys opens with one secret alone (T-CR-01)", () => {
  const { first, second, stored, gcmOpens } = twoKeyChunk(primitives);
  // Without a commitment, both would have been fooled.
  assert.deepEqual(gcmOpens, [true, true]);
  assert.equal(opening(first, stored)().length, first.lengthBytes);
  assert.throws(opening(second, stored), /sealed with another secret/);
});

test("SF7: equal bytes are one chunk in a space, and another one in every other space", () => {
  const raw = randomSample(1, 70_000);
  assert.deepEqual(own(raw), own(raw.slice()));
  const otherRoot = rootKey(randomSample(7, 32));
  const other = chunk.sealPrivate(
    primitives,
    { key: keysOf(OTHER_SPACE, 1, otherRoot).content, epoch: 1 },
    raw,
  );
  assert.notEqual(other.entry.chunk, own(raw).entry.chunk);
  refuses(opening({ ...own(raw).entry, secret: other.entry.secret }, own(raw).stored), "bad-chunk");
  // A manifest's pieces have a key of their own, so that no file can be mistaken for one.
  const piece = chunk.sealPrivate(primitives, { key: keys.manifest, epoch: 1 }, raw);
  assert.notEqual(piece.entry.chunk, own(raw).entry.chunk);
});

test("SF7: equal bytes with the key service's one answer are one chunk for everybody", () => {
  const raw = textSample(3, 70_000);
  const { entry, stored } = shared(raw);
  assert.deepEqual(shared(raw.slice()), { entry, stored });
  assert.notEqual(shared(raw, randomSample(2, 64)).entry.chunk, entry.chunk);
  // What the key service is asked about is all of what is encrypted.
  const inputs = [raw, raw.with(69_999, 0)].map((bytes) =>
    toHex(chunk.frameShared(primitives, 1, bytes).input),
  );
  assert.notEqual(inputs[0], inputs[1]);
  assert.notEqual(toHex(chunk.frameShared(primitives, 2, raw).input), inputs[0]);
});

test("SF7: what has fewer than 16 KiB is never sealed for everybody (T-DD-12)", () => {
  assert.throws(() => chunk.frameShared(primitives, 1, randomSample(1, 16_383)), /too few/);
});

test("SF7: another compressor makes another chunk, never another text under the same key (T-DD-11)", () => {
  const raw = textSample(5, 70_000);
  const unpacked = { ...primitives, compression: { ...primitives.compression } };
  unpacked.compression.compress = (bytes) => bytes;
  const plain = chunk.sealPrivate(unpacked, sealing, raw);
  assert.notEqual(toHex(plain.entry.secret), toHex(own(raw).entry.secret));
  assert.deepEqual(opening(plain.entry, plain.stored)(), raw);
});

test("SF7: two compressions of equal length have two keys", () => {
  const raw = textSample(5, 70_000);
  // A part that every zstd passes over (RFC 8878, section 3.1.2), with other bytes in it.
  const passedOver = (byte: number): Uint8Array =>
    concat([fromHex("502a4d1804000000"), new Uint8Array(4).fill(byte)]);
  const [one, two] = [1, 2].map((byte) => {
    const compression = {
      ...primitives.compression,
      compress: (bytes: Uint8Array) =>
        concat([primitives.compression.compress(bytes), passedOver(byte)]),
    };
    const sealed = chunk.sealPrivate({ ...primitives, compression }, sealing, raw);
    assert.deepEqual(opening(sealed.entry, sealed.stored)(), raw);
    return sealed;
  });
  assert.equal(one!.stored.length, two!.stored.length);
  assert.notEqual(toHex(one!.entry.secret), toHex(two!.entry.secret));
});

test("SF18: a delta opens with its bases to what was sealed, and to nothing else", () => {
  const base = own(randomSample(1, 9_000));
  const raw = randomSample(2, 8_000);
  const to = { delta: Uint8Array.of(1, 2, 3), bases: [base.entry] };
  const framed = chunk.framePrivate(primitives, sealing, raw, to);
  const { entry, stored } = chunk.sealAlone(primitives, sealing, framed);
  assert.ok(stored.length < 400);
  assert.equal(stored.length, chunk.storedBytes(framed));
  assert.deepEqual(entry.bases, [base.entry]);
  const makes =
    (made: Uint8Array | null, at = entry) =>
    () =>
      chunk.openChunk(primitives, at, stored, (delta, lengthBytes) => {
        assert.deepEqual([delta, lengthBytes], [to.delta, raw.length]);
        return made;
      });
  assert.deepEqual(makes(raw)(), raw);
  refuses(makes(null), "bad-chunk");
  refuses(makes(raw.with(5, raw[5]! ^ 1)), "bad-chunk");
  refuses(makes(raw.subarray(1)), "bad-chunk");
  refuses(opening(entry, stored), "bad-chunk");
  const { bases: _, ...alone } = entry;
  refuses(makes(raw, alone), "bad-chunk");
  refuses(opening({ ...base.entry, bases: [entry] }, base.stored), "bad-chunk");
});

test("SF18: a chunk knows its bases, deepest first, and how many steps lead to its bytes", () => {
  const [first, second, third] = [1, 2, 3].map((seed) => own(randomSample(seed, 300)).entry);
  assert.equal(chunk.depthOf(first!), 0);
  const middle = { ...second!, bases: [first!] };
  const last = { ...third!, bases: [middle, first!] };
  assert.equal(chunk.depthOf(last), 2);
  assert.deepEqual(chunk.allBases(last), [first, middle, first]);
});

test("SF16: any stored bytes with any secret are refused", () => {
  for (let seed = 0; seed < 300; seed++) {
    const stored = randomSample(seed, seed);
    const secret = chunkSecret(randomSample(seed, 32));
    const entry = renamed({ ...own(stored.length > 0 ? stored : evaluated).entry, secret }, stored);
    refuses(opening(entry, stored), "bad-chunk");
  }
});
