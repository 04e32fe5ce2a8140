import { hash } from "node:crypto";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { sameBody, sameContent, samePlace, type Content } from "#core/node.ts";
import type { NodeRow as ServerRow } from "#server/metadata/port.ts";
import {
  PARK_NODE,
  type FileKey,
  type LocalSide,
  type NodeRow,
  type RemoteSide,
  type SyncedSide,
} from "#sync/tree.ts";
import { readPosition } from "#sync/settings.ts";
import { everHeld, hashOf } from "./contents.ts";
import type { Device } from "./device.ts";
import type { DiskOracle } from "./disk-oracle.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { Past } from "./past.ts";
import { PlanOracle } from "./plan-oracle.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";

type Judged = {
  readonly name: string;
  readonly disk: VirtualDisk;
  readonly oracle: DiskOracle;
  readonly past: Past;
  readonly nameKey: (name: string) => string;
  /** The server lies to this device: it may know less than others, but nothing that nobody made. */
  readonly isCheated: () => boolean;
  /** A listing may last: what is renamed meanwhile is seen under both names. */
  readonly listsSlowly: boolean;
  readonly accuse: (crime: string) => void;
  /** Hears of each transaction, too: of its rows as they were. */
  readonly changed: (before: ReadonlyMap<NodeId, NodeRow | undefined>) => void;
};

/**
 * Has a device's database judged after each of its transactions: the remote tree is the server's at
 * the cursor (I14), what is synced was once on both sides and is durable here (I13).
 */
export function judgeStore(judged: Judged, store: MemoryStore): void {
  const oracle = new StoreOracle(judged, store);
  const { name, nameKey, accuse } = judged;
  const plans = new PlanOracle({ name, store, nameKey, accuse });
  store.onChange = (before) => {
    oracle.judge(before);
    plans.judge();
    judged.changed(before);
  };
}

/** Rows as they were before a change; undefined: there was none. */
type Rows = ReadonlyMap<NodeId, NodeRow | undefined>;

class StoreOracle {
  readonly #judged: Judged;
  readonly #store: MemoryStore;
  #chain: string;

  constructor(judged: Judged, store: MemoryStore) {
    this.#judged = judged;
    this.#store = store;
    this.#chain = readPosition(store, "").chain;
  }

  judge(before: Rows): void {
    const { past, name, accuse, isCheated } = this.#judged;
    const { chain, sequence } = readPosition(this.#store, "");
    if (isCheated()) {
      this.#judgeCheated(before);
      return;
    }
    const moment = past.moment(chain);
    if (moment === undefined) {
      accuse(`${name} is at ${sequence} of a journal that never was`);
      return;
    }
    const due = new Set<NodeId>();
    if (chain !== this.#chain) {
      const from = past.moment(this.#chain);
      if (from !== undefined) for (const id of past.changedBetween(from, moment)) due.add(id);
      this.#chain = chain;
    }
    for (const [id, row] of before) {
      const now = this.#store.get(id);
      if (row?.remote !== now?.remote) due.add(id);
      if (now === undefined) continue;
      if (row?.synced !== now.synced && now.synced !== null)
        this.#judgeSynced(now, now.synced, row?.synced ?? null);
      if (row?.local !== now.local && now.local !== null) this.#judgeLocal(now, now.local, before);
    }
    for (const id of due) {
      const held = this.#store.get(id)?.remote ?? null;
      if (sameSide(held, past.at(id, moment))) continue;
      accuse(`${name} has ${shown(held)} as the server's at ${sequence}`);
    }
  }

  #judgeCheated(before: Rows): void {
    const { past, name, accuse } = this.#judged;
    for (const [id, row] of before) {
      const held = this.#store.get(id)?.remote ?? null;
      if (row?.remote === held || (held === null && !row?.remote)) continue;
      if (!past.wasMade(id, held)) accuse(`${name} takes ${shown(held)} over, and nobody made it`);
    }
  }

  #judgeSynced(row: NodeRow, synced: SyncedSide, before: SyncedSide | null): void {
    const { past, name, accuse, disk, oracle } = this.#judged;
    const { id, local, kind } = row;
    const crime = (what: string): void => accuse(`${name} has ${synced.name} as synced ${what}`);
    // What an outage left of a file is written for the common one, so that the server's stands.
    if (!past.hadBody(id, synced.content) && !isBlank(synced.content)) {
      crime("with a content that the server never had");
    }
    const states = past.ever(id);
    // Of a revision is only what the server had in it (PL18); the folder may have become another.
    const isOfContent = states.some(({ crev, content }) => {
      return crev === synced.crev && sameBody(content, synced.content);
    });
    const isOfPlace = states.some((at) => at.lrev === synced.lrev && at.name === synced.name);
    if (synced.crev > 0 && !isOfContent) crime("of a revision with another content");
    if (synced.lrev > 0 && !isOfPlace) crime("of a revision at another place");
    // Where only one side counts as moved, the other's place is written for the common one.
    const here = local === null ? [] : [local, local.parkedFrom ?? local];
    const places = [...states, ...here, ...(before === null ? [] : [before])];
    const isPlace = places.some(({ name: known }) => known === synced.name);
    const isFolder =
      synced.parent === ROOT_NODE || places.some(({ parent }) => parent === synced.parent);
    if (!isPlace || !isFolder) crime("at a place that it never had");
    const inode = disk.byKey(synced.file);
    if (inode === undefined) {
      if (synced.file !== "") crime("in an inode that never was");
    } else if (inode.kind !== kind) crime(`in a ${inode.kind}`);
    else if (oracle.isFleeting(inode)) crime("before its name is durable");
    else if (inode.byEngine) this.#judgeWritten(inode, synced, crime);
    else if (synced.content.kind === "file" && !everHeld(inode, synced.content.sha256)) {
      crime("in a file that never held it");
    }
  }

