import { assert } from "#core/assert.ts";

/**
 * What a device keeps of a chunk to find its parts again in other bytes: for each block of
 * BLOCK_BYTES from its start, and for the shorter rest, `[rolling sum 4][strong hash 12]`. The
 * rolling sum is rsync's (Tridgell and Mackerras, "The rsync algorithm", 1996): it can be moved on
 * by a byte. The strong hash has to be keyed with what nobody else knows: blocks that collide would
 * make a delta that nobody can apply.
 */
export const BLOCK_BYTES = 1024;
export const STRONG_BYTES = 12;
export const SIGNATURE_ENTRY_BYTES = 4 + STRONG_BYTES;

/** A keyed hash of a block; its first 12 bytes are used. Two alike: one in 2^96. */
export type StrongHash = (block: Uint8Array) => Uint8Array;

/** The rolling sum of a window, moved on byte by byte. */
export class RollingSum {
  #low = 0;
  #high = 0;
  #length = 0;

  /** Sums up the window anew. */
  reset(bytes: Uint8Array, from: number, to: number): void {
    let low = 0;
    let high = 0;
    for (let at = from; at < to; at++) {
      low += bytes[at]!;
      high += low;
    }
    this.#low = low & 0xffff;
    this.#high = high & 0xffff;
    this.#length = to - from;
  }

  /** The first byte of the window leaves it, and one joins its end. */
  roll(leaving: number, joining: number): void {
    this.#low = (this.#low - leaving + joining) & 0xffff;
    this.#high = (this.#high - this.#length * leaving + this.#low) & 0xffff;
  }

  /** 32 bits. */
  get value(): number {
    return ((this.#high << 16) | this.#low) >>> 0;
  }
}

/** 16 bytes a KiB that was begun. */
export function signChunk(strong: StrongHash, raw: Uint8Array): Uint8Array {
  const blocks = Math.ceil(raw.length / BLOCK_BYTES);
  const signature = new Uint8Array(blocks * SIGNATURE_ENTRY_BYTES);
  const view = new DataView(signature.buffer);
  const sum = new RollingSum();
  for (let block = 0; block < blocks; block++) {
    const from = block * BLOCK_BYTES;
    const to = Math.min(from + BLOCK_BYTES, raw.length);
    sum.reset(raw, from, to);
    view.setUint32(block * SIGNATURE_ENTRY_BYTES, sum.value);
    const hash = strong(raw.subarray(from, to)).subarray(0, STRONG_BYTES);
    assert(hash.length === STRONG_BYTES, "a strong hash of 12 bytes");
    signature.set(hash, block * SIGNATURE_ENTRY_BYTES + 4);
  }
  return signature;
}
