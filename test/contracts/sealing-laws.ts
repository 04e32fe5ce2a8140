import assert from "node:assert/strict";
import { test } from "node:test";
import { randomSample } from "#chunking/sample-bytes.ts";
import { concat, toHex, utf8 } from "#core/bytes.ts";
import type { Primitives } from "#crypto/primitives.ts";

/** The same calls, answered now or later: WebCrypto knows only later. */
type Eventually<T> = {
  readonly [Name in keyof T]: T[Name] extends (...values: infer Values) => infer Value
    ? (...values: Values) => Value | Promise<Value>
    : Eventually<T[Name]>;
};

/** What every side has to answer alike; chance and compression are our own machine's. */
export type PrimitivesUnderTest = Eventually<Pick<Primitives, "hashes" | "cipher" | "signatures">>;

/** What formats rely on, whatever computes it: nothing here is anybody's published answer. */
export function sealingLaws(side: string, primitives: PrimitivesUnderTest): void {
  hashLaws(side, primitives);
  cipherLaws(side, primitives);
  signatureLaws(side, primitives);
}

function hashLaws(side: string, primitives: PrimitivesUnderTest): void {
  test(`SF1: ${side}: what comes out are plain bytes, of which a slice is a copy`, async () => {
    const { hashes, cipher, signatures } = primitives;
    const use = { key: randomSample(1, 32), nonce: randomSample(1, 12), associated: utf8("") };
    const sealed = new Uint8Array(20);
    await cipher.seal(use, [utf8("four")], sealed);
    const made = [
      await hashes.sha256([utf8("a")]),
      await hashes.sha512([utf8("a"), utf8("b")]),
      await hashes.hmacSha256(utf8("a"), [utf8("b")]),
      await hashes.hkdfExtract(utf8("a"), utf8("b")),
      await hashes.hkdfExpand(utf8("a"), utf8("b"), 76),
      await cipher.open(use, sealed),
      await signatures.publicKey(randomSample(1, 32)),
      await signatures.sign(randomSample(1, 32), utf8("a")),
    ];
    for (const one of made) assert.equal(Object.getPrototypeOf(one), Uint8Array.prototype);
  });

  test(`SF1: ${side}: values are equal when all their bytes are`, async () => {
    const value = randomSample(1, 32);
    const other = value.slice();
    other[31]! ^= 1;
    const { hashes } = primitives;
    assert.equal(await hashes.equal(value, value.slice()), true);
    assert.equal(await hashes.equal(value, other), false);
    assert.equal(await hashes.equal(value, value.subarray(0, 31)), false);
  });

  test(`SF1: ${side}: a hash is of all bytes, in whatever parts, and of the key`, async () => {
    const { hashes } = primitives;
    const [key, other] = [randomSample(3, 32), randomSample(4, 32)];
    const message = randomSample(5, 75);
    const made = {
      sha256: (text: Uint8Array) => hashes.sha256([text]),
      sha512: (text: Uint8Array) => hashes.sha512([text]),
      hmac: (text: Uint8Array) => hashes.hmacSha256(key, [text]),
      "hmac with another key": (text: Uint8Array) => hashes.hmacSha256(other, [text]),
      extracted: (text: Uint8Array) => hashes.hkdfExtract(key, text),
      "extracted with another salt": (text: Uint8Array) => hashes.hkdfExtract(other, text),
      expanded: (text: Uint8Array) => hashes.hkdfExpand(key, text, 32),
      "expanded of another key": (text: Uint8Array) => hashes.hkdfExpand(other, text, 32),
    };
    const seen = new Set<string>();
    for (const [name, hash] of Object.entries(made)) {
      const value = toHex(await hash(message));
      assert.equal(toHex(await hash(message.slice())), value, name);
      const others = [message.subarray(1), message.subarray(0, 74), concat([message, utf8("\0")])];
      for (let at = 0; at < message.length; at++) others.push(flipped(message, at));
      for (const one of others) seen.add(toHex(await hash(one)));
      assert.equal(seen.has(value), false, name);
      seen.add(value);
    }
    assert.equal(seen.size, 8 * (1 + 3 + 75));
    const parts = [message.subarray(0, 7), utf8(""), message.subarray(7)];
    for (const hash of [hashes.sha256, hashes.sha512]) {
      assert.equal(toHex(await hash(parts)), toHex(await hash([message])));
    }
    assert.equal(
      toHex(await hashes.hmacSha256(key, parts)),
      toHex(await hashes.hmacSha256(key, [message])),
    );
  });

  test(`SF1: ${side}: fewer expanded bytes are the beginning of more, and none repeat`, async () => {
    const { hashes } = primitives;
    const key = randomSample(6, 64);
    const long = await hashes.hkdfExpand(key, utf8("info"), 200);
    assert.equal(long.length, 200);
    for (const length of [1, 32, 76, 199]) {
      const short = await hashes.hkdfExpand(key, utf8("info"), length);
      assert.equal(toHex(short), toHex(long.subarray(0, length)));
    }
    assert.equal(new Set([0, 64, 128].map((at) => toHex(long.subarray(at, at + 64)))).size, 3);
  });
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice();
  changed[at]! ^= 0x40;
  return changed;
}

