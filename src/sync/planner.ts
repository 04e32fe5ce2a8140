import { assert } from "#core/assert.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { sameBody, sameContent, samePlace, type Content, type Place } from "#core/node.ts";
import { Sight } from "./blindness.ts";
import { Draft, type TreeView } from "./draft.ts";
import { normaliseRow, type Fresh } from "./normalise.ts";
import { goingOf, withoutHeld, type Going } from "./withheld.ts";
import { TargetTree, type Naming, type Target } from "./target.ts";
import type { NodeRow } from "./tree.ts";

/** A step on this disk. The executor looks again before each and orders them (SPEC EX1). */
export type LocalOp =
  | { readonly kind: "create"; readonly id: NodeId; readonly target: Target }
  | { readonly kind: "move"; readonly id: NodeId; readonly to: Place }
  | { readonly kind: "replace"; readonly id: NodeId; readonly content: Content }
  | { readonly kind: "set-executable"; readonly id: NodeId; readonly executable: boolean }
  | { readonly kind: "remove"; readonly id: NodeId };

/** One change to commit; content is read from the local side when it is sent. */
export type RemoteOp = {
  readonly kind: "create" | "update" | "move" | "delete";
  readonly id: NodeId;
  /** True when a commit may end behind this change: nothing so far needs what comes later. */
  readonly cut: boolean;
};

export type Plan = {
  /** Rows to store before anything is done; empty ones go. */
  readonly records: readonly NodeRow[];
  readonly local: readonly LocalOp[];
  readonly remote: readonly RemoteOp[];
};

export type PlanWorld = Naming & {
  readonly fresh: Fresh;
  /** Which of those stay for now, whatever that leaves undone; none when absent (SPEC MD3). */
  readonly withhold?: (going: Going) => ReadonlySet<NodeId>;
};

/**
 * How often normalising and merging may start over: each time at least one row is settled for good.
 */
const MAX_ROUNDS = 10_000;

/**
 * Decides everything, does nothing: from the three trees to the records to store, the steps on this
 * disk, and the changes to commit (SPEC PL1–PL18). Pure: the view is only read.
 */
export function plan(view: TreeView, world: PlanWorld): Plan {
  const draft = new Draft(view, world.nameKey);
  const deferred = new Set<NodeId>();
  let tree = merge(draft, world, deferred);
  for (let round = 0; tree.settle(world.fresh); round++) {
    assert(round < MAX_ROUNDS, "planning does not come to rest");
    tree = merge(draft, world, deferred);
  }
  const rows = tree.rows.map((row) => draft.get(row.id) ?? row);
  const wanted = rows.flatMap((row) => localOps(row, tree.of(row.id)));
  const stuck = new Set<NodeId>();
  for (const op of wanted) {
    if (op.kind === "move" && isUnseen(draft, tree.sight, op.to.parent)) stuck.add(op.id);
  }
  const local = wanted
    .filter((op) => op.kind !== "move" || !stuck.has(op.id))
    .filter((op) => op.kind !== "create" || !isNameUnsettled(draft, tree, op));
  const held = world.withhold?.(goingOf(draft, tree, rows)) ?? new Set<NodeId>();
  const blocked = new Set([...local.map((op) => op.id), ...held]);
  const remote = new Outgoing({ draft, tree, blocked, stuck }, world).ordered(rows);
  return { records: draft.records(), local: withoutHeld(draft, local, held), remote };
}

function merge(draft: Draft, world: PlanWorld, deferred: Set<NodeId>): TargetTree {
  for (let again = true; again;) {
    again = false;
    const sight = new Sight(draft);
    for (const { id } of draft.changed()) {
      const row = draft.get(id);
      if (row === undefined || sight.isUnsettled(row)) continue;
      if (normaliseRow(draft, row, world.fresh)) again = true;
    }
  }
  return new TargetTree(draft, world, deferred);
}

/** Target minus disk, for one node. */
function localOps(row: NodeRow, target: Target | null): LocalOp[] {
  const { id, local } = row;
  if (target === null) return local === null ? [] : [{ kind: "remove", id }];
  if (local === null || local.content === null) return [{ kind: "create", id, target }];
  const ops: LocalOp[] = [];
  if (!samePlace(local, target.place)) ops.push({ kind: "move", id, to: target.place });
  const { content } = target;
  if (!sameBody(local.content, content)) ops.push({ kind: "replace", id, content });
  else if (content.kind === "file" && !sameContent(local.content, content)) {
    ops.push({ kind: "set-executable", id, executable: content.executable });
  }
  return ops;
}

