import type { NodeId } from "#core/ids.ts";
import { changedNodes, versionOf } from "./files.ts";
import type { JournalStore, NodeRow, SpaceRow } from "./metadata/port.ts";
import { Paths } from "./paths.ts";

/** Children read at a time below a folder that was renamed. */
const CHILDREN_AT_ONCE = 1_000;

export type FileUpdate = {
  readonly path: string;
  readonly version: number;
  readonly deleted: boolean;
};

export type Updates = {
  readonly updates: readonly FileUpdate[];
  /** All changes up to this version are told. */
  readonly upTo: number;
};

/** The tree as it is, and as it was at `since`; each node is read once. */
class TwoTrees {
  readonly #journals: JournalStore;
  readonly #space: SpaceRow;
  readonly #since: number;
  readonly #now = new Map<NodeId, NodeRow | undefined>();
  readonly #past = new Map<NodeId, NodeRow | undefined>();
  readonly pathsNow = new Paths((id) => this.now(id));
  readonly pathsPast = new Paths((id) => this.past(id));

  constructor(journals: JournalStore, space: SpaceRow, since: number) {
    this.#journals = journals;
    this.#space = space;
    this.#since = since;
  }

  remember(row: NodeRow): void {
    this.#now.set(row.id, row);
  }

  async now(id: NodeId): Promise<NodeRow | undefined> {
    if (!this.#now.has(id))
      this.#now.set(id, (await this.#journals.nodes(this.#space.id, [id]))[0]);
    return this.#now.get(id);
  }

  /** Undefined when the node did not live then. */
  async past(id: NodeId): Promise<NodeRow | undefined> {
    if (!this.#past.has(id)) this.#past.set(id, await this.#readPast(id));
    return this.#past.get(id);
  }

  async #readPast(id: NodeId): Promise<NodeRow | undefined> {
    const now = await this.now(id);
    if (now === undefined) return undefined;
    const unchanged = versionOf(now) <= this.#since;
    const row = unchanged ? now : await this.#journals.revisionAt(this.#space.id, id, this.#since);
    return row?.deleted === false ? row : undefined;
  }

  /** When the file's content or any part of its path last changed. */
  async changedAt(file: NodeRow): Promise<number> {
    let latest = versionOf(file);
    for (let above = await this.now(file.parent); above !== undefined;) {
      latest = Math.max(latest, above.lrev);
      above = await this.now(above.parent);
    }
    return latest;
  }
}

async function addFilesBelow(
  journals: JournalStore,
  space: SpaceRow,
  folder: NodeId,
  add: (row: NodeRow) => void,
): Promise<void> {
  const open = [folder];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    let after: NodeId | undefined;
    for (;;) {
      const rows = await journals.children(space.id, at, CHILDREN_AT_ONCE, after);
      for (const row of rows) {
        if (row.type === "folder") open.push(row.id);
        else if (row.type === "file") add(row);
      }
      after = rows.at(-1)?.id;
      if (after === undefined || rows.length < CHILDREN_AT_ONCE) break;
    }
  }
}

/**
 * What became of a space's files after version `since`: new and changed ones, those whose path
 * changed because a folder above was renamed, and as deleted the paths that lead nowhere now. Told in
 * the order of changes, deletions first. With a `limit` it stops after the version that reaches it.
 */
export async function updatesSince(
  journals: JournalStore,
  space: SpaceRow,
  since: number,
  limit: number = Number.POSITIVE_INFINITY,
): Promise<Updates> {
  let upTo = (await journals.head(space.id)).sequence;
  const trees = new TwoTrees(journals, space, since);
  const files = new Map<NodeId, NodeRow>();
  const renamed: NodeId[] = [];
  let count = 0;
  let reached = since;
  for await (const row of changedNodes(journals, space, since)) {
    if (count >= limit && versionOf(row) > reached) {
      upTo = reached;
      break;
    }
    reached = versionOf(row);
    count++;
    trees.remember(row);
    if (row.type === "file") files.set(row.id, row);
    if (row.type !== "folder" || row.deleted || row.lrev <= since) continue;
    if ((await trees.past(row.id)) !== undefined) renamed.push(row.id);
  }
  for (const folder of renamed) {
    await addFilesBelow(journals, space, folder, (row) => files.set(row.id, row));
  }
  return { updates: await tell(trees, [...files.values()]), upTo };
}

async function tell(trees: TwoTrees, files: readonly NodeRow[]): Promise<FileUpdate[]> {
  const living = new Map<string, FileUpdate>();
  const gone = new Map<string, FileUpdate>();
  for (const file of files) {
    trees.remember(file);
    const version = file.deleted ? versionOf(file) : await trees.changedAt(file);
    const path = await trees.pathsNow.of(file.id);
    const before = await trees.pathsPast.of(file.id);
    if (!file.deleted && path !== undefined) living.set(path, { path, version, deleted: false });
    // A file that came and went in between is told too: an earlier answer may have told of it.
    const lost = before ?? (file.deleted ? path : undefined);
    if (lost !== undefined && (file.deleted || lost !== path)) {
      gone.set(lost, { path: lost, version, deleted: true });
    }
  }
  // Who now has the path of something gone came to it after `since`, so it is among the living here.
  const updates = [...gone.values()].filter(({ path }) => !living.has(path));
  updates.push(...living.values());
  return updates.sort((left, right) => left.version - right.version);
}
