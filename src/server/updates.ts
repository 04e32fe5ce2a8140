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
  /** The updates lead from the files at `since` to exactly the files at this version. */
  readonly upTo: number;
};

/** A space's nodes as they are now, each read once. */
class PresentNodes {
  readonly #journals: JournalStore;
  readonly #space: SpaceRow;
  readonly #rows = new Map<NodeId, NodeRow | undefined>();

  constructor(journals: JournalStore, space: SpaceRow) {
    this.#journals = journals;
    this.#space = space;
  }

  remember(row: NodeRow): void {
    this.#rows.set(row.id, row);
  }

  async row(id: NodeId): Promise<NodeRow | undefined> {
    if (!this.#rows.has(id)) {
      this.#rows.set(id, (await this.#journals.nodes(this.#space.id, [id]))[0]);
    }
    return this.#rows.get(id);
  }

  async rowAt(id: NodeId, sequence: number): Promise<NodeRow | undefined> {
    const row = await this.row(id);
    if (row === undefined || versionOf(row) <= sequence) return row;
    return this.#journals.revisionAt(this.#space.id, id, sequence);
  }
}

/** The tree as it was at one sequence, tombstones included. */
class TreeAt {
  readonly #nodes: PresentNodes;
  readonly #sequence: number;
  readonly #rows = new Map<NodeId, NodeRow | undefined>();
  readonly paths = new Paths((id) => this.row(id));

  constructor(nodes: PresentNodes, sequence: number) {
    this.#nodes = nodes;
    this.#sequence = sequence;
  }

  /** Undefined before the node was created. */
  async row(id: NodeId): Promise<NodeRow | undefined> {
    if (!this.#rows.has(id)) this.#rows.set(id, await this.#nodes.rowAt(id, this.#sequence));
    return this.#rows.get(id);
  }

  /** The path of a living node. */
  async livingPath(id: NodeId): Promise<string | undefined> {
    return (await this.row(id))?.deleted === false ? this.paths.of(id) : undefined;
  }

  /** When the file's content or any part of its path last changed; for a dead one, when it died. */
  async changedAt(file: NodeRow): Promise<number> {
    let latest = versionOf(file);
    if (file.deleted) return latest;
    for (let above = await this.row(file.parent); above !== undefined;) {
      latest = Math.max(latest, above.lrev);
      above = await this.row(above.parent);
    }
    return latest;
  }
}

async function* filesBelow(
  journals: JournalStore,
  space: SpaceRow,
  folder: NodeId,
): AsyncGenerator<NodeRow, void, undefined> {
  const open = [folder];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    let after: NodeId | undefined;
    do {
      const rows = await journals.children(space.id, at, CHILDREN_AT_ONCE, after);
      for (const row of rows) {
        if (row.type === "folder") open.push(row.id);
        else if (row.type === "file") yield row;
      }
      after = rows.length < CHILDREN_AT_ONCE ? undefined : rows.at(-1)?.id;
    } while (after !== undefined);
  }
}

/**
 * The files whose content or path may have changed after `since`, and perhaps some more: all that
 * were touched themselves, and all that stand now below a folder that was moved. What stood below
 * it and left was touched or stands below another one that was moved.
 */
async function touchedFiles(
  journals: JournalStore,
  space: SpaceRow,
  since: number,
  nodes: PresentNodes,
): Promise<ReadonlySet<NodeId>> {
  const files = new Set<NodeId>();
  const moved: NodeId[] = [];
  for await (const row of changedNodes(journals, space, since)) {
    nodes.remember(row);
    if (row.type === "file") files.add(row.id);
    if (row.type === "folder" && !row.deleted && row.lrev > since) moved.push(row.id);
  }
  for (const folder of moved) {
    for await (const row of filesBelow(journals, space, folder)) {
      nodes.remember(row);
      files.add(row.id);
    }
  }
  return files;
}

/**
 * What became of a space's files after version `since`: new and changed ones, those whose path
 * changed because a folder above was renamed, and as deleted the paths that lead nowhere any more.
 * Told in the order of changes; with `limit`, only of that many versions.
 *
 * Both ends are looked at as of their sequence, whatever is committed meanwhile: so whoever goes on
 * from `upTo` has exactly the files that were there then, and the next answer fits.
 */
export async function updatesSince(
  journals: JournalStore,
  space: SpaceRow,
  since: number,
  limit: number = Number.POSITIVE_INFINITY,
): Promise<Updates> {
  const head = (await journals.head(space.id)).sequence;
  const upTo = Math.min(head, since + limit);
  if (upTo <= since) return { updates: [], upTo };
  const nodes = new PresentNodes(journals, space);
  const files = await touchedFiles(journals, space, since, nodes);
  const [before, after] = [new TreeAt(nodes, since), new TreeAt(nodes, upTo)];
  const living = new Map<string, FileUpdate>();
  const gone = new Map<string, FileUpdate>();
  for (const id of files) {
    const file = await after.row(id);
    if (file === undefined) continue;
    const version = await after.changedAt(file);
    const path = await after.livingPath(id);
    const past = await before.livingPath(id);
    if (path !== undefined && (path !== past || versionOf(file) > since)) {
      living.set(path, { path, version, deleted: false });
    }
    // A file that came and went in between is told by the path that it had last.
    const lost = past ?? (file.deleted && version > since ? await after.paths.of(id) : undefined);
    if (lost !== undefined && lost !== path) gone.set(lost, { path: lost, version, deleted: true });
  }
  // Whoever has the path of something gone came to it after `since`, so it is among `living`.
  const updates = [...gone.values()].filter(({ path }) => !living.has(path));
  updates.push(...living.values());
  return { updates: updates.sort((left, right) => left.version - right.version), upTo };
}
