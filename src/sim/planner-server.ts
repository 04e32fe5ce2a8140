import { assert } from "#core/assert.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { Content } from "#core/node.ts";
import type { Change } from "#protocol/commit.ts";
import type { Refused, Step } from "#server/draft.ts";
import { judge } from "#server/judge.ts";
import type { NodeRow } from "#server/metadata/port.ts";
import { newSlot, slotKey, type View } from "#server/view.ts";
import type { FileKey } from "#sync/tree.ts";

/** A change with what it stands for: contents travel beside it, nothing is written as text. */
export type SentChange = {
  readonly change: Change;
  readonly content: Content | null;
  /** The inode that held it on the device that sent it. */
  readonly file: FileKey;
};

export type ModelEntry = {
  readonly sequence: number;
  readonly device: number;
  readonly changes: readonly SentChange[];
};

const NOTHING_YET = { update: null, move: null };
const NO_CHUNKS: View["chunks"] = new Map();

/** One space in memory: the real judge over plain maps, and nothing around it. */
export class ModelServer {
  readonly #nameKey: (name: string) => string;
  readonly #nodes = new Map<NodeId, NodeRow>();
  readonly #contents = new Map<NodeId, Content>();
  readonly #holders = new Map<string, NodeId>();
  readonly #past = new Set<string>();
  readonly entries: ModelEntry[] = [];

  constructor(nameKey: (name: string) => string) {
    this.#nameKey = nameKey;
  }

  get head(): number {
    return this.entries.length;
  }

  /** Lands and gives null, or why not. */
  commit(device: number, changes: readonly SentChange[]): Refused | null {
    const steps = new Map<NodeId, Step>();
    for (const sent of changes) {
      const before = steps.get(sent.change.node);
      steps.set(sent.change.node, this.#stepOf(sent, before));
    }
    const draft = { steps, chunks: new Set<never>() };
    const leftBehind = this.#leftBehind(steps);
    const view = { nodes: this.#nodes, holders: this.#holders, leftBehind, chunks: NO_CHUNKS };
    const sequence = this.head + 1;
    const verdict = judge(draft, view, sequence);
    if (verdict.outcome === "refused") return verdict;
    assert(verdict.outcome === "accepted", "no commit of this model names a chunk");
    this.#append(verdict.nodes, changes);
    this.entries.push({ sequence, device, changes });
    return null;
  }

  /** All nodes that live. */
  living(): Map<NodeId, { readonly row: NodeRow; readonly content: Content }> {
    const living = new Map<NodeId, { row: NodeRow; content: Content }>();
    for (const row of this.#nodes.values()) {
      const content = this.#contents.get(row.id);
      if (!row.deleted && content !== undefined) living.set(row.id, { row, content });
    }
    return living;
  }

  /** True when a file of this hash was ever committed. */
  remembers(sha256: string): boolean {
    return this.#past.has(sha256);
  }

  #stepOf({ change, content }: SentChange, before: Step | undefined): Step {
    assert(change.node !== ROOT_NODE, "the root is never sent");
    if (change.kind === "create" || change.kind === "delete") {
      assert(before === undefined, "a node is created or deleted in a change of its own");
      if (change.kind === "delete") return { kind: "delete", change };
      const slot = { parent: change.parent, key: this.#nameKey(change.name) };
      return { kind: "create", create: change, slot };
    }
    assert(before === undefined || before.kind === "alter", "a node has one kind of step");
    const { update, move } = before?.kind === "alter" ? before : NOTHING_YET;
    if (change.kind === "move") {
      assert(move === null, "a node moves once in a commit");
      const slot = { parent: change.parent, key: this.#nameKey(change.name) };
      return { kind: "alter", update, move: { change, slot } };
    }
    assert(update === null && content !== null, "a node is written once in a commit");
    return { kind: "alter", update: { change, kind: content.kind }, move };
  }

  #leftBehind(steps: ReadonlyMap<NodeId, Step>): Map<NodeId, NodeId> {
    const found = new Map<NodeId, NodeId>();
    for (const { id, parent, deleted } of this.#nodes.values()) {
      if (deleted || steps.get(parent)?.kind !== "delete") continue;
      const step = steps.get(id);
      if (step?.kind !== "delete" && newSlot(step) === undefined) found.set(parent, id);
    }
    return found;
  }

  #append(nodes: readonly NodeRow[], changes: readonly SentChange[]): void {
    for (const { id } of nodes) {
      const before = this.#nodes.get(id);
      if (before !== undefined && !before.deleted) this.#holders.delete(slotKey(before));
    }
    for (const row of nodes) {
      this.#nodes.set(row.id, row);
      if (!row.deleted) this.#holders.set(slotKey(row), row.id);
    }
    for (const { change, content } of changes) {
      if (content === null) continue;
      this.#contents.set(change.node, content);
      if (content.kind === "file") this.#past.add(content.sha256);
    }
  }
}
