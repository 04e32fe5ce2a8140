import { assert } from "#core/assert.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { sameBody, samePlace, type Content, type Place } from "#core/node.ts";
import { conflictName } from "./conflict.ts";
import { Sight } from "./blindness.ts";
import type { Draft } from "./draft.ts";
import { adoptChildren, interrupted, localPlace, rebind, type Fresh } from "./normalise.ts";
import { agreedAt, type NodeRow } from "./tree.ts";

/** Where a node belongs when both sides are done, and what it holds there. */
export type Target = { readonly place: Place; readonly content: Content };

export type Naming = {
  readonly nameKey: (name: string) => string;
  readonly device: string;
  /** `YYYY-MM-DD` */
  readonly date: string;
};

function mergedContent(row: NodeRow): Content {
  const { remote, synced } = row;
  const mine = (row.local ?? interrupted(row))?.content ?? null;
  const content = mine ?? remote?.content;
  assert(content !== undefined, `node ${row.id} has content on no side`);
  if (remote === null || mine === null || synced === null) return content;
  // What was to be put in place is the server's, as it was then.
  const isMine = row.local !== null && !sameBody(mine, synced.content);
  const body = isMine ? mine : remote.content;
  if (body.kind !== "file" || mine.kind !== "file" || synced.content.kind !== "file") return body;
  assert(remote.content.kind === "file", `node ${row.id} changed its kind`);
  const executable =
    mine.executable === synced.content.executable ? remote.content.executable : mine.executable;
  return body.executable === executable ? body : { ...body, executable };
}

function mergedPlace(row: NodeRow): Place | null {
  const { remote, synced, local } = row;
  if (remote === null) {
    if (local === null || synced !== null) return null;
    return localPlace(local);
  }
  if (synced === null) return remote;
  const mine = local === null ? interrupted(row) : localPlace(local);
  if (mine === null) return null;
  return !samePlace(mine, synced) && remote.lrev === synced.lrev ? mine : remote;
}

/**
 * The one merged tree (SPEC PL5–PL15): for every row that is not in agreement its target, null for
 * one that goes. Building it may find that rows must first be changed (a parent that must live on,
 * two folders that are one); then `settle` returns true and all starts over on the changed rows.
 */
export class TargetTree {
  readonly #draft: Draft;
  readonly #naming: Naming;
  readonly #sight: Sight;
  readonly #targets = new Map<NodeId, Target | null>();
  /** Targets by parent and name key; nearly all have a name for themselves. */
  readonly #slots = new Map<NodeId, Map<string, NodeId | Set<NodeId>>>();
  readonly #rows: NodeRow[] = [];

  readonly #deferred: Set<NodeId>;

  /**
   * `deferred` collects, over all rounds of one plan, nodes whose names wait for unsettled ones.
   */
  constructor(draft: Draft, naming: Naming, deferred: Set<NodeId>) {
    this.#draft = draft;
    this.#naming = naming;
    this.#deferred = deferred;
    this.#sight = new Sight(draft);
    for (const row of draft.changed()) {
      if (deferred.has(row.id) || this.#sight.isUnsettled(row)) continue;
      this.#rows.push(row);
      const place = mergedPlace(row);
      const target =
        place === null ? null : { place: this.#rooted(row, place), content: mergedContent(row) };
      this.#set(row.id, target);
    }
  }

  /** The rows that have a target (or null) of their own. */
  get rows(): readonly NodeRow[] {
    return this.#rows;
  }

  get sight(): Sight {
    return this.#sight;
  }

  /** The target of any node: one that is settled or unseen stays where it is. */
  of(id: NodeId): Target | null {
    const known = this.#targets.get(id);
    if (known !== undefined) return known;
    const row = this.#draft.get(id);
    if (row === undefined) return null;
    const at = row.remote ?? (row.local === null ? null : localPlace(row.local));
    const content = row.remote?.content ?? row.local?.content ?? row.synced?.content;
    return at === null || content === undefined
      ? null
      : { place: { parent: at.parent, name: at.name }, content };
  }

  /** True when rows changed and everything must be looked at again. */
  settle(fresh: Fresh): boolean {
    if (this.#keepParents(fresh)) return true;
    const undone = this.#undoCycles();
    // What goes back to the server's place needs its folder there.
    if (undone === "waits" || (undone === "undone" && this.#keepParents(fresh))) return true;
    return this.#takeOverFolders() || this.#resolveClashes();
  }

  #set(id: NodeId, target: Target | null): void {
    const before = this.#targets.get(id);
    if (before) this.#leaveSlot(id, before.place);
    this.#targets.set(id, target);
    if (target !== null) this.#takeSlot(id, target.place);
  }

  #takeSlot(id: NodeId, { parent, name }: Place): void {
    const key = this.#naming.nameKey(name);
    const folder = this.#slots.get(parent);
    if (folder === undefined) {
      this.#slots.set(parent, new Map([[key, id]]));
      return;
    }
    const holders = folder.get(key);
    if (holders === undefined) folder.set(key, id);
    else if (holders instanceof Set) holders.add(id);
    else folder.set(key, new Set([holders, id]));
  }

  #leaveSlot(id: NodeId, { parent, name }: Place): void {
    const key = this.#naming.nameKey(name);
    const folder = this.#slots.get(parent);
    const holders = folder?.get(key);
    if (holders instanceof Set) holders.delete(id);
    else if (holders === id) folder?.delete(key);
  }

  #holders({ parent, name }: Place): Iterable<NodeId> {
    const holders = this.#slots.get(parent)?.get(this.#naming.nameKey(name));
    if (holders === undefined) return [];
    return holders instanceof Set ? holders : [holders];
  }

  #slot(place: Place): string {
    return `${place.parent}/${this.#naming.nameKey(place.name)}`;
  }

