import type { NodeId } from "#core/ids.ts";
import { isLostName, type Outage } from "./outage.ts";
import { shownPath } from "./paths.ts";
import type { TreeStore } from "./ports.ts";
import { isExpected, type LocalSide, type NodeRow } from "./tree.ts";

/** A deletion is believed when two looks this far apart agree (SPEC SC6). */
const ABSENCE_MS = 500;
/** … this far where a new file stands beside it: Excel deletes, and renames 2 s later. */
const ABSENCE_BESIDE_NEW_MS = 4_000;
/** How long a file counts as new for that. */
const NEW_MS = 10_000;

/** Remembers which folders got a new file lately. */
export type Arrivals = Map<NodeId, number>;

/** How long an absence in this folder must last to be believed. */
export function absenceMs(arrivals: Arrivals, folder: NodeId, nowMs: number): number {
  const arrivedMs = arrivals.get(folder);
  const beside = arrivedMs !== undefined && nowMs - arrivedMs < NEW_MS;
  return beside ? ABSENCE_BESIDE_NEW_MS : ABSENCE_MS;
}

export type AbsenceWorld = {
  readonly trees: TreeStore;
  readonly arrivals: Arrivals;
  readonly outage: Outage | null;
  /** Nodes of a commit of which nobody knows yet whether it landed. */
  readonly sent: ReadonlySet<NodeId>;
};

/** What a look that was whole did not find, and what it found instead. */
export type Missed = {
  /** Nodes whose name is gone or another thing's. */
  readonly missing: ReadonlySet<NodeId>;
  /** Nodes that were found. */
  readonly claimed: ReadonlySet<NodeId>;
  /** Missing nodes whose inode, under its only name, is another node's new content. */
  readonly usedUp: ReadonlySet<NodeId>;
  readonly nowMs: number;
  /** Everything was looked at. */
  readonly isFull: boolean;
};

/** Judges what is missing: gone, not yet believed, or perhaps where nobody can look (SC6–SC10). */
export class Absences {
  readonly #trees: TreeStore;
  readonly #arrivals: Arrivals;
  readonly #outage: Outage | null;
  readonly #sent: ReadonlySet<NodeId>;
  readonly #missed: Missed;
  /** Folders that are gone. */
  readonly gone: NodeId[] = [];
  /** Nodes that may stand in a folder that cannot be listed. */
  readonly doubted: NodeId[] = [];
  /** Where the machine lost what comes back from the server. */
  readonly restored: string[] = [];
  /** Something may stand where nobody has looked: everything must be looked at. */
  lost = false;
  /** Rows that were changed. */
  changed = 0;

  constructor(world: AbsenceWorld, missed: Missed) {
    this.#trees = world.trees;
    this.#arrivals = world.arrivals;
    this.#outage = world.outage;
    this.#sent = world.sent;
    this.#missed = missed;
  }

  judge(): void {
    const unseen = this.#unseenFolders();
    for (const id of this.#missed.missing) this.#miss(id, unseen);
    if (this.#missed.isFull) for (const row of unseen) this.#noteUnseen(row);
  }

  /**
   * Proves nothing: but what lost its name to another thing is not there, and nothing steps aside
   * for it until it is found or missed. The looks that count begin with the next one.
   */
  doubt(): void {
    for (const id of this.#missed.missing) {
      const row = this.#trees.get(id);
      if (!row?.local || row.local.blind !== null || this.#missed.claimed.has(id)) continue;
      if (!this.#isTaken(row, row.local)) continue;
      this.#put({ ...row, local: { ...row.local, blind: "absent", missedMs: null } });
    }
  }

  #put(row: NodeRow): void {
    this.#trees.put(row);
    this.changed++;
  }

  /** Folders on this disk that cannot be listed. */
  #unseenFolders(): readonly NodeRow[] {
    if (this.#missed.missing.size === 0 && !this.#missed.isFull) return [];
    const isGone = (id: NodeId): boolean =>
      this.#missed.missing.has(id) && !this.#missed.claimed.has(id);
    return this.#trees.changed().filter(({ id, kind, local }) => {
      if (kind !== "folder" || local?.blind !== "unreadable") return false;
      for (let at = id; !isGone(at);) {
        const parent = this.#trees.get(at)?.local?.parent;
        if (parent === undefined) return true;
        at = parent;
      }
      return false;
    });
  }

  /** Everything else was looked at: what goes missing from now on did not go there. */
  #noteUnseen(row: NodeRow): void {
    if (row.local === null || row.local.missedMs !== null) return;
    this.#put({ ...row, local: { ...row.local, missedMs: this.#missed.nowMs } });
  }

