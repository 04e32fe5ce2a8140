import type { z } from "zod";
import { WorldError } from "#core/errors.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import type { RevisionRow } from "#protocol/spaces.ts";
import { askLookUp, askPaths } from "./ask-device.ts";
import { CommandError } from "./exit.ts";
import type { LinkedFolder } from "./links.ts";
import { callAs } from "./server-calls.ts";
import { openDoor, type SpaceDoor } from "./space-door.ts";

type Revision = z.output<typeof RevisionRow>;

/** One state that a file had; `version` is what restore and the REST calls take. */
export type Version = {
  /** Whose it is: a file that was deleted and made again is another node under the same path. */
  readonly node: NodeId;
  readonly version: number;
  readonly path: string;
  /** ISO 8601, in UTC, by the server's clock. */
  readonly time: string;
  readonly device: string | null;
  /** Null for anything but a file. */
  readonly size: number | null;
  readonly sha256: string | null;
  readonly deleted: boolean;
  /** Whether the server still has its bytes, so that it can be brought back. */
  readonly kept: boolean;
};

/** Pages that are followed; a history of more is cut. */
const MAX_PAGES = 1_000;
const PAGE = 1_000;
/** Deletions before these are not looked through. */
const MAX_TRASH_PAGES = 20;

/** The node that is meant by a path: what is there now, else what was deleted there last. */
export type Found = {
  readonly node: NodeId;
  readonly kind: "file" | "folder" | "symlink";
  readonly deleted: boolean;
  /** As it was asked for. */
  readonly path: string;
};

/** The deleted nodes of the folder's space, latest deletion first, with the paths they had. */
export async function listTrash(
  folder: LinkedFolder,
): Promise<{ readonly row: Revision; readonly path: string }[]> {
  const calls = callAs(folder.link);
  const door = openDoor(folder);
  const rows: Revision[] = [];
  let before: number | undefined;
  for (let page = 0; page < MAX_TRASH_PAGES; page++) {
    const asked = before === undefined ? { limit: PAGE } : { before, limit: PAGE };
    const answer = await calls.trash(folder.link.space, asked);
    rows.push(...answer.nodes.map((row) => ({ ...row, name: door.openName(row) })));
    before = answer.next;
    if (before === undefined) break;
  }
  const known = await askPaths(folder, [...new Set(rows.map(({ parent }) => parent))]);
  const deleted = new Map(rows.map((row) => [row.node, row]));
  return rows.map((row) => ({ row, path: pathAmong(row, deleted, known) }));
}

/** The path of a deleted node: up through deleted folders to one that this device knows. */
function pathAmong(
  row: Revision,
  deleted: ReadonlyMap<NodeId, Revision>,
  known: Readonly<Record<NodeId, string>>,
): string {
  const names = [row.name];
  const passed = new Set<NodeId>();
  let at = row.parent;
  for (;;) {
    const above = deleted.get(at);
    const base = at === ROOT_NODE ? "" : above === undefined ? known[at] : undefined;
    if (base !== undefined) return names.reduceRight(joinPath, base);
    if (above === undefined || passed.has(at)) return names.reduceRight(joinPath, "…");
    passed.add(at);
    names.push(above.name);
    at = above.parent;
  }
}

/** Finds the node that a path means. Throws CommandError when nothing is or was there. */
export async function findNode(folder: LinkedFolder, path: string): Promise<Found> {
  const { here, server } = await askLookUp(folder, path);
  const report = server ?? here;
  if (report !== null && (report.server !== null || report.agreed !== null)) {
    return { node: report.node, kind: report.kind, deleted: report.server === null, path };
  }
  const gone = (await listTrash(folder)).find((each) => each.path === path);
  if (gone !== undefined) return { node: gone.row.node, kind: gone.row.type, deleted: true, path };
  const where = `${path || "the folder itself"} in ${folder.link.dir}`;
  const why = report === null ? "the server knows nothing of that name" : "it was not sent yet";
  throw new CommandError(`There are no versions of ${where}: ${why}.`);
}

/** With their names opened. */
async function revisionsOf(folder: LinkedFolder, node: NodeId): Promise<Revision[]> {
  const calls = callAs(folder.link);
  const door = openDoor(folder);
  const rows: Revision[] = [];
  let before: number | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const asked = before === undefined ? { limit: PAGE } : { before, limit: PAGE };
    const answer = await calls.revisions(folder.link.space, node, asked);
    rows.push(...answer.revisions.map((row) => ({ ...row, name: door.openName(row) })));
    before = answer.next;
    if (before === undefined) break;
  }
  return rows;
}

function versionOf(door: SpaceDoor, row: Revision, folderPath: string): Version {
  let size: number | null = null;
  let sha256: string | null = null;
  if (!row.deleted) {
    try {
      const content = door.openMeta(row);
      if (content.kind === "file") ({ sizeBytes: size, sha256 } = content);
    } catch (cause) {
      const message = `Version ${row.sequence} at the server cannot be read: update Lockstep.`;
      throw new WorldError("bad-meta", message, { cause });
    }
  }
  return {
    node: row.node,
    version: row.sequence,
    path: joinPath(folderPath, row.name),
    time: new Date(row.timeMs).toISOString(),
    device: row.deviceName ?? null,
    size,
    sha256,
    deleted: row.deleted,
    kept: row.forgotten !== true,
  };
}

/**
 * The versions of what stands at a path and of what was deleted there before, newest first; folders
 * have the names of today.
 */
export async function listVersions(folder: LinkedFolder, found: Found): Promise<Version[]> {
  const trash = await listTrash(folder);
  const before = trash.filter(({ path }) => path === found.path).map(({ row }) => row.node);
  const nodes = new Set([found.node, ...before]);
  const histories = [];
  for (const node of nodes) histories.push(await revisionsOf(folder, node));
  const rows = histories.flat().sort((a, b) => b.sequence - a.sequence);
  const paths = await askPaths(folder, [...new Set(rows.map(({ parent }) => parent))]);
  const byNode = new Map(trash.map(({ row, path }) => [row.node, path]));
  const door = openDoor(folder);
  const above = (row: Revision): string => paths[row.parent] ?? byNode.get(row.parent) ?? "…";
  return rows.map((row) => versionOf(door, row, above(row)));
}
