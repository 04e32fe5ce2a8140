import { assert } from "#core/assert.ts";
import { ROOT_NODE, type ChunkId, type NodeId } from "#core/ids.ts";
import type { NodeKind } from "#core/node.ts";
import type { CommitAnswer } from "#protocol/commit.ts";
import { MAX_CHUNK_IDS, MAX_DEPTH } from "#protocol/limits.ts";
import { refused, type Draft, type Refused, type Step } from "./draft.ts";
import type { NodeRow } from "./metadata/port.ts";
import { newSlot, slotKey, type View } from "./view.ts";

/** What becomes of a draft: its nodes as they are afterwards, or why nothing of it lands. */
export type Verdict =
  | { readonly outcome: "accepted"; readonly nodes: readonly NodeRow[] }
  | Exclude<CommitAnswer, { outcome: "committed" }>;

/**
 * Decides on a draft, given all that it touches. `sequence` is what it will get. Nothing is merged:
 * what would break the tree at the end of the commit is refused whole (SPEC JN5 to JN18).
 */
export function judge(draft: Draft, view: View, sequence: number): Verdict {
  return (
    findStale(draft, view) ??
    findWrongKind(draft, view) ??
    findLostParent(draft, view) ??
    findCycle(draft, view) ??
    findTakenName(draft, view) ??
    findOrphans(view) ??
    findMissingChunks(draft, view) ??
    findWrongLength(draft, view) ?? {
      outcome: "accepted",
      nodes: nodesAfter(draft, view, sequence),
    }
  );
}

function staleDetail(step: Step, row: NodeRow | undefined): string | undefined {
  if (step.kind === "create") {
    return row === undefined ? undefined : "A node of this id exists or existed.";
  }
  if (row === undefined || row.deleted) return "There is no such node any more.";
  const crev = step.kind === "delete" ? step.change.crev : step.update?.change.crev;
  const lrev = step.kind === "delete" ? step.change.lrev : step.move?.change.lrev;
  if (crev !== undefined && crev !== row.crev) return `Its content is of ${row.crev}, not ${crev}.`;
  if (lrev !== undefined && lrev !== row.lrev) return `Its place is of ${row.lrev}, not ${lrev}.`;
  return undefined;
}

function findStale({ steps }: Draft, view: View): Refused | undefined {
  for (const [id, step] of steps) {
    const detail = staleDetail(step, view.nodes.get(id));
    if (detail !== undefined) return refused("stale", detail, id);
  }
  return undefined;
}

function findWrongKind({ steps }: Draft, view: View): Refused | undefined {
  for (const [id, step] of steps) {
    if (step.kind !== "alter" || step.update === null) continue;
    const { kind, change } = step.update;
    const type = view.nodes.get(id)?.type;
    if (kind !== null && kind !== type) {
      return refused("bad-change", `It is a ${type}, its meta a ${kind}.`, id);
    }
    if (type !== "file" && (change.chunks.length > 0 || change.keeps !== undefined)) {
      return refused("bad-change", `A ${type} holds no chunks.`, id);
    }
  }
  return undefined;
}

/** The kind of a node that lives after the draft; undefined when it does not. */
function kindAfter(id: NodeId, { steps }: Draft, view: View): NodeKind | undefined {
  if (id === ROOT_NODE) return "folder";
  const step = steps.get(id);
  if (step?.kind === "create") return step.create.type;
  const row = view.nodes.get(id);
  return step?.kind === "delete" || row === undefined || row.deleted ? undefined : row.type;
}

function findLostParent(draft: Draft, view: View): Refused | undefined {
  for (const [id, step] of draft.steps) {
    const slot = newSlot(step);
    if (slot === undefined) continue;
    const kind = kindAfter(slot.parent, draft, view);
    if (kind === "folder") continue;
    const what = kind === undefined ? "lives no more" : `is a ${kind}`;
    return refused("parent-gone", `Its parent ${slot.parent} ${what}.`, id);
  }
  return undefined;
}

