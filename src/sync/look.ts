import { codeOf, messageOf } from "#core/errors.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { joinPath, nameProblem } from "#core/names.ts";
import { IGNORE_FILE, type IgnoreRules } from "./ignore.ts";
import { PARK_FOLDER, pathOf } from "./paths.ts";
import type { Disk, Entry, TreeStore } from "./ports.ts";
import { PARK_NODE, type Blindness, type FileKey, type NodeRow, type Stamp } from "./tree.ts";

/** Something on the disk that is not as the local tree has it. */
export type Found = {
  readonly entry: Entry;
  /** A symlink's target. */
  readonly target: string | null;
  /** All entries of a folder that the local tree does not know; null when it was not listed. */
  readonly children: Found[] | null;
};

export type Trouble = { readonly path: string; readonly code: string; readonly message: string };

export type Differing = {
  readonly path: string;
  readonly file: FileKey;
  readonly isKnown: boolean;
};

/** What one look at some folders saw, kept as differences from the local tree. */
export type Look = {
  /** Folders that were listed, and what differs in each. */
  readonly folders: readonly { readonly id: NodeId; readonly found: readonly Found[] }[];
  /** Local nodes whose name their folder's listing does not show. */
  readonly missing: ReadonlySet<NodeId>;
  /** Local nodes whose name now belongs to another kind of thing or another folder. */
  readonly displaced: ReadonlySet<NodeId>;
  /**
   * Local nodes outside the folders looked at whose name was checked because their inode was found.
   */
  readonly vacated: ReadonlySet<NodeId>;
  readonly blinded: ReadonlyMap<NodeId, Blindness>;
  /** Where something differs: the folder, and whether the local tree knew it. */
  readonly differing: readonly Differing[];
  readonly troubles: readonly Trouble[];
  /** Ignore rules changed: everything must be looked at again. */
  readonly rulesChanged: boolean;
  /** The disk moved under the look: it must be repeated before anything is believed. */
  readonly unsteady: boolean;
};

const MAX_IGNORE_FILE_BYTES = 1024 * 1024;

export function sameStamp(left: Stamp, right: Stamp): boolean {
  return (
    left.sizeBytes === right.sizeBytes &&
    left.mtimeNs === right.mtimeNs &&
    left.ctimeNs === right.ctimeNs
  );
}

/** True when a local row needs nothing from this entry. */
function isUnchanged(row: NodeRow, entry: Entry): boolean {
  const { local } = row;
  if (local === null || row.kind !== entry.kind || local.file !== entry.file) return false;
  if (local.blind !== null) return false;
  if (row.kind === "folder") return true;
  const { content } = local;
  if (content === null || local.racy || !sameStamp(local.stamp, entry.stamp)) return false;
  return content.kind !== "file" || content.executable === entry.executable;
}

/** A folder to list: its node, if it has one, and the inode that must be found at the path. */
type Due = {
  readonly path: string;
  readonly base: NodeId | null;
  readonly file: FileKey | null;
  readonly found: Found[];
};

/** Walks folders breadth first and collects what differs. The disk is only read. */
class Walk {
  readonly #disk: Disk;
  readonly #trees: TreeStore;
  readonly #rules: IgnoreRules;
  readonly #everything: boolean;
  readonly #rootDevice: string;
  readonly #queue: Due[] = [];
  readonly #queued = new Set<NodeId>();
  /** The paths at which something differs, by inode. */
  readonly #foundAt = new Map<FileKey, Set<string>>();
  readonly folders: { id: NodeId; found: Found[] }[] = [];
  readonly missing = new Set<NodeId>();
  readonly displaced = new Set<NodeId>();
  readonly vacated = new Set<NodeId>();
  readonly blinded = new Map<NodeId, Blindness>();
  readonly differing: Differing[] = [];
  readonly troubles: Trouble[] = [];
  rulesChanged = false;
  unsteady = false;

  constructor(
    world: { disk: Disk; trees: TreeStore; rules: IgnoreRules },
    rootDevice: string,
    everything: boolean,
  ) {
    this.#disk = world.disk;
    this.#trees = world.trees;
    this.#rules = world.rules;
    this.#rootDevice = rootDevice;
    this.#everything = everything;
  }

