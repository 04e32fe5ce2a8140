import { cutToBytes } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import { nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import type { Place } from "#core/node.ts";
import { HOLD_FOLDER, PARK_FOLDER } from "./paths.ts";
import type { Disk, Stat } from "./ports.ts";
import type { Stamp } from "./tree.ts";

/**
 * Names below `.lockstep/hold` and `.lockstep/park` say by themselves what they are, so that a lost
 * database strands nothing:
 * hold: `<ms since 1970>.<size>.<mtime ns>.<node>-<parent>-<name>`, park: `<node>-<parent>-<name>`.
 */
const KEPT_NAME_BYTES = 120;
const PARKED = /^(?<node>[0-9a-f]{32})-(?<parent>[0-9a-f]{32})-(?<name>.+)$/su;
const HELD = /^(?<heldMs>\d+)\.(?<size>\d+)\.(?<mtime>-?\d+)\.(?<rest>.+)$/su;

/** What was displaced stays this long. */
const PURGE_MS = 7 * 24 * 3_600_000;

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

export function holdName(id: NodeId, place: Place, stamp: Stamp, nowMs: number): string {
  return `${nowMs}.${stamp.sizeBytes}.${stamp.mtimeNs}.${parkName(id, place)}`;
}

/** True when two stats tell of the same bytes; a rename alone changes ctime. */
export function sameBytesStamp(left: Stamp, right: Stamp): boolean {
  return left.sizeBytes === right.sizeBytes && left.mtimeNs === right.mtimeNs;
}

/**
 * Looks at what was displaced: an editor that still had the file open may have written to it. What
 * changed goes to park, from where it comes back as a file of its own; what rested a week goes.
 * Returns how many come back (SPEC EX6).
 */
export async function sweepHold(disk: Disk, nowMs: number): Promise<number> {
  let recovered = 0;
  const { entries } = await disk.look.list(HOLD_FOLDER);
  for (const entry of entries) {
    const groups = HELD.exec(entry.name)?.groups;
    const path = joinPath(HOLD_FOLDER, entry.name);
    const { heldMs = "0", size = "", mtime = "", rest = entry.name } = groups ?? {};
    const isSame = isUntouched(entry, size, mtime);
    if (!isSame) {
      // The engine parks nodes at the same time, by their own ids: none is of this form.
      const id = Number(heldMs).toString(16).padStart(32, "0");
      const name = await freeParkName(disk, id, parkedPlace(rest));
      await disk.change.rename(path, joinPath(PARK_FOLDER, name));
      recovered++;
    } else if (nowMs - Number(heldMs) > PURGE_MS) await disk.change.remove(path);
  }
  return recovered;
}

function isUntouched(entry: Stat, size: string, mtime: string): boolean {
  const { sizeBytes, mtimeNs } = entry.stamp;
  return String(sizeBytes) === size && String(mtimeNs) === mtime;
}

/**
 * A move of a file stopped between its two halves leaves the inode under two names: the parked one
 * is taken away, so that the inode has one place again.
 */
export async function finishParkedMoves(disk: Disk): Promise<void> {
  const { entries } = await disk.look.list(PARK_FOLDER);
  for (const entry of entries) {
    if (entry.kind === "folder" || entry.links < 2) continue;
    try {
      await disk.change.remove(joinPath(PARK_FOLDER, entry.name));
    } catch (error) {
      if (codeOf(error) !== "not-found") throw error;
    }
  }
}
