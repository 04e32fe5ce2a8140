import { sameBody } from "#core/node.ts";
import type { TreeStore } from "./ports.ts";
import type { NodeRow } from "./tree.ts";

/**
 * Content third (SPEC SC3): a file that is gone from its path and an equal one that is new are one
 * that moved, if each is the only one of that content. Returns how many were joined.
 */
export function matchByContent(trees: TreeStore): number {
  const gone = new Map<string, NodeRow | null>();
  const come = new Map<string, NodeRow | null>();
  const note = (into: Map<string, NodeRow | null>, row: NodeRow, sha256: string): void => {
    into.set(sha256, into.has(sha256) ? null : row);
  };
  const rows = trees.changed();
  if (!rows.some((row) => row.local?.blind === "absent")) return 0;
  for (const row of rows) {
    const content = row.local?.content;
    if (content?.kind !== "file" || content.sizeBytes === 0) continue;
    if (row.local?.blind === "absent") note(gone, row, content.sha256);
    else if (row.synced === null && row.remote === null) note(come, row, content.sha256);
  }
  if (gone.size === 0 || come.size === 0) return 0;
  return trees.transaction(() => {
    let joined = 0;
    for (const [sha256, from] of gone) {
      const to = come.get(sha256);
      if (!from || !to?.local?.content || !from.synced) continue;
      if (!sameBody(to.local.content, from.synced.content)) continue;
      trees.put({ ...to, local: null });
      trees.put({ ...from, local: to.local });
      joined++;
    }
    return joined;
  });
}
