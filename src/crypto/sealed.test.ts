import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import {
  ACCOUNT,
  flipped,
  FOLDER_NODE,
  keysOf,
  NODE,
  OTHER_FOLDER,
  OTHER_NODE,
  OTHER_SPACE,
  primitives,
  refuses,
  SPACE,
  randomSample,
} from "../../test/contracts/sealing-world.ts";
import { keyringContext, metaContext, nameContext, type SealContext } from "./keys.ts";
import { open, openStream, seal, sealStream } from "./sealed.ts";

const keys = keysOf(SPACE, 1);
const place = { node: NODE, follows: 0 };
const context = metaContext(keys, place);
const sealed = (plain: Uint8Array): Uint8Array => seal(primitives, keys.meta, context, plain);
const opening = (bytes: Uint8Array) => () => open(primitives, keys.meta, context, bytes);

type Meta = typeof keys.meta;

// Made with Cobblestone256Encryptor of pyca/cryptography 50.0.2, which chose the salts.
const foreign = [
  [
    0,
    "6721f653eccddd0798f6f4d5db6dcaea90424c37c396561e",
    "27b3248fa942df5749bd34d0aae10435ba718259f0eb03076a10fc3895c23668",
  ],
  [
    5,
    "8bbf98dfa83c1ebe51aed86d3bd62fa1d2d925788b9d393f",
    "64b75f19e2133b2c1d60cb0f1dfa0d19fa594ee3f807da7ca7c6625a0a74723d",
  ],
  [
    16_383,
    "ea4724e854ceea254dad2aecfa7e740bd6f6c3eba3623b05",
    "33b200c7a6de4df5d0dfd8673bb1a6dfc45a831627c7468f03bffe9d64a89188",
  ],
  [
    16_384,
    "fd6715585c689c0903906e19efde3a005e600b2d46a0c206",
    "932cd42f48ad819db2512f59e52a4ae8fc28133d47d95034ec28caf99aa1ecb4",
  ],
  [
    50_000,
    "ef78b67ba77aab1a16c791275284ac36d773bf32e290cabe",
    "47fe530f1491c44784bdabad1ade9f36e7e9789c91cbff91beeff8484bd398c5",
  ],
] as const;

test("SF9: messages are sealed byte for byte as another implementation of Cobblestone-256 does", () => {
  const counting = Uint8Array.from({ length: 32 }, (_, at) => at);
  const theirs = concat([utf8("lockstep/1/meta\0"), counting.subarray(0, 16)]);
  for (const [length, salt, sha256] of foreign) {
    const salted = { ...primitives, chance: { bytes: () => fromHex(salt) } };
    const plain = randomSample(length, length);
    const box = seal(salted, counting as Meta, theirs as SealContext<Meta>, plain);
    assert.equal(toHex(primitives.hashes.sha256([box])), sha256);
    const opened = open(primitives, counting as Meta, theirs as SealContext<Meta>, box);
    assert.deepEqual(opened, plain);
  }
});

test("SF9: what was sealed twice has nothing in common, and opens to the same", () => {
  const plain = utf8("hello");
  const [one, two] = [sealed(plain), sealed(plain)];
  assert.notDeepEqual(one.subarray(0, 24), two.subarray(0, 24));
  assert.notDeepEqual(one.subarray(56), two.subarray(56));
  assert.deepEqual(opening(one)(), opening(two)());
});

test("SF9: a sealed object that was cut off, lengthened or changed anywhere does not open (T-CR-02)", () => {
  const PIECE = 16_400;
  for (const length of [0, 5, 16_384, 40_000]) {
    const box = sealed(randomSample(length, length));
    for (const changed of flipped(box, length < 100 ? 1 : 331))
      refuses(opening(changed), "bad-seal");
    for (let at = 56; at < box.length; at += PIECE) {
      for (const end of [at - 1, at, at + 1, at + 15, at + 16, at + 17]) {
        if (end < box.length) refuses(opening(box.subarray(0, end)), "bad-seal", `${end}`);
      }
    }
    for (const more of [1, 15, 16, 17]) {
      refuses(opening(concat([box, new Uint8Array(more)])), "bad-seal");
    }
  }
  for (let length = 0; length < 72; length++) {
    refuses(opening(new Uint8Array(length)), "bad-seal");
  }
});