  /** Parked out of a folder that is gone everywhere: back to the server's place, or to the root. */
  #rooted(row: NodeRow, place: Place): Place {
    if (place.parent === ROOT_NODE || this.#draft.get(place.parent) !== undefined) return place;
    return row.remote ?? { ...place, parent: ROOT_NODE };
  }

  /** PL8: a folder that something survives in lives on, as a shell if need be. */
  #keepParents(fresh: Fresh): boolean {
    let kept = false;
    const rebound = new Set<NodeId>();
    for (const row of this.#rows) {
      const target = this.#targets.get(row.id);
      if (!target || target.place.parent === ROOT_NODE) continue;
      const parentId = target.place.parent;
      // Its place was taken from the rows as they were: the next round knows the folder's new id.
      if (rebound.has(parentId) || this.of(parentId) !== null) continue;
      const parent = this.#draft.get(parentId);
      if (parent === undefined) {
        // A server that names folders it never sent: the node waits, the others go on.
        this.#deferred.add(row.id);
      } else if (parent.remote !== null) {
        // Deleted here, but somebody put something into it: it comes back.
        if (parent.synced !== null) this.#draft.put({ ...parent, synced: null });
      } else {
        rebind(this.#draft, parent, fresh);
        rebound.add(parentId);
      }
      kept = true;
    }
    return kept;
  }

  /**
   * PL13: of two moves that close a ring the first committed stands, ours is undone. A ring with
   * something unsettled in it may be none in a moment: nothing is undone because of it.
   */
  #undoCycles(): "nothing" | "undone" | "waits" {
    let outcome: "nothing" | "undone" = "nothing";
    // All moves count at once: turning a tree inside out is no ring, though single moves of it are.
    for (let again = true; again;) {
      again = false;
      for (const row of this.#rows) {
        const target = this.#targets.get(row.id);
        if (row.kind !== "folder" || !target || row.remote === null) continue;
        if (samePlace(target.place, row.remote)) continue;
        const ring = this.#ringOf(row.id);
        if (ring === null) continue;
        if (ring.some((id) => this.#isWaiting(id))) {
          this.#deferred.add(row.id);
          return "waits";
        }
        this.#set(row.id, { ...target, place: row.remote });
        outcome = "undone";
        again = true;
      }
    }
    return outcome;
  }

  /** True for what waits, or makes others wait, for something on the disk to be seen. */
  #isWaiting(id: NodeId): boolean {
    if (this.#deferred.has(id)) return true;
    const row = this.#draft.get(id);
    return row !== undefined && this.#sight.isUnsettled(row);
  }

