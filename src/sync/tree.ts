import type { NodeId } from "#core/ids.ts";
import { nodeId } from "#core/ids.ts";
import { sameBody, sameContent, samePlace } from "#core/node.ts";
import type { Content, NodeKind, Place } from "#core/node.ts";

/**
 * The three trees of a device, one row a node: **remote** is the server as far as it was followed,
 * **local** the disk as last seen, **synced** the state on which both last agreed. A row whose
 * three sides agree needs no work; all others are found by `TreeStore.changed`.
 */
export type NodeRow = {
  readonly id: NodeId;
  readonly kind: NodeKind;
  readonly remote: RemoteSide | null;
  readonly synced: SyncedSide | null;
  readonly local: LocalSide | null;
  /**
   * Written ahead of a deletion or a replacement: the inode that the engine is about to move into
   * hold. Until it is cleared the node is only ever matched to that inode, and its absence from the
   * disk is the engine's doing, never a person's deletion (SPEC EX4).
   */
  readonly displacing: FileKey | null;
  /**
   * Written ahead of putting something in place: what stands there afterwards is the engine's work
   * and this node, also when the machine stopped before that was recorded (SPEC EX4).
   */
  readonly placing: Placing | null;
};

export type Placing = Place & {
  readonly content: Content;
  /** The staged inode that gets the place; null for a folder, which any folder there is. */
  readonly file: FileKey | null;
};

/** Identity of an inode: `device:inode:birth time in ns`, birth time 0 where there is none. */
export type FileKey = string & { readonly brand?: "file-key" };

/** What tells two states of one inode apart without reading it; compared for equality only. */
export type Stamp = {
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
};

export type RemoteSide = Place & {
  readonly content: Content;
  readonly mtimeMs: number;
  readonly crev: number;
  readonly lrev: number;
};

export type SyncedSide = Place & {
  readonly content: Content;
  /** The inode that held it then; another one in its place was put there by a person. */
  readonly file: FileKey;
  /**
   * The server's revisions that were agreed on: another `crev` there means that somebody wrote
   * other bytes since, another `lrev` that somebody moved it, also where all is back as it was
   * (SPEC PL18). 0 where what is synced is of no revision.
   */
  readonly crev: number;
  readonly lrev: number;
};

/**
 * Why a node on the disk is left alone by planning:
 * `absent`: one look missed it, a second has not agreed yet. `unreadable`: the folder cannot be
 * listed or the file not be read, so nothing in or below it counts as deleted. `ignored`: an ignore
 * rule covers it. `unsupported`: another file system, or a kind that does not sync.
 */
export type Blindness = "absent" | "unreadable" | "ignored" | "unsupported";

export type LocalSide = Place & {
  /** Null: a file whose bytes have not been read since its stamp changed. */
  readonly content: Content | null;
  readonly file: FileKey;
  readonly stamp: Stamp;
  /** The executable bit as on the disk, also while the content is unread; false for other kinds. */
  readonly executable: boolean;
  /** True when the stamp is too young to prove that the content read is still there. */
  readonly racy: boolean;
  readonly blind: Blindness | null;
  /**
   * With `blind: "absent"`: when it was first missed (ms since 1970 by this device's clock); null
   * where only a look at a disk that moved under it missed it, which does not count. Of a folder
   * that is unreadable: when everything else was first looked at since it is as it is.
   */
  readonly missedMs: number | null;
  /** Set while the node waits under a temporary name: where it came from. */
  readonly parkedFrom: Place | null;
};

/** The folder `.lockstep/park`: local parent of nodes that wait under a temporary name. */
export const PARK_NODE = nodeId("f".repeat(32));

/** What is synced when this is found on the disk: of the server's revisions those that it is. */
export function agreedAt(
  remote: RemoteSide | null,
  { parent, name }: Place,
  content: Content,
  file: FileKey,
): SyncedSide {
  const crev = remote !== null && sameBody(remote.content, content) ? remote.crev : 0;
  const lrev = remote !== null && samePlace(remote, { parent, name }) ? remote.lrev : 0;
  return { parent, name, content, file, crev, lrev };
}

/**
 * What is synced after the server's content changed: where its bytes are still those that were
 * agreed on, of another executable bit perhaps, so is their new revision.
 */
export function syncedAfter(
  before: RemoteSide,
  after: RemoteSide,
  synced: SyncedSide | null,
): SyncedSide | null {
  const isAsAgreed = synced?.crev === before.crev && sameBody(before.content, after.content);
  return synced !== null && isAsAgreed ? { ...synced, crev: after.crev } : synced;
}

/** True when the engine expects the disk to hold the node: only then may absence mean deletion. */
export function isExpected(row: NodeRow): boolean {
  return row.synced !== null && row.displacing === null;
}

/** True when nothing is left to do for a row: its three sides agree and nothing is under way. */
export function agrees(row: NodeRow): boolean {
  const { remote, synced, local } = row;
  if (remote === null || synced === null || local === null) return false;
  if (
    row.displacing !== null ||
    row.placing !== null ||
    local.blind !== null ||
    local.parkedFrom !== null
  )
    return false;
  if (local.content === null || local.file !== synced.file) return false;
  return (
    samePlace(local, synced) &&
    samePlace(remote, synced) &&
    sameContent(local.content, synced.content) &&
    sameContent(remote.content, synced.content) &&
    remote.crev === synced.crev &&
    remote.lrev === synced.lrev
  );
}

/** True when a row has nothing left to say and can go. */
export function isEmpty(row: NodeRow): boolean {
  const { remote, synced, local, displacing, placing } = row;
  const isUnderWay = displacing !== null || placing !== null;
  return remote === null && synced === null && local === null && !isUnderWay;
}
