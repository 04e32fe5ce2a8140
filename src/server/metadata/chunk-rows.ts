import { WorldError } from "#core/errors.ts";
import { chunkId } from "#core/ids.ts";
import type { ChunkPlace } from "./port.ts";
import { hexOf, integerOf, textOf, type Row } from "./rows.ts";

/** Where chunks lie that a space holds, as `placeOf` reads it; for an AND on links `l`. */
export const HELD = `SELECT c.id, p.name, c.offset_bytes, c.length_bytes FROM links l
  JOIN chunks c ON c.id = l.chunk JOIN packs p ON p.number = c.pack WHERE c.quarantined = 0`;

export function placeOf(row: Row): ChunkPlace {
  return {
    id: chunkId(hexOf(row, "id")),
    pack: textOf(row, "name"),
    offsetBytes: integerOf(row, "offset_bytes"),
    lengthBytes: integerOf(row, "length_bytes"),
  };
}

export function chunkGone(id: string): WorldError {
  return new WorldError("chunk-gone", `Chunk ${id} is stored no more: send it again.`, {
    retryable: true,
  });
}

/** For what began anew too often. */
export function changing(): WorldError {
  return new WorldError("unavailable", "This space changes too often just now: try later.", {
    retryable: true,
  });
}
