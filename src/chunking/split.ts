import { assert } from "#core/assert.ts";
import { nextCut } from "./cut.ts";
import type { CutKey, CutSizes } from "./cut.ts";

/** Where a chunk lies in its file. */
export type ChunkRange = { readonly offsetBytes: number; readonly lengthBytes: number };

/**
 * The lengths of the chunks at the start of bytes[start, end) that no later byte can change: all of
 * them when `isLast`, else those cut with `maxBytes` in view. What is left over is shorter than
 * `maxBytes` and comes again before the next bytes.
 */
export function readyCuts(
  bytes: Uint8Array,
  start: number,
  end: number,
  isLast: boolean,
  sizes: CutSizes,
  key: CutKey,
): number[] {
  const lengths: number[] = [];
  for (let at = start; at < end;) {
    if (!isLast && end - at < sizes.maxBytes) break;
    const length = nextCut(bytes, at, end, sizes, key);
    lengths.push(length);
    at += length;
  }
  return lengths;
}

/** The chunks' lengths of a whole file that is in memory; an empty one has none. */
export function splitAll(bytes: Uint8Array, sizes: CutSizes, key: CutKey): number[] {
  return readyCuts(bytes, 0, bytes.length, true, sizes, key);
}

/**
 * Cuts a file that comes in pieces, of whatever sizes. Holds less than two `maxBytes` at a time.
 */
export class Splitter {
  readonly #sizes: CutSizes;
  readonly #key: CutKey;
  readonly #held: Uint8Array;
  #heldBytes = 0;
  #cutBytes = 0;
  #ended = false;

  constructor(sizes: CutSizes, key: CutKey) {
    this.#sizes = sizes;
    this.#key = key;
    this.#held = new Uint8Array(2 * sizes.maxBytes);
  }

  /** The file's next bytes; returns the chunks that are now certain. Keeps no view of `piece`. */
  push(piece: Uint8Array): ChunkRange[] {
    assert(!this.#ended, "a piece after the end of a file");
    const ranges: ChunkRange[] = [];
    for (let taken = 0; taken < piece.length;) {
      const room = Math.min(this.#held.length - this.#heldBytes, piece.length - taken);
      this.#held.set(piece.subarray(taken, taken + room), this.#heldBytes);
      this.#heldBytes += room;
      taken += room;
      this.#take(ranges, false);
    }
    return ranges;
  }

  /** The chunks that only the file's end makes certain. */
  finish(): ChunkRange[] {
    const ranges: ChunkRange[] = [];
    this.#take(ranges, true);
    this.#ended = true;
    return ranges;
  }

  #take(ranges: ChunkRange[], isLast: boolean): void {
    let at = 0;
    const cuts = readyCuts(this.#held, 0, this.#heldBytes, isLast, this.#sizes, this.#key);
    for (const lengthBytes of cuts) {
      ranges.push({ offsetBytes: this.#cutBytes, lengthBytes });
      this.#cutBytes += lengthBytes;
      at += lengthBytes;
    }
    this.#held.copyWithin(0, at, this.#heldBytes);
    this.#heldBytes -= at;
  }
}
