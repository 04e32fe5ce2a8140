import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { TreeView } from "./draft.ts";
import { PARK_NODE, type NodeRow } from "./tree.ts";

/**
 * Tells which nodes must be left alone on both sides because the disk cannot be seen there: unknown
 * is not deleted (SPEC PL9). Remembers what it found: make one for each plan.
 */
export class Sight {
  readonly #view: TreeView;
  readonly #folders = new Map<NodeId, boolean>();

  constructor(view: TreeView) {
    this.#view = view;
  }

  /** True when the node or a folder above it cannot be seen. */
  isBlind(row: NodeRow): boolean {
    if (row.local !== null) {
      return row.local.blind !== null || this.#isBlindFolder(row.local.parent);
    }
    const at = row.remote ?? row.synced;
    return at !== null && this.#isBlindFolder(at.parent);
  }

  /** True when the node waits for its bytes to be read, or cannot be seen. */
  isUnsettled(row: NodeRow): boolean {
    return (row.local !== null && row.local.content === null) || this.isBlind(row);
  }

  #isBlindFolder(id: NodeId): boolean {
    if (id === ROOT_NODE || id === PARK_NODE) return false;
    const known = this.#folders.get(id);
    if (known !== undefined) return known;
    // Set before climbing: rows of a damaged database may form a ring.
    this.#folders.set(id, false);
    const row = this.#view.get(id);
    const blind = row !== undefined && this.isBlind(row);
    this.#folders.set(id, blind);
    return blind;
  }
}
