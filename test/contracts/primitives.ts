import assert from "node:assert/strict";
import { test } from "node:test";
import { randomSample, textSample } from "#chunking/sample-bytes.ts";
import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { Ristretto } from "#crypto/ristretto.ts";
import { sealingLaws, type PrimitivesUnderTest } from "./sealing-laws.ts";

const bytes = (text: string): Uint8Array => fromHex(text.replaceAll(" ", ""));

/** Published answers, and what every side of the port does with everything else. */
export function primitivesContract(side: string, primitives: PrimitivesUnderTest): void {
  hashesContract(side, primitives);
  cipherContract(side, primitives);
  signaturesContract(side, primitives);
  sealingLaws(side, primitives);
}

function hashesContract(side: string, primitives: PrimitivesUnderTest): void {
  const { hashes } = primitives;
  test(`SF1: ${side}: SHA-256 and SHA-512 give FIPS 180-4's examples`, async () => {
    const abc = [utf8("a"), utf8(""), utf8("bc")];
    assert.equal(
      toHex(await hashes.sha256(abc)),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    assert.equal(
      toHex(await hashes.sha512(abc)),
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    );
    assert.deepEqual(toHex(await hashes.sha256([utf8("abc")])), toHex(await hashes.sha256(abc)));
  });

  test(`SF1: ${side}: HMAC-SHA-256 gives RFC 4231's second case`, async () => {
    const message = [utf8("what do ya want "), utf8("for nothing?")];
    assert.equal(
      toHex(await hashes.hmacSha256(utf8("Jefe"), message)),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
  });

  // The inputs of RFC 5869's first test case, with SHA-512.
  test(`SF1: ${side}: HKDF-SHA-512 extracts and expands as RFC 5869 says`, async () => {
    const extracted = await hashes.hkdfExtract(
      bytes("000102030405060708090a0b0c"),
      bytes("0b".repeat(22)),
    );
    assert.equal(
      toHex(extracted),
      "665799823737ded04a88e47e54a5890bb2c3d247c7a4254a8e61350723590a26" +
        "c36238127d8661b88cf80ef802d57e2f7cebcf1e00e083848be19929c61b4237",
    );
    const info = bytes("f0f1f2f3f4f5f6f7f8f9");
    const expected =
      "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb";
    assert.equal(toHex(await hashes.hkdfExpand(extracted, info, 42)), expected);
    const long = await hashes.hkdfExpand(extracted, info, 200);
    assert.equal(long.length, 200);
    assert.equal(toHex(long.subarray(0, 42)), expected);
    assert.equal(new Set([0, 64, 128].map((at) => toHex(long.subarray(at, at + 64)))).size, 3);
  });
}

function cipherContract(side: string, { cipher }: PrimitivesUnderTest): void {
  // Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", 2005.
  const use = {
    key: bytes("feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308"),
    nonce: bytes("cafebabefacedbaddecaf888"),
    associated: bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
  };
  const plain = bytes(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
  );
  const sealed =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
    "76fc6ece0f4e1768cddf8853bb2d551b";

  test(`SF1: ${side}: AES-256-GCM gives its published test case, in parts too`, async () => {
    for (const parts of [[plain], [plain.subarray(0, 7), utf8(""), plain.subarray(7)]]) {
      const into = new Uint8Array(plain.length + 16);
      await cipher.seal(use, parts, into);
      assert.equal(toHex(into), sealed);
    }
    assert.equal(toHex((await cipher.open(use, bytes(sealed)))!), toHex(plain));
  });
}

function signaturesContract(side: string, { signatures }: PrimitivesUnderTest): void {
  // RFC 8032, section 7.1, tests 1 and 3.
  const cases = [
    {
      seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      message: "",
      signature:
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    },
    {
      seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      message: "af82",
      signature:
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    },
  ];

  test(`SF1: ${side}: Ed25519 gives RFC 8032's signatures, and knows others from them`, async () => {
    for (const { seed, key, message, signature } of cases) {
      assert.equal(toHex(await signatures.publicKey(bytes(seed))), key);
      assert.equal(toHex(await signatures.sign(bytes(seed), bytes(message))), signature);
      const good = bytes(signature);
      assert.equal(await signatures.verify(bytes(key), bytes(message), good), true);
      assert.equal(await signatures.verify(bytes(key), utf8("other"), good), false);
      assert.equal(await signatures.verify(utf8("no key".padEnd(32)), bytes(message), good), false);
      for (const at of [0, 31, 32, 63]) {
        const changed = good.slice();
        changed[at]! ^= 1;
        assert.equal(await signatures.verify(bytes(key), bytes(message), changed), false);
      }
      assert.equal(await signatures.verify(bytes(key), bytes(message), good.subarray(1)), false);
    }
  });
}

/** zstd is one library's: the twins are held to the same bounds. */
export function compressionContract(side: string, primitives: Primitives): void {
  const { compression } = primitives;

  test(`SF1: ${side}: what was compressed unpacks to its length, and to no other`, () => {
    for (const length of [1, 300, 70_000, 1_000_000]) {
      const raw = textSample(length, length);
      const packed = compression.compress(raw);
      assert.deepEqual(compression.decompress(packed, length), raw);
      assert.equal(compression.decompress(packed, length - 1), null);
      assert.equal(compression.decompress(packed, length + 1), null);
      assert.equal(compression.decompress(packed.subarray(0, packed.length - 1), length), null);
    }
    assert.equal(compression.decompress(utf8("not packed at all"), 17), null);
  });

  test(`SF6: ${side}: eight kilobytes that unpack to 256 MiB take no more than was asked for (T-SV-01)`, () => {
    const bomb = compression.compress(new Uint8Array(256 * 1024 * 1024));
    assert.ok(bomb.length < 32_768, `${bomb.length} bytes`);
    const before = process.memoryUsage().rss;
    assert.equal(compression.decompress(bomb, 1_000), null);
    const grownBytes = process.memoryUsage().rss - before;
    assert.ok(grownBytes < 20 * 1024 * 1024, `${grownBytes} bytes more`);
  });
}

/** RFC 9496's examples, and the arithmetic that RFC 9497 needs. */
export function ristrettoContract(side: string, open: () => Promise<Ristretto>): void {
  // RFC 9496, appendix A.1: the generator and the next multiple.
  const one = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";
  const two = "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919";
  const scalar = (value: number): Uint8Array => concat([Uint8Array.of(value), new Uint8Array(31)]);

  test(`SF1: ${side}: ristretto255 has RFC 9496's multiples of the generator`, async () => {
    const { elements } = await open();
    assert.equal(toHex(elements.multiplyGenerator(scalar(1))!), one);
    assert.equal(toHex(elements.multiplyGenerator(scalar(2))!), two);
    assert.equal(toHex(elements.add(bytes(one), bytes(one))), two);
    assert.equal(toHex(elements.multiply(scalar(2), bytes(one))!), two);
    assert.equal(elements.multiply(scalar(0), bytes(one)), null);
    assert.equal(elements.multiplyGenerator(scalar(0)), null);
  });

  test(`SF1: ${side}: ristretto255 maps RFC 9496's uniform bytes to its element`, async () => {
    const { elements } = await open();
    const uniform = bytes(
      "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1" +
        "4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6",
    );
    assert.equal(
      toHex(elements.fromUniform(uniform)),
      "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
    );
  });

  // RFC 9496, appendix A.3: non-canonical, negative, and no square; and the identity.
  const refused = [
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "0000000000000000000000000000000000000000000000000000000000000000",
  ];

  test(`SF10: ${side}: only a canonical element that is not the identity is one`, async () => {
    const { elements } = await open();
    assert.equal(elements.isElement(bytes(one)), true);
    assert.equal(elements.isElement(bytes(two)), true);
    for (const text of refused) assert.equal(elements.isElement(bytes(text)), false, text);
    assert.equal(elements.isElement(bytes(one).subarray(1)), false);
    assert.equal(elements.isElement(concat([bytes(one), Uint8Array.of(0)])), false);
  });

  test(`SF1: ${side}: scalars are numbers modulo the order`, async () => {
    const { scalars, elements } = await open();
    const wide = randomSample(1, 64);
    const a = scalars.reduce(wide);
    const b = scalars.reduce(randomSample(2, 64));
    // The order itself, RFC 9496 section 4.4.
    const order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    assert.deepEqual([...scalars.reduce(concat([order, new Uint8Array(32)]))], [...scalar(0)]);
    assert.equal(toHex(scalars.multiply(scalars.invert(a), scalars.multiply(a, b))), toHex(b));
    assert.equal(toHex(scalars.subtract(scalar(5), scalar(3))), toHex(scalar(2)));
    const sum = scalars.subtract(a, scalars.subtract(scalar(0), b));
    const left = elements.add(elements.multiplyGenerator(a)!, elements.multiplyGenerator(b)!);
    assert.equal(toHex(left), toHex(elements.multiplyGenerator(sum)!));
  });
}
