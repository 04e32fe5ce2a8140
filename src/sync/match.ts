import type { NodeId } from "#core/ids.ts";
import { FOLDER, sameBody, samePlace, type Content, type Place } from "#core/node.ts";
import { sameStamp, type Found, type Look } from "./look.ts";
import type { Fresh } from "./normalise.ts";
import { LARGE_BYTES } from "./reading.ts";
import { parkedPlace } from "./hold.ts";
import { isLostName, type Outage } from "./outage.ts";
import { shownPath } from "./paths.ts";
import type { Entry, TreeStore } from "./ports.ts";
import { agreedAt, isExpected, PARK_NODE } from "./tree.ts";
import type { FileKey, LocalSide, NodeRow } from "./tree.ts";

/** A deletion is believed when two looks this far apart agree (SPEC SC6). */
const ABSENCE_MS = 1_000;
/** … this far where a new file stands beside it: Excel deletes, and renames 2 s later. */
const ABSENCE_BESIDE_NEW_MS = 4_000;
/** How long a file counts as new for that. */
const NEW_MS = 10_000;

export type Matched = {
  /** Nodes whose local side changed. */
  readonly changed: number;
  /** Files whose bytes must be read again although size and time are as before. */
  readonly verify: readonly NodeId[];
  /** Folders that are new, moved or back: to be watched. */
  readonly folders: readonly NodeId[];
  /** Folders that are gone. */
  readonly gone: readonly NodeId[];
  /** Something is gone that may stand where nobody has looked: everything must be looked at. */
  readonly lost: boolean;
  /** Nodes that are missing and may stand in a folder that cannot be listed. */
  readonly doubted: readonly NodeId[];
  /** Where the machine lost what comes back from the server. */
  readonly restored: readonly string[];
};

/** Remembers which folders got a new file lately. */
export type Arrivals = Map<NodeId, number>;

export type MatchWorld = {
  readonly trees: TreeStore;
  readonly fresh: Fresh;
  readonly arrivals: Arrivals;
  readonly outage: Outage | null;
};

/** How long an absence in this folder must last to be believed. */
export function absenceMs(arrivals: Arrivals, folder: NodeId, nowMs: number): number {
  const arrivedMs = arrivals.get(folder);
  const beside = arrivedMs !== undefined && nowMs - arrivedMs < NEW_MS;
  return beside ? ABSENCE_BESIDE_NEW_MS : ABSENCE_MS;
}

/**
 * Gives every thing that a look found its node (SPEC SC1–SC8): files by path first, then by inode;
 * folders by inode first, then by path. Runs inside one transaction of the store.
 */
export class Matcher {
  readonly #trees: TreeStore;
  readonly #look: Look;
  readonly #fresh: Fresh;
  readonly #nowMs: number;
  readonly #isFull: boolean;
  readonly #arrivals: Arrivals;
  readonly #outage: Outage | null;
  readonly #claimed = new Set<NodeId>();
  readonly #foundFiles = new Set<FileKey>();
  readonly #missing: Set<NodeId>;
  readonly #verify: NodeId[] = [];
  readonly #folders: NodeId[] = [];
  readonly #gone: NodeId[] = [];
  readonly #doubted: NodeId[] = [];
  readonly #restored: string[] = [];
  /** Missing nodes whose inode, under its only name, is another node's new content. */
  readonly #usedUp = new Set<NodeId>();
  /** Files and links that no node was found for yet. */
  readonly #strangers: { readonly place: Place; readonly item: Found }[] = [];
  #placing: NodeRow[] | null = null;
  #changed = 0;
  #lost = false;

  constructor(world: MatchWorld, look: Look, nowMs: number, isFull: boolean) {
    this.#trees = world.trees;
    this.#fresh = world.fresh;
    this.#arrivals = world.arrivals;
    this.#outage = world.outage;
    this.#look = look;
    this.#nowMs = nowMs;
    this.#isFull = isFull;
    this.#missing = new Set([...look.missing, ...look.displaced]);
  }

