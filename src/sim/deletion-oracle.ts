import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { splitPath } from "#core/names.ts";
import { samePlace } from "#core/node.ts";
import type { Commit } from "#protocol/commit.ts";
import type { HoldLimits } from "#sync/mass.ts";
import { pathOf } from "#sync/paths.ts";
import type { FileKey, SyncedSide } from "#sync/tree.ts";
import type { MemoryStore } from "./memory-store.ts";
import { isIgnored } from "./oracle.ts";
import type { VirtualDisk } from "./virtual-disk.ts";

/** From the last look to the commit it takes less than this. */
const PUT_BACK_NS = 4_000_000_000n;

type Judged = {
  readonly name: string;
  readonly disk: VirtualDisk;
  readonly store: MemoryStore;
  /** Null: as many deletions as there are need nobody's approval. */
  readonly limits: HoldLimits | null;
  readonly accuse: (crime: string) => void;
};

/** A deletion is only ever sent for what is not at its place on this disk (I7). */
export function judgeDeletions(judged: Judged, commit: Commit): void {
  const { name, disk, store, accuse } = judged;
  judgeMany(judged, commit);
  for (const change of commit.changes) {
    if (change.kind !== "delete") continue;
    const synced = store.get(change.node)?.synced;
    const path = synced ? syncedPath(store, change.node) : null;
    const inode = path === null ? null : disk.peek(path);
    if (synced === undefined || synced === null) continue;
    if (inode === null || disk.statOf(inode).file !== synced.file) {
      judgeMoved(judged, synced);
      continue;
    }
    if (path !== null && isOthers(store, synced.file, path, commit)) continue;
    // Whoever has just put it back is quicker than any look.
    if (disk.tickNs() - inode.ctimeNs < PUT_BACK_NS) continue;
    accuse(`${name} deletes ${path} although it stands there`);
  }
}

/**
 * Another node stands there with that very inode, and the others hear of it with the deletion: a
 * file that was renamed over another one, and back.
 */
function isOthers(store: MemoryStore, file: FileKey, path: string, { changes }: Commit): boolean {
  return store.holding(file).some(({ id, local, remote }) => {
    if (local === null || pathOf(store, "local", id) !== path) return false;
    const isSent = changes.some((each) => {
      return each.node === id && (each.kind === "move" || each.kind === "create");
    });
    return isSent || (remote !== null && samePlace(local, remote));
  });
}

/** Two looks at everything have missed a folder that is deleted: it stands nowhere else (SC6). */
function judgeMoved({ name: device, disk, store, accuse }: Judged, side: SyncedSide): void {
  const { file, name } = side;
  const folder = disk.byKey(file);
  if (folder?.kind !== "folder" || store.holding(file).length > 0) return;
  for (const { path, inode } of disk.tree()) {
    if (inode !== folder || isIgnored(path) || isBarred(disk, path)) continue;
    accuse(`${device} deletes ${name}, which stands at ${path}`);
  }
}

function isBarred(disk: VirtualDisk, path: string): boolean {
  const names = splitPath(path);
  return names.some((_, at) => disk.peek(names.slice(0, at + 1).join("/"))?.barred === true);
}

/** So many deletions at once that somebody has to be asked were approved by somebody. */
function judgeMany({ name, store, limits, accuse }: Judged, { changes }: Commit): void {
  const deletes = changes.filter((each) => each.kind === "delete" && each.approved !== true);
  if (limits === null || deletes.length < limits.nodes) return;
  const of = store.count("remote");
  if (deletes.length < limits.share * of) return;
  accuse(`${name} sends ${deletes.length} deletions of ${of} and asked nobody`);
}

function syncedPath(store: MemoryStore, id: NodeId): string | null {
  const names: string[] = [];
  for (let at = id; at !== ROOT_NODE;) {
    const row = store.get(at);
    const place = at === id ? row?.synced : (row?.local ?? row?.synced);
    if (!place || names.length > 20) return null;
    names.unshift(place.name);
    at = place.parent;
  }
  return names.join("/");
}
