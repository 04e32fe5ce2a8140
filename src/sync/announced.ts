import type { NodeId } from "#core/ids.ts";
import { samePlace, type Content } from "#core/node.ts";
import type { LocalOp } from "./planner.ts";
import type { Staged } from "./stage.ts";
import type { NodeRow } from "./tree.ts";

/** What a step needs the bytes of, of a file or a link; null for steps that need none. */
export function contentOf(op: LocalOp): Content | null {
  if (op.kind === "replace") return op.content;
  if (op.kind !== "create" || op.target.content.kind === "folder") return null;
  return op.target.content;
}

/**
 * What is written ahead of the steps that put no contents in place (SPEC EX4): files are deleted
 * only after their deletion is on record, bound to the inode; folders are made, and things moved to
 * where the server has them, after it is on record that this is the engine's doing.
 */
export function announcedStructure(
  ops: ReadonlyMap<NodeId, readonly LocalOp[]>,
  rowOf: (id: NodeId) => NodeRow | undefined,
): NodeRow[] {
  return [...ops].flatMap(([id, own]) => {
    const row = rowOf(id);
    return row === undefined ? [] : own.flatMap((op) => announcedStep(row, op) ?? []);
  });
}

function announcedStep(row: NodeRow, op: LocalOp): NodeRow | null {
  const { local, synced, remote } = row;
  if (op.kind === "remove") {
    return local === null || row.kind === "folder" ? null : { ...row, displacing: local.file };
  }
  if (op.kind === "create" && row.kind === "folder") {
    const { place, content } = op.target;
    const { parent, name } = place;
    return { ...row, placing: { parent, name, content, file: null } };
  }
  if (op.kind !== "move" || local === null || synced === null || remote === null) return null;
  if (!samePlace(op.to, remote)) return null;
  const { parent, name } = op.to;
  return { ...row, placing: { parent, name, content: synced.content, file: local.file } };
}

/** What is written ahead of putting a content in place: what that displaces, and what it is. */
export function announcedContent(row: NodeRow, op: LocalOp, staged: Staged): NodeRow | null {
  const content = contentOf(op);
  const place = op.kind === "create" ? op.target.place : row.local;
  if (content === null || place === null) return null;
  const { parent, name } = place;
  const placing = { parent, name, content, file: staged.stat.file };
  return { ...row, displacing: row.local?.file ?? null, placing };
}
