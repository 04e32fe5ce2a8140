import type { NodeId } from "#core/ids.ts";
import type { TreeStore } from "./ports.ts";
import { agrees, isEmpty, type NodeRow } from "./tree.ts";

export type Side = "remote" | "synced" | "local";
const SIDES: readonly Side[] = ["remote", "synced", "local"];
const NONE: readonly NodeId[] = [];

/** What planning reads: the stored rows, or rows under change laid over them. */
export type TreeView = Pick<TreeStore, "get" | "children" | "named"> & {
  changed(): readonly NodeRow[];
};

/**
 * Rows under change laid over a view, so that planning is a pure function: it reads the view,
 * writes here, and returns what it wrote.
 */
export class Draft implements TreeView {
  readonly #view: TreeView;
  readonly #nameKey: (name: string) => string;
  readonly #rows = new Map<NodeId, NodeRow>();
  /** Ids of drafted rows by side, parent and name: a superset, what is found is checked. */
  readonly #byParent: Readonly<Record<Side, Map<NodeId, Map<string, NodeId[]>>>> = {
    remote: new Map(),
    synced: new Map(),
    local: new Map(),
  };
  #changed: Map<NodeId, NodeRow> | null = null;
  #inOrder: readonly NodeRow[] | null = null;

  constructor(view: TreeView, nameKey: (name: string) => string) {
    this.#view = view;
    this.#nameKey = nameKey;
  }

  get(id: NodeId): NodeRow | undefined {
    const drafted = this.#rows.get(id);
    // Rows that do not agree are in memory once they were asked for: those that plans ask about.
    if (drafted === undefined) return this.#changed?.get(id) ?? this.#view.get(id);
    return isEmpty(drafted) ? undefined : drafted;
  }

  put(row: NodeRow): void {
    this.#rows.set(row.id, row);
    for (const side of SIDES) {
      const at = row[side];
      if (at === null) continue;
      const members = this.#byParent[side].get(at.parent);
      const key = this.#nameKey(at.name);
      const named = members?.get(key);
      if (members === undefined) this.#byParent[side].set(at.parent, new Map([[key, [row.id]]]));
      else if (named === undefined) members.set(key, [row.id]);
      else if (!named.includes(row.id)) named.push(row.id);
    }
    if (this.#changed !== null) this.#note(this.#changed, row);
  }

  children(side: Side, parent: NodeId): NodeRow[] {
    const drafted: NodeRow[] = [];
    for (const key of this.#byParent[side].get(parent)?.keys() ?? []) {
      drafted.push(...this.#drafted(side, parent, key));
    }
    return this.#withDrafted(this.#view.children(side, parent), drafted);
  }

  /** By id. */
  named(side: Side, parent: NodeId, name: string): NodeRow[] {
    const stored = this.#view.named(side, parent, name);
    const drafted = this.#drafted(side, parent, this.#nameKey(name));
    return this.#withDrafted(stored, drafted).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** All rows that do not agree, by id. */
  changed(): readonly NodeRow[] {
    if (this.#changed === null) {
      this.#changed = new Map(this.#view.changed().map((row) => [row.id, row]));
      for (const row of this.#rows.values()) this.#note(this.#changed, row);
    }
    this.#inOrder ??= [...this.#changed.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return this.#inOrder;
  }

  /** Every row that was put, empty ones too. */
  records(): NodeRow[] {
    return [...this.#rows.values()];
  }

  #note(changed: Map<NodeId, NodeRow>, row: NodeRow): void {
    this.#inOrder = null;
    if (isEmpty(row) || agrees(row)) changed.delete(row.id);
    else changed.set(row.id, row);
  }

  #withDrafted(stored: NodeRow[], drafted: readonly NodeRow[]): NodeRow[] {
    if (this.#rows.size === 0) return stored;
    return [...stored.filter((row) => !this.#rows.has(row.id)), ...drafted];
  }

  /** Those that stand in this folder under a name of this key. */
  #drafted(side: Side, parent: NodeId, key: string): NodeRow[] {
    const ids = this.#byParent[side].get(parent)?.get(key);
    return (ids ?? NONE).flatMap((id) => {
      const row = this.#rows.get(id);
      const at = row?.[side];
      return row && at?.parent === parent && this.#nameKey(at.name) === key ? [row] : [];
    });
  }
}
