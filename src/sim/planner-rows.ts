import type { NodeId } from "#core/ids.ts";
import type { Side, TreeView } from "#sync/draft.ts";
import { agrees, isEmpty, type NodeRow } from "#sync/tree.ts";

/**
 * The rows of a device whose tree has a handful of nodes: what is asked for is found by going
 * through all of them, which is faster there than any index.
 */
export class FewRows implements TreeView {
  readonly #nameKey: (name: string) => string;
  readonly #rows = new Map<NodeId, NodeRow>();
  readonly #unsettled = new Map<NodeId, NodeRow>();

  constructor(nameKey: (name: string) => string) {
    this.#nameKey = nameKey;
  }

  get(id: NodeId): NodeRow | undefined {
    return this.#rows.get(id);
  }

  put(row: NodeRow): void {
    if (isEmpty(row)) {
      this.#rows.delete(row.id);
      this.#unsettled.delete(row.id);
      return;
    }
    this.#rows.set(row.id, row);
    if (agrees(row)) this.#unsettled.delete(row.id);
    else this.#unsettled.set(row.id, row);
  }

  all(): NodeRow[] {
    return [...this.#rows.values()];
  }

  changed(): NodeRow[] {
    return [...this.#unsettled.values()];
  }

  children(side: Side, parent: NodeId): NodeRow[] {
    const found: NodeRow[] = [];
    for (const row of this.#rows.values()) if (row[side]?.parent === parent) found.push(row);
    return found;
  }

  named(side: Side, parent: NodeId, name: string): NodeRow[] {
    const key = this.#nameKey(name);
    const found: NodeRow[] = [];
    for (const row of this.#rows.values()) {
      const at = row[side];
      if (at?.parent === parent && this.#nameKey(at.name) === key) found.push(row);
    }
    return found;
  }
}

/** The same rows with nothing taken for settled: planning on all of them must come out the same. */
export function unsettled(rows: FewRows): TreeView {
  return {
    get: (id) => rows.get(id),
    children: (side, parent) => rows.children(side, parent),
    named: (side, parent, name) => rows.named(side, parent, name),
    changed: () => rows.all(),
  };
}
