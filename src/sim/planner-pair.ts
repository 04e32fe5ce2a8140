import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { sameBody, samePlace, type Content, type Place } from "#core/node.ts";
import { readConflictName } from "#sync/conflict.ts";
import type { LocalSide, NodeRow, SyncedSide } from "#sync/tree.ts";
import type { ModelDevice } from "./planner-device.ts";
import type { ModelServer } from "./planner-server.ts";

type Sides = {
  readonly id: NodeId;
  readonly kind: NodeRow["kind"];
  readonly base: SyncedSide;
  readonly first: LocalSide | null;
  readonly second: LocalSide | null;
};

type Living = ReturnType<ModelServer["living"]>;

/**
 * What must come of two people's deeds on one agreed tree, the first of whom commits all before the
 * second hears of it: the table "who wins", node by node and without any planning. Taken before
 * either of them syncs.
 */
export class Pair {
  readonly #sides = new Map<NodeId, Sides>();
  /** The same of what was deleted and made again, which may be found to be the node that it was. */
  readonly #others = new Map<NodeId, Sides>();
  /** What another node's inode, unchanged and in that one's place again, was taken for. */
  readonly #returned = new Set<LocalSide>();
  readonly #nameKey: (name: string) => string;
  /** Which nodes have a content on either disk. */
  readonly #holders = new Map<string, Set<NodeId>>();

  constructor(first: ModelDevice, second: ModelDevice, nameKey: (name: string) => string) {
    this.#nameKey = nameKey;
    for (const { rows } of [first, second]) {
      for (const { id, synced, local } of rows.all()) {
        for (const side of [synced, local]) this.#hold(id, side?.content ?? null);
      }
    }
    for (const { id, kind, synced: base, local } of first.rows.all()) {
      if (base === null) continue;
      const row = second.rows.get(id);
      // Each has the node in an inode of his own; the second's is the one that counts.
      const file = row?.synced?.file ?? base.file;
      this.#sides.set(id, {
        id,
        kind,
        base: { ...base, file },
        first: local,
        second: row?.local ?? null,
      });
      const again = [madeAgain(first, id), madeAgain(second, id, first)] as const;
      const sides = { id, kind, base: { ...base, file } };
      if (again[0] === null && again[1] === null) continue;
      if (again[1] !== null && !isTouched(again[1], sides.base)) this.#returned.add(again[1]);
      const others = { first: local ?? again[0], second: row?.local ?? again[1] };
      this.#others.set(id, { ...sides, ...others });
    }
  }

  #hold(id: NodeId, content: Content | null): void {
    if (content?.kind !== "file") return;
    const holders = this.#holders.get(content.sha256);
    if (holders === undefined) this.#holders.set(content.sha256, new Set([id]));
    else holders.add(id);
  }

  /** What is wrong with the tree in the end. `isFolding`: neither disk tells cases apart. */
  judge(living: Living, isFolding: boolean): string[] {
    const wrong: string[] = [];
    const present = new Set<string>();
    for (const { content } of living.values()) {
      if (content.kind === "file") present.add(content.sha256);
    }
    for (const sides of this.#sides.values()) {
      if (sides.kind !== "file") continue;
      const crime = this.#crime(sides, living, present);
      const other = this.#others.get(sides.id);
      // What could not be seen for a while is found to be the same node later or not at all.
      if (other !== undefined && this.#crime(other, living, present) === null) continue;
      if (crime !== null) wrong.push(`${crime}: ${sides.id.slice(0, 8)} ${sides.base.name}`);
    }
    // Whoever has two names that the space takes for one has a conflict with nobody.
    return isFolding ? [...wrong, ...this.#copies(living)] : wrong;
  }

  #crime(sides: Sides, living: Living, present: ReadonlySet<string>): string | null {
    const { id, base, first, second } = sides;
    const after = living.get(id);
    const isThere = (content: Content | null): boolean =>
      content?.kind === "file" && present.has(content.sha256);
    if (first === null) {
      if (after !== undefined) return "the first deleted it, and the node lives";
      if (second === null) return null;
      if (isTouched(second, base) || this.#wentWithFolder(sides)) {
        return isThere(second.content) || this.#returned.has(second)
          ? null
          : "the second's file went, though he had a hand in it";
      }
      const { kind } = base.content;
      const isUnique = kind === "file" && this.#holders.get(base.content.sha256)?.size === 1;
      return isUnique && isThere(base.content) ? "deleted by the first, and it is back" : null;
    }
    if (second === null) {
      const mustLive =
        isTouched({ ...first, file: base.file }, base) || this.#cameWithFolder(sides);
      if (mustLive !== (after !== undefined)) {
        return mustLive ? "the second's deletion won" : "the second's deletion was lost";
      }
      return after === undefined ? null : this.#notAs(after, first.content, [first]);
    }
    if (after === undefined) return "nobody deleted it, and it is gone";
    const isConflict =
      (!bodyAsIn(second, base) || second.file !== base.file) &&
      !bodyAsIn(first, base) &&
      !bodyAsIn(second, first);
    if (isConflict) {
      const isKept = isThere(second.content) || this.#returned.has(second);
      if (!isKept) return "the second's edit is lost";
      return this.#notAs(after, first.content, [first]);
    }
    const place = samePlace(first, base) ? second : first;
    const body = bodyAsIn(second, base) ? first.content : second.content;
    return this.#notAs(after, body, [place]) ?? bitCrime(sides, after.content);
  }

  /** Null when a node has this body at one of these places, or beside it under a conflict name. */
  #notAs(
    { row, content }: { row: Place; content: Content },
    body: Content | null,
    places: readonly Place[],
  ): string | null {
    if (body === null || !sameBody(content, body)) return "it has another content";
    for (const { parent, name } of places) {
      // Folders of one's own may have become somebody else's: then any will do.
      const isKnown = parent === ROOT_NODE || this.#isSteady(parent);
      if (isKnown && row.parent !== parent) continue;
      if (this.#nameKey(row.name) === this.#nameKey(name)) return null;
      if (readConflictName(row.name)?.of === (readConflictName(name)?.of ?? name)) return null;
    }
    return `it stands elsewhere, as ${row.name}`;
  }

  /** True for a folder that is there on both sides. */
  #isSteady(id: NodeId): boolean {
    const sides = this.#sides.get(id);
    return sides !== undefined && sides.first !== null && sides.second !== null;
  }

  /** A folder around the second's file was moved by him and deleted by the first (PL7). */
  #wentWithFolder({ second }: Sides): boolean {
    return this.#climbs(
      second,
      (folder) => folder.second,
      (folder) => folder.first === null,
    );
  }

  /** A folder around the first's file was moved by him and deleted by the second (PL7). */
  #cameWithFolder({ first }: Sides): boolean {
    return this.#climbs(
      first,
      (folder) => folder.first,
      (folder) => folder.second === null,
    );
  }

  #climbs(
    from: Place | null,
    own: (folder: Sides) => LocalSide | null,
    isGone: (folder: Sides) => boolean,
  ): boolean {
    for (let at = from?.parent ?? ROOT_NODE; at !== ROOT_NODE;) {
      const folder = this.#sides.get(at);
      if (folder === undefined) return false;
      const place = own(folder);
      if (place === null) return false;
      if (!isGone(folder)) return false;
      if (!samePlace(place, folder.base)) return true;
      at = place.parent;
    }
    return false;
  }

  /** Every conflict copy stands beside another content that has the name. */
  #copies(living: Living): string[] {
    const wrong: string[] = [];
    const nodes = [...living.entries()];
    for (const [id, { row, content }] of nodes) {
      const copy = readConflictName(row.name);
      if (copy === null) continue;
      const holder = nodes.find(
        ([, other]) =>
          other.row.parent === row.parent &&
          this.#nameKey(other.row.name) === this.#nameKey(copy.of),
      );
      if (holder === undefined) wrong.push(`a conflict copy of nothing: ${row.name}`);
      else if (
        !this.#sides.has(id) &&
        !this.#sides.has(holder[0]) &&
        sameBody(content, holder[1].content)
      ) {
        wrong.push(`a conflict copy of what is equal: ${row.name}`);
      }
    }
    return wrong;
  }
}

