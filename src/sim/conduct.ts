import { nodeId } from "#core/ids.ts";
import { joinPath, PRIVATE_FOLDER, splitPath } from "#core/names.ts";
import { sameBody, sameContent, samePlace } from "#core/node.ts";
import { readConflictName } from "#sync/conflict.ts";
import { localPlace } from "#sync/normalise.ts";
import { HOLD_FOLDER, pathOf, STAGE_FOLDER } from "#sync/paths.ts";
import type { NodeRow } from "#sync/tree.ts";
import { hashOf } from "./contents.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";

/** A step of the engine on the disk, told before it is done. `to` is null for what only goes. */
export type Step = {
  readonly kind: "link" | "rename" | "rmdir";
  readonly from: string;
  readonly to: string | null;
  readonly inode: Inode;
};

type Witnessed = {
  readonly name: string;
  readonly disk: VirtualDisk;
  readonly store: MemoryStore;
  readonly accuse: (crime: string) => void;
};

/** What a person wrote so long ago an engine that acts on it has seen. */
const SEEN_MS = 3_000;
const NODE_ID_LENGTH = 32;
/** The node in a name below hold: that and its folder's stand before the name. */
const HELD_NODE = /\.(?<node>[0-9a-f]{32})-[0-9a-f]{32}-/u;

function isPrivate(path: string): boolean {
  return path.startsWith(`${PRIVATE_FOLDER}/`);
}

/**
 * Judges each of the engine's steps on the disk by what its own database says at that moment: an
 * engine takes away only what is as it was in sync (I7, on this side), it undoes no person's move
 * of a file for nothing, and it puts in place what the server has, with its time.
 */
export function judgeStep(witnessed: Witnessed, step: Step): void {
  const { to, from, kind } = step;
  judgeSight(witnessed, step);
  if (kind === "rmdir" || (!isPrivate(from) && to?.startsWith(`${HOLD_FOLDER}/`))) {
    judgeRemoval(witnessed, step);
  } else if (to !== null && !isPrivate(to)) {
    if (from.startsWith(`${STAGE_FOLDER}/`)) judgeArrival(witnessed, step);
    else judgeMove(witnessed, step, to);
  }
}

/** What the database says that nobody can see stays as it is (PL9). */
function judgeSight(witnessed: Witnessed, step: Step): void {
  const { from, inode, kind } = step;
  const { name, store, accuse } = witnessed;
  if (kind === "link" || isTakenUnseen(witnessed, step)) return;
  for (const row of rowsOf(witnessed, inode)) {
    if (pathOf(store, "local", row.id) !== from || !isUnseen(store, row)) continue;
    accuse(`${name} acts on ${from}, which it cannot see`);
  }
}

function isUnseen(store: MemoryStore, row: NodeRow): boolean {
  const seen = new Set<NodeRow>();
  for (let at: NodeRow | undefined = row; at?.local && !seen.has(at);) {
    if (at.local.blind !== null) return true;
    seen.add(at);
    at = store.get(at.local.parent);
  }
  return false;
}

/** The nodes that the database has in an inode; of one that has several names none. */
function rowsOf({ disk, store }: Witnessed, inode: Inode): NodeRow[] {
  const rows = store.holding(disk.statOf(inode).file);
  return rows.length > 1 ? [] : rows;
}

/**
 * True for an inode that took the name after the engine's last look at it: the engine finds another
 * one in hold than it has on record, and puts it back (EX3).
 */
function isTakenUnseen({ disk, store }: Witnessed, { to, inode }: Step): boolean {
  const node = HELD_NODE.exec(to ?? "")?.groups?.["node"];
  const meant = node === undefined ? undefined : store.get(nodeId(node))?.local?.file;
  return meant !== undefined && meant !== disk.statOf(inode).file;
}

function judgeRemoval(witnessed: Witnessed, step: Step): void {
  const { kind, from, inode } = step;
  const { name, accuse } = witnessed;
  if (kind === "rename" && isTakenUnseen(witnessed, step)) return;
  if (kind === "rename" && inode.kind === "folder") {
    // What a person puts there after the last look comes back at once.
    const { store } = witnessed;
    const isKnown = rowsOf(witnessed, inode).some(({ id }) => pathOf(store, "local", id) === from);
    if (!isKnown) return;
    accuse(`${name} takes the folder ${from} away with all that is in it`);
  }
  for (const row of rowsOf(witnessed, inode)) judgeReplacement(witnessed, step, row);
  for (const { remote, synced, local } of rowsOf(witnessed, inode)) {
    if (remote !== null || local === null) continue;
    if (synced === null) accuse(`${name} takes ${from} away, which was never in sync`);
    else if (!samePlace(localPlace(local), synced)) {
      accuse(`${name} takes ${from} away, which a person moved`);
    } else if (local.content === null || !sameContent(local.content, synced.content)) {
      accuse(`${name} takes ${from} away, which a person changed`);
    } else if (inode.kind !== "folder" && local.file !== synced.file) {
      accuse(`${name} takes ${from} away, which a person replaced`);
    }
  }
}

/** Takes away what it has read, and for another content only what a person left alone (EX3, N2). */
function judgeReplacement(
  { name, disk, accuse }: Witnessed,
  { from, inode, kind }: Step,
  { remote, synced, local }: NodeRow,
): void {
  if (kind !== "rename" || inode.kind !== "file" || local?.content?.kind !== "file") return;
  const { content, file, racy } = local;
  const isOld = disk.upMs - inode.writtenMs > SEEN_MS;
  if (isOld && !racy && hashOf(inode.bytes) !== content.sha256) {
    accuse(`${name} takes ${from} away, which it has not read`);
  }
  if (remote === null || synced === null || file === synced.file) return;
  if (sameBody(content, synced.content) && !sameBody(remote.content, synced.content)) {
    accuse(`${name} takes ${from} away for another content, which a person replaced`);
  }
}

function judgeMove(witnessed: Witnessed, { inode }: Step, to: string): void {
  const { name, store, accuse } = witnessed;
  // Of two folders that would be in each other one goes back: no file ever does.
  if (inode.kind === "folder") return;
  for (const { remote, synced, local } of rowsOf(witnessed, inode)) {
    if (remote === null || synced === null || local === null) continue;
    if (samePlace(localPlace(local), synced) || remote.lrev !== synced.lrev) continue;
    // What cannot have the name that it was given gets its conflict name again.
    if (readConflictName(synced.name) !== null) continue;
    const folder = pathOf(store, "local", synced.parent);
    if (folder !== null && joinPath(folder, synced.name) === to) {
      accuse(`${name} moves ${to} back, where nobody else moved it`);
    }
  }
}

function judgeArrival({ name, store, accuse }: Witnessed, { from, to, inode }: Step): void {
  const staged = splitPath(from).at(-1) ?? "";
  const { remote, local } = store.get(nodeId(staged.slice(0, NODE_ID_LENGTH))) ?? {};
  if (!remote || remote.content.kind !== "file") return;
  // A file that gets an inode of its own keeps the time that it has here.
  const isCopy = staged.endsWith("-copy");
  const expectedMs = isCopy && local ? Number(local.stamp.mtimeNs / 1_000_000n) : remote.mtimeMs;
  const mtimeMs = Number(inode.mtimeNs / 1_000_000n);
  if (mtimeMs !== expectedMs) accuse(`${name} puts ${to} in place with another time`);
}