function findCycle({ steps }: Draft, view: View): Refused | undefined {
  /** Folders from a node to the root, the node itself included. */
  const heights = new Map<NodeId, number>([[ROOT_NODE, 0]]);
  for (const [id, step] of steps) {
    if (newSlot(step) === undefined) continue;
    const path: NodeId[] = [];
    const onPath = new Set<NodeId>();
    let at: NodeId | undefined = id;
    while (at !== undefined && !heights.has(at) && path.length <= MAX_DEPTH + 1) {
      if (onPath.has(at)) return refused("cycle", "It would stand below itself.", id);
      path.push(at);
      onPath.add(at);
      at = newSlot(steps.get(at))?.parent ?? view.nodes.get(at)?.parent;
    }
    const above = at === undefined ? undefined : heights.get(at);
    if (above === undefined || above + path.length > MAX_DEPTH + 1) {
      return refused("bad-change", `It would stand below more than ${MAX_DEPTH} folders.`, id);
    }
    path.forEach((node, index) => heights.set(node, above + path.length - index));
  }
  return undefined;
}

function findTakenName({ steps }: Draft, view: View): Refused | undefined {
  const claims = new Map<string, NodeId>();
  for (const [id, step] of steps) {
    const slot = newSlot(step);
    if (slot === undefined) continue;
    const key = slotKey(slot);
    const holder = claims.get(key) ?? stayingHolder(view.holders.get(key), steps);
    if (holder !== undefined) return refused("name-taken", `Node ${holder} has this name.`, id);
    claims.set(key, id);
  }
  return undefined;
}

/** The holder of a name, unless the draft takes it away from there. */
function stayingHolder(holder: NodeId | undefined, steps: Draft["steps"]): NodeId | undefined {
  const step = holder === undefined ? undefined : steps.get(holder);
  const leaves = step?.kind === "delete" || newSlot(step) !== undefined;
  return leaves ? undefined : holder;
}

function findOrphans({ leftBehind }: View): Refused | undefined {
  for (const [folder, child] of leftBehind) {
    return refused("not-empty", `Node ${child} lives in this folder.`, folder);
  }
  return undefined;
}

function findMissingChunks({ chunks }: Draft, view: View): Verdict | undefined {
  const missing: ChunkId[] = [];
  for (const id of chunks) {
    if (!view.chunks.has(id) && missing.length < MAX_CHUNK_IDS) missing.push(id);
  }
  return missing.length === 0 ? undefined : { outcome: "missing-chunks", missing };
}

function findWrongLength({ steps }: Draft, view: View): Refused | undefined {
  for (const [id, step] of steps) {
    const { chunks, lengths } = writtenBy(step) ?? {};
    // A sealed space's are in its manifests, for the devices to check.
    if (chunks === undefined || lengths === undefined) continue;
    const wrong = chunks.findIndex((chunk, at) => view.chunks.get(chunk) !== lengths[at]);
    if (wrong === -1) continue;
    const chunk = chunks[wrong] ?? "";
    return refused("bad-change", `Chunk ${chunk} has another length.`, id);
  }
  return undefined;
}

type Written = Pick<NodeRow, "meta" | "chunks"> & { readonly lengths?: number[] | undefined };

function writtenBy(step: Step): Written | undefined {
  if (step.kind === "create") return step.create;
  return step.kind === "alter" ? step.update?.change : undefined;
}

function nodesAfter({ steps }: Draft, view: View, sequence: number): NodeRow[] {
  return Array.from(steps, ([id, step]) => nodeAfter(id, step, view.nodes.get(id), sequence));
}

function nodeAfter(id: NodeId, step: Step, row: NodeRow | undefined, sequence: number): NodeRow {
  if (step.kind === "create") {
    const { type, parent, name, meta, chunks, lengths } = step.create;
    const revs = { crev: sequence, lrev: sequence, deleted: false };
    return { id, type, parent, name, key: step.slot.key, meta, chunks, lengths, ...revs };
  }
  assert(row !== undefined, "a draft that is not stale knows its nodes");
  if (step.kind === "delete") return { ...row, crev: sequence, lrev: sequence, deleted: true };
  let after = row;
  if (step.update !== null) {
    const { meta, chunks, lengths } = step.update.change;
    after = { ...after, meta, chunks, lengths, crev: sequence };
  }
  if (step.move !== null) {
    const { parent, name } = step.move.change;
    after = { ...after, parent, name, key: step.move.slot.key, lrev: sequence };
  }
  return after;
}
