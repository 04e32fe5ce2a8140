import { CURSOR_START } from "#protocol/feed.ts";
import type { SpaceRow } from "./metadata/port.ts";

const SHAPE = /^([0-9a-f]{32})\.(0|[1-9][0-9]{0,15})$/;

/** The opaque position behind `sequence` in the journal that has this epoch. */
export function writeCursor({ epoch }: Pick<SpaceRow, "epoch">, sequence: number): string {
  return `${epoch}.${sequence}`;
}

/**
 * The sequence that a cursor stands behind, or `reset` when it belongs to no past of this journal:
 * another epoch, a sequence beyond the head, or nothing that we ever wrote (SPEC JN21).
 */
export function readCursor(
  { epoch }: Pick<SpaceRow, "epoch">,
  headSequence: number,
  cursor: string,
): number | "reset" {
  if (cursor === CURSOR_START) return 0;
  const parts = SHAPE.exec(cursor);
  const sequence = Number(parts?.[2]);
  if (parts?.[1] !== epoch || sequence > headSequence) return "reset";
  return sequence;
}
