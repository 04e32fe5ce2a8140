import type { NodeId } from "#core/ids.ts";
import type { TreeView } from "./draft.ts";
import { shownPath } from "./paths.ts";
import type { LocalOp } from "./planner.ts";
import type { Problem, Problems } from "./problems.ts";

/** A link that would lead out of the root, and a folder that only what is ignored keeps. */
const FOR_A_PERSON: ReadonlySet<string> = new Set(["outside-root", "not-empty"]);

/** True for a problem that only a person ends: trying again does not. */
export function waitsForPerson({ code }: Pick<Problem, "code">): boolean {
  return FOR_A_PERSON.has(code);
}

/**
 * How many of a plan's steps are left to do (SPEC ST1): all but those that wait for a person, and
 * those into folders that do.
 */
export function countDoable(
  view: Pick<TreeView, "get">,
  problems: Problems,
  ops: readonly LocalOp[],
): number {
  const waiting = new Set<NodeId>();
  for (const { id } of ops) {
    const problem = problems.at("write", shownPath(view, id));
    if (problem !== undefined && waitsForPerson(problem)) waiting.add(id);
  }
  if (waiting.size === 0) return ops.length;
  const parents = new Map<NodeId, NodeId>();
  for (const op of ops) if (op.kind === "create") parents.set(op.id, op.target.place.parent);
  const isWaiting = (op: LocalOp): boolean => {
    if (waiting.has(op.id)) return true;
    let folder = op.kind === "move" ? op.to.parent : parents.get(op.id);
    // Only what is still to be made holds up what is to be in it.
    while (folder !== undefined && parents.has(folder)) {
      if (waiting.has(folder)) return true;
      folder = parents.get(folder);
    }
    return false;
  };
  return ops.filter((op) => !isWaiting(op)).length;
}
