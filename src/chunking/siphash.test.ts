import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { sipHash } from "./siphash.ts";

const KEY = Uint8Array.from({ length: 16 }, (_, index) => index);
const MESSAGE = Uint8Array.from({ length: 64 }, (_, index) => index);

/** The result as the authors print it: eight bytes, lowest first. */
function printed(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const { high, low } = sipHash(key, bytes, 0, bytes.length);
  const result = new DataView(new ArrayBuffer(8));
  result.setUint32(0, low, true);
  result.setUint32(4, high, true);
  return new Uint8Array(result.buffer);
}

/** A second implementation, in the words of the paper's section 2.1. */
function byThePaper(key: Uint8Array, bytes: Uint8Array): bigint {
  const word = (from: Uint8Array, at: number): bigint =>
    new DataView(from.buffer, from.byteOffset).getBigUint64(at, true);
  const rotate = (x: bigint, bits: bigint): bigint =>
    BigInt.asUintN(64, (x << bits) | (x >> (64n - bits)));
  let a = word(key, 0) ^ 0x736f6d6570736575n;
  let b = word(key, 8) ^ 0x646f72616e646f6dn;
  let c = word(key, 0) ^ 0x6c7967656e657261n;
  let d = word(key, 8) ^ 0x7465646279746573n;
  const round = (): void => {
    a = BigInt.asUintN(64, a + b);
    c = BigInt.asUintN(64, c + d);
    b = rotate(b, 13n) ^ a;
    d = rotate(d, 16n) ^ c;
    a = rotate(a, 32n);
    c = BigInt.asUintN(64, c + b);
    a = BigInt.asUintN(64, a + d);
    b = rotate(b, 17n) ^ c;
    d = rotate(d, 21n) ^ a;
    c = rotate(c, 32n);
  };
  const padded = new Uint8Array((Math.floor(bytes.length / 8) + 1) * 8);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  for (let at = 0; at < padded.length; at += 8) {
    d ^= word(padded, at);
    round();
    round();
    a ^= word(padded, at);
  }
  c ^= 0xffn;
  for (let count = 0; count < 4; count++) round();
  return a ^ b ^ c ^ d;
}

test("CK1: the hash that decides boundaries is the published SipHash-2-4", () => {
  // Appendix A of the paper: the bytes 00 to 0e under the key 00 to 0f.
  assert.deepEqual(sipHash(KEY, MESSAGE, 0, 15), { high: 0xa129ca61, low: 0x49be45e5 });
  // All 64 results of the authors' own table (vectors_sip64 in their vectors.h), one behind
  // another.
  const all = createHash("sha256");
  for (let length = 0; length < 64; length++) all.update(printed(KEY, MESSAGE.slice(0, length)));
  assert.equal(
    all.digest("hex"),
    "0226a91002af9775a791b3ec5a48e643f8848d2d5774dea9be3438d5786bb58e",
  );
});

test("CK1: any key and any bytes, 64 of them above all, hash as the paper's steps say", () => {
  const key = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const window = fc.uint8Array({ minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(key, fc.oneof(window, fc.uint8Array({ maxLength: 300 })), (sipKey, bytes) => {
      const { high, low } = sipHash(sipKey, bytes, 0, bytes.length);
      assert.equal((BigInt(high) << 32n) | BigInt(low), byThePaper(sipKey, bytes));
    }),
  );
});

test("a hash of a piece in the middle sees nothing but that piece", () => {
  const { high, low } = sipHash(KEY, MESSAGE, 20, 41);
  assert.equal((BigInt(high) << 32n) | BigInt(low), byThePaper(KEY, MESSAGE.slice(20, 41)));
});