function cipherLaws(side: string, { cipher }: PrimitivesUnderTest): void {
  const use = {
    key: randomSample(7, 32),
    nonce: randomSample(8, 12),
    associated: randomSample(9, 20),
  };

  test(`SF1: ${side}: a cipher opens nothing that was changed anywhere`, async () => {
    const plain = randomSample(10, 60);
    const good = new Uint8Array(plain.length + 16);
    await cipher.seal(use, [plain.subarray(0, 7), utf8(""), plain.subarray(7)], good);
    assert.equal(toHex((await cipher.open(use, good))!), toHex(plain));
    assert.notEqual(toHex(good.subarray(0, 60)), toHex(plain));
    for (let at = 0; at < good.length; at++) {
      assert.equal(await cipher.open(use, flipped(good, at)), null);
    }
    assert.equal(await cipher.open(use, good.subarray(0, good.length - 1)), null);
    assert.equal(await cipher.open({ ...use, associated: utf8("") }, good), null);
    for (const field of ["key", "nonce", "associated"] as const) {
      for (let at = 0; at < use[field].length; at++) {
        const other = { ...use, [field]: flipped(use[field], at) };
        assert.equal(await cipher.open(other, good), null, `${field} ${at}`);
      }
    }
  });

  test(`SF1: ${side}: a cipher seals nothing at all, and large messages`, async () => {
    for (const length of [0, 1, 16, 1_000_003]) {
      const message = randomSample(length, length);
      const into = new Uint8Array(length + 16);
      await cipher.seal(use, [message], into);
      assert.deepEqual(new Uint8Array((await cipher.open(use, into))!), message);
    }
  });
}

function signatureLaws(side: string, { signatures }: PrimitivesUnderTest): void {
  test(`SF1: ${side}: a signature is of one key and one message`, async () => {
    const [seed, other] = [randomSample(11, 32), randomSample(12, 32)];
    const message = randomSample(13, 50);
    const key = await signatures.publicKey(seed);
    const good = await signatures.sign(seed, message);
    assert.deepEqual([key.length, good.length], [32, 64]);
    assert.equal(await signatures.verify(key, message, good), true);
    assert.equal(
      await signatures.verify(key, message, await signatures.sign(other, message)),
      false,
    );
    assert.equal(await signatures.verify(await signatures.publicKey(other), message, good), false);
    for (let at = 0; at < message.length; at++) {
      assert.equal(await signatures.verify(key, flipped(message, at), good), false);
    }
    for (let at = 0; at < good.length; at++) {
      assert.equal(await signatures.verify(key, message, flipped(good, at)), false);
    }
    assert.equal(await signatures.verify(key, message, good.subarray(1)), false);
  });
}
