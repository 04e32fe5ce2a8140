import type { NodeId } from "#core/ids.ts";
import { sameBody, sameContent, samePlace, type Content } from "#core/node.ts";
import type { Draft } from "./draft.ts";
import {
  agreedAt,
  isExpected,
  type LocalSide,
  type NodeRow,
  type Placing,
  type RemoteSide,
  type SyncedSide,
} from "./tree.ts";

/**
 * Changes to the device's own records that make every row say one thing only (SPEC PL1–PL8): what
 * converged is agreed, what conflicts is split in two nodes, what was deleted against an edit lives
 * on. Nothing here touches the disk or the server.
 */
export type Fresh = () => NodeId;

/** A local side whose bytes have been read. */
type Read = LocalSide & { readonly content: Content };

const without = (row: NodeRow): NodeRow => ({
  ...row,
  remote: null,
  synced: null,
  local: null,
  displacing: null,
  placing: null,
});

/**
 * Gives what is on the disk a node of its own: the old row keeps only its remote side, which is
 * then written beside it. The children of a folder come along, and count as unmoved.
 */
export function rebind(draft: Draft, row: NodeRow, fresh: Fresh): NodeRow {
  const moved: NodeRow = {
    id: fresh(),
    kind: row.kind,
    remote: null,
    synced: null,
    local: row.local,
    displacing: null,
    placing: null,
  };
  draft.put({ ...row, synced: null, local: null, displacing: null, placing: null });
  draft.put(moved);
  if (row.kind === "folder") adoptChildren(draft, row.id, moved.id);
  return moved;
}

/** Hangs the local children of one folder into another, so that they count as unmoved. */
export function adoptChildren(draft: Draft, from: NodeId, to: NodeId): void {
  for (const child of draft.children("local", from)) {
    const { local, synced } = child;
    if (local === null) continue;
    const rehung = synced?.parent === from ? { ...synced, parent: to } : synced;
    draft.put({ ...child, local: { ...local, parent: to }, synced: rehung });
  }
}

/** Where a local node stands, or stood before it was parked. */
export function localPlace(local: LocalSide): { parent: NodeId; name: string } {
  return local.parkedFrom ?? local;
}

/**
 * What both sides hold, bytes and executable bit each for itself; of what they do not share, what
 * was synced (SPEC PL1, PL11).
 */
export function agreedContent(synced: Content, local: Content, remote: Content): Content {
  const body = sameBody(local, remote) ? remote : synced;
  if (body.kind !== "file" || local.kind !== "file" || remote.kind !== "file") return body;
  const known = synced.kind === "file" && synced.executable;
  const executable = local.executable === remote.executable ? remote.executable : known;
  return body.executable === executable ? body : { ...body, executable };
}

function isTouched(local: Read, synced: SyncedSide): boolean {
  return (
    !sameContent(local.content, synced.content) ||
    !samePlace(localPlace(local), synced) ||
    local.file !== synced.file
  );
}

/** Both sides hold the node. */
function both(draft: Draft, row: NodeRow, local: Read, remote: RemoteSide, fresh: Fresh): boolean {
  const { synced } = row;
  if (synced === null) {
    if (!sameBody(local.content, remote.content)) return rebound(draft, row, fresh);
    // No base, equal bytes: the disk counts as what was synced, so the server's place stands.
    const synced = agreedAt(remote, localPlace(local), local.content, local.file);
    draft.put({ ...row, synced });
    return true;
  }
  const bodyMoved = !sameBody(local.content, synced.content) || local.file !== synced.file;
  if (bodyMoved && remote.crev !== synced.crev && !sameBody(local.content, remote.content)) {
    return rebound(draft, row, fresh);
  }
  let agreed = synced;
  const place = localPlace(local);
  if (samePlace(place, remote) && synced.lrev !== remote.lrev) {
    agreed = { ...agreed, parent: remote.parent, name: remote.name, lrev: remote.lrev };
  }
  const content = agreedContent(synced.content, local.content, remote.content);
  const { file, crev } = sameBody(local.content, remote.content)
    ? { file: local.file, crev: remote.crev }
    : synced;
  if (!sameContent(content, synced.content) || file !== synced.file || crev !== synced.crev) {
    agreed = { ...agreed, content, file, crev };
  }
  if (agreed === synced) return false;
  draft.put({ ...row, synced: agreed });
  return true;
}

