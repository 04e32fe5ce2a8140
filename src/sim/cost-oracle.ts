import type { NodeId } from "#core/ids.ts";
import type { Device } from "./device.ts";
import { isIgnored } from "./oracle.ts";
import type { Way } from "./people.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";
import type { VirtualServer } from "./virtual-server.ts";

/** What each inode's name is, and in which folder. */
type Slot = { readonly path: string; readonly folder: Inode; readonly name: string };

type Snapshot = {
  readonly slots: ReadonlyMap<Inode, Slot>;
  readonly ids: ReadonlyMap<string, NodeId>;
  readonly sequence: number;
  /** Contents on each disk, and what each device has sent and fetched so far. */
  readonly contents: readonly ReadonlyMap<string, number>[];
  readonly ignored: readonly ReadonlyMap<string, number>[];
  readonly sentBytes: readonly number[];
  readonly fetchedBytes: readonly number[];
};

/** Ways that are one change of one node, when the new name is free. */
const ONE_CHANGE: readonly Way[] = ["rename-file", "rename-folder", "move", "rename-case"];
/** Ways that give one file new content, by whatever dance. */
const SAVES: readonly Way[] = [
  "write",
  "append",
  "save-by-rename",
  "vim-dance",
  "sed-in-place",
  "word-dance",
  "excel-dance",
];
/** With what stood at the new name. */
const MOST_CHANGES_OF_ONE = 2;

/**
 * What a deed may cost while everybody else rests: no more commits than steps, one change for a
 * rename of whatever is below it, no byte that is there already (I9). And a move was a move: what
 * has another name now is the same node.
 */
export class CostOracle {
  readonly #devices: readonly Device[];
  readonly #server: VirtualServer;
  readonly #isSealed: boolean;

  constructor(devices: readonly Device[], server: VirtualServer, isSealed: boolean) {
    this.#isSealed = isSealed;
    this.#devices = devices;
    this.#server = server;
  }

