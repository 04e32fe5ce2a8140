import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import type { DeviceId, NodeId } from "#core/ids.ts";
import { joinPath, nameProblem } from "#core/names.ts";
import type { Place } from "#core/node.ts";
import type { Clock, Digest, Log } from "#core/world.ts";
import { nextChain } from "#protocol/chain.ts";
import type { Change } from "#protocol/commit.ts";
import { MAX_RESTORES, type Entry, type Feed } from "#protocol/feed.ts";
import type { Tell } from "./events.ts";
import { Judging } from "./judging.ts";
import { approveRemotely, isGoing } from "./holds.ts";
import { pathOf, shownPath } from "./paths.ts";
import type { DeviceRecords, Seal, TreeStore } from "./ports.ts";
import type { Problems } from "./problems.ts";
import {
  forgetCommit,
  isExpectedCommit,
  readPosition,
  readRewind,
  readSent,
  settleUnion,
  unitedHead,
  writePosition,
  writeSent,
  type Position,
  type Sent,
} from "./settings.ts";
import { rewind } from "./rewind.ts";
import { agreedAt, syncedAfter, type NodeRow, type RemoteSide } from "./tree.ts";

export type FollowWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly seal: Seal;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly problems: Problems;
  readonly log: Log;
  readonly tell?: Tell;
  readonly device: DeviceId;
  /** The cursor before the space's first entry. */
  readonly startCursor: string;
};

const TOLD = { create: "created", update: "changed", delete: "deleted" } as const;

/**
 * Applies the journal to the remote tree: tree and cursor in one transaction, everybody's commits
 * and this device's own by the same code (SPEC FO1–FO5).
 */
export class Follower {
  readonly #world: FollowWorld;
  readonly #folderPaths = new Map<NodeId, string>();
  /** Nodes that this device's commands changed at the server last. */
  readonly #commanded = new Set<NodeId>();

  /** Null where the server's word is enough. */
  readonly #judging: Judging | null;

  constructor(world: FollowWorld) {
    this.#world = world;
    this.#judging = world.seal.trusts ? null : new Judging(world);
  }

  get position(): Position {
    return readPosition(this.#world.records, this.#world.startCursor);
  }

  /** True when what the server has of a node is the doing of a command on this device. */
  isCommanded(id: NodeId): boolean {
    return this.#commanded.has(id);
  }

  /**
   * Applies one page that was asked for at `cursor`; true when anything but own commits was in it.
   */
  apply(cursor: string, feed: Feed): boolean {
    const { trees, records } = this.#world;
    return trees.transaction(() => {
      const at = this.position;
      // A page asked for before another one was applied says nothing new.
      if (at.cursor !== cursor) return false;
      let { sequence, chain } = at;
      let foreign = false;
      settleUnion(records, feed.head);
      const parting = readRewind(records)?.to;
      const approved: NodeId[] = [];
      for (const entry of feed.entries) {
        chain = this.#verified(entry, sequence, chain);
        this.#world.seal.check(entry);
        this.#judging?.before(entry);
        sequence = entry.sequence;
        const isOwn = this.#applyEntry(entry);
        this.#judging?.after(entry);
        if (sequence === parting) rewind(trees, records, sequence);
        if (isOwn) continue;
        foreign = true;
        for (const change of entry.changes) {
          if (change.kind === "delete" && change.approved === true) approved.push(change.node);
        }
      }
      const known = approved.filter((id) => isGoing(trees.get(id), "down"));
      approveRemotely(records, known);
      const restores = restoresKnown(at.restores, feed);
      const position = { cursor: feed.cursor, sequence, chain };
      writePosition(records, restores.length === 0 ? position : { ...position, restores });
      return foreign;
    });
  }

  #verified(entry: Entry, sequence: number, chain: string): string {
    const { chain: claimed, ...rest } = entry;
    if (entry.sequence !== sequence + 1) {
      const detail = `it sent entry ${entry.sequence} after ${sequence}`;
      throw new WorldError("journal-broken", `The server's journal has a gap: ${detail}.`);
    }
    if (nextChain(this.#world.digest, chain, rest) !== claimed) {
      const detail = `entry ${entry.sequence} does not follow from the one before`;
      throw new WorldError(
        "journal-broken",
        `The server's journal is not the one known: ${detail}.`,
      );
    }
    return claimed;
  }

  /** True when the entry is one that this device sent. */
  #applyEntry(entry: Entry): boolean {
    const { records, device } = this.#world;
    const sent = readSent(records);
    const own = sent?.commit.commitId === entry.commitId ? sent : null;
    this.#folderPaths.clear();
    if (own === null && entry.device === device) this.#expectKnown(entry);
    for (const { node } of entry.changes) {
      if (own === null && entry.device === device) this.#commanded.add(node);
      else this.#commanded.delete(node);
    }
    for (const change of entry.changes) this.#applyChange(change, entry, own);
    if (own !== null) writeSent(records, null);
    return own !== null;
  }