test("SF9: pieces of a sealed object cannot change places, be repeated or left out", () => {
  const box = sealed(randomSample(1, 50_000));
  const head = box.subarray(0, 56);
  const pieces = [0, 1, 2, 3].map((at) => box.subarray(56 + at * 16_400, 56 + (at + 1) * 16_400));
  const of = (...order: readonly number[]): Uint8Array =>
    concat([head, ...order.map((at) => pieces[at]!)]);
  assert.equal(opening(of(0, 1, 2, 3))().length, 50_000);
  for (const order of [[1, 0, 2, 3], [0, 0, 1, 2, 3], [0, 2, 3], [0, 1, 3], [3], [0, 1, 2]]) {
    refuses(opening(of(...order)), "bad-seal", order.join());
  }
});

test("SF8: a sealed object opens as nothing but what it was sealed as (T-CR-03)", () => {
  const otherEpoch = keysOf(SPACE, 2);
  const otherSpace = keysOf(OTHER_SPACE, 1);
  const contexts: readonly SealContext<Meta>[] = [
    context,
    metaContext(keys, { node: NODE, follows: 1 }),
    metaContext(keys, { node: OTHER_NODE, follows: 0 }),
    metaContext(otherEpoch, place),
    metaContext(otherSpace, place),
    nameContext(keys, { node: NODE, parent: FOLDER_NODE }),
    nameContext(keys, { node: OTHER_NODE, parent: FOLDER_NODE }),
    nameContext(keys, { node: NODE, parent: OTHER_FOLDER }),
    nameContext(keys, { node: FOLDER_NODE, parent: NODE }),
    nameContext(otherEpoch, { node: NODE, parent: FOLDER_NODE }),
    nameContext(otherSpace, { node: NODE, parent: FOLDER_NODE }),
    // The compiler keeps keyrings apart; so do their contexts.
    keyringContext(ACCOUNT, 1) as unknown as SealContext<Meta>,
  ];
  for (const [at, as] of contexts.entries()) {
    const box = seal(primitives, keys.meta, as, utf8("hello"));
    for (const [other, opened] of contexts.entries()) {
      const work = (): unknown => open(primitives, keys.meta, opened, box);
      if (other === at) assert.deepEqual(toHex(work() as Uint8Array), toHex(utf8("hello")));
      else refuses(work, "bad-seal", `${at} as ${other}`);
    }
  }
  const otherRoot = { ...keys, meta: keysOf(SPACE, 1, keys.content as never).meta };
  refuses(() => open(primitives, otherRoot.meta, context, sealed(utf8("hello"))), "bad-seal");
});

async function gather(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return concat(await Array.fromAsync(stream));
}

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    yield bytes.subarray(at, (at += size));
  }
}

test("SF9: a stream is sealed and opened as the whole is, however it is cut", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 70_000 }), sizes, async (length, cuts) => {
      const plain = randomSample(length, length);
      const { meta } = keys;
      const streamed = await gather(sealStream(primitives, meta, context, cut(plain, cuts)));
      assert.deepEqual(opening(streamed)(), plain);
      const back = openStream(primitives, meta, context, cut(sealed(plain), cuts));
      assert.deepEqual(await gather(back), plain);
    }),
    { numRuns: 25 },
  );
});

test("SF9: a stream that ends early, or goes on, is refused at its end at the latest", async () => {
  const box = sealed(randomSample(1, 40_000));
  const { meta } = keys;
  const lengths = [0, 55, 56, 57, 72, 56 + 16_400, 56 + 2 * 16_400, box.length - 1];
  for (const length of lengths) {
    const stream = openStream(primitives, meta, context, cut(box.subarray(0, length), [1_000]));
    await assert.rejects(gather(stream), { code: "bad-seal" }, `${length}`);
  }
  const longer = openStream(primitives, meta, context, cut(concat([box, box]), [1_000]));
  await assert.rejects(gather(longer), { code: "bad-seal" });
});

test("SF16: any bytes at all are refused as a sealed object", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      refuses(opening(bytes), "bad-seal");
    }),
  );
});