function rebound(draft: Draft, row: NodeRow, fresh: Fresh): true {
  rebind(draft, row, fresh);
  return true;
}

/** The server deleted what the disk still holds. */
function remotelyDeleted(
  draft: Draft,
  row: NodeRow,
  local: Read,
  synced: SyncedSide,
  fresh: Fresh,
): boolean {
  if (row.kind === "folder") {
    if (!samePlace(localPlace(local), synced)) keepSubtree(draft, row, fresh);
    else if (local.file === synced.file) return false;
    // A person made it anew: it stays, and what is in it is judged by itself.
    else rebind(draft, row, fresh);
    return true;
  }
  if (!isTouched(local, synced)) return false;
  return rebound(draft, row, fresh);
}

/** A folder that a person moved survives its deletion elsewhere, with all that is in it. */
function keepSubtree(draft: Draft, folder: NodeRow, fresh: Fresh): void {
  const pending = [folder];
  for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
    const kept = rebind(draft, row, fresh);
    for (const child of draft.children("local", kept.id)) {
      if (child.remote === null) pending.push(child);
    }
  }
}

/**
 * What the engine was about to put in place of the inode that it had just taken away when it was
 * stopped. It counts as the disk's side: a person may have moved the file (SPEC EX7).
 */
export function interrupted({ synced, local, displacing, placing }: NodeRow): Placing | null {
  return synced !== null && local === null && displacing !== null ? placing : null;
}

/**
 * A file that was deleted and made again while the commit that made it known was still under way:
 * it is found where a node was (SPEC SC1).
 */
function isMadeAgain(draft: Draft, row: NodeRow, synced: SyncedSide): boolean {
  if (row.kind === "folder" || !isExpected(row)) return false;
  const again = draft.named("local", synced.parent, synced.name).find((other) => {
    const { kind, remote, local, displacing, placing } = other;
    const isNew = remote === null && other.synced === null && displacing === null;
    const isThere = local !== null && local.blind === null && local.parkedFrom === null;
    return kind === row.kind && isNew && placing === null && isThere && local.name === synced.name;
  });
  if (again === undefined) return false;
  draft.put({ ...again, local: null });
  draft.put({ ...row, local: again.local });
  return true;
}

/** The disk lost what the server still holds. */
function locallyDeleted(draft: Draft, row: NodeRow, remote: RemoteSide): boolean {
  const { synced } = row;
  if (synced === null && row.displacing === null) return false;
  if (interrupted(row) !== null) return false;
  if (synced !== null && isMadeAgain(draft, row, synced)) return true;
  const advanced =
    synced === null ||
    row.displacing !== null ||
    !sameContent(remote.content, synced.content) ||
    remote.crev !== synced.crev ||
    remote.lrev !== synced.lrev;
  if (!advanced) return false;
  draft.put({ ...row, synced: null, displacing: null, placing: null });
  if (row.kind === "folder" && synced !== null && remote.lrev !== synced.lrev) {
    bringBack(draft, row.id);
  }
  return true;
}

/** A folder that was moved elsewhere comes back whole: none of its nodes counts as deleted here. */
function bringBack(draft: Draft, folder: NodeId): void {
  const pending = [folder];
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    for (const child of draft.children("remote", id)) {
      // What was moved into it and is still here has deletions of its own.
      if (child.local !== null) continue;
      if (child.synced !== null) draft.put({ ...child, synced: null });
      if (child.kind === "folder") pending.push(child.id);
    }
  }
}

/** Applies the first rule that fits one settled row; true when something changed. */
export function normaliseRow(draft: Draft, row: NodeRow, fresh: Fresh): boolean {
  const { remote, synced, local } = row;
  if (local === null) {
    if (remote !== null) return locallyDeleted(draft, row, remote);
    draft.put(without(row));
    return true;
  }
  if (local.content === null) return false;
  if (row.displacing !== null || row.placing !== null) {
    // The inode is still at its place: what was about to happen did not.
    draft.put({ ...row, displacing: null, placing: null });
    return true;
  }
  const read: Read = { ...local, content: local.content };
  if (remote !== null) return both(draft, row, read, remote, fresh);
  if (synced === null) return false;
  return remotelyDeleted(draft, row, read, synced, fresh);
}