/**
 * What stands in the place of a file that is gone, as a new one (SPEC SC1). What the other deleted
 * before, or edited as well, and this one moved there, is a new one as well.
 */
function madeAgain({ rows }: ModelDevice, id: NodeId, before?: ModelDevice): LocalSide | null {
  const { kind, synced, local } = rows.get(id) ?? { kind: "file", synced: null, local: null };
  if (local !== null || synced === null || kind === "folder") return null;
  const folder = standIn(rows, synced.parent);
  const again = rows.named("local", folder, synced.name).find((row) => {
    const isKnown = row.synced !== null || row.remote !== null;
    const other = before?.rows.get(row.id)?.local;
    const isNew = !isKnown || other === null || (other !== undefined && isSplit(row, other));
    return isNew && row.kind === kind && row.local?.name === synced.name;
  });
  return again?.local ?? null;
}

/** The folder itself, or the one that was made where it is no more. */
function standIn(rows: ModelDevice["rows"], id: NodeId): NodeId {
  const { synced, local } = rows.get(id) ?? { synced: null, local: null };
  if (local !== null || synced === null) return id;
  const { name } = synced;
  const there = rows.named("local", standIn(rows, synced.parent), name);
  return there.find((row) => row.kind === "folder" && row.local?.name === name)?.id ?? id;
}

/** Both wrote to it: the later one's is a node of its own then. */
function isSplit({ synced, local }: NodeRow, other: LocalSide): boolean {
  if (synced === null || local === null) return false;
  const isWritten = !bodyAsIn(local, synced) || local.file !== synced.file;
  return isWritten && !bodyAsIn(other, synced) && !bodyAsIn(local, other);
}

function bodyAsIn(local: LocalSide, other: { readonly content: Content | null }): boolean {
  return local.content !== null && other.content !== null && sameBody(local.content, other.content);
}

function isTouched(local: LocalSide, base: SyncedSide): boolean {
  const isSameBit = bit(local.content) === bit(base.content);
  return (
    !bodyAsIn(local, base) || !isSameBit || !samePlace(local, base) || local.file !== base.file
  );
}

function bit(content: Content | null): boolean {
  return content?.kind === "file" && content.executable;
}

function bitCrime({ base, first, second }: Sides, after: Content): string | null {
  const [was, one, other] = [base, first, second].map((side) => bit(side?.content ?? null));
  const wanted = other === was ? one : other;
  return bit(after) === wanted ? null : "its executable bit is not as it was set last";
}
