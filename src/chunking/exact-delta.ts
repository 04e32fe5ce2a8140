import { writeTurns, type Copy, type Delta, type Turn } from "./delta.ts";

/**
 * Deltas where the bases' bytes are at hand: what is shared is found to the byte. Every STEP_BYTES
 * of the bases a seed is indexed by its hash; one that stands in the chunk is made longer at both
 * ends (as in Hunt, Vo and Tichy, "Delta algorithms", 1998). So nothing shared of SEED_BYTES +
 * STEP_BYTES is missed but in bytes that repeat themselves more than MAX_CHAIN times.
 */
const SEED_BYTES = 16;
const STEP_BYTES = 4;

/** Places of one seed that are compared: the longest run of these is copied. */
const MAX_CHAIN = 16;

/** A run that is as long is not compared with others. */
const LONG_ENOUGH_BYTES = 4_096;

/** Where so few bytes are new, none of them is searched for. */
const FEW_BYTES = 128;

const MAX_TABLE_BITS = 20;
const NONE = -1;

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The seeds of some bytes, by their hashes. */
class SeedIndex {
  readonly #bytes: Uint8Array;
  readonly #shift: number;
  readonly #first: Int32Array;
  /** Of each seed: the one before it with the same hash. */
  readonly #next: Int32Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const seeds = Math.max(0, Math.floor((bytes.length - SEED_BYTES) / STEP_BYTES) + 1);
    const bits = Math.min(MAX_TABLE_BITS, 32 - Math.clz32(seeds | 0xff));
    this.#shift = 32 - bits;
    this.#first = new Int32Array(2 ** bits).fill(NONE);
    this.#next = new Int32Array(seeds);
    for (let seed = seeds - 1; seed >= 0; seed--) {
      const place = this.#placeOf(bytes, seed * STEP_BYTES);
      this.#next[seed] = this.#first[place]!;
      this.#first[place] = seed;
    }
  }

  /** Fibonacci hashing of the four words of a seed. */
  #placeOf(bytes: Uint8Array, at: number): number {
    let hash = Math.imul(wordAt(bytes, at), 0x9e3779b1);
    hash = Math.imul(hash ^ wordAt(bytes, at + 4), 0x85ebca77);
    hash = Math.imul((hash ^ (hash >>> 15)) + wordAt(bytes, at + 8), 0xc2b2ae3d);
    hash = Math.imul((hash ^ (hash >>> 13)) + wordAt(bytes, at + 12), 0x27d4eb2f);
    return hash >>> this.#shift;
  }

  /**
   * The longest run of these bytes that holds the seed at `at` of `raw`, and no literal before
   * `from`; null when it is nowhere.
   */
  longest(raw: Uint8Array, at: number, from: number): { start: number; copy: Run } | null {
    const bytes = this.#bytes;
    let best: { start: number; copy: Run } | null = null;
    let seed = this.#first[this.#placeOf(raw, at)]!;
    for (let tried = 0; seed !== NONE && tried < MAX_CHAIN; tried++, seed = this.#next[seed]!) {
      let offset = seed * STEP_BYTES;
      let end = offset;
      let to = at;
      while (to < raw.length && end < bytes.length && raw[to] === bytes[end]) {
        to++;
        end++;
      }
      if (to - at < SEED_BYTES) continue;
      let start = at;
      while (start > from && offset > 0 && raw[start - 1] === bytes[offset - 1]) {
        start--;
        offset--;
      }
      const length = to - start;
      if (best === null || length > best.copy.length) best = { start, copy: { offset, length } };
      if (length >= LONG_ENOUGH_BYTES) break;
    }
    return best;
  }
}

type Run = { readonly offset: number; readonly length: number };

/** Where each base begins in all of them together. */
function startsOf(bases: readonly Uint8Array[]): number[] {
  let at = 0;
  return bases.map(({ length }) => (at += length) - length);
}

/** A run of all bases together, as copies from each that it touches. */
function* copiesOf(
  bases: readonly Uint8Array[],
  starts: readonly number[],
  { offset, length }: Run,
): Generator<Copy> {
  const end = offset + length;
  for (const [base, { length: lengthBytes }] of bases.entries()) {
    const start = starts[base]!;
    const from = Math.max(offset, start);
    const to = Math.min(end, start + lengthBytes);
    if (from < to) yield { base, offset: from - start, length: to - from };
  }
}

const NOTHING = new Uint8Array(0);

/** How many bytes both begin with. */
function sharedStart(left: Uint8Array, right: Uint8Array): number {
  const most = Math.min(left.length, right.length);
  let at = 0;
  while (at < most && left[at] === right[at]) at++;
  return at;
}

/** How many bytes both end with, `most` at most. */
function sharedEnd(left: Uint8Array, right: Uint8Array, most: number): number {
  let count = 0;
  while (count < most && left[left.length - 1 - count] === right[right.length - 1 - count]) count++;
  return count;
}

/** What `raw` holds of the bases between `start` and `end`, and the literals around it. */
function* turnsBetween(
  bases: readonly Uint8Array[],
  raw: Uint8Array,
  start: number,
  end: number,
): Generator<Turn> {
  let from = start;
  if (end - start >= FEW_BYTES) {
    const starts = startsOf(bases);
    const all = new Uint8Array(bases.reduce((sum, { length }) => sum + length, 0));
    for (const [base, bytes] of bases.entries()) all.set(bytes, starts[base]);
    const index = new SeedIndex(all);
    const part = raw.subarray(0, end);
    for (let at = start; at + SEED_BYTES <= end;) {
      const found = index.longest(part, at, from);
      if (found === null) {
        at++;
        continue;
      }
      let literals = raw.subarray(from, found.start);
      for (const copy of copiesOf(bases, starts, found.copy)) {
        yield { literals, copy };
        literals = NOTHING;
      }
      at = found.start + found.copy.length;
      from = at;
    }
  }
  yield { literals: raw.subarray(from, end), copy: null };
}

/**
 * The delta of `raw` to the bytes of these bases, of which the first is the one that is most like
 * it; null when they share nothing.
 */
export function encodeExactly(bases: readonly Uint8Array[], raw: Uint8Array): Delta | null {
  const [first] = bases;
  if (first === undefined) return null;
  // Most edits are in one place: then nothing has to be indexed.
  const start = atLeastASeed(sharedStart(first, raw));
  const most = Math.min(first.length, raw.length) - start;
  const ending = atLeastASeed(sharedEnd(first, raw, most));
  const end = raw.length - ending;
  const turns = [...turnsBetween(bases, raw, start, end)];
  if (start > 0) {
    turns.unshift({ literals: NOTHING, copy: { base: 0, offset: 0, length: start } });
  }
  if (ending > 0) {
    const literals = turns.pop()?.literals ?? NOTHING;
    const copy = { base: 0, offset: first.length - ending, length: ending };
    turns.push({ literals, copy }, { literals: NOTHING, copy: null });
  }
  return turns.some(({ copy }) => copy !== null) ? writeTurns(turns) : null;
}

function atLeastASeed(lengthBytes: number): number {
  return lengthBytes < SEED_BYTES ? 0 : lengthBytes;
}
