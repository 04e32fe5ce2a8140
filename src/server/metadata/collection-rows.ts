import { chunkId, nodeId } from "#core/ids.ts";
import type { ContentRow, LinkRow, PackRow, StoredChunk } from "./collection.ts";
import { blobOf, hexOf, integerOf, orNull, textOf, unpackChunkIds, type Row } from "./rows.ts";

/** The one turn that there is. */
export const TURN = "collector";

/** Contents `c` of a space, for `contentRowOf`. */
export const CONTENTS = `SELECT c.node, c.sequence, c.chunks, c.forgotten, r.time_ms,
    CASE WHEN n.content = c.sequence THEN 1 ELSE 0 END AS is_last, d.time_ms AS deleted_ms
  FROM contents c
  JOIN revisions r ON r.space = c.space AND r.id = c.node AND r.sequence = c.sequence
  JOIN nodes n ON n.space = c.space AND n.id = c.node
  LEFT JOIN revisions d ON d.space = n.space AND d.id = n.id AND d.sequence = n.changed
    AND n.deleted = 1`;

export function contentRowOf(row: Row): ContentRow {
  return {
    node: nodeId(hexOf(row, "node")),
    sequence: integerOf(row, "sequence"),
    timeMs: integerOf(row, "time_ms"),
    chunks: unpackChunkIds(blobOf(row, "chunks")),
    forgotten: integerOf(row, "forgotten") !== 0,
    isLast: integerOf(row, "is_last") !== 0,
    deletedMs: orNull(integerOf, row, "deleted_ms"),
  };
}

export function linkRowOf(row: Row): LinkRow {
  return {
    chunk: chunkId(hexOf(row, "chunk")),
    leaseMs: orNull(integerOf, row, "lease_ms"),
    touched: integerOf(row, "touched"),
    lengthBytes: integerOf(row, "length_bytes"),
  };
}

export function packRowOf(row: Row): PackRow {
  return {
    name: textOf(row, "name"),
    sizeBytes: integerOf(row, "size_bytes"),
    liveBytes: integerOf(row, "live_bytes"),
    chunks: integerOf(row, "chunks"),
    doomedMs: orNull(integerOf, row, "doomed_ms"),
  };
}

export function storedOf(row: Row): StoredChunk {
  return { id: chunkId(hexOf(row, "id")), lengthBytes: integerOf(row, "length_bytes") };
}