  /** The folders from a folder's parent up to itself; null when climbing does not lead there. */
  #ringOf(id: NodeId): NodeId[] | null {
    const ring: NodeId[] = [];
    const seen = new Set<NodeId>();
    let at = this.of(id)?.place.parent ?? ROOT_NODE;
    while (at !== ROOT_NODE && !seen.has(at)) {
      ring.push(at);
      if (at === id) return ring;
      seen.add(at);
      at = this.of(at)?.place.parent ?? ROOT_NODE;
    }
    return null;
  }

  /**
   * A folder that was deleted and made again elsewhere is the one on this disk, which stays with
   * what is ignored in it (SPEC EX5).
   */
  #takeOverFolders(): boolean {
    let taken = false;
    for (const { id } of this.#rows) {
      const row = this.#draft.get(id);
      if (row?.kind !== "folder" || !row.remote || row.local || row.synced) continue;
      const { parent, name } = row.remote;
      const named = this.#draft.named("local", parent, name);
      const going = named.find((other) => {
        return other.kind === row.kind && this.#targets.get(other.id) === null;
      });
      if (going === undefined) continue;
      this.#becomeOne(going, row);
      taken = true;
    }
    return taken;
  }

  #isServerOwned(row: NodeRow, place: Place): boolean {
    return row.remote !== null && samePlace(row.remote, place);
  }

  /** PL14: one name, one node: the server's keeps it, equal ones become one, others step aside. */
  #resolveClashes(): boolean {
    let merged = false;
    for (const row of this.#rows) {
      const target = this.#targets.get(row.id);
      if (!target || this.#isServerOwned(row, target.place)) continue;
      const rivals = this.#rivalsOf(row, target.place);
      if (rivals.some(({ id }) => this.#isWaiting(id))) {
        // What is not settled may be about to give the name up: nobody steps aside for it.
        this.#deferred.add(row.id);
        merged = true;
        continue;
      }
      const holder = this.#holderAmong(rivals, row, target.place);
      if (holder === null) continue;
      if (this.#unite(row, holder)) {
        this.#set(row.id, null);
        merged = true;
      } else {
        this.#set(row.id, { ...target, place: this.#freeName(row, target.place) });
      }
    }
    return merged;
  }

  /** Whoever else has the name or wants it, on any side. */
  #rivalsOf(row: NodeRow, place: Place): NodeRow[] {
    const rivals: NodeRow[] = [];
    for (const other of this.#claimants(place)) if (other.id !== row.id) rivals.push(other);
    return rivals;
  }

  /** Which of them comes first: the server's node, else the lesser name or id. */
  #holderAmong(rivals: readonly NodeRow[], row: NodeRow, place: Place): NodeRow | null {
    for (const other of rivals) {
      const target = this.of(other.id);
      if (target === null || this.#slot(target.place) !== this.#slot(place)) continue;
      if (this.#isServerOwned(other, target.place)) return other;
      const settledBefore =
        target.place.name < place.name || (target.place.name === place.name && other.id < row.id);
      if (settledBefore) return other;
    }
    return null;
  }

  *#claimants(place: Place): Iterable<NodeRow> {
    for (const id of this.#holders(place)) {
      const row = this.#draft.get(id);
      if (row !== undefined) yield row;
    }
    yield* this.#draft.named("remote", place.parent, place.name);
    yield* this.#draft.named("local", place.parent, place.name);
  }

  /** Makes a new local node and the server's node of equal content one (PL14). */
  #unite(row: NodeRow, holder: NodeRow): boolean {
    const { local } = row;
    if (row.remote !== null || row.synced !== null || local === null || local.content === null) {
      return false;
    }
    if (holder.remote === null || holder.local !== null || holder.kind !== row.kind) return false;
    if (!sameBody(local.content, holder.remote.content)) return false;
    this.#becomeOne(row, holder);
    return true;
  }

  /** What is on the disk is another node from now on. */
  #becomeOne(row: NodeRow, holder: NodeRow): void {
    const { local } = row;
    assert(local !== null && local.content !== null, `node ${row.id} is on the disk and was read`);
    const synced = agreedAt(holder.remote, localPlace(local), local.content, local.file);
    this.#draft.put({ ...holder, local, synced, displacing: null, placing: null });
    this.#draft.put({ ...row, synced: null, local: null });
    if (row.kind === "folder") adoptChildren(this.#draft, row.id, holder.id);
  }

  #freeName(row: NodeRow, place: Place): Place {
    for (let attempt = 1; ; attempt++) {
      const name = conflictName(place.name, {
        device: this.#naming.device,
        date: this.#naming.date,
        attempt,
        folder: row.kind === "folder",
      });
      const free = { parent: place.parent, name };
      const taken = this.#rivalsOf(row, free).length > 0;
      if (!taken) return free;
    }
  }
}
