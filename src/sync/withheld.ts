import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { Place } from "#core/node.ts";
import type { Draft } from "./draft.ts";
import type { LocalOp } from "./planner.ts";
import type { TargetTree } from "./target.ts";
import type { NodeRow } from "./tree.ts";

/** What a plan looks like while deletions wait for a person (SPEC MD3). */

/** Nodes that a plan would delete: at the server (`up`) and on this disk (`down`). */
export type Going = {
  readonly up: readonly NodeId[];
  readonly down: readonly NodeId[];
  /** Nodes that one look has missed; the next one may find them elsewhere. */
  readonly doubtful: number;
};

export function goingOf(draft: Draft, tree: TargetTree, rows: readonly NodeRow[]): Going {
  const gone = rows.filter(({ id }) => tree.of(id) === null);
  const doubtful = draft.changed().filter(({ local }) => local?.blind === "absent");
  return {
    up: gone.filter(({ remote }) => remote !== null).map(({ id }) => id),
    down: gone.filter(({ remote, local }) => remote === null && local !== null).map(({ id }) => id),
    doubtful: doubtful.length,
  };
}

/** Steps that nothing on this disk stands in the way of when what is held stays where it is. */
export function withoutHeld(
  draft: Draft,
  ops: readonly LocalOp[],
  held: ReadonlySet<NodeId>,
): readonly LocalOp[] {
  if (held.size === 0) return ops;
  const staying = new Set(held);
  for (const id of held) {
    let folder = draft.get(id)?.local?.parent ?? ROOT_NODE;
    while (folder !== ROOT_NODE && !staying.has(folder)) {
      const row = draft.get(folder);
      if (!row?.local || row.remote !== null) break;
      staying.add(folder);
      folder = row.local.parent;
    }
  }
  let left = ops.filter((op) => op.kind !== "remove" || !staying.has(op.id));
  for (let before = -1; before !== left.length;) {
    before = left.length;
    left = left.filter((op) => {
      const place = op.kind === "create" ? op.target.place : op.kind === "move" ? op.to : null;
      if (place === null || isOpen(draft, place, staying)) return true;
      staying.add(op.id);
      return false;
    });
  }
  return left;
}

/** True when neither the name is kept by something that stays, nor the folder waits to be made. */
function isOpen(draft: Draft, { parent, name }: Place, staying: ReadonlySet<NodeId>): boolean {
  if (staying.has(parent) && !draft.get(parent)?.local) return false;
  return draft.named("local", parent, name).every(({ id }) => !staying.has(id));
}
