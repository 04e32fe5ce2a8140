import { ROOT_NODE, type ChunkId, type NodeId, type SpaceId } from "#core/ids.ts";
import { MAX_DEPTH } from "#protocol/limits.ts";
import type { Draft, Step } from "./draft.ts";
import type { ChunkPlace, Metadata, NameSlot, NodeRow } from "./metadata/port.ts";

/** What a verdict on a draft needs to know of the tree, as of one head. */
export type View = {
  /** The draft's nodes and all folders above the places that it names; tombstones too. */
  readonly nodes: ReadonlyMap<NodeId, NodeRow>;
  /** The living holders of the names that the draft claims, by `slotKey`. */
  readonly holders: ReadonlyMap<string, NodeId>;
  /**
   * Deleted folders that keep a child which the draft neither deletes nor moves, and that child.
   */
  readonly leftBehind: ReadonlyMap<NodeId, NodeId>;
  /** The named chunks that the space holds, and their lengths in bytes. */
  readonly chunks: ReadonlyMap<ChunkId, number>;
};

export function slotKey({ parent, key }: NameSlot): string {
  return `${parent}/${key}`;
}

/** Where the draft puts this node; undefined when it leaves the place alone. */
export function newSlot(step: Step | undefined): NameSlot | undefined {
  if (step?.kind === "create") return step.slot;
  return step?.kind === "alter" ? step.move?.slot : undefined;
}

/** Reads what `judge` needs, in few batches. All of it must be newer than the head read before. */
export async function loadView(
  { journals, chunks }: Pick<Metadata, "journals" | "chunks">,
  space: SpaceId,
  draft: Draft,
): Promise<View> {
  const nodes = new Map<NodeId, NodeRow>();
  const load = async (ids: Iterable<NodeId>): Promise<void> => {
    for (const row of await journals.nodes(space, [...ids])) nodes.set(row.id, row);
  };
  await load(draft.steps.keys());
  await loadAncestors(draft, nodes, load);
  const slots = Array.from(draft.steps.values(), newSlot).filter((slot) => slot !== undefined);
  const holders = new Map<string, NodeId>();
  for (const row of await journals.holders(space, slots)) holders.set(slotKey(row), row.id);
  const places: ChunkPlace[] = await chunks.held(space, [...draft.chunks]);
  return {
    nodes,
    holders,
    leftBehind: await findLeftBehind(journals, space, draft),
    chunks: new Map(places.map(({ id, lengthBytes }) => [id, lengthBytes])),
  };
}

/** Level by level up from every place that the draft names, as the tree will be after it. */
async function loadAncestors(
  { steps }: Draft,
  nodes: ReadonlyMap<NodeId, NodeRow>,
  load: (ids: Iterable<NodeId>) => Promise<void>,
): Promise<void> {
  const seen = new Set<NodeId>([ROOT_NODE]);
  let level = new Set<NodeId>();
  for (const step of steps.values()) {
    const slot = newSlot(step);
    if (slot !== undefined) level.add(slot.parent);
  }
  for (let depth = 0; level.size > 0 && depth <= MAX_DEPTH; depth++) {
    for (const id of level) seen.add(id);
    const unknown = [...level].filter((id) => !nodes.has(id) && !steps.has(id));
    if (unknown.length > 0) await load(unknown);
    const above = new Set<NodeId>();
    for (const id of level) {
      // The parents of what moves were on the first level.
      const parent = newSlot(steps.get(id)) === undefined ? nodes.get(id)?.parent : undefined;
      if (parent !== undefined && !seen.has(parent)) above.add(parent);
    }
    level = above;
  }
}

async function findLeftBehind(
  journals: Metadata["journals"],
  space: SpaceId,
  { steps }: Draft,
): Promise<Map<NodeId, NodeId>> {
  const leaving = new Set<NodeId>();
  for (const [id, step] of steps) {
    if (step.kind === "delete" || (step.kind === "alter" && step.move !== null)) leaving.add(id);
  }
  const found = new Map<NodeId, NodeId>();
  for (const [id, step] of steps) {
    if (step.kind !== "delete") continue;
    // The folder itself leaves: of as many children as leave one has to stay, so no more are read.
    const children = await journals.children(space, id, leaving.size);
    const stays = children.find((child) => !leaving.has(child.id));
    if (stays === undefined) continue;
    // One is enough to refuse the commit.
    return found.set(id, stays.id);
  }
  return found;
}
