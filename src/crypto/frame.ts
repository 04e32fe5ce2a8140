import { assert } from "#core/assert.ts";
import { FieldReader, u32 } from "./fields.ts";
import { isZero, padme } from "./padding.ts";
import type { Compression } from "./primitives.ts";

/**
 * A chunk's plaintext: `[edition 1][codec 1][zero 2][raw length 4][payload length 4][payload]` and
 * zeros to a length of Padmé's.
 */
const EDITION = 1;
const FRAME_HEAD_BYTES = 12;
const RAW = 0;
const ZSTD = 1;

/** The most raw bytes that one chunk may hold: what the cutter makes at most. */
export const MAX_RAW_BYTES = 4 * 1024 * 1024;

/** Compressing has to save this much, or a reader would pay for nothing. */
const MOST_OF_RAW = 0.95;

/** What pads are cut from, never written to: Padmé's steps are this long at MAX_RAW_BYTES. */
const ZEROS = new Uint8Array(2 ** 17);

/** A frame's parts, in this order; `payload` is `raw` itself when it was not compressed. */
export type Frame = {
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
  readonly padding: Uint8Array;
};

/** The frame of `raw`, 1 to MAX_RAW_BYTES, without copying it. */
export function closeFrame(compression: Compression, raw: Uint8Array): Frame {
  assert(raw.length > 0 && raw.length <= MAX_RAW_BYTES, `a chunk of ${raw.length} bytes`);
  const packed = compression.compress(raw);
  const codec = packed.length <= raw.length * MOST_OF_RAW ? ZSTD : RAW;
  const payload = codec === ZSTD ? packed : raw;
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  head[0] = EDITION;
  head[1] = codec;
  head.set(u32(raw.length), 4);
  head.set(u32(payload.length), 8);
  const length = FRAME_HEAD_BYTES + payload.length;
  const padBytes = padme(length) - length;
  assert(padBytes <= ZEROS.length, `a pad of ${padBytes} bytes`);
  return { head, payload, padding: ZEROS.subarray(0, padBytes) };
}

/** The raw bytes of a whole frame. Throws WorldError `bad-chunk` on what `closeFrame` makes not. */
export function openFrame(compression: Compression, frame: Uint8Array): Uint8Array {
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
  if (codec === RAW) {
    if (payloadLength !== rawLength) throw fields.bad("its lengths contradict each other");
    return payload;
  }
  if (codec !== ZSTD) throw fields.bad(`its codec ${codec} is unknown`);
  const raw = compression.decompress(payload, rawLength);
  if (raw === null) throw fields.bad("it does not unpack to its length");
  return raw;
}