/** Nothing is put where nobody can look whether it arrived (SPEC PL9). */
function isUnseen(draft: Draft, sight: Sight, folder: NodeId): boolean {
  const row = draft.get(folder);
  return row !== undefined && sight.isBlind(row);
}

/**
 * A name that something unread or unseen holds on this disk, or what belongs where nobody can look,
 * is not free yet: what belongs there is not fetched before it is.
 */
function isNameUnsettled(
  draft: Draft,
  tree: TargetTree,
  { id, target: { place } }: Extract<LocalOp, { kind: "create" }>,
): boolean {
  return draft.named("local", place.parent, place.name).some((other) => {
    if (other.id === id) return false;
    const folder = tree.of(other.id)?.place.parent;
    const isStuck = folder !== undefined && isUnseen(draft, tree.sight, folder);
    return isStuck || tree.sight.isUnsettled(other);
  });
}

type Outlook = {
  readonly draft: Draft;
  readonly tree: TargetTree;
  /** What still has to change on this disk, or is held: nothing of it is committed (SPEC PL17). */
  readonly blocked: ReadonlySet<NodeId>;
  /** What cannot go where it belongs on this disk: its place is not committed. */
  readonly stuck: ReadonlySet<NodeId>;
};

/**
 * Target minus server, in an order in which commits can be cut: what must be in the tree (or out of
 * the way) first comes first, and rings of names stay together.
 */
class Outgoing {
  readonly #draft: Draft;
  readonly #tree: TargetTree;
  readonly #blocked: ReadonlySet<NodeId>;
  readonly #stuck: ReadonlySet<NodeId>;
  readonly #nameKey: (name: string) => string;
  readonly #wanted = new Map<NodeId, RemoteOp["kind"][]>();
  readonly #position = new Map<NodeId, number>();
  readonly #order: NodeId[] = [];
  readonly #needs = new Map<NodeId, NodeId[]>();
  readonly #standing = new Map<NodeId, readonly NodeId[]>();

  constructor({ draft, tree, blocked, stuck }: Outlook, world: PlanWorld) {
    this.#draft = draft;
    this.#tree = tree;
    this.#blocked = blocked;
    this.#stuck = stuck;
    this.#nameKey = world.nameKey;
  }

  ordered(rows: readonly NodeRow[]): RemoteOp[] {
    for (const row of rows) {
      const kinds = this.#changesOf(row);
      if (kinds.length > 0) this.#wanted.set(row.id, kinds);
    }
    this.#dropImpossible();
    for (const ids of this.#byFolder()) for (const id of ids) this.#visit(id);
    return this.#cut();
  }

  /** What happens in one folder stays together: a commit that ends touches few of them. */
  #byFolder(): Iterable<readonly NodeId[]> {
    const folders = new Map<NodeId, NodeId[]>();
    for (const id of this.#wanted.keys()) {
      const remote = this.#draft.get(id)?.remote;
      const folder = this.#tree.of(id)?.place.parent ?? remote?.parent ?? ROOT_NODE;
      const ids = folders.get(folder);
      if (ids === undefined) folders.set(folder, [id]);
      else ids.push(id);
    }
    return folders.values();
  }

  #changesOf(row: NodeRow): RemoteOp["kind"][] {
    if (this.#blocked.has(row.id)) return [];
    const { remote, local } = row;
    const isStuck = this.#stuck.has(row.id);
    // What is parked stands under no name that a person gave it.
    if (isStuck && (local?.parkedFrom ?? null) !== null) return [];
    const target = this.#tree.of(row.id);
    if (target === null) return remote === null ? [] : ["delete"];
    if (remote === null) return local === null || isStuck ? [] : ["create"];
    const kinds: RemoteOp["kind"][] = [];
    if (!isStuck && !samePlace(remote, target.place)) kinds.push("move");
    if (!sameContent(remote.content, target.content)) kinds.push("update");
    return kinds;
  }

  /** Leaves out what the server would have to refuse, until nothing more falls. */
  #dropImpossible(): void {
    for (let again = true; again;) {
      again = false;
      for (const id of this.#wanted.keys()) {
        const row = this.#draft.get(id);
        if (row !== undefined && this.#isPossible(row)) continue;
        this.#wanted.delete(id);
        again = true;
      }
    }
  }