  /**
   * What a device says of its disk: bytes that it read were there once, what is parked has a place
   * to go back to (EX1), and what one node of a folder lost is not another one's file there (SC5).
   */
  #judgeLocal(row: NodeRow, local: LocalSide, before: Rows): void {
    const { name, accuse, disk } = this.#judged;
    const crime = (what: string): void => accuse(`${name} has ${local.name} ${what}`);
    if (local.parent === PARK_NODE && local.parkedFrom === null) crime("in park, from nowhere");
    const inode = disk.byKey(local.file);
    if (inode === undefined || inode.kind !== "file") return;
    const isRead = local.content?.kind === "file" && !local.racy;
    if (isRead && !everHeld(inode, local.content.sha256)) {
      crime("on its disk with bytes that it never held");
    }
    if (inode.isShared) return;
    for (const other of this.#store.holding(local.file)) {
      const found = other.local;
      if (other.id === row.id || found?.parent !== local.parent) continue;
      const isOneLost = (local.blind === "absent") !== (found.blind === "absent");
      const [lost, holder] = local.blind === "absent" ? [row, other] : [other, row];
      const isSeenTwice = this.#judged.listsSlowly && bothHadIt(before, holder, lost);
      if (isOneLost && !isSeenTwice && !hadItBefore(before, holder, lost))
        crime(`as the file that ${found.name} is`);
    }
  }

  /** What the engine itself put there, and nobody has touched since. */
  #judgeWritten(inode: Inode, synced: SyncedSide, crime: (what: string) => void): void {
    if (inode.kind !== "file" || synced.content.kind !== "file") return;
    if (hashOf(inode.bytes) !== synced.content.sha256) crime("and wrote other bytes there");
    if (inode.durable !== null) crime("before its bytes are durable");
  }
}

/** Inodes that more than one node claims, as sentences: true of a device at rest (I13). */
export function sharedInodes({ name, disk, store }: Device): string[] {
  const owners = new Map<FileKey, NodeRow>();
  const wrong: string[] = [];
  for (const row of store.everything()) {
    if (row.local === null || row.local.file === "") continue;
    const { file } = row.local;
    const owner = owners.get(file);
    owners.set(file, row);
    if (owner === undefined || disk.byKey(file)?.isShared === true) continue;
    wrong.push(`${name} has one inode as ${owner.local?.name} and as ${row.local.name}`);
  }
  return wrong;
}

/** What a device that followed to the end has otherwise than the server, as sentences (I14). */
export function remoteFaults(
  { name, store }: Device,
  living: ReadonlyMap<string, ServerRow>,
): string[] {
  const wrong: string[] = [];
  let count = 0;
  for (const { remote } of store.everything()) if (remote !== null) count++;
  for (const [path, row] of living) {
    const remote = store.get(row.id)?.remote;
    const isSame =
      remote?.parent === row.parent &&
      remote.name === row.name &&
      remote.crev === row.crev &&
      remote.lrev === row.lrev;
    if (!isSame) wrong.push(`${name} does not have ${path} as the server has it`);
  }
  if (count !== living.size) wrong.push(`${name} has ${count} nodes of ${living.size}`);
  return wrong;
}

function sameSide(one: RemoteSide | null, other: RemoteSide | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    samePlace(one, other) &&
    sameContent(one.content, other.content) &&
    one.crev === other.crev &&
    one.lrev === other.lrev
  );
}

function shown(side: RemoteSide | null): string {
  if (side === null) return "nothing";
  const { name, content, crev, lrev } = side;
  const what = content.kind === "file" ? content.sha256.slice(0, 8) : content.kind;
  return `${name} (${what}, ${crev}, ${lrev})`;
}

/** A row as it was before a change. */
function rowBefore(before: Rows, row: NodeRow): NodeRow | undefined {
  return before.has(row.id) ? before.get(row.id) : row;
}

/** True when an earlier look had seen the file under both names, and none of them was lost. */
function bothHadIt(before: Rows, holder: NodeRow, lost: NodeRow): boolean {
  const [had, other] = [holder, lost].map((row) => rowBefore(before, row)?.local);
  return had?.file === holder.local?.file && other?.file === had?.file && other?.blind !== "absent";
}

/** True when the engine brought the inode into this folder, or it was judged when one was lost. */
function hadItBefore(before: Rows, holder: NodeRow, lost: NodeRow): boolean {
  const had = rowBefore(before, holder)?.local;
  if (had?.file !== holder.local?.file) return false;
  return had?.parent !== holder.local?.parent || rowBefore(before, lost)?.local?.blind === "absent";
}

/** Nothing, or nothing but zeros. */
function isBlank(content: Content): boolean {
  if (content.kind !== "file") return false;
  return hash("sha256", new Uint8Array(content.sizeBytes)) === content.sha256;
}
