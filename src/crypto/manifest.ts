import { assert } from "#core/assert.ts";
import { concat, fromHex, toHex } from "#core/bytes.ts";
import { chunkId, contentHash, type ChunkId, type ContentHash } from "#core/ids.ts";
import {
  allBases,
  DOMAIN_BYTES,
  MAX_BASES,
  MAX_BASES_IN_ALL,
  MAX_DEPTH,
  sealPrivate,
  type Domain,
  type SealedChunk,
  type SealedEntry,
} from "./chunk.ts";
import { FieldReader, u16, u32, u64 } from "./fields.ts";
import { chunkSecret, type SpaceKeys } from "./keys.ts";
import { magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";

/**
 * A sealed file's chunks in order: `["LSM1"][edition 1][level 1][zero 2][file length 8][SHA-256 of
 * the file 32][count 4]` and 104 bytes an entry: `[id 32][secret 32][SHA-256 of the raw bytes 32]
 * [length 4][domain 1][epoch 2][bases 1]`; the chunks that it is a delta to follow it, as entries
 * of their own. A list that takes more than MAX_LISTED_BYTES is cut into **pieces**, which are
 * private chunks themselves, and its entries are those pieces, one level up; and so on. So it is
 * always small enough to stand in its node's meta, and a changed chunk changes one piece a level.
 */
const EDITION = 1;
const HEAD_BYTES = 52;
/** What an entry takes without its bases. */
export const ENTRY_BYTES = 104;

/** The most that stands in a node's meta, be it a file's content or the list of its chunks. */
export const MAX_LISTED_BYTES = 4_096;
const MAX_LISTED = Math.floor((MAX_LISTED_BYTES - HEAD_BYTES) / ENTRY_BYTES);

/**
 * Entries in a piece: about 95. A changed chunk changes one piece a level: of a file of 256 MiB
 * one, of 16 GiB two. Each is some 10 KB whole, and as a delta to the piece before it 300 bytes.
 */
const MIN_PIECE = 32;
const MAX_PIECE = 256;
const PIECE_MASK = 63;

/** What no piece is longer than: entries with all the bases that they can have. */
const MAX_PIECE_BYTES = 8 + MAX_PIECE * (1 + MAX_BASES_IN_ALL) * ENTRY_BYTES;

/** Chunks of one file: more than a commit can name. */
const MAX_ENTRIES = 2 ** 18;
/** More than the longest list needs whose pieces have four entries each. */
const MAX_LEVEL = 9;

/** At level 0 the entries are the file's chunks, above it pieces of the list below. */
export type Manifest = {
  readonly level: number;
  readonly sizeBytes: number;
  readonly sha256: ContentHash;
  readonly entries: readonly SealedEntry[];
};

function writeEntry(entry: SealedEntry): Uint8Array {
  const { chunk, secret, raw, lengthBytes, domain, epoch } = entry;
  const { bases = [] } = entry;
  const ends = Uint8Array.of(DOMAIN_BYTES[domain], ...u16(epoch), bases.length);
  const own = [fromHex(chunk), secret, fromHex(raw), u32(lengthBytes), ends];
  return concat([...own, ...bases.map(writeEntry)]);
}

/** Each entry with its bases, one after the other. */
export function writeEntries(entries: readonly SealedEntry[]): Uint8Array {
  return concat(entries.map(writeEntry));
}

/** What `writeEntries` wrote. Throws WorldError `bad-manifest`. */
export function readEntries(bytes: Uint8Array): SealedEntry[] {
  const fields = reader(bytes);
  const entries: SealedEntry[] = [];
  while (fields.left > 0) entries.push(readEntry(fields));
  return entries;
}

function readEntry(fields: FieldReader, depth = 0): SealedEntry {
  const chunk = chunkId(toHex(fields.bytes(32)));
  const secret = chunkSecret(fields.bytes(32).slice());
  const raw = chunkId(toHex(fields.bytes(32)));
  const lengthBytes = fields.u32();
  const code = fields.u8();
  const epoch = fields.u16();
  const count = fields.u8();
  if (lengthBytes === 0) throw fields.bad("a chunk is empty");
  const domain: Domain | null =
    code === DOMAIN_BYTES.shared ? "shared" : code === DOMAIN_BYTES.private ? "private" : null;
  if (domain === null) throw fields.bad(`a chunk's domain ${code} is unknown`);
  const entry: SealedEntry = { chunk, secret, raw, lengthBytes, domain, epoch };
  if (count === 0) return entry;
  if (count > MAX_BASES || depth === MAX_DEPTH) throw fields.bad("a chunk has too many bases");
  if (domain !== "private") throw fields.bad("a chunk for everybody has bases");
  const bases = Array.from({ length: count }, () => readEntry(fields, depth + 1));
  const delta = { ...entry, bases };
  if (allBases(delta).length > MAX_BASES_IN_ALL) throw fields.bad("a chunk has too many bases");
  return delta;
}

/** A manifest's bytes; they open to nobody but who has the node's meta. */
export function writeManifest({ level, sizeBytes, sha256, entries }: Manifest): Uint8Array {
  return concat([
    magic("M1"),
    Uint8Array.of(EDITION, level, 0, 0),
    u64(sizeBytes),
    fromHex(sha256),
    u32(entries.length),
    ...entries.map(writeEntry),
  ]);
}

/** Throws WorldError `bad-manifest` on anything that `closeManifest` makes not. */
export function readManifest(bytes: Uint8Array): Manifest {
  const fields = reader(bytes);
  fields.expect(magic("M1"), "format");
  fields.expect(Uint8Array.of(EDITION), "edition");
  const level = fields.u8();
  if (level > MAX_LEVEL) throw fields.bad("its level is too high");
  fields.zeros(2);
  const sizeBytes = fields.u64();
  const sha256 = contentHash(toHex(fields.bytes(32)));
  const count = fields.u32();
  if (count > MAX_LISTED) throw fields.bad("it is too long");
  const entries = Array.from({ length: count }, () => readEntry(fields));
  fields.end();
  return checked(fields, { level, sizeBytes, sha256, entries });
}

function reader(bytes: Uint8Array): FieldReader {
  return new FieldReader(bytes, "bad-manifest", "A file's list of chunks");
}

function checked(fields: FieldReader, manifest: Manifest): Manifest {
  const { level, sizeBytes, entries } = manifest;
  if (entries.length > MAX_ENTRIES) throw fields.bad("it is too long");
  if (level === 0) {
    const sum = entries.reduce((total, { lengthBytes }) => total + lengthBytes, 0);
    if (sum !== sizeBytes) throw fields.bad("its chunks are not as long as the file");
  } else if (entries.length === 0 || entries.some(({ domain }) => domain !== "private")) {
    throw fields.bad("its pieces are none, or not private");
  } else if (entries.some((entry) => [entry, ...allBases(entry)].some(isTooLong))) {
    throw fields.bad("a piece is too long");
  }
  return manifest;
}

function isTooLong({ lengthBytes }: SealedEntry): boolean {
  return lengthBytes > MAX_PIECE_BYTES;
}

/** A piece that stands for itself. Equal ones are equal chunks. */
export function sealPiece(
  primitives: Primitives,
  { manifest: key, epoch }: SpaceKeys,
  bytes: Uint8Array,
): SealedChunk {
  return sealPrivate(primitives, { key, epoch }, bytes);
}

/**
 * Makes a file's manifest small enough for its meta, and the pieces that its list is cut into.
 * They are sealed by `seal`, which is given their bytes and entries, as `sealPiece` does it or as
 * deltas.
 */
export function closeManifest<Piece extends { readonly entry: SealedEntry }>(
  file: Omit<Manifest, "level">,
  seal: (bytes: Uint8Array, entries: readonly SealedEntry[]) => Piece,
): { readonly manifest: Manifest; readonly pieces: readonly Piece[] } {
  assert(file.entries.length <= MAX_ENTRIES, `a file of ${file.entries.length} chunks`);
  const pieces: Piece[] = [];
  let manifest: Manifest = { ...file, level: 0 };
  while (HEAD_BYTES + listedBytes(manifest.entries) > MAX_LISTED_BYTES) {
    const { level, entries } = manifest;
    const above = cutEntries(entries).map((piece) => {
      const head = concat([magic("P1"), Uint8Array.of(level, 0, 0, 0)]);
      return seal(concat([head, ...piece.map(writeEntry)]), piece);
    });
    pieces.push(...above);
    manifest = { ...manifest, level: level + 1, entries: above.map(({ entry }) => entry) };
  }
  return { manifest, pieces };
}

function listedBytes(entries: readonly SealedEntry[]): number {
  const all = entries.reduce((sum, entry) => sum + 1 + allBases(entry).length, 0);
  return all * ENTRY_BYTES;
}

/** Boundaries follow the chunks' secrets, so that a change moves none but those beside it. */
function cutEntries(entries: readonly SealedEntry[]): SealedEntry[][] {
  const pieces: SealedEntry[][] = [];
  let piece: SealedEntry[] = [];
  for (const entry of entries) {
    piece.push(entry);
    if (
      piece.length >= MAX_PIECE ||
      (piece.length >= MIN_PIECE && ((entry.secret[0] ?? 0) & PIECE_MASK) === 0)
    ) {
      pieces.push(piece);
      piece = [];
    }
  }
  if (piece.length > 0) pieces.push(piece);
  return pieces;
}

/**
 * The manifest one level down; `open` gives the bytes of each piece, in their order. Throws
 * WorldError `bad-manifest`.
 */
export function openPieces(
  manifest: Manifest,
  open: (piece: SealedEntry, at: number) => Uint8Array,
): Manifest {
  assert(manifest.level > 0, "a manifest of chunks has no pieces");
  const level = manifest.level - 1;
  const entries: SealedEntry[] = [];
  let fields = reader(new Uint8Array(0));
  for (const [at, entry] of manifest.entries.entries()) {
    fields = reader(open(entry, at));
    fields.expect(magic("P1"), "format");
    fields.expect(Uint8Array.of(level), "level");
    fields.zeros(3);
    while (fields.left > 0) {
      entries.push(readEntry(fields));
      if (entries.length > MAX_ENTRIES) throw fields.bad("it is too long");
    }
  }
  return checked(fields, { ...manifest, level, entries });
}

/**
 * Every chunk of these lists and all their bases, once, by id: what a commit names tells nothing of
 * their order.
 */
export function namedChunks(...lists: (readonly SealedEntry[])[]): ChunkId[] {
  const all = lists.flatMap((list) => list.flatMap((entry) => [entry, ...allBases(entry)]));
  return [...new Set(all.map(({ chunk }) => chunk))].sort();
}