  #expectKnown(entry: Entry): void {
    const { records } = this.#world;
    if (entry.sequence <= unitedHead(records)) return;
    if (!isExpectedCommit(records, entry.commitId)) {
      const detail = `entry ${entry.sequence} is this device's and not in its database`;
      throw new WorldError("database-old", `This device's database is an older one: ${detail}.`);
    }
    forgetCommit(records, entry.commitId);
  }

  #applyChange(change: Change, entry: Entry, own: Sent | null): void {
    const { trees, problems, clock } = this.#world;
    let row: NodeRow | null;
    try {
      row = this.#changed(change, entry.sequence);
    } catch (error) {
      const path = shownPath(trees, change.node);
      const trouble = { path, code: codeOf(error), message: messageOf(error) };
      problems.report("follow", trouble, clock.nowMs());
      this.#judging?.noteUnread(change.node);
      return;
    }
    if (row === null) return;
    const before = own !== null && this.#world.tell ? trees.get(change.node)?.remote : null;
    trees.put(own === null ? row : this.#agreed(row, change, own.files[change.node]));
    if (own !== null) this.#tellOfOwn(row, change, before ?? null);
  }

  #tellOfOwn({ kind: node, remote }: NodeRow, { kind }: Change, before: Place | null): void {
    const { tell } = this.#world;
    const place = remote ?? before;
    if (tell === undefined || place === null) return;
    const path = this.#shownPath(place);
    if (kind !== "move") tell({ kind: TOLD[kind], where: "here", node, path });
    else tell({ kind: "moved", where: "here", node, from: this.#shownPath(before ?? place), path });
    if (node === "folder" && kind !== "create") this.#folderPaths.clear();
  }

  /** Where that is at the server; a folder's path is looked up once for all of a commit. */
  #shownPath({ parent, name }: Place): string {
    let folder = this.#folderPaths.get(parent);
    if (folder === undefined) {
      folder = pathOf(this.#world.trees, "remote", parent) ?? shownPath(this.#world.trees, parent);
      this.#folderPaths.set(parent, folder);
    }
    return joinPath(folder, name);
  }

  /** The row with its remote side after the change; null when the change names an unknown node. */
  #changed(change: Change, sequence: number): NodeRow | null {
    const { trees, seal } = this.#world;
    const row = trees.get(change.node);
    switch (change.kind) {
      case "create": {
        const { node: id, parent, type } = change;
        const name = this.#safeName(seal.openName(id, parent, change.name));
        const opened = this.#open(change);
        if (opened.content.kind !== type) throw badMeta(type, opened.content.kind);
        const remote = { parent, name, ...opened, crev: sequence, lrev: sequence };
        const blank = {
          id,
          kind: type,
          synced: null,
          local: null,
          displacing: null,
          placing: null,
        };
        return { ...(row ?? blank), remote };
      }
      case "update": {
        if (!row?.remote) return null;
        const opened = this.#open(change);
        if (opened.content.kind !== row.kind) throw badMeta(row.kind, opened.content.kind);
        const remote = { ...row.remote, ...opened, crev: sequence };
        return { ...row, remote, synced: syncedAfter(row.remote, remote, row.synced) };
      }
      case "move": {
        if (!row?.remote) return null;
        const { node: id, parent } = change;
        const name = this.#safeName(seal.openName(id, parent, change.name));
        return { ...row, remote: { ...row.remote, parent, name, lrev: sequence } };
      }
      case "delete":
        return row === undefined ? null : { ...row, remote: null };
    }
  }

  #open(
    change: Extract<Change, { kind: "create" | "update" }>,
  ): Pick<RemoteSide, "content" | "mtimeMs"> {
    const follows = change.kind === "create" ? 0 : change.crev;
    const { content, mtimeMs, manifest } = this.#world.seal.openContent(
      change.node,
      follows,
      change,
    );
    if (content.kind === "file" && manifest !== null) {
      this.#world.records.putManifest(content.sha256, manifest);
    }
    return { content, mtimeMs };
  }

  /** A server may send any name: one that no tree can hold never reaches the disk (SPEC FO5). */
  #safeName(name: string): string {
    const problem = nameProblem(name);
    if (problem === null) return name;
    const shown = JSON.stringify(name.slice(0, 80));
    throw new WorldError(
      "bad-name",
      `The server sent the name ${shown}, which is refused (${problem}).`,
    );
  }

  /** An own commit read back: what was sent is what both sides agreed on, whatever came since. */
  #agreed(row: NodeRow, change: Change, file: string | undefined): NodeRow {
    const { remote, synced } = row;
    if (change.kind === "delete" || remote === null) return { ...row, synced: null };
    const { parent, name, content, crev, lrev } = remote;
    const inode = file ?? synced?.file ?? row.local?.file ?? "";
    if (change.kind !== "create" && synced === null) {
      // The machine lost the file meanwhile: what the server has of it by now comes back.
      if (change.kind === "move" || row.local === null) return row;
    }
    if (change.kind === "create" || synced === null) {
      return { ...row, synced: agreedAt(remote, remote, content, inode) };
    }
    if (change.kind === "move") return { ...row, synced: { ...synced, parent, name, lrev } };
    return { ...row, synced: { ...synced, content, file: inode, crev } };
  }
}

/** What was known of the server's restores, and what it tells of them; as many as it may tell. */
function restoresKnown(known: readonly string[] = [], { restores = [] }: Feed): string[] {
  const told = restores.map(({ epoch }) => epoch);
  return [...known.filter((epoch) => !told.includes(epoch)), ...told].slice(-MAX_RESTORES);
}

function badMeta(expected: string, found: string): WorldError {
  return new WorldError("bad-meta", `The server sent the content of a ${found} for a ${expected}.`);
}
