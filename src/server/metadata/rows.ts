import { assert } from "#core/assert.ts";
import { accountId, chunkId, deviceId, nodeId, spaceId, type ChunkId } from "#core/ids.ts";
import type { NodeKind } from "#core/node.ts";
import type { Restored } from "#protocol/feed.ts";
import type { ChunkPlace, Head, NodeRow, RevisionRow, SpaceKeys, SpaceRow } from "./port.ts";

/** A row as a SQL database gives it: ids and hashes as bytes, flags as 0 and 1. */
export type Row = Readonly<Record<string, unknown>>;

export function integerOf(row: Row, column: string): number {
  const value = row[column];
  assert(typeof value === "number", `column ${column} holds no integer`);
  return value;
}

export function textOf(row: Row, column: string): string {
  const value = row[column];
  assert(typeof value === "string", `column ${column} holds no text`);
  return value;
}

export function blobOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  assert(value instanceof Uint8Array, `column ${column} holds no bytes`);
  return value;
}

/** The hexadecimal text of a BLOB column. */
export function hexOf(row: Row, column: string): string {
  return hex(blobOf(row, column));
}

/** `read` of a column that may be NULL. */
export function orNull<T>(
  read: (row: Row, column: string) => T,
  row: Row,
  column: string,
): T | null {
  return row[column] === null ? null : read(row, column);
}

/** The bytes of a hexadecimal id or hash, as they are stored. */
export function raw(text: string): Uint8Array {
  return Buffer.from(text, "hex");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

const CHUNK_ID_BYTES = 32;

/** Chunk ids one behind the other, 32 bytes each. */
export function packChunkIds(ids: readonly ChunkId[]): Uint8Array {
  const bytes = Buffer.alloc(ids.length * CHUNK_ID_BYTES);
  ids.forEach((id, index) => bytes.write(id, index * CHUNK_ID_BYTES, "hex"));
  return bytes;
}

export function unpackChunkIds(bytes: Uint8Array): ChunkId[] {
  const ids: ChunkId[] = [];
  for (let offset = 0; offset < bytes.length; offset += CHUNK_ID_BYTES) {
    ids.push(chunkId(hex(bytes.subarray(offset, offset + CHUNK_ID_BYTES))));
  }
  return ids;
}

/** Lengths in bytes, 4 bytes each, little endian. */
export function packLengths(lengths: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(lengths.length * 4));
  lengths.forEach((length, index) => view.setUint32(index * 4, length, true));
  return new Uint8Array(view.buffer);
}

function unpackLengths(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(index * 4, true));
}

/** How long packs are, as far as these chunks reach. */
export function packSizes(written: readonly ChunkPlace[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { pack, offsetBytes, lengthBytes } of written) {
    sizes.set(pack, Math.max(sizes.get(pack) ?? 0, offsetBytes + lengthBytes));
  }
  return sizes;
}

function kindOf(row: Row): NodeKind {
  const kind = textOf(row, "type");
  assert(kind === "file" || kind === "folder" || kind === "symlink", `node kind ${kind}`);
  return kind;
}

/** Columns of a node or revision `n` and of its content `c`, as `nodeOf` reads them. */
const NODE_COLUMNS = `n.id, n.type, n.parent, n.name, n.key, n.crev, n.lrev, n.deleted,
  c.meta, c.chunks, c.lengths, c.forgotten`;

/** Nodes `n`, as they are. */
export const NODES = `SELECT ${NODE_COLUMNS} FROM nodes n
  JOIN contents c ON c.space = n.space AND c.node = n.id AND c.sequence = n.content`;

/** The content before the one that a row points at. */
const FOLLOWS = `coalesce((SELECT max(p.sequence) FROM contents p
  WHERE p.space = n.space AND p.node = n.id AND p.sequence < n.content), 0) AS follows`;