  async snapshot(device: Device): Promise<Snapshot> {
    const ids = new Map([...(await this.#server.tree())].map(([path, { id }]) => [path, id]));
    return {
      slots: slotsOf(device.disk),
      ids,
      sequence: (await this.#server.entries()).length,
      contents: this.#devices.map(({ disk }) => contentsOf(disk)),
      ignored: this.#devices.map(({ disk }) => contentsOf(disk, true)),
      sentBytes: this.#devices.map(({ traffic }) => traffic.sentBytes),
      fetchedBytes: this.#devices.map(({ traffic }) => traffic.fetchedBytes),
    };
  }

  /** What is wrong with all that followed from a deed of so many steps, as sentences. */
  async faults(
    device: Device,
    deed: { way: Way; steps: number },
    before: Snapshot,
    meant: ReadonlyMap<Inode, Slot>,
  ): Promise<string[]> {
    const entries = (await this.#server.entries()).slice(before.sequence);
    const changes = entries.flatMap((entry) => entry.changes);
    const { ids } = await this.snapshot(device);
    const { way, steps } = deed;
    const wrong = [...moveFaults(before, { slots: meant, ids })];
    if (SAVES.includes(way)) wrong.push(...saveFaults(before, ids));
    // A deletion is believed a little later than what took its place.
    const most = steps + later(before.slots, meant);
    if (entries.length > most) {
      wrong.push(`${entries.length} commits for ${steps} steps of ${way}`);
    }
    if (way === "hard-link") wrong.push(...nameFaults(before.ids, ids));
    if (way === "touch" && changes.length > 0) wrong.push("a touch was committed");
    if (ONE_CHANGE.includes(way) && changes.length > MOST_CHANGES_OF_ONE) {
      wrong.push(`${changes.length} changes for one ${way}`);
    }
    // Sealed chunks have other lengths, and small files travel in commits.
    return this.#isSealed ? wrong : [...wrong, ...this.#traffic(before, entries.length > 1)];
  }

  /**
   * Nobody sends or fetches what the other side has; in several commits what the second one needs
   * may be gone after the first.
   */
  *#traffic(before: Snapshot, isInPieces: boolean): Iterable<string> {
    const known = new Map(before.contents.flatMap((contents) => [...contents]));
    for (const [index, { name, disk, traffic }] of this.#devices.entries()) {
      const now = contentsOf(disk);
      const sent = traffic.sentBytes - (before.sentBytes[index] ?? 0);
      const fetched = traffic.fetchedBytes - (before.fetchedBytes[index] ?? 0);
      // What a dance ends in under an ignored name was sent under another.
      const hidden = newBytes(contentsOf(disk, true), before.ignored[index] ?? new Map());
      if (sent > newBytes(now, known) + hidden) yield `${name} sent ${sent} bytes again`;
      if (!isInPieces && fetched > newBytes(now, before.contents[index] ?? new Map())) {
        yield `${name} fetched ${fetched} bytes that it has`;
      }
    }
  }
}

export function slotsOf(disk: VirtualDisk): Map<Inode, Slot> {
  const slots = new Map<Inode, Slot>();
  for (const { path, inode } of disk.tree()) {
    const { folder, name } = disk.find(path);
    slots.set(inode, { path, folder, name });
  }
  return slots;
}

/** How many commits more than steps there may be. */
function later(before: ReadonlyMap<Inode, Slot>, after: ReadonlyMap<Inode, Slot>): number {
  let count = 0;
  for (const inode of before.keys()) if (!after.has(inode)) count++;
  // Each name of one inode is a node, and read when its time has come.
  for (const inode of after.keys()) if (inode.isShared) count += inode.links;
  return count;
}

function contentsOf(disk: VirtualDisk, ignored = false): Map<string, number> {
  const contents = new Map<string, number>();
  for (const { path, inode } of disk.tree()) {
    if (inode.kind !== "file" || isIgnored(path) !== ignored) continue;
    contents.set(Buffer.from(inode.bytes).toString("latin1"), inode.bytes.length);
  }
  return contents;
}

function newBytes(now: ReadonlyMap<string, number>, known: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [text, length] of now) if (!known.has(text)) sum += length;
  return sum;
}

/** A file that was saved is the node that it was, and so are all others. */
function* saveFaults(
  before: Pick<Snapshot, "slots" | "ids">,
  after: ReadonlyMap<string, NodeId>,
): Iterable<string> {
  for (const [inode, { path }] of before.slots) {
    const [was, is] = [before.ids.get(path), after.get(path)];
    if (inode.isShared || inode.kind !== "file" || was === undefined) continue;
    if (is === undefined || was === is) continue;
    yield `${path} was saved and is another node`;
  }
}

/** What has its name still is the node that it was, whatever other name it got (SC2). */
function* nameFaults(
  before: ReadonlyMap<string, NodeId>,
  after: ReadonlyMap<string, NodeId>,
): Iterable<string> {
  for (const [path, id] of before) {
    if (after.get(path) !== id) yield `${path} kept its name and is another node`;
  }
}

/**
 * What stands at another name, where nothing of its kind was before, while nothing of its kind has
 * its old one, is the node that it was.
 */
function* moveFaults(
  before: Pick<Snapshot, "slots" | "ids">,
  after: Pick<Snapshot, "slots" | "ids">,
): Iterable<string> {
  const holderOf = (slots: ReadonlyMap<Inode, Slot>, { folder, name }: Slot): Inode | undefined => {
    for (const [inode, slot] of slots) {
      if (slot.folder === folder && slot.name === name) return inode;
    }
    return undefined;
  };
  for (const [inode, from] of before.slots) {
    const to = after.slots.get(inode);
    if (to === undefined || to.path === from.path || inode.isShared) continue;
    if (isIgnored(to.path)) continue;
    const isOwnMove = to.folder !== from.folder || to.name !== from.name;
    // An inode of two names has one slot only: the server knows both.
    const wasThere = holderOf(before.slots, to)?.kind === inode.kind || before.ids.has(to.path);
    const isThere = holderOf(after.slots, from)?.kind === inode.kind;
    if (isOwnMove && inode.kind !== "folder" && (wasThere || isThere)) continue;
    const [was, is] = [before.ids.get(from.path), after.ids.get(to.path)];
    if (was === undefined || was === is) continue;
    yield `${from.path} moved to ${to.path} and is another node`;
  }
}
