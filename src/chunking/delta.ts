import { assert } from "#core/assert.ts";
import {
  BLOCK_BYTES,
  RollingSum,
  SIGNATURE_ENTRY_BYTES,
  STRONG_BYTES,
  type StrongHash,
} from "./signature.ts";

/**
 * A chunk as what it shares with others (its **bases**) and the bytes that none of them has:
 * `[literal bytes, count first][copied bytes, base, offset in it]…` in turns, beginning with
 * literals, until the chunk is whole. All numbers are LEB128.
 */

/** A chunk that a delta may copy from: its signature and its length. */
export type Signed = { readonly signature: Uint8Array; readonly lengthBytes: number };

export type Delta = {
  readonly bytes: Uint8Array;
  /** Which of the bases it copies from, in the order of its numbers for them. */
  readonly used: readonly number[];
};

/** Bases that are searched at once. */
export const MAX_INDEXED = 256;

/** Blocks of one rolling sum that are looked at: all of them only where somebody planned it. */
const MAX_CHAIN = 8;
/** Sums that met and blocks that did not, in one chunk, before the rest is taken literally. */
const MAX_MISSES = 4_096;

const NONE = -1;

/** Nearly all sums of strangers are told by one look into a table of a byte each. */
const FILTER_SIZE = 2 ** 20;

function filterPlace(sum: number): number {
  return (sum ^ (sum >>> 12)) & (FILTER_SIZE - 1);
}

/** The blocks of many bases, by their rolling sums. */
export class BaseIndex {
  readonly #bases: readonly Signed[];
  readonly #first = new Map<number, number>();
  readonly #filter = new Uint8Array(FILTER_SIZE);
  /** Of each block: its base, its number there, and the next one with the same sum. */
  readonly #base: Int32Array;
  readonly #block: Int32Array;
  readonly #next: Int32Array;

