import { cutToBytes } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import { nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import type { Place } from "#core/node.ts";
import { PARK_FOLDER, STAGE_FOLDER } from "./paths.ts";
import type { Disk, Entry } from "./ports.ts";
import type { FileKey, LocalSide, Stamp } from "./tree.ts";

/**
 * Names below `.lockstep/hold` and `.lockstep/park` say by themselves what they are, so that a lost
 * database strands nothing:
 * hold: `<ms since 1970>.<size>.<mtime ns>.<begin of the SHA-256>.<node>-<parent>-<name>`, park:
 * `<node>-<parent>-<name>`. Links have no hash.
 */
const KEPT_NAME_BYTES = 96;
const KEPT_HASH_DIGITS = 32;
const PARKED = /^(?<node>[0-9a-f]{32})-(?<parent>[0-9a-f]{32})-(?<name>.+)$/su;
const HELD =
  /^(?<heldMs>\d+)\.(?<size>\d+)\.(?<mtime>-?\d+)\.(?:(?<hash>[0-9a-f]{32})\.)?(?<rest>.+)$/su;

function parkName(id: string, place: Place): string {
  return `${id}-${place.parent}-${cutToBytes(place.name, KEPT_NAME_BYTES)}`;
}

/**
 * A name in park that nothing has: what lies there already is somebody's bytes. The node in a name
 * only tells names apart; whoever finds one goes by its parent and name.
 */
export async function freeParkName(disk: Disk, id: string, place: Place): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const digits = attempt.toString(16);
    const own = attempt === 0 ? id : id.slice(0, -digits.length) + digits;
    const name = parkName(own, place);
    if ((await disk.look.stat(joinPath(PARK_FOLDER, name))) === null) return name;
  }
}

/** Where a parked thing came from, by its name alone. */
export function parkedPlace(name: string): Place {
  const groups = PARKED.exec(name)?.groups;
  if (groups?.["parent"] === undefined || groups["name"] === undefined) {
    return { parent: ROOT_NODE, name };
  }
  return { parent: nodeId(groups["parent"]), name: groups["name"] };
}

/** The name in hold of what a node is known to be. */
export function holdName(id: NodeId, local: LocalSide, nowMs: number): string {
  const { stamp, content } = local;
  const hash = content?.kind === "file" ? `${content.sha256.slice(0, KEPT_HASH_DIGITS)}.` : "";
  return `${nowMs}.${stamp.sizeBytes}.${stamp.mtimeNs}.${hash}${parkName(id, local)}`;
}

/** What was displaced, as its name in hold tells. */
export type Held = {
  /** By the device's clock. */
  readonly heldMs: number;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  /** The begin of the SHA-256, in hex, that its bytes had; null where it is not known. */
  readonly hash: string | null;
  readonly place: Place;
};

/** Null for a name that the engine did not give. */
export function readHoldName(name: string): Held | null {
  const { heldMs, size, mtime, hash, rest } = HELD.exec(name)?.groups ?? {};
  if (heldMs === undefined || size === undefined || mtime === undefined) return null;
  return {
    heldMs: Number(heldMs),
    sizeBytes: Number(size),
    mtimeNs: BigInt(mtime),
    hash: hash ?? null,
    place: parkedPlace(rest ?? name),
  };
}

/** True when two stats tell of the same bytes; a rename alone changes ctime. */
export function sameBytesStamp(left: Stamp, right: Stamp): boolean {
  return left.sizeBytes === right.sizeBytes && left.mtimeNs === right.mtimeNs;
}

/**
 * A step that stopped between its two halves leaves an inode under two names: the one in a folder
 * of the engine's own is taken away, so that the inode has one place again.
 */
export async function finishStoppedSteps(disk: Disk): Promise<void> {
  // A name in stage is no place: what was put in place and parked since may have just these two.
  await dropSecondNames(disk, STAGE_FOLDER);
  await dropSecondNames(disk, PARK_FOLDER);
}

/** Removes names in a folder, never the last one of an inode: all of them may stand there. */
async function dropSecondNames(disk: Disk, folder: string): Promise<void> {
  const left = new Map<FileKey, number>();
  for (const { name, file, links } of await secondNames(disk, folder)) {
    const names = left.get(file) ?? links;
    if (names > 1) await disk.change.remove(joinPath(folder, name));
    left.set(file, names - 1);
  }
}

/** What has other names as well; nothing when there is no such folder. */
async function secondNames(disk: Disk, folder: string): Promise<Entry[]> {
  const { entries } = await disk.look.list(folder).catch((error: unknown) => {
    if (codeOf(error) === "not-found") return { entries: [] };
    throw error;
  });
  return entries.filter(({ kind, links }) => kind !== "folder" && links > 1);
}