  run(): Matched {
    for (const { found } of this.#look.folders) this.#collect(found);
    for (const { id, found } of this.#look.folders) {
      this.#place(id, found);
      this.#seeAgain(id);
    }
    for (const { place, item } of this.#strangers) {
      this.#take(place, item, this.#bySyncedPath(place, item.entry));
    }
    for (const [id, blind] of this.#look.blinded) this.#blind(id, blind);
    // A look that is not whole proves no absence (SPEC SC7).
    if (!this.#look.unsteady) {
      const unseen = this.#unseenFolders();
      for (const id of this.#missing) this.#miss(id, unseen);
      if (this.#isFull) for (const row of unseen) this.#noteUnseen(row);
    }
    return {
      changed: this.#changed,
      verify: this.#verify,
      folders: this.#folders,
      gone: this.#gone,
      lost: this.#lost,
      doubted: this.#doubted,
      restored: this.#restored,
    };
  }

  #collect(found: readonly Found[]): void {
    for (const { entry, children } of found) {
      this.#foundFiles.add(entry.file);
      if (children !== null) this.#collect(children);
    }
  }

  #put(row: NodeRow): void {
    this.#trees.put(row);
    this.#changed++;
  }

  #place(parent: NodeId, found: readonly Found[]): void {
    for (const item of found) {
      const { entry, children } = item;
      const place = { parent, name: entry.name };
      const row = this.#identify(place, entry);
      if (row === undefined && entry.kind !== "folder") {
        this.#strangers.push({ place, item });
        continue;
      }
      const id = this.#take(place, item, row);
      if (entry.kind !== "folder") continue;
      if (!this.#isUnreadable(id)) this.#folders.push(id);
      if (children === null) continue;
      this.#missAllBut(id, children);
      this.#place(id, children);
    }
  }

  #take(place: Place, item: Found, row: NodeRow | undefined): NodeId {
    const id = row?.id ?? this.#fresh();
    this.#claimed.add(id);
    this.#write(id, row, place, item);
    return id;
  }

  /** A folder that was deleted and made again: what it held and does not hold now is missing. */
  #missAllBut(folder: NodeId, children: readonly Found[]): void {
    const names = new Map(children.map(({ entry }) => [entry.name, entry.kind]));
    for (const row of this.#trees.children("local", folder)) {
      if (this.#claimed.has(row.id)) continue;
      if (names.get(row.local?.name ?? "") !== row.kind) this.#missing.add(row.id);
    }
  }

  #identify(place: Place, entry: Entry): NodeRow | undefined {
    const known =
      entry.kind === "folder"
        ? (this.#byInode(entry) ?? this.#byPath(place, entry))
        : (this.#byPath(place, entry) ?? this.#byInode(entry) ?? this.#byLetters(place, entry));
    return known ?? this.#byIntent(place, entry);
  }

  /** What the engine put in place before it was stopped (SPEC EX4). */
  #byIntent(place: Place, entry: Entry): NodeRow | undefined {
    this.#placing ??= this.#trees.changed().filter((row) => row.placing !== null);
    return this.#placing.find((row) => {
      const { placing } = row;
      if (placing === null || row.kind !== entry.kind || this.#claimed.has(row.id)) return false;
      return samePlace(placing, place) && (placing.file === null || placing.file === entry.file);
    });
  }