  constructor(bases: readonly Signed[]) {
    assert(bases.length <= MAX_INDEXED, `${bases.length} bases`);
    const total = bases.reduce((sum, base) => sum + blocksOf(base), 0);
    this.#bases = bases;
    this.#base = new Int32Array(total);
    this.#block = new Int32Array(total);
    this.#next = new Int32Array(total).fill(NONE);
    let at = 0;
    for (const [number, base] of bases.entries()) {
      const view = viewOf(base.signature);
      for (let block = 0; block < blocksOf(base); block++, at++) {
        this.#base[at] = number;
        this.#block[at] = block;
        // A shorter rest is met behind the block before it alone.
        if (lengthOf(base, block) < BLOCK_BYTES) continue;
        const sum = view.getUint32(block * SIGNATURE_ENTRY_BYTES);
        const first = this.#first.get(sum);
        if (first !== undefined && this.#chainLength(first) >= MAX_CHAIN) continue;
        this.#next[at] = first ?? NONE;
        this.#first.set(sum, at);
        this.#filter[filterPlace(sum)] = 1;
      }
    }
  }

  get bases(): readonly Signed[] {
    return this.#bases;
  }

  #chainLength(first: number): number {
    let length = 0;
    for (let at = first; at !== NONE; at = this.#next[at]!) length++;
    return length;
  }

  hasSum(sum: number): boolean {
    return this.#filter[filterPlace(sum)] === 1 && this.#first.has(sum);
  }

  /** A block with this sum and hash. */
  find(sum: number, hash: Uint8Array): { base: number; block: number } | null {
    for (let at = this.#first.get(sum) ?? NONE; at !== NONE; at = this.#next[at]!) {
      const base = this.#base[at]!;
      const block = this.#block[at]!;
      if (isBlock(this.#bases[base]!, block, hash)) return { base, block };
    }
    return null;
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function blocksOf({ signature }: Signed): number {
  return signature.length / SIGNATURE_ENTRY_BYTES;
}

function lengthOf({ lengthBytes }: Signed, block: number): number {
  return Math.min(BLOCK_BYTES, lengthBytes - block * BLOCK_BYTES);
}

function isBlock({ signature }: Signed, block: number, hash: Uint8Array): boolean {
  const from = block * SIGNATURE_ENTRY_BYTES + 4;
  for (let at = 0; at < STRONG_BYTES; at++) {
    if (signature[from + at] !== hash[at]) return false;
  }
  return true;
}

export type Copy = { readonly base: number; readonly offset: number; readonly length: number };

/** What stands in a chunk between two literals, and how many literals stand before it. */
export type Turn = { readonly literals: Uint8Array; readonly copy: Copy | null };

/** Finds what a chunk shares with the bases, greedily from its start. */
function* turnsOf(strong: StrongHash, index: BaseIndex, raw: Uint8Array): Generator<Turn> {
  const sum = new RollingSum();
  let misses = 0;
  let literalsFrom = 0;
  let at = 0;
  let isFresh = true;
  while (at + BLOCK_BYTES <= raw.length && misses < MAX_MISSES) {
    if (isFresh) sum.reset(raw, at, at + BLOCK_BYTES);
    isFresh = false;
    let copy: Copy | null = null;
    if (index.hasSum(sum.value)) {
      const found = index.find(sum.value, strong(raw.subarray(at, at + BLOCK_BYTES)));
      if (found === null) misses++;
      else copy = extend(strong, index.bases[found.base]!, found, raw, at);
    }
    if (copy !== null) {
      yield { literals: raw.subarray(literalsFrom, at), copy };
      at += copy.length;
      literalsFrom = at;
      isFresh = true;
    } else {
      if (at + BLOCK_BYTES < raw.length) sum.roll(raw[at]!, raw[at + BLOCK_BYTES]!);
      at++;
    }
  }
  yield { literals: raw.subarray(literalsFrom), copy: null };
}

/** The longest run of the base's blocks, beginning with the one found, that stands at `at`. */
function extend(
  strong: StrongHash,
  base: Signed,
  { base: number, block: first }: { readonly base: number; readonly block: number },
  raw: Uint8Array,
  at: number,
): Copy {
  let length = BLOCK_BYTES;
  for (let block = first + 1; block < blocksOf(base); block++) {
    const next = lengthOf(base, block);
    const from = at + length;
    if (from + next > raw.length) break;
    if (!isBlock(base, block, strong(raw.subarray(from, from + next)))) break;
    length += next;
  }
  return { base: number, offset: first * BLOCK_BYTES, length };
}

/** Bytes that grow. */
class Writer {
  #bytes = new Uint8Array(1024);
  #length = 0;

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  bytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  number(value: number): void {
    this.#room(5);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  end(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** The bases that turns copy from, those first from which most is copied. */
function usedBy(turns: readonly Turn[]): number[] {
  const shares = new Map<number, number>();
  for (const { copy } of turns) {
    if (copy !== null) shares.set(copy.base, (shares.get(copy.base) ?? 0) + copy.length);
  }
  return [...shares].toSorted(([, a], [, b]) => b - a).map(([base]) => base);
}

/** Turns as they are stored; the last of them is what stands behind the last copy. */
export function writeTurns(turns: readonly Turn[]): Delta {
  const used = usedBy(turns);
  const writer = new Writer();
  for (const { literals, copy } of turns) {
    if (copy === null && literals.length === 0) break;
    writer.number(literals.length);
    writer.bytes(literals);
    if (copy === null) break;
    writer.number(copy.length);
    writer.number(used.indexOf(copy.base));
    writer.number(copy.offset);
  }
  return { bytes: writer.end(), used };
}

/**
 * The delta of a chunk that shares a block with at least one base, else null. It copies from the at
 * most `most` bases that share most with it.
 */
export function encodeDelta(
  strong: StrongHash,
  index: BaseIndex,
  raw: Uint8Array,
  most: number,
): Delta | null {
  const turns = [...turnsOf(strong, index, raw)];
  const used = usedBy(turns);
  if (used.length === 0) return null;
  if (used.length <= most) return writeTurns(turns);
  const kept = used.slice(0, most);
  const few = new BaseIndex(kept.map((base) => index.bases[base]!));
  const delta = encodeDelta(strong, few, raw, most);
  return delta && { bytes: delta.bytes, used: delta.used.map((base) => kept[base]!) };
}

/**
 * The chunk of `lengthBytes` that a delta makes of its bases' bytes, or null when it makes none:
 * whoever wrote it may have written anything.
 */
export function applyDelta(
  bases: readonly Uint8Array[],
  delta: Uint8Array,
  lengthBytes: number,
): Uint8Array | null {
  const raw = new Uint8Array(lengthBytes);
  let at = 0;
  let filled = 0;
  const number = (): number => {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 28; factor *= 2 ** 7) {
      const byte = delta[at++];
      if (byte === undefined) return Number.NaN;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  const take = (from: Uint8Array, offset: number, length: number): boolean => {
    const fits = offset + length <= from.length && filled + length <= lengthBytes;
    if (!fits) return false;
    raw.set(from.subarray(offset, offset + length), filled);
    filled += length;
    return true;
  };
  for (;;) {
    const literals = number();
    if (!take(delta, at, literals)) return null;
    at += literals;
    if (filled === lengthBytes) break;
    const copied = number();
    const base = bases[number()];
    const offset = number();
    if (copied === 0 || base === undefined || !take(base, offset, copied)) return null;
    if (filled === lengthBytes) break;
  }
  return at === delta.length ? raw : null;
}
