import { assert } from "#core/assert.ts";
import { fromHex, toHex } from "#core/bytes.ts";
import type { ChunkId } from "#core/ids.ts";
import { BaseIndex, encodeDelta, MAX_INDEXED } from "#chunking/delta.ts";
import { signChunk, type StrongHash } from "#chunking/signature.ts";
import {
  allBases,
  depthOf,
  framePrivate,
  MAX_BASES,
  MAX_BASES_IN_ALL,
  MAX_DEPTH,
  sealAlone,
  storedBytes,
  type DeltaTo,
  type SealedChunk,
  type SealedEntry,
} from "#crypto/chunk.ts";
import { ENTRY_BYTES } from "#crypto/manifest.ts";
import type { Primitives } from "#crypto/primitives.ts";
import { readLocalChunk, type LocalChunksWorld } from "./local-chunks.ts";
import type { DeviceRecords, OutgoingChunk, SealedRecords, TreeStore } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";

export type DeltasWorld = LocalChunksWorld & {
  readonly primitives: Primitives;
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly sealedRecords: SealedRecords;
  readonly keys: () => SealedKeys;
};

/** The setting with the key of this device's signatures. */
const KEY_SETTING = "signature key";
const KEY_BYTES = 16;

/** Bytes that are signed in one turn at rest: some milliseconds. */
const TURN_BYTES = 2 * 1024 * 1024;
const TURN_CHUNKS = 64;

/** Bases that can be searched at once, and how they are sealed. */
type Searchable = { readonly index: BaseIndex; readonly entries: readonly SealedEntry[] };

/**
 * Seals an edited chunk as what is new in it (SPEC SL16). What the old ones hold is known by their
 * signatures, which are made at rest: when a file has changed, its old bytes are gone.
 */
export class Deltas {
  readonly #world: DeltasWorld;
  readonly #searchable = new WeakMap<readonly ChunkId[], Searchable>();
  #strong: StrongHash | null = null;

  constructor(world: DeltasWorld) {
    this.#world = world;
  }

  /**
   * The chunk as a delta to some of those that it may be like, when that is worth it; else null.
   * What was a delta before and is sent again is none: the server may have lost its bases.
   */
  seal({ id, bytes, alike = [] }: OutgoingChunk): SealedChunk | null {
    const { primitives, sealedRecords, keys } = this.#world;
    if (alike.length === 0 || sealedRecords.sealed(id)?.bases !== undefined) return null;
    const to = this.#deltaTo(bytes, this.#search(alike));
    if (to === null) return null;
    const { current } = keys();
    const sealing = { key: current.content, epoch: current.epoch };
    const framed = framePrivate(primitives, sealing, bytes, to);
    const bases = to.bases.reduce((sum, base) => sum + 1 + allBases(base).length, 0);
    const whole = storedBytes(framePrivate(primitives, sealing, bytes));
    if (storedBytes(framed) + bases * ENTRY_BYTES >= whole) return null;
    return sealAlone(primitives, sealing, framed);
  }

  /** The signature by which parts of these bytes are found again on this device alone. */
  sign(raw: Uint8Array): Uint8Array {
    return signChunk(this.#hash(), raw);
  }

  /** Signs a few chunks that lie on this disk; false when none is left. */
  async rest(signal: AbortSignal): Promise<boolean> {
    const { trees, sealedRecords } = this.#world;
    const due = sealedRecords.unsigned(TURN_CHUNKS);
    const signed = new Map<ChunkId, Uint8Array | null>();
    let bytes = 0;
    for (const raw of due) {
      if (signal.aborted || bytes >= TURN_BYTES) break;
      const found = await readLocalChunk(this.#world, raw);
      signed.set(raw, found && this.sign(found));
      bytes += found?.length ?? 0;
    }
    trees.transaction(() => {
      for (const [raw, signature] of signed) sealedRecords.putSignature(raw, signature);
    });
    return due.length > 0;
  }

  #search(alike: readonly ChunkId[]): Searchable {
    const known = this.#searchable.get(alike);
    if (known !== undefined) return known;
    const { sealedRecords } = this.#world;
    const entries: SealedEntry[] = [];
    const bases: { signature: Uint8Array; lengthBytes: number }[] = [];
    const seen = new Set<ChunkId>();
    const add = (entry: SealedEntry): void => {
      if (seen.has(entry.raw) || entries.length === MAX_INDEXED) return;
      seen.add(entry.raw);
      const signature = sealedRecords.signature(entry.raw);
      const isEnd = depthOf(entry) >= MAX_DEPTH || allBases(entry).length >= MAX_BASES_IN_ALL;
      // What it was made of is just as like, but others may not have it any more.
      if (isEnd) entry.bases?.forEach(add);
      else if (signature !== undefined) {
        entries.push(entry);
        bases.push({ signature, lengthBytes: entry.lengthBytes });
      }
    };
    for (const raw of alike) {
      const entry = sealedRecords.sealed(raw);
      if (entry !== undefined) add(entry);
    }
    const searchable = { index: new BaseIndex(bases), entries };
    this.#searchable.set(alike, searchable);
    return searchable;
  }

  #deltaTo(raw: Uint8Array, { index, entries }: Searchable): DeltaTo | null {
    if (entries.length === 0) return null;
    for (let most = MAX_BASES; most > 0; most--) {
      const delta = encodeDelta(this.#hash(), index, raw, most);
      if (delta === null) return null;
      const bases = delta.used.map((at) => {
        const entry = entries[at];
        assert(entry !== undefined, "an entry for each base");
        return entry;
      });
      const all = bases.reduce((sum, base) => sum + 1 + allBases(base).length, 0);
      if (all <= MAX_BASES_IN_ALL) return { delta: delta.bytes, bases };
    }
    return null;
  }

  /** SHA-256 behind a key that never leaves this device: nobody else can make blocks collide. */
  #hash(): StrongHash {
    if (this.#strong !== null) return this.#strong;
    const { primitives, records, trees } = this.#world;
    let text = records.setting(KEY_SETTING);
    if (text === undefined) {
      text = toHex(primitives.chance.bytes(KEY_BYTES));
      const fresh = text;
      trees.transaction(() => records.setSetting(KEY_SETTING, fresh));
    }
    const key = fromHex(text);
    let keyed = new Uint8Array(0);
    this.#strong = (block) => {
      // One array for all blocks of a length: there are a million of them in a GiB.
      if (keyed.length !== key.length + block.length) {
        keyed = new Uint8Array(key.length + block.length);
        keyed.set(key);
      }
      keyed.set(block, key.length);
      return primitives.hashes.sha256([keyed]);
    };
    return this.#strong;
  }
}