/** Revisions `n`, for `revisionOf`. */
export const REVISIONS = `SELECT ${NODE_COLUMNS}, ${FOLLOWS}, n.sequence, n.time_ms, n.device
  FROM revisions n
  JOIN contents c ON c.space = n.space AND c.node = n.id AND c.sequence = n.content`;

/** Nodes `n` with their last revision, for `revisionOf`. */
export const TOMBSTONES = `SELECT ${NODE_COLUMNS}, ${FOLLOWS}, r.sequence, r.time_ms, r.device
  FROM nodes n
  JOIN contents c ON c.space = n.space AND c.node = n.id AND c.sequence = n.content
  JOIN revisions r ON r.space = n.space AND r.id = n.id AND r.sequence = n.changed`;

/** Reads an id: SQL databases keep it as bytes, documents as text. */
type IdReader = (row: Row, column: string) => string;

function nodeBy(idOf: IdReader): (row: Row) => NodeRow {
  return (row) => {
    const lengths = orNull(blobOf, row, "lengths");
    return {
      id: nodeId(idOf(row, "id")),
      type: kindOf(row),
      parent: nodeId(idOf(row, "parent")),
      name: textOf(row, "name"),
      key: textOf(row, "key"),
      meta: textOf(row, "meta"),
      chunks: unpackChunkIds(blobOf(row, "chunks")),
      lengths: lengths === null ? undefined : unpackLengths(lengths),
      crev: integerOf(row, "crev"),
      lrev: integerOf(row, "lrev"),
      deleted: integerOf(row, "deleted") !== 0,
    };
  };
}

function revisionBy(idOf: IdReader, time: string): (row: Row) => RevisionRow {
  const readNode = nodeBy(idOf);
  return (row) => {
    const device = orNull(idOf, row, "device");
    return {
      ...readNode(row),
      sequence: integerOf(row, "sequence"),
      follows: integerOf(row, "follows"),
      timeMs: integerOf(row, time),
      device: device === null ? undefined : deviceId(device),
      ...(row["forgotten"] === 1 ? { forgotten: true } : {}),
    };
  };
}

export const nodeOf = nodeBy(hexOf);
export const revisionOf = revisionBy(hexOf, "time_ms");
export const nodeOfDocument = nodeBy(textOf);
export const revisionOfDocument = revisionBy(textOf, "timeMs");

/** Where a space's journal is, by the space's row. */
export function headOf(row: Row): Head {
  return { sequence: integerOf(row, "head"), chain: hexOf(row, "chain") };
}

/** Where the journal was with an entry, by the entry's row. */
export function landedOf(row: Row): Head {
  return { sequence: integerOf(row, "sequence"), chain: hexOf(row, "chain") };
}

function keysOf(row: Row): SpaceKeys {
  if (textOf(row, "kind") === "plain") return { kind: "plain" };
  const keyEpochSequence = integerOf(row, "key_epoch_sequence");
  return { kind: "sealed", keyEpoch: integerOf(row, "key_epoch"), keyEpochSequence };
}

export function spaceOf(row: Row): SpaceRow {
  return {
    id: spaceId(hexOf(row, "id")),
    account: accountId(hexOf(row, "account")),
    name: textOf(row, "name"),
    ...keysOf(row),
    folding: integerOf(row, "folding") !== 0,
    epoch: textOf(row, "epoch"),
    cutKey: textOf(row, "cut_key"),
    createdMs: integerOf(row, "created_ms"),
    ...restoresOf(row),
  };
}

export function restoresOf(row: Row): Pick<SpaceRow, "restores"> {
  // Written by the databases of this room alone.
  const restores = JSON.parse(textOf(row, "restores")) as Restored[];
  return restores.length === 0 ? {} : { restores };
}

/** The key epoch of a space; 0 in a plain one, where there are no keys. */
export function keyEpochOf(row: SpaceRow): number {
  return row.kind === "sealed" ? row.keyEpoch : 0;
}