  /** A row whose thing was just found in place is as the engine was about to record it. */
  #settled(row: NodeRow, at: Place, entry: Entry): NodeRow {
    const { placing, synced, remote } = row;
    if (placing === null) return row;
    if (placing.file !== null && placing.file !== entry.file) return row;
    const { parent, name, content } = placing;
    if (placing.file !== null && placing.file === row.local?.file) {
      // It was moved, to where the server had it.
      if (synced === null || !samePlace(placing, at)) return row;
      const { lrev } = agreedAt(remote, placing, content, entry.file);
      return { ...row, synced: { ...synced, parent, name, lrev }, placing: null };
    }
    const agreed = agreedAt(remote, placing, content, entry.file);
    const place = synced ?? agreed;
    const known = { ...agreed, parent: place.parent, name: place.name, lrev: place.lrev };
    return { ...row, synced: known, displacing: null, placing: null };
  }

  #byPath(place: Place, entry: Entry): NodeRow | undefined {
    return this.#trees.named("local", place.parent, place.name).find((row) => {
      if (row.local?.name !== place.name || row.kind !== entry.kind) return false;
      if (this.#claimed.has(row.id)) return false;
      if (row.displacing !== null && row.displacing !== entry.file) {
        // What the engine was about to take away is gone: another thing has the name (SPEC EX4).
        this.#missing.add(row.id);
        return false;
      }
      // A folder whose own inode turned up elsewhere moved there; this is another one.
      return (
        row.kind !== "folder" ||
        row.local.file === entry.file ||
        !this.#foundFiles.has(row.local.file)
      );
    });
  }

  /**
   * The node that was last in sync at a place and is on the disk no more: it was moved away and
   * back, or deleted and made again, between two looks or before the deletion was sent.
   */
  #bySyncedPath(place: Place, { kind }: Entry): NodeRow | undefined {
    return this.#trees.named("synced", place.parent, place.name).find((row) => {
      if (row.synced?.name !== place.name || row.kind !== kind) return false;
      if (this.#claimed.has(row.id) || !isExpected(row)) return false;
      return row.local === null || this.#missing.has(row.id);
    });
  }

  #byInode(entry: Entry): NodeRow | undefined {
    if (entry.kind !== "folder" && entry.links > 1) return undefined;
    return this.#trees.holding(entry.file).find((row) => {
      if (row.kind !== entry.kind || this.#claimed.has(row.id)) return false;
      if (row.kind === "folder") return true;
      return this.#missing.has(row.id) || this.#look.vacated.has(row.id);
    });
  }

  /** One of several names of an inode, in other letters than before. */
  #byLetters({ parent, name }: Place, { kind, file }: Entry): NodeRow | undefined {
    return this.#trees.named("local", parent, name).find((row) => {
      const isThis = row.kind === kind && row.local?.file === file;
      return isThis && this.#missing.has(row.id) && !this.#claimed.has(row.id);
    });
  }

  #write(id: NodeId, row: NodeRow | undefined, place: Place, item: Found): void {
    const { entry } = item;
    const before = row?.local ?? null;
    if (row === undefined && entry.kind === "file") this.#arrivals.set(place.parent, this.#nowMs);
    const content = this.#contentOf(place, before, item);
    // Only a reading clears it, also after a crash.
    const isSuspect =
      entry.kind === "file" && before !== null && !sameStamp(before.stamp, entry.stamp);
    if (content !== null && isSuspect) this.#verify.push(id);
    const local: LocalSide = {
      ...place,
      content,
      file: entry.file,
      stamp: entry.stamp,
      executable: entry.executable,
      racy: isSuspect || (before?.racy ?? false),
      // A folder can be there and still not let itself be listed.
      blind: this.#isUnreadable(id) ? "unreadable" : null,
      missedMs: before !== null && this.#isUnreadable(id) ? unreadableMs(before, entry) : null,
      parkedFrom: this.#parkedFrom(place, before),
    };
    const blank = { id, kind: entry.kind as NodeRow["kind"], remote: null, synced: null };
    const known = row === undefined ? undefined : this.#settled(row, place, entry);
    this.#put({ ...(known ?? { ...blank, displacing: null, placing: null }), local });
    this.#disown(entry, id);
  }

  #parkedFrom(place: Place, before: LocalSide | null): Place | null {
    if (place.parent !== PARK_NODE) return null;
    if (before !== null) return before.parkedFrom ?? { parent: before.parent, name: before.name };
    return parkedPlace(place.name);
  }

  #contentOf(place: Place, before: LocalSide | null, { entry, target }: Found): Content | null {
    if (entry.kind === "folder") return FOLDER;
    if (entry.kind === "symlink") return { kind: "symlink", target: target ?? "" };
    const content = before?.content ?? null;
    if (before === null || content === null || content.kind !== "file") return null;
    const { stamp } = before;
    const isSame =
      before.file === entry.file &&
      stamp.sizeBytes === entry.stamp.sizeBytes &&
      stamp.mtimeNs === entry.stamp.mtimeNs;
    if (!isSame) return null;
    // A rename or a chmod changes ctime alone, and so does an edit whose mtime was put back:
    // nothing may be decided on bytes that may be others by now. What is large and moved goes on
    // meanwhile.
    const isSuspect = before.racy || !sameStamp(stamp, entry.stamp);
    const isLargeMove = entry.stamp.sizeBytes > LARGE_BYTES && !samePlace(before, place);
    if (isSuspect && !isLargeMove) return null;
    return { ...content, executable: entry.executable };
  }

  /** One inode belongs to at most one node (SPEC SC5). */
  #disown({ file, links }: Entry, owner: NodeId): void {
    for (const row of this.#trees.holding(file)) {
      if (row.id === owner || row.local === null || !this.#missing.has(row.id)) continue;
      this.#put({ ...row, local: { ...row.local, file: "" } });
      if (links === 1) this.#usedUp.add(row.id);
    }
  }

  #isUnreadable(id: NodeId): boolean {
    return this.#look.blinded.get(id) === "unreadable";
  }

  /** A folder that could not be listed before can be now. */
  #seeAgain(id: NodeId): void {
    const row = this.#trees.get(id);
    if (!row?.local || this.#look.blinded.has(id)) return;
    if (row.local.blind === "unreadable") {
      this.#put({ ...row, local: { ...row.local, blind: null, missedMs: null } });
      // What went missing meanwhile may stand in it.
      if (!this.#isFull) this.#lost = true;
    }
  }

  #blind(id: NodeId, blind: NonNullable<LocalSide["blind"]>): void {
    const row = this.#trees.get(id);
    if (!row?.local || row.local.blind === blind || this.#claimed.has(id)) return;
    this.#put({ ...row, local: { ...row.local, blind, missedMs: null } });
  }

  /** Folders on this disk that cannot be listed. */
  #unseenFolders(): readonly NodeRow[] {
    if (this.#missing.size === 0 && !this.#isFull) return [];
    const isGone = (id: NodeId): boolean => this.#missing.has(id) && !this.#claimed.has(id);
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
    this.#put({ ...row, local: { ...row.local, missedMs: this.#nowMs } });
  }

  /**
   * True when a node that is missing may have gone where nobody can look (SPEC SC7): one of these
   * folders was not like that yet when everything was last looked at, and the node there.
   */
  #isDoubted(row: NodeRow, local: LocalSide, unseen: readonly NodeRow[]): boolean {
    if (this.#usedUp.has(row.id) || !(isExpected(row) || this.#holdsExpected(row))) return false;
    const others = unseen.filter(({ id }) => id !== row.id);
    if (local.blind === "unreadable") return others.length > 0;
    return others.some((folder) => folder.local?.missedMs === null);
  }

  #miss(id: NodeId, unseen: readonly NodeRow[]): void {
    if (this.#claimed.has(id)) return;
    const row = this.#trees.get(id);
    if (!row?.local) return;
    const { local } = row;
    if (local.parkedFrom !== null && !this.#isFull) {
      this.#lost = true;
    } else if (local.parkedFrom !== null || (this.#isFull && isLostName(row, this.#outage))) {
      // It went from the engine's own folder, or the machine lost it: no person deleted it, so it
      // comes back, with all that is in it.
      if (local.parkedFrom === null) this.#restored.push(shownPath(this.#trees, id));
      this.#forget(row, null);
    } else if (this.#isDoubted(row, local, unseen)) {
      this.#doubted.push(id);
      if (local.blind === "unreadable") return;
      this.#put({ ...row, local: { ...local, blind: "unreadable", missedMs: null } });
    } else if (this.#isCertain(row, local, unseen.length > 0)) {
      this.#forget(row);
    } else if (local.missedMs === null || local.missedMs > this.#nowMs) {
      this.#put({ ...row, local: { ...local, blind: "absent", missedMs: this.#nowMs } });
    }
  }

  #isCertain(row: NodeRow, local: LocalSide, hasUnseen: boolean): boolean {
    if (this.#usedUp.has(row.id) || !(isExpected(row) || this.#holdsExpected(row))) return true;
    const taken = this.#trees
      .named("local", local.parent, local.name)
      .some(({ id }) => id !== row.id && (this.#claimed.has(id) || !this.#missing.has(id)));
    const { missedMs } = local;
    const isBelieved =
      taken ||
      (missedMs !== null &&
        this.#nowMs >= missedMs + absenceMs(this.#arrivals, local.parent, this.#nowMs));
    if (!isBelieved) return false;
    // What lost its name to another thing, or was being moved, may stand where nobody has looked,
    // and only whoever looks at everything knows whether a folder is as it was.
    const isElsewhere =
      taken || row.kind === "folder" || row.placing?.file === local.file || hasUnseen;
    if (this.#isFull || !isElsewhere) return true;
    this.#lost = true;
    return false;
  }

  /** True for a folder with something below it whose absence would be a deletion. */
  #holdsExpected({ id, kind }: NodeRow): boolean {
    if (kind !== "folder") return false;
    const children = this.#trees.children("local", id).filter((row) => !this.#claimed.has(row.id));
    return children.some((row) => isExpected(row) || this.#holdsExpected(row));
  }

  /** The node is not on the disk, nor what was below it; without a base it was not fetched yet. */
  #forget(top: NodeRow, base?: null): void {
    const pending = [top];
    for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
      if (row.kind === "folder") {
        this.#gone.push(row.id);
        for (const child of this.#trees.children("local", row.id)) {
          if (!this.#claimed.has(child.id)) pending.push(child);
        }
      }
      this.#put({ ...row, local: null, ...(base === null ? { synced: null } : {}) });
    }
  }
}

/** Since when everything else was looked at while a folder could not be, as it is now. */
function unreadableMs({ blind, stamp, missedMs }: LocalSide, entry: Entry): number | null {
  return blind === "unreadable" && sameStamp(stamp, entry.stamp) ? missedMs : null;
}

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
