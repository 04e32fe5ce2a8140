import { encodeExactly } from "#chunking/exact-delta.ts";
import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { chunkId, type ChunkId } from "#core/ids.ts";
import type { FileContent, Manifest } from "#core/node.ts";
import type { Digest } from "#core/world.ts";
import {
  allBases,
  framePrivate,
  MAX_BASES_IN_ALL,
  openChunk,
  sealAlone,
  storedBytes,
  type SealedChunk,
  type SealedEntry,
} from "#crypto/chunk.ts";
import * as manifests from "#crypto/manifest.ts";
import type { Primitives } from "#crypto/primitives.ts";
import { Bases } from "./bases.ts";
import { countAll, isEnd } from "./deltas.ts";
import type { DeviceRecords, KeptBytes, Remote, SealedRecords, TreeStore } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";
import { unasked } from "./fetch-ahead.ts";
import type { SealedRemote } from "./sealed-remote.ts";

export type PiecesWorld = {
  readonly primitives: Primitives;
  readonly digest: Digest;
  readonly keys: () => SealedKeys;
  readonly trees: Pick<TreeStore, "transaction" | "lazily">;
  readonly records: DeviceRecords;
  readonly sealedRecords: SealedRecords;
  readonly kept: KeptBytes;
  /** The server, which knows stored chunks only. */
  readonly remote: Remote;
  readonly sealed: Pick<SealedRemote, "putSealed">;
};

/** A piece of a list, and what stands in it. */
type Piece = {
  readonly entry: SealedEntry;
  readonly bytes: Uint8Array;
  readonly entries: readonly SealedEntry[];
};

type Based = Pick<Piece, "entry" | "bytes">;

/** Pieces by their bytes' hashes. */
type Pieces = ReadonlyMap<ChunkId, Piece>;

const NO_PIECES: Pieces = new Map();

/** Old pieces that one new piece is held against: a change may move the boundary between two. */
const MOST_BEFORE = 2;

/**
 * What a delta to the same bases as before may take of its piece: it grows with every edit, and
 * this is about where beginning anew costs less in the long run.
 */
const MOST_OF_PIECE = 0.25;
/** What a delta to the piece before it may take: all of it is new. */
const MOST_OF_NEW = 0.8;

/**
 * The pieces that long lists of chunks are cut into (SPEC SF13): sealed as deltas to those of the
 * revision before, where that is much shorter. How a piece is sealed is remembered by its bytes, so
 * that closing the same list again names the same chunks.
 */
export class ManifestPieces {
  readonly #world: PiecesWorld;

  constructor(world: PiecesWorld) {
    this.#world = world;
  }

  /** A content's manifest and its pieces, as they were or would be sent; null: a chunk lacks. */
  close(
    content: FileContent,
    raw: Manifest,
  ): {
    readonly manifest: manifests.Manifest;
    readonly lists: readonly (readonly SealedEntry[])[];
  } | null {
    const entries = this.#entriesOf(raw);
    if (entries === null) return null;
    const closed = this.#closed(content, entries, (bytes) => this.#known(bytes));
    return { manifest: closed.manifest, lists: [entries, closed.pieces.map(({ entry }) => entry)] };
  }

