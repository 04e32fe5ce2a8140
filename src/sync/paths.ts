import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { joinPath, PRIVATE_FOLDER } from "#core/names.ts";
import { MAX_DEPTH } from "#protocol/limits.ts";
import type { Side, TreeView } from "./draft.ts";
import { PARK_NODE } from "./tree.ts";

/**
 * Folders of the engine's own in the root: on the same file system, never synced, never scanned.
 */
export const STAGE_FOLDER = `${PRIVATE_FOLDER}/stage`;
export const HOLD_FOLDER = `${PRIVATE_FOLDER}/hold`;
export const PARK_FOLDER = `${PRIVATE_FOLDER}/park`;

/** The path of a node on one side of the tree; null when a folder above it is not there. */
export function pathOf(view: Pick<TreeView, "get">, side: Side, id: NodeId): string | null {
  const names: string[] = [];
  let at = id;
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    if (at === ROOT_NODE) return names.reverse().reduce(joinPath, "");
    if (at === PARK_NODE) return names.reverse().reduce(joinPath, PARK_FOLDER);
    const place = view.get(at)?.[side];
    if (!place) return null;
    names.push(place.name);
    at = place.parent;
  }
  return null;
}

/**
 * The path of a node as people know it: on the disk, else at the server, else where it last was.
 * What is parked may have come from a folder that is below it by now: such a ring is cut.
 */
export function shownPath(view: Pick<TreeView, "get">, id: NodeId): string {
  const names: string[] = [];
  const seen = new Set<NodeId>();
  for (let at = id; at !== ROOT_NODE && !seen.has(at);) {
    seen.add(at);
    const row = view.get(at);
    const place = row?.local?.parkedFrom ?? row?.local ?? row?.remote ?? row?.synced;
    names.unshift(place ? place.name : at);
    if (!place) break;
    at = place.parent;
  }
  return names.reduce(joinPath, "");
}
