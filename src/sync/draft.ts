import type { NodeId } from "#core/ids.ts";
import type { TreeStore } from "./ports.ts";
import { agrees, isEmpty, type NodeRow } from "./tree.ts";

export type Side = "remote" | "synced" | "local";
const SIDES: readonly Side[] = ["remote", "synced", "local"];

/** What planning reads: the stored rows, or rows under change laid over them. */
export type TreeView = Pick<TreeStore, "get" | "children" | "named" | "changed">;

/**
 * Rows under change laid over a view, so that planning is a pure function: it reads the view,
 * writes here, and returns what it wrote.
 */
export class Draft implements TreeView {
  readonly #view: TreeView;
  readonly #nameKey: (name: string) => string;
  readonly #rows = new Map<NodeId, NodeRow>();
  /** Ids of drafted rows by side and parent, a superset: members are checked when read. */
  readonly #byParent = new Map<string, Set<NodeId>>();
  #changed: Map<NodeId, NodeRow> | null = null;

  constructor(view: TreeView, nameKey: (name: string) => string) {
    this.#view = view;
    this.#nameKey = nameKey;
  }

  get(id: NodeId): NodeRow | undefined {
    const drafted = this.#rows.get(id);
    if (drafted === undefined) return this.#view.get(id);
    return isEmpty(drafted) ? undefined : drafted;
  }

  put(row: NodeRow): void {
    this.#rows.set(row.id, row);
    for (const side of SIDES) {
      const at = row[side];
      if (at === null) continue;
      const slot = `${side}${at.parent}`;
      const members = this.#byParent.get(slot);
      if (members === undefined) this.#byParent.set(slot, new Set([row.id]));
      else members.add(row.id);
    }
    if (this.#changed !== null) {
      if (isEmpty(row) || agrees(row)) this.#changed.delete(row.id);
      else this.#changed.set(row.id, row);
    }
  }

  children(side: Side, parent: NodeId): NodeRow[] {
    const stored = this.#view.children(side, parent).filter((row) => !this.#rows.has(row.id));
    return [...stored, ...this.#drafted(side, parent)];
  }

  named(side: Side, parent: NodeId, name: string): NodeRow[] {
    const key = this.#nameKey(name);
    const stored = this.#view.named(side, parent, name).filter((row) => !this.#rows.has(row.id));
    const drafted = this.#drafted(side, parent).filter(
      (row) => this.#nameKey(row[side]?.name ?? "") === key,
    );
    return [...stored, ...drafted];
  }

  /** All rows that do not agree, by id. */
  changed(): NodeRow[] {
    if (this.#changed === null) {
      this.#changed = new Map(this.#view.changed().map((row) => [row.id, row]));
      for (const row of this.#rows.values()) {
        if (isEmpty(row) || agrees(row)) this.#changed.delete(row.id);
        else this.#changed.set(row.id, row);
      }
    }
    return [...this.#changed.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Every row that was put, empty ones too. */
  records(): NodeRow[] {
    return [...this.#rows.values()];
  }

  #drafted(side: Side, parent: NodeId): NodeRow[] {
    const rows: NodeRow[] = [];
    for (const id of this.#byParent.get(`${side}${parent}`) ?? []) {
      const row = this.#rows.get(id);
      if (row !== undefined && row[side]?.parent === parent) rows.push(row);
    }
    return rows;
  }
}
