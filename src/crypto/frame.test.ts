import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat } from "#core/bytes.ts";
import { primitives, refuses } from "../../test/contracts/sealing-world.ts";
import { closeDelta, closeFrame, MAX_RAW_BYTES, openFrame } from "./frame.ts";
import { padme } from "./padding.ts";

const { compression } = primitives;
const frameOf = (raw: Uint8Array): Uint8Array => {
  const { head, payload, padding } = closeFrame(compression, raw);
  return concat([head, payload, padding]);
};
const noise = (length: number): Uint8Array => primitives.chance.bytes(length);

test("SF3: a length is padded by at most an eighth, to 256 at least, and few lengths are left", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 24 }), (length) => {
      const padded = padme(length);
      assert.ok(padded >= length && padded >= 256);
      assert.ok(padded <= Math.max(256, length * 1.12));
      assert.equal(padme(padded), padded);
    }),
  );
  const classes = new Set(Array.from({ length: 1_000_000 }, (_, length) => padme(length)));
  assert.ok(classes.size < 300, `${classes.size}`);
});

test("SF3: a frame is as long as Padmé says of what is in it, whatever that is (T-SZ-01)", () => {
  for (const length of [1, 243, 244, 245, 4_097, 65_536, 1_048_576, MAX_RAW_BYTES]) {
    const raw = noise(length);
    const frame = frameOf(raw);
    assert.equal(frame.length, padme(12 + length));
    assert.deepEqual(openFrame(compression, frame), { kind: "whole", raw });
  }
});

test("SF3: nobody tries to compress what looks like noise, and everything else is tried", () => {
  let tries = 0;
  const counting = {
    ...compression,
    compress(bytes: Uint8Array) {
      tries++;
      return compression.compress(bytes);
    },
  };
  const triesOf = (raw: Uint8Array): number => {
    tries = 0;
    closeFrame(counting, raw);
    return tries;
  };
  for (const length of [4_096, 6_000, 16 * 1024, 100_001, MAX_RAW_BYTES]) {
    assert.equal(triesOf(noise(length)), 0, `${length}`);
    assert.equal(triesOf(new Uint8Array(length)), 1, `${length}`);
    // Two bits of each byte are always the same.
    assert.equal(triesOf(noise(length).map((byte) => byte & 0xfc)), 1, `${length}`);
    // A fifth is text.
    const mixed = noise(length);
    mixed.fill(0x61, Math.floor(length * 0.4), Math.floor(length * 0.6));
    assert.equal(triesOf(mixed), 1, `${length}`);
  }
  assert.equal(triesOf(noise(1_000)), 1);
});

test("SF3: bytes are compressed when that saves a twentieth, and left alone when it does not", () => {
  const incompressible = noise(10_000);
  assert.equal(frameOf(incompressible)[1], 0);
  const repetitive = new Uint8Array(10_000);
  const frame = frameOf(repetitive);
  assert.equal(frame[1], 1);
  assert.equal(frame.length, 256);
  assert.deepEqual(openFrame(compression, frame), { kind: "whole", raw: repetitive });
  // Four hundredths can be saved here.
  const hardly = concat([noise(9_600), new Uint8Array(400)]);
  assert.equal(frameOf(hardly)[1], 0);
});

/** A frame with some of its parts as they must not be. */
function forged(head: readonly number[], payload: Uint8Array, lengthBytes: number): Uint8Array {
  const frame = new Uint8Array(lengthBytes);
  frame.set(concat([Uint8Array.from(head), payload]));
  return frame;
}

test("SF4: a frame of another form than ours is refused", () => {
  const raw = noise(300);
  const head = [1, 0, 0, 0, 0, 0, 1, 44, 0, 0, 1, 44];
  const with1 = (at: number, byte: number): number[] => head.with(at, byte);
  assert.deepEqual(openFrame(compression, forged(head, raw, 320)), { kind: "whole", raw });
  const bad: Readonly<Record<string, Uint8Array>> = {
    "another edition": forged(with1(0, 2), raw, 320),
    "an unknown codec": forged(with1(1, 4), raw, 320),
    "a packed delta that is none": forged(with1(1, 3), raw, 320),
    "packed bytes that are none": forged(with1(1, 1), raw, 320),
    "a spare byte in use": forged(with1(3, 1), raw, 320),
    "another raw length": forged(with1(7, 45), raw, 320),
    "no raw length": forged([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], raw, 320),
    "a raw length beyond all chunks": forged(with1(4, 1), raw, 320),
    "a payload beyond the end": forged(with1(9, 1), raw, 320),
    "no padding": forged(head, raw, 312),
    "a pad that is too long": forged(head, raw, 336),
    "a pad that is not zero": concat([forged(head, raw, 319), Uint8Array.of(1)]),
    "a head alone": forged(head, raw.subarray(0, 0), 12),
    nothing: new Uint8Array(0),
  };
  for (const [what, frame] of Object.entries(bad)) {
    refuses(() => openFrame(compression, frame), "bad-chunk", what);
  }
});

test("SF18: a delta is packed like bytes, and comes back with the length that it makes", () => {
  for (const delta of [noise(5_000), new Uint8Array(5_000), Uint8Array.of(1)]) {
    const { head, payload, padding } = closeDelta(compression, delta, 70_000);
    const frame = concat([head, payload, padding]);
    assert.equal(frame.length, padme(12 + payload.length));
    const opened = openFrame(compression, frame);
    assert.deepEqual(opened, { kind: "delta", delta, lengthBytes: 70_000 });
  }
});

test("SF6: a frame that unpacks to more or less than it says is refused (T-SV-01)", () => {
  const packed = compression.compress(new Uint8Array(1_000_000));
  const claiming = (rawLength: number): Uint8Array => {
    const head = new DataView(new ArrayBuffer(12));
    head.setUint8(0, 1);
    head.setUint8(1, 1);
    head.setUint32(4, rawLength);
    head.setUint32(8, packed.length);
    return forged([...new Uint8Array(head.buffer)], packed, padme(12 + packed.length));
  };
  const opened = openFrame(compression, claiming(1_000_000));
  assert.equal(opened.kind === "whole" && opened.raw.length, 1_000_000);
  for (const length of [1, 999_999, 1_000_001, MAX_RAW_BYTES]) {
    refuses(() => openFrame(compression, claiming(length)), "bad-chunk", `${length}`);
  }
});

test("SF16: any bytes at all are a frame of ours or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      refuses(() => openFrame(compression, bytes), "bad-chunk");
    }),
  );
});
