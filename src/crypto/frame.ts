import { assert } from "#core/assert.ts";
import { concat } from "#core/bytes.ts";
import { FieldReader, u32 } from "./fields.ts";
import { isZero, padme } from "./padding.ts";
import type { Compression } from "./primitives.ts";

/**
 * A chunk's plaintext: `[edition 1][codec 1][zero 2][raw length 4][payload length 4][payload]` and
 * zeros to a length of Padmé's. The payload is the raw bytes or a delta that makes them of other
 * chunks' (`chunking/delta.ts`), either as it is or packed; of a packed delta `[length 4]` comes
 * first.
 */
const EDITION = 1;
const FRAME_HEAD_BYTES = 12;
const RAW = 0;
const ZSTD = 1;
const DELTA = 2;
const ZSTD_DELTA = 3;

/** The most raw bytes that one chunk may hold: what the cutter makes at most. */
export const MAX_RAW_BYTES = 4 * 1024 * 1024;

/** One that is longer than its chunk is not worth its bases. */
const MAX_DELTA_BYTES = MAX_RAW_BYTES;

/** Compressing has to save this much, or a reader would pay for nothing. */
const MOST_OF_RAW = 0.95;

/** Pieces of a chunk that tell whether it is worth packing; what is shorter is packed anyway. */
const SAMPLES = 16;
const SAMPLE_BYTES = 256;
const MIN_SAMPLED_BYTES = SAMPLES * SAMPLE_BYTES;
/** Counts of 256 equally likely bytes have squares that add up to 69,616, give or take 361. */
const MOST_SQUARES = 69_616 + 6 * 361;

/** What pads are cut from, never written to: Padmé's steps are this long at MAX_RAW_BYTES. */
const ZEROS = new Uint8Array(2 ** 17);

/** A frame's parts, in this order; `payload` is `raw` itself when it was not compressed. */
export type Frame = {
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
  readonly padding: Uint8Array;
};

/** What a frame says: the raw bytes, or how to make them of other chunks'. */
export type Framed =
  | { readonly kind: "whole"; readonly raw: Uint8Array }
  | { readonly kind: "delta"; readonly delta: Uint8Array; readonly lengthBytes: number };

/** The frame of `raw`, 1 to MAX_RAW_BYTES, without copying it. */
export function closeFrame(compression: Compression, raw: Uint8Array): Frame {
  if (looksRandom(raw)) return frameOf(RAW, raw.length, raw);
  const packed = compression.compress(raw);
  return packed.length <= raw.length * MOST_OF_RAW
    ? frameOf(ZSTD, raw.length, packed)
    : frameOf(RAW, raw.length, raw);
}

/**
 * Whether bytes are as likely as others in a sample of `raw`, as in what is packed or sealed
 * already: to find that out by packing it takes thirty times as long.
 */
function looksRandom(raw: Uint8Array): boolean {
  if (raw.length < MIN_SAMPLED_BYTES) return false;
  const counts = new Uint16Array(256);
  const step = Math.floor((raw.length - SAMPLE_BYTES) / (SAMPLES - 1));
  for (let sample = 0; sample < SAMPLES; sample++) {
    const from = sample * step;
    for (let at = from; at < from + SAMPLE_BYTES; at++) counts[raw[at]!]!++;
  }
  let squares = 0;
  for (const count of counts) squares += count * count;
  return squares < MOST_SQUARES;
}

/** The frame of a delta that makes 1 to MAX_RAW_BYTES of others. */
export function closeDelta(
  compression: Compression,
  delta: Uint8Array,
  lengthBytes: number,
): Frame {
  assert(delta.length <= MAX_DELTA_BYTES, `a delta of ${delta.length} bytes`);
  const packed = concat([u32(delta.length), compression.compress(delta)]);
  return packed.length <= delta.length * MOST_OF_RAW
    ? frameOf(ZSTD_DELTA, lengthBytes, packed)
    : frameOf(DELTA, lengthBytes, delta);
}

/** What a frame takes once it is padded. */
export function frameBytes({ head, payload, padding }: Frame): number {
  return head.length + payload.length + padding.length;
}

function frameOf(codec: number, lengthBytes: number, payload: Uint8Array): Frame {
  assert(lengthBytes > 0 && lengthBytes <= MAX_RAW_BYTES, `a chunk of ${lengthBytes} bytes`);
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  head[0] = EDITION;
  head[1] = codec;
  head.set(u32(lengthBytes), 4);
  head.set(u32(payload.length), 8);
  const length = FRAME_HEAD_BYTES + payload.length;
  const padBytes = padme(length) - length;
  assert(padBytes <= ZEROS.length, `a pad of ${padBytes} bytes`);
  return { head, payload, padding: ZEROS.subarray(0, padBytes) };
}

/** What a whole frame says. Throws WorldError `bad-chunk` on what is never made here. */
export function openFrame(compression: Compression, frame: Uint8Array): Framed {
  const fields = new FieldReader(frame, "bad-chunk", "A chunk");
  fields.expect(Uint8Array.of(EDITION), "edition");
  const codec = fields.u8();
  fields.zeros(2);
  const rawLength = fields.u32();
  const payloadLength = fields.u32();
  if (rawLength === 0 || rawLength > MAX_RAW_BYTES) throw fields.bad("a length is impossible");
  if (payloadLength > fields.left) throw fields.bad("its payload is cut off");
  if (padme(FRAME_HEAD_BYTES + payloadLength) !== frame.length) {
    throw fields.bad("it is padded to another length than its payload's");
  }
  const payload = fields.bytes(payloadLength);
  if (!isZero(fields.bytes(fields.left))) throw fields.bad("its padding is not zero");
  const unpack = (packed: Uint8Array, lengthBytes: number): Uint8Array => {
    const unpacked = compression.decompress(packed, lengthBytes);
    if (unpacked === null) throw fields.bad("it does not unpack to its length");
    return unpacked;
  };
  switch (codec) {
    case RAW:
      if (payloadLength !== rawLength) throw fields.bad("its lengths contradict each other");
      return { kind: "whole", raw: payload };
    case ZSTD:
      return { kind: "whole", raw: unpack(payload, rawLength) };
    case DELTA:
      return { kind: "delta", delta: payload, lengthBytes: rawLength };
    case ZSTD_DELTA: {
      const packed = new FieldReader(payload, "bad-chunk", "A chunk");
      const lengthBytes = packed.u32();
      if (lengthBytes > MAX_DELTA_BYTES) throw fields.bad("a length is impossible");
      const delta = unpack(packed.bytes(packed.left), lengthBytes);
      return { kind: "delta", delta, lengthBytes: rawLength };
    }
    default:
      throw fields.bad(`its codec ${codec} is unknown`);
  }
}