  #isPossible(row: NodeRow): boolean {
    const target = this.#tree.of(row.id);
    if (target === null) {
      return this.#draft.children("remote", row.id).every(({ id }) => this.#leaves(id, row.id));
    }
    const { parent, name } = target.place;
    const isHome = row.remote !== null && samePlace(row.remote, target.place);
    if (isHome) return true;
    if (parent !== ROOT_NODE && !this.#draft.get(parent)?.remote && !this.#wanted.has(parent)) {
      return false;
    }
    if (this.#changesFolder(row) && this.#wouldCloseRing(row.id, parent)) return false;
    return this.#inTheWay(row.id, target.place).every((id) => this.#leaves(id, parent, name));
  }

  /** True for a folder that the server knows and that goes into another one. */
  #changesFolder({ id, kind, remote }: NodeRow): boolean {
    if (kind !== "folder" || remote === null) return false;
    return this.#wanted.get(id)?.includes("move") === true && this.#parentOf(id) !== remote.parent;
  }

  #parentOf(id: NodeId): NodeId {
    return this.#tree.of(id)?.place.parent ?? ROOT_NODE;
  }

  /** True when the server, after all that is wanted, would have the folder below itself. */
  #wouldCloseRing(id: NodeId, parent: NodeId): boolean {
    const seen = new Set<NodeId>();
    let at = parent;
    while (at !== ROOT_NODE && at !== id && !seen.has(at)) {
      seen.add(at);
      const isWanted = this.#wanted.has(at);
      at = isWanted ? this.#parentOf(at) : (this.#draft.get(at)?.remote?.parent ?? ROOT_NODE);
    }
    return at === id;
  }

  /** True when the node gives up its place (its folder, or that name in it) in this plan. */
  #leaves(id: NodeId, folder: NodeId, name?: string): boolean {
    const kinds = this.#wanted.get(id);
    if (kinds === undefined) return false;
    if (kinds.includes("delete")) return true;
    if (!kinds.includes("move")) return false;
    const target = this.#tree.of(id);
    if (target === null || target.place.parent !== folder) return true;
    return name !== undefined && this.#nameKey(target.place.name) !== this.#nameKey(name);
  }

  #needsOf(id: NodeId): NodeId[] {
    const target = this.#tree.of(id);
    // In order of ids: a view gives children in any, and the plan is the same in all (SPEC PL10).
    if (target === null)
      return this.#draft
        .children("remote", id)
        .map((row) => row.id)
        .sort();
    const above = this.#movedAbove(id);
    return [target.place.parent, ...above, ...this.#inTheWay(id, target.place)];
  }

  /** The other nodes that have the name at the server now. */
  #inTheWay(id: NodeId, { parent, name }: Place): readonly NodeId[] {
    const known = this.#standing.get(id);
    if (known !== undefined) return known;
    const named = this.#draft.named("remote", parent, name).map((row) => row.id);
    const others = named.filter((other) => other !== id);
    this.#standing.set(id, others);
    return others;
  }

  /**
   * The next folder above a folder's target that moves, too: when each comes after the ones above
   * it, the server never has one below itself on the way.
   */
  #movedAbove(id: NodeId): NodeId[] {
    const row = this.#draft.get(id);
    if (row === undefined || !this.#changesFolder(row)) return [];
    const seen = new Set<NodeId>([id]);
    for (let at = this.#parentOf(id); at !== ROOT_NODE && !seen.has(at); at = this.#parentOf(at)) {
      seen.add(at);
      const above = this.#draft.get(at);
      if (above === undefined) return [];
      if (this.#changesFolder(above)) return [at];
    }
    return [];
  }

  /** Depth first, without recursion: a tree may be thousands of folders deep. */
  #visit(start: NodeId): void {
    const stack: { id: NodeId; left: NodeId[] }[] = [];
    const enter = (id: NodeId): void => {
      if (!this.#wanted.has(id) || this.#needs.has(id)) return;
      const needs = this.#needsOf(id).filter((needed) => this.#wanted.has(needed));
      this.#needs.set(id, needs);
      stack.push({ id, left: [...needs] });
    };
    enter(start);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.left.pop();
      if (next !== undefined) {
        enter(next);
        continue;
      }
      stack.pop();
      this.#position.set(top.id, this.#order.length);
      this.#order.push(top.id);
    }
  }

  #cut(): RemoteOp[] {
    const ops: RemoteOp[] = [];
    let reach = -1;
    this.#order.forEach((id, index) => {
      for (const needed of this.#needs.get(id) ?? []) {
        reach = Math.max(reach, this.#position.get(needed) ?? -1);
      }
      const kinds = this.#wanted.get(id) ?? [];
      kinds.forEach((kind, at) => {
        ops.push({ kind, id, cut: at === kinds.length - 1 && reach <= index });
      });
    });
    return ops;
  }
}