  /**
   * True when a node that is missing may have gone where nobody can look (SPEC SC7): one of these
   * folders was not like that yet when everything was last looked at, and the node there.
   */
  #isDoubted(row: NodeRow, local: LocalSide, unseen: readonly NodeRow[]): boolean {
    if (this.#missed.usedUp.has(row.id) || !(this.#isExpected(row) || this.#holdsExpected(row)))
      return false;
    const others = unseen.filter(({ id }) => id !== row.id);
    if (local.blind === "unreadable") return others.length > 0;
    return others.some((folder) => folder.local?.missedMs === null);
  }

  #miss(id: NodeId, unseen: readonly NodeRow[]): void {
    if (this.#missed.claimed.has(id)) return;
    const row = this.#trees.get(id);
    if (!row?.local) return;
    const { local } = row;
    if (local.parkedFrom !== null && !this.#missed.isFull) {
      this.lost = true;
    } else if (
      local.parkedFrom !== null ||
      (this.#missed.isFull && isLostName(row, this.#outage))
    ) {
      // It went from the engine's own folder, or the machine lost it: no person deleted it, so it
      // comes back, with all that is in it.
      if (local.parkedFrom === null) this.restored.push(shownPath(this.#trees, id));
      this.#forget(row, null);
    } else if (this.#isDoubted(row, local, unseen)) {
      this.doubted.push(id);
      if (local.blind === "unreadable") return;
      this.#put({ ...row, local: { ...local, blind: "unreadable", missedMs: null } });
    } else if (this.#isCertain(row, local, unseen.length > 0)) {
      this.#forget(row);
    } else if ((missedSince(local) ?? Number.POSITIVE_INFINITY) > this.#missed.nowMs) {
      this.#put({ ...row, local: { ...local, blind: "absent", missedMs: this.#missed.nowMs } });
    }
  }

  #isCertain(row: NodeRow, local: LocalSide, hasUnseen: boolean): boolean {
    if (this.#missed.usedUp.has(row.id) || !(this.#isExpected(row) || this.#holdsExpected(row)))
      return true;
    const taken = this.#isTaken(row, local);
    const missedMs = missedSince(local);
    const isBelieved =
      taken ||
      (missedMs !== null &&
        this.#missed.nowMs >=
          missedMs + absenceMs(this.#arrivals, local.parent, this.#missed.nowMs));
    if (!isBelieved) return false;
    // What lost its name to another thing, or was being moved, may stand where nobody has looked,
    // and only whoever looks at everything knows whether a folder is as it was.
    const isElsewhere =
      taken || row.kind === "folder" || row.placing?.file === local.file || hasUnseen;
    if (!isElsewhere) return true;
    // Looking at everything takes its time: what moves meanwhile from where it was not yet to where
    // it was already is found nowhere. So one such look has to confirm another one.
    if (this.#missed.isFull && missedMs !== null) return true;
    this.lost = true;
    return false;
  }

  /** True when another thing has the name now. */
  #isTaken(row: NodeRow, { parent, name }: LocalSide): boolean {
    const { claimed, missing } = this.#missed;
    return this.#trees
      .named("local", parent, name)
      .some(({ id }) => id !== row.id && (claimed.has(id) || !missing.has(id)));
  }

  /** True when its absence is a deletion, or will be when a commit turns out to have landed. */
  #isExpected(row: NodeRow): boolean {
    return isExpected(row) || (row.displacing === null && this.#sent.has(row.id));
  }

  /** True for a folder with something below it whose absence would be a deletion. */
  #holdsExpected({ id, kind }: NodeRow): boolean {
    if (kind !== "folder") return false;
    const children = this.#trees
      .children("local", id)
      .filter((row) => !this.#missed.claimed.has(row.id));
    return children.some((row) => this.#isExpected(row) || this.#holdsExpected(row));
  }

  /** The node is not on the disk, nor what was below it; without a base it was not fetched yet. */
  #forget(top: NodeRow, base?: null): void {
    const pending = [top];
    for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
      if (row.kind === "folder") {
        this.gone.push(row.id);
        for (const child of this.#trees.children("local", row.id)) {
          if (!this.#missed.claimed.has(child.id)) pending.push(child);
        }
      }
      this.#put({ ...row, local: null, ...(base === null ? { synced: null } : {}) });
    }
  }
}

/** When it was first missed; the same time of what cannot be read says something else. */
function missedSince({ blind, missedMs }: LocalSide): number | null {
  return blind === "absent" ? missedMs : null;
}