  queueFolder(id: NodeId): void {
    if (this.#queued.has(id)) return;
    const row = this.#trees.get(id);
    if (id !== ROOT_NODE && id !== PARK_NODE && row?.local?.blind === "ignored") return;
    const path = pathOf(this.#trees, "local", id);
    if (path !== null) this.#queueSeen(id, path, row?.local?.file ?? null);
  }

  /** A known folder at the path where it was seen: those above it may have moved by now. */
  #queueSeen(id: NodeId, path: string, file: FileKey | null): void {
    if (this.#queued.has(id)) return;
    this.#queued.add(id);
    const found: Found[] = [];
    this.folders.push({ id, found });
    this.#queue.push({ path, base: id, file, found });
  }

  async run(signal?: AbortSignal): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      signal?.throwIfAborted();
      await this.#list(next, signal);
    }
    await this.#checkVacancies();
  }

  async #list({ path, base, file, found }: Due, signal?: AbortSignal): Promise<void> {
    let listing;
    try {
      listing = await this.#disk.look.list(path, signal);
    } catch (error) {
      this.#unlisted(path, base, error);
      return;
    }
    if (file !== null && listing.file !== file) {
      // Another folder took the path: what is in it says nothing about this one.
      this.#wentElsewhere(base);
      this.unsteady = true;
      return;
    }
    for (const name of listing.undecodable) {
      const message = "Its name is not valid UTF-8; rename it to have it synced.";
      this.troubles.push({ path: joinPath(path, name), code: "bad-name", message });
    }
    await this.#readRules(path, listing.entries);
    const rows = base === null ? new Map<string, NodeRow[]>() : this.#rowsByName(base);
    for (const entry of listing.entries) {
      const named = rows.get(entry.name) ?? [];
      rows.delete(entry.name);
      const row = named.find(({ local }) => local?.file === entry.file) ?? named[0];
      for (const other of named) if (other !== row) this.missing.add(other.id);
      const at = joinPath(path, entry.name);
      const seen = await this.#see(at, entry, row);
      if (seen === null) continue;
      found.push(seen);
      this.#foundAt.set(entry.file, (this.#foundAt.get(entry.file) ?? new Set()).add(at));
    }
    const isKnown = base !== null;
    if (found.length > 0) this.differing.push({ path, file: listing.file, isKnown });
    for (const left of rows.values()) for (const row of left) this.missing.add(row.id);
  }

  /** One name may be several rows': of those that were missed once and of what took their place. */
  #rowsByName(folder: NodeId): Map<string, NodeRow[]> {
    const rows = new Map<string, NodeRow[]>();
    for (const row of this.#trees.children("local", folder)) {
      const name = row.local?.name ?? "";
      const named = rows.get(name);
      if (named === undefined) rows.set(name, [row]);
      else named.push(row);
    }
    return rows;
  }

  #unlisted(path: string, base: NodeId | null, error: unknown): void {
    const code = codeOf(error);
    if (code === "not-found" || code === "not-a-folder") {
      if (base === ROOT_NODE) throw error;
      this.#wentElsewhere(base);
      return;
    }
    if (base === ROOT_NODE) throw error;
    this.troubles.push({ path, code: "unreadable", message: messageOf(error) });
    const known = base === null ? undefined : this.#trees.get(base);
    if (base !== null) this.blinded.set(base, "unreadable");
    if (known?.local?.blind !== "unreadable") this.unsteady = true;
  }

  /** The folder itself went: its parent's listing tells. */
  #wentElsewhere(base: NodeId | null): void {
    const parent = base === null ? null : this.#trees.get(base)?.local?.parent;
    if (parent && base !== PARK_NODE) this.queueFolder(parent);
    // It was seen there a moment ago: whatever it took along may stand where nobody has looked.
    if (base === null || (this.#everything && base !== PARK_NODE)) this.unsteady = true;
  }

  async #readRules(path: string, entries: readonly Entry[]): Promise<void> {
    const own = entries.find(({ name }) => name === IGNORE_FILE);
    if (own === undefined || own.kind !== "file") {
      if (this.#rules.set(path, null)) this.rulesChanged = true;
      return;
    }
    try {
      const file = joinPath(path, IGNORE_FILE);
      const bytes = await this.#disk.look.read(file, 0, MAX_IGNORE_FILE_BYTES);
      if (this.#rules.set(path, new TextDecoder().decode(bytes))) this.rulesChanged = true;
    } catch (error) {
      // The rules as last read stay in force: nothing becomes synced by accident.
      this.troubles.push({
        path: joinPath(path, IGNORE_FILE),
        code: "unreadable",
        message: messageOf(error),
      });
    }
  }

  /** What an entry adds to the look; null when it is as the local tree has it, or left alone. */
  async #see(path: string, entry: Entry, row: NodeRow | undefined): Promise<Found | null> {
    const reason = this.#leftAlone(path, entry);
    if (reason !== null) {
      if (row !== undefined) this.blinded.set(row.id, reason);
      return null;
    }
    if (row !== undefined && isUnchanged(row, entry)) {
      if (row.kind === "folder" && this.#everything) this.#queueSeen(row.id, path, entry.file);
      return null;
    }
    const isOther = row !== undefined && row.kind !== entry.kind;
    const isOtherFolder = entry.kind === "folder" && row?.local?.file !== entry.file;
    if (row !== undefined && (isOther || isOtherFolder)) this.displaced.add(row.id);
    if (entry.kind === "symlink") {
      const target = await this.#linkTarget(path, row);
      return target === null ? null : { entry, target, children: null };
    }
    if (entry.kind === "folder") return this.#seeFolder(path, entry);
    return { entry, target: null, children: null };
  }

  /** Null when the link is gone again, or cannot be read. */
  async #linkTarget(path: string, row: NodeRow | undefined): Promise<string | null> {
    try {
      return await this.#disk.look.readLink(path);
    } catch (error) {
      const code = codeOf(error);
      if (code === "unexpected") throw error;
      if (code === "not-found" || code === "not-a-folder") this.unsteady = true;
      else {
        this.troubles.push({ path, code: "unreadable", message: messageOf(error) });
        if (row !== undefined) this.blinded.set(row.id, "unreadable");
      }
      return null;
    }
  }

  #seeFolder(path: string, entry: Entry): Found {
    const known = this.#trees.holding(entry.file).find((row) => row.kind === "folder");
    if (known === undefined) {
      const children: Found[] = [];
      this.#queue.push({ path, base: null, file: entry.file, found: children });
      return { entry, target: null, children };
    }
    // A folder that moved keeps its local children; they are listed under its new path.
    if (this.#everything || known.local?.blind !== null) {
      this.#queueSeen(known.id, path, entry.file);
    }
    return { entry, target: null, children: null };
  }

  #leftAlone(path: string, entry: Entry): Blindness | null {
    const { kind, name } = entry;
    if (this.#rules.ignoresEntry(path, kind === "folder")) return "ignored";
    if (path.startsWith(`${PARK_FOLDER}/`)) return null;
    const problem = nameProblem(name);
    if (problem !== null) {
      const message = `Its name cannot be synced (${problem}); rename it.`;
      this.troubles.push({ path, code: "bad-name", message });
      return "unsupported";
    }
    if (kind === "other") {
      const message = "It is a socket, a pipe or a device: such things do not sync.";
      this.troubles.push({ path, code: "unsupported-kind", message });
      return "unsupported";
    }
    if (entry.device !== this.#rootDevice) {
      const message = "Another file system is mounted here; link it as a folder of its own.";
      this.troubles.push({ path, code: "other-file-system", message });
      return "unsupported";
    }
    return null;
  }

  /** Finds out which known inodes that turned up elsewhere have left their old names. */
  async #checkVacancies(): Promise<void> {
    for (const [file, paths] of this.#foundAt) {
      for (const { id, local } of this.#trees.holding(file)) {
        if (this.missing.has(id) || this.displaced.has(id)) continue;
        if (local === null || this.#queued.has(local.parent)) continue;
        const path = pathOf(this.#trees, "local", id);
        // Another folder may have the name of its own: then it is not there, though the path is.
        const stat = path === null || paths.has(path) ? null : await this.#disk.look.stat(path);
        if (stat?.file !== file) this.vacated.add(id);
      }
    }
  }
}

/**
 * Looks at these folders ("all": at everything below the root) and returns what differs from the
 * local tree. Throws WorldError when the root itself cannot be listed.
 */
export async function look(
  world: { disk: Disk; trees: TreeStore; rules: IgnoreRules },
  folders: Iterable<NodeId> | "all",
  signal?: AbortSignal,
): Promise<Look> {
  const root = await world.disk.look.stat("");
  const walk = new Walk(world, root?.device ?? "", folders === "all");
  if (folders === "all") {
    walk.queueFolder(ROOT_NODE);
    walk.queueFolder(PARK_NODE);
  } else {
    for (const folder of folders) walk.queueFolder(folder);
  }
  await walk.run(signal);
  return walk;
}
