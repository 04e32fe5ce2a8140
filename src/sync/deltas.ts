import { assert } from "#core/assert.ts";
import { fromHex, toHex } from "#core/bytes.ts";
import type { ChunkId } from "#core/ids.ts";
import { BaseIndex, encodeDelta, MAX_INDEXED } from "#chunking/delta.ts";
import { encodeExactly } from "#chunking/exact-delta.ts";
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
import type { ChunkFrame } from "#protocol/frames.ts";
import { readLocalChunk, type LocalChunksWorld } from "./local-chunks.ts";
import type { DeviceRecords, KeptBytes, OutgoingChunk, SealedRecords, TreeStore } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";

export type DeltasWorld = LocalChunksWorld & {
  readonly primitives: Primitives;
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly sealedRecords: SealedRecords;
  readonly kept: KeptBytes;
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

/** It ends a chain of deltas: what it was made of is just as like, and can be a base. */
export function isEnd(entry: SealedEntry): boolean {
  return depthOf(entry) >= MAX_DEPTH || allBases(entry).length >= MAX_BASES_IN_ALL;
}

/** What these bases are listed as, with all of theirs. */
export function countAll(bases: readonly SealedEntry[]): number {
  return bases.reduce((sum, base) => sum + 1 + allBases(base).length, 0);
}

/**
 * Seals an edited chunk as what is new in it (SPEC SL16). When a file has changed, its old bytes
 * are gone from it: what of them was kept tells to the byte what is new. Of the others a signature
 * tells it to the block; both are made at rest.
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
  async seal(chunk: OutgoingChunk): Promise<SealedChunk | null> {
    const { primitives, sealedRecords, keys } = this.#world;
    const { id, bytes, alike = [] } = chunk;
    if (alike.length === 0 || sealedRecords.sealed(id)?.bases !== undefined) return null;
    const bySignature = this.#deltaTo(bytes, this.#search(alike));
    const to = await this.#exactly(chunk, bySignature);
    if (to === null) return null;
    const { current } = keys();
    const sealing = { key: current.content, epoch: current.epoch };
    const framed = framePrivate(primitives, sealing, bytes, to);
    const whole = storedBytes(framePrivate(primitives, sealing, bytes));
    if (storedBytes(framed) + countAll(to.bases) * ENTRY_BYTES >= whole) return null;
    return sealAlone(primitives, sealing, framed);
  }

  /** The delta to the byte, where the old bytes are at hand and it is shorter. */
  async #exactly(
    { bytes, nearest }: OutgoingChunk,
    bySignature: DeltaTo | null,
  ): Promise<DeltaTo | null> {
    const bases: SealedEntry[] = [];
    const present: Uint8Array[] = [];
    for (const base of bySignature?.bases ?? this.#standingFor(nearest)) {
      const old = await this.#atHand(base.raw);
      if (old === null) continue;
      bases.push(base);
      present.push(old);
    }
    const delta = present.length === 0 ? null : encodeExactly(present, bytes);
    if (delta === null) return bySignature;
    if (bySignature !== null && bySignature.delta.length <= delta.bytes.length) return bySignature;
    return { delta: delta.bytes, bases: delta.used.map((at) => entryAt(bases, at)) };
  }

  /** What can be a base in the place of a chunk: itself, or what it was made of. */
  #standingFor(raw: ChunkId | undefined): readonly SealedEntry[] {
    const entry = raw === undefined ? undefined : this.#world.sealedRecords.sealed(raw);
    if (entry === undefined) return [];
    const bases = isEnd(entry) ? (entry.bases ?? []) : [entry];
    return countAll(bases) <= MAX_BASES_IN_ALL ? bases : bases.slice(0, 1);
  }

  /** A chunk's bytes, kept or elsewhere on this disk; null when they are gone. */
  async #atHand(raw: ChunkId): Promise<Uint8Array | null> {
    const { kept, digest } = this.#world;
    const bytes = kept.get(raw);
    if (bytes !== null && toHex(digest.sha256(bytes)) === raw) return bytes;
    return readLocalChunk(this.#world, raw);
  }

  /** Signs what was edited just now and keeps its bytes: it is likely to be edited again. */
  remember(chunk: OutgoingChunk): Uint8Array {
    this.#world.kept.put([chunk], "edited");
    return this.sign(chunk.bytes);
  }

  /** The signature by which parts of these bytes are found again on this device alone. */
  sign(raw: Uint8Array): Uint8Array {
    return signChunk(this.#hash(), raw);
  }

  /** Signs a few chunks that lie on this disk; false when none is left. */
  async rest(signal: AbortSignal): Promise<boolean> {
    const { trees, sealedRecords, kept } = this.#world;
    const due = sealedRecords.unsigned(TURN_CHUNKS);
    const signed = new Map<ChunkId, Uint8Array | null>();
    const found = { edited: [] as ChunkFrame[], "at rest": [] as ChunkFrame[] };
    let lengthBytes = 0;
    for (const id of due) {
      if (signal.aborted || lengthBytes >= TURN_BYTES) break;
      const bytes = await readLocalChunk(this.#world, id);
      signed.set(id, bytes && this.sign(bytes));
      if (bytes !== null) found[this.#heatOf(id)].push({ id, bytes });
      lengthBytes += bytes?.length ?? 0;
    }
    for (const heat of ["edited", "at rest"] as const) kept.put(found[heat], heat);
    // What a power cut takes of these is made again at the next rest.
    trees.lazily(() => {
      for (const [raw, signature] of signed) sealedRecords.putSignature(raw, signature);
    });
    return due.length > 0;
  }

  /** What another device edited came as a delta. */
  #heatOf(raw: ChunkId): "edited" | "at rest" {
    return this.#world.sealedRecords.sealed(raw)?.bases === undefined ? "at rest" : "edited";
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
      // Others may not have any more what it was made of.
      if (isEnd(entry)) entry.bases?.forEach(add);
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
      const bases = delta.used.map((at) => entryAt(entries, at));
      if (countAll(bases) <= MAX_BASES_IN_ALL) return { delta: delta.bytes, bases };
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

function entryAt(entries: readonly SealedEntry[], at: number): SealedEntry {
  const entry = entries[at];
  assert(entry !== undefined, "an entry for each base");
  return entry;
}