  /** Sends the pieces that the server lacks; `before` is what it has of them by all accounts. */
  async send(content: FileContent, before: FileContent | undefined, signal?: AbortSignal) {
    const entries = this.#entriesOf(this.#world.records.manifest(content.sha256) ?? []);
    if (entries === null) return;
    const had = this.#piecesOf(before);
    const doubtful = this.#closed(content, entries, (bytes) => this.#known(bytes)).pieces.filter(
      ({ entry }) => !had.has(entry.raw) && this.#world.sealedRecords.sealed(entry.raw),
    );
    const lost = await this.#lost(doubtful, signal);
    const fresh: SealedChunk[] = [];
    this.#closed(content, entries, (bytes, listed) => {
      const raw = this.#idOf(bytes);
      const known = had.get(raw)?.entry ?? this.#world.sealedRecords.sealed(raw);
      if (known !== undefined && !lost.has(raw)) return { entry: known };
      const made = lost.has(raw) ? null : this.#delta(bytes, listed, had);
      const sealed = made ?? manifests.sealPiece(this.#world.primitives, this.#current, bytes);
      fresh.push(sealed);
      return sealed;
    });
    await this.#world.sealed.putSealed(fresh, signal);
    this.#learn(fresh.map(({ entry }) => entry));
  }

  /** The list of chunks that such a manifest stands for. Throws WorldError. */
  async open(
    root: manifests.Manifest,
    before: FileContent | undefined,
    signal?: AbortSignal,
  ): Promise<readonly SealedEntry[]> {
    const had = this.#piecesOf(before);
    let manifest = root;
    while (manifest.level > 0) {
      const { entries } = manifest;
      const fetched = await this.#fetched(entries, had, signal);
      manifest = manifests.openPieces(manifest, ({ raw }) => fetched(raw));
      this.#learn(entries);
    }
    return manifest.entries;
  }

  get #current() {
    return this.#world.keys().current;
  }

  #idOf(bytes: Uint8Array): ChunkId {
    return chunkId(toHex(this.#world.digest.sha256(bytes)));
  }

  #entriesOf(raw: Manifest): SealedEntry[] | null {
    const entries: SealedEntry[] = [];
    for (const { chunk } of raw) {
      const entry = this.#world.sealedRecords.sealed(chunk);
      if (entry === undefined) return null;
      entries.push(entry);
    }
    return entries;
  }

  #closed<P extends { readonly entry: SealedEntry }>(
    { sizeBytes, sha256 }: FileContent,
    entries: readonly SealedEntry[],
    seal: (bytes: Uint8Array, entries: readonly SealedEntry[]) => P,
  ) {
    return manifests.closeManifest({ sizeBytes, sha256, entries }, seal);
  }

  /** How these bytes are sealed, or would be if they had to stand for themselves. */
  #known(bytes: Uint8Array): { readonly entry: SealedEntry } {
    const entry = this.#world.sealedRecords.sealed(this.#idOf(bytes));
    if (entry !== undefined) return { entry };
    return manifests.sealPiece(this.#world.primitives, this.#current, bytes);
  }

  /** The pieces that a content's list consists of; none where they are not known. */
  #piecesOf(content: FileContent | undefined): Pieces {
    if (content === undefined) return NO_PIECES;
    const raw = this.#world.records.manifest(content.sha256);
    const list = raw === undefined ? null : this.#entriesOf(raw);
    if (list === null) return NO_PIECES;
    const seal = (bytes: Uint8Array, entries: readonly SealedEntry[]): Piece => {
      return { ...this.#known(bytes), bytes, entries };
    };
    const { pieces } = this.#closed(content, list, seal);
    return new Map(pieces.map((piece) => [piece.entry.raw, piece]));
  }

  /** Which of these the server has not, or not all that they are made of. */
  async #lost(
    pieces: readonly { readonly entry: SealedEntry }[],
    signal?: AbortSignal,
  ): Promise<ReadonlySet<ChunkId>> {
    if (pieces.length === 0) return new Set();
    const ids = manifests.namedChunks(pieces.map(({ entry }) => entry));
    const missing = new Set(await this.#world.remote.missing(ids, signal));
    const isLost = ({ chunk }: SealedEntry): boolean => missing.has(chunk);
    const lost = pieces.filter(({ entry }) => [entry, ...allBases(entry)].some(isLost));
    return new Set(lost.map(({ entry }) => entry.raw));
  }

  /** The piece as a delta to old ones that hold much of it, when that is worth it. */
  #delta(bytes: Uint8Array, listed: readonly SealedEntry[], had: Pieces): SealedChunk | null {
    const alike = alikePieces(listed, had);
    const below = alike.flatMap((piece) => this.#below(piece, had));
    const same = this.#deltaTo(bytes, below);
    const next = this.#deltaTo(
      bytes,
      alike.filter(({ entry }) => !isEnd(entry)),
    );
    const { primitives, kept } = this.#world;
    const whole = storedBytes(framePrivate(primitives, this.#sealing, bytes));
    const isSame = same !== null && (next === null || same.costs <= next.costs);
    const best = isSame && same.costs <= whole * MOST_OF_PIECE ? same : next;
    if (best === null || best.costs > whole * MOST_OF_NEW) return null;
    // The next edit's delta is to the same bases, as long as their bytes are here.
    const bases = best.bases.map(({ entry, bytes: base }) => ({ id: entry.raw, bytes: base }));
    kept.put(bases, "edited");
    return sealAlone(primitives, this.#sealing, best.framed);
  }

  #deltaTo(bytes: Uint8Array, bases: readonly Based[]) {
    const few = bases.slice(0, MOST_BEFORE);
    const all = few.map((base) => base.bytes);
    const delta = encodeExactly(all, bytes);
    if (delta === null) return null;
    const used = delta.used.map((at) => few[at]!);
    const entries = used.map(({ entry }) => entry);
    const count = countAll(entries);
    if (count > MAX_BASES_IN_ALL) return null;
    const to = { delta: delta.bytes, bases: entries };
    const framed = framePrivate(this.#world.primitives, this.#sealing, bytes, to);
    return { framed, bases: used, costs: storedBytes(framed) + count * manifests.ENTRY_BYTES };
  }

  /** What a piece is a delta to, as far as that is at hand; itself when it is none. */
  #below({ entry, bytes }: Piece, had: Pieces): Based[] {
    if (entry.bases === undefined) return [{ entry, bytes }];
    return entry.bases.flatMap((base) => {
      const old = this.#atHand(base.raw, had);
      return old === null ? [] : [{ entry: base, bytes: old }];
    });
  }

  get #sealing() {
    const { current } = this.#world.keys();
    return { key: current.manifest, epoch: current.epoch };
  }

  #atHand(raw: ChunkId, had: Pieces): Uint8Array | null {
    const bytes = had.get(raw)?.bytes ?? this.#world.kept.get(raw);
    return bytes !== null && this.#idOf(bytes) === raw ? bytes : null;
  }

  /** Gets the pieces that are not among those that were there, with what they are made of. */
  async #fetched(
    pieces: readonly SealedEntry[],
    had: Pieces,
    signal?: AbortSignal,
  ): Promise<(raw: ChunkId) => Uint8Array> {
    const { primitives, kept } = this.#world;
    const bases = new Bases(async (raw) => this.#atHand(raw, had));
    const lacking = pieces.filter(({ raw }) => !had.has(raw));
    for (const { bases: needed = [] } of lacking) await bases.need(needed);
    const asked = [...bases.asked, ...lacking];
    const opened = new Map<ChunkId, Uint8Array>();
    for (const [at, stored] of (await this.#fetchAll(asked, signal)).entries()) {
      const entry = asked[at]!;
      const bytes = openChunk(primitives, entry, stored, bases.rebuilding(entry));
      opened.set(entry.raw, bytes);
      bases.put(entry, bytes);
    }
    for (const { bases: needed = [] } of lacking) {
      for (const { raw } of needed) {
        const bytes = opened.get(raw) ?? had.get(raw)?.bytes;
        if (bytes !== undefined) kept.put([{ id: raw, bytes }], "edited");
      }
    }
    return (raw) => opened.get(raw) ?? had.get(raw)!.bytes;
  }

  async #fetchAll(entries: readonly SealedEntry[], signal?: AbortSignal): Promise<Uint8Array[]> {
    const stored: Uint8Array[] = [];
    while (stored.length < entries.length) {
      const ids = entries.slice(stored.length).map(({ chunk }) => chunk);
      const before = stored.length;
      for await (const { bytes } of this.#world.remote.fetch(ids, signal)) stored.push(bytes);
      if (stored.length === before) {
        throw new WorldError("io", "The server sent none of the chunks that it was asked for.", {
          retryable: true,
        });
      }
    }
    if (stored.length > entries.length) throw unasked();
    return stored;
  }

  #learn(pieces: readonly SealedEntry[]): void {
    const { trees, sealedRecords } = this.#world;
    if (pieces.length === 0) return;
    trees.transaction(() => {
      for (const entry of pieces) sealedRecords.putSealed(entry);
    });
  }
}

/** Old pieces that list the same entries, those first that list most. */
function alikePieces(listed: readonly SealedEntry[], had: Pieces): Piece[] {
  const ids = new Set(listed.map(({ chunk }) => chunk));
  const shared = ({ entries }: Piece): number =>
    entries.filter(({ chunk }) => ids.has(chunk)).length;
  return [...had.values()]
    .map((piece) => ({ piece, count: shared(piece) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .slice(0, MOST_BEFORE)
    .map(({ piece }) => piece);
}
