import type { NodeId } from "#core/ids.ts";
import { FOLDER, samePlace, type Content, type Place } from "#core/node.ts";
import { Absences, type AbsenceWorld } from "./absence.ts";
import { sameStamp, type Found, type Look } from "./look.ts";
import type { Fresh } from "./normalise.ts";
import { LARGE_BYTES } from "./reading.ts";
import { parkedPlace } from "./hold.ts";
import type { Entry, TreeStore } from "./ports.ts";
import { agreedAt, isExpected, PARK_NODE } from "./tree.ts";
import type { FileKey, LocalSide, NodeRow } from "./tree.ts";

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

export type MatchWorld = AbsenceWorld & { readonly fresh: Fresh };

/**
 * Gives every thing that a look found its node (SPEC SC1–SC8): files by path first, then by inode;
 * folders by inode first, then by path. Runs inside one transaction of the store.
 */
export class Matcher {
  readonly #world: MatchWorld;
  readonly #trees: TreeStore;
  readonly #look: Look;
  readonly #nowMs: number;
  readonly #isFull: boolean;
  readonly #claimed = new Set<NodeId>();
  readonly #foundFiles = new Set<FileKey>();
  readonly #missing: Set<NodeId>;
  readonly #verify: NodeId[] = [];
  readonly #folders: NodeId[] = [];
  /** Missing nodes whose inode, under its only name, is another node's new content. */
  readonly #usedUp = new Set<NodeId>();
  /** Files and links that no node was found for yet. */
  readonly #strangers: { readonly place: Place; readonly item: Found }[] = [];
  #placing: NodeRow[] | null = null;
  #changed = 0;
  #lost = false;

  constructor(world: MatchWorld, look: Look, nowMs: number, isFull: boolean) {
    this.#world = world;
    this.#trees = world.trees;
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
    const absences = new Absences(this.#world, {
      missing: this.#missing,
      claimed: this.#claimed,
      usedUp: this.#usedUp,
      nowMs: this.#nowMs,
      isFull: this.#isFull,
    });
    // A look that is not whole proves no absence (SPEC SC7).
    if (this.#look.unsteady) absences.doubt();
    else absences.judge();
    const { gone, doubted, restored } = absences;
    return {
      changed: this.#changed + absences.changed,
      verify: this.#verify,
      folders: this.#folders,
      gone,
      lost: this.#lost || absences.lost,
      doubted,
      restored,
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
    const id = row?.id ?? this.#world.fresh();
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
        : (this.#byPath(place, entry) ??
          this.#byOwnMove(place, entry) ??
          this.#byInode(entry) ??
          this.#byLetters(place, entry));
    return known ?? this.#byIntent(place, entry);
  }

  /** What the engine put in place before it was stopped (SPEC EX4). */
  #byIntent(place: Place, entry: Entry): NodeRow | undefined {
    this.#placing ??= this.#trees.changed().filter((row) => row.placing !== null);
    return this.#placing.find((row) => {
      const { placing, local } = row;
      if (placing === null || row.kind !== entry.kind || this.#claimed.has(row.id)) return false;
      if (placing.file !== null && placing.file !== entry.file) return false;
      // What was staged for a node is that node, wherever somebody has moved it since.
      const isStaged = placing.file !== null && local?.file !== entry.file && entry.links === 1;
      return isStaged || samePlace(placing, place);
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

  /**
   * What the engine moved, or parked, before it was stopped: whoever had the name before was not
   * saved by a rename over it, but is on its way as well (SPEC EX4).
   */
  #byOwnMove(place: Place, { kind, file }: Entry): NodeRow | undefined {
    if (kind === "folder") return undefined;
    return this.#trees.holding(file).find(({ id, placing }) => {
      if (placing?.file !== file || this.#claimed.has(id)) return false;
      return place.parent === PARK_NODE || samePlace(placing, place);
    });
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
      if (row.local.file !== entry.file && this.#byOwnMove(place, entry) !== undefined)
        return false;
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
    if (row === undefined && entry.kind === "file")
      this.#world.arrivals.set(place.parent, this.#nowMs);
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
}

/** Since when everything else was looked at while a folder could not be, as it is now. */
function unreadableMs({ blind, stamp, missedMs }: LocalSide, entry: Entry): number | null {
  return blind === "unreadable" && sameStamp(stamp, entry.stamp) ? missedMs : null;
}
