import type { DeviceId, NodeId } from "#core/ids.ts";
import { sameBody } from "#core/node.ts";
import type { Change, Commit } from "#protocol/commit.ts";
import type { NodeRow } from "#sync/tree.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { Past } from "./past.ts";
import type { VirtualDisk } from "./virtual-disk.ts";

type Judged = {
  readonly id: DeviceId;
  readonly name: string;
  readonly disk: VirtualDisk;
  readonly past: Past;
  readonly accuse: (crime: string) => void;
};

/**
 * Nobody overwrites, deletes or moves what they have not seen (PL18): beside a device it remembers
 * with which revision each person's edit began, and holds each commit to it. Bytes do not count:
 * what others changed and changed back they changed.
 */
export class EditOracle {
  readonly #judged: Judged;
  /** The revision of what a person had before the first edit that nobody else knows of yet. */
  readonly #begun = new Map<NodeId, number>();

  constructor(judged: Judged) {
    this.#judged = judged;
  }

  /** A person writes to a path, or renames something to it. */
  touched(path: string, store: MemoryStore): void {
    const inode = this.#judged.disk.peek(path);
    if (inode?.kind !== "file") return;
    // What the engine has just put there is what the person has before them.
    for (const { id, placing } of store.changed()) {
      if (placing?.file === inode.file) this.#begun.delete(id);
    }
    for (const { id, synced } of store.holding(inode.file)) {
      if (synced === null || synced.crev === 0 || this.#begun.has(id)) continue;
      this.#begun.set(id, synced.crev);
    }
  }

  /** After a transaction: what a person edited is agreed on again, or is no more. */
  changed(ids: Iterable<NodeId>, store: MemoryStore): void {
    if (this.#begun.size === 0) return;
    for (const id of ids) if (isSettled(store.get(id))) this.#begun.delete(id);
  }

  /** The device begins anew, with what it has now. */
  forget(): void {
    this.#begun.clear();
  }

  judge({ base, changes }: Commit, store: MemoryStore): void {
    for (const change of changes) {
      const row = store.get(change.node);
      if (row === undefined || change.kind === "create") continue;
      this.#judgeRevisions(change, row);
      if (change.kind === "update") this.#judgeUpdate(change, row, base.chain);
    }
  }

  /** By what the device itself has on record. */
  #judgeRevisions(change: Exclude<Change, { kind: "create" }>, row: NodeRow): void {
    const { name, accuse } = this.#judged;
    const { synced, local, remote } = row;
    if (synced === null) return;
    // An intent that a kill outlived is sent again as it was: the server refuses what is behind.
    const ahead = change.kind === "update" ? 0 : change.lrev - synced.lrev;
    const newer = change.kind === "move" ? 0 : change.crev - synced.crev;
    if (ahead < 0 || newer < 0) return;
    const isSame =
      change.kind === "update" &&
      sameBody(local?.content ?? synced.content, remote?.content ?? synced.content);
    const isOther = ahead > 0 || (newer > 0 && !isSame);
    if (isOther)
      accuse(`${name} has a ${change.kind} of ${synced.name} that it was not level with`);
  }

  #judgeUpdate({ node, crev }: { node: NodeId; crev: number }, row: NodeRow, chain: string): void {
    const { past, id, name, accuse } = this.#judged;
    const begun = this.#begun.get(node);
    const moment = past.moment(chain);
    if (begun === undefined || moment === undefined || !row.local?.content) return;
    const states = past.statesOf(node, moment);
    const last = states.at(-1)?.side?.content;
    // A changed executable bit goes with whatever bytes there are (PL11).
    if (last !== undefined && sameBody(last, row.local.content)) return;
    const own = states.findLast(({ author }) => author === id)?.sequence ?? 0;
    const seen = Math.max(begun, own);
    for (const [at, { sequence, side }] of states.entries()) {
      const before = states[at - 1]?.side;
      if (sequence <= seen || sequence > crev || !side || !before) continue;
      if (sameBody(side.content, before.content)) continue;
      accuse(`${name} overwrites entry ${sequence} of ${side.name}, which its person had not seen`);
      return;
    }
  }
}

/** True where the disk holds what both sides agreed on, as far as the device knows. */
function isSettled(row: NodeRow | undefined): boolean {
  if (!row?.local || row.synced === null) return true;
  const { local, synced } = row;
  const isRead = local.content !== null && sameBody(local.content, synced.content);
  return isRead && local.file === synced.file;
}
