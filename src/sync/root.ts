import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import type { SpaceId } from "#core/ids.ts";
import { joinPath, PRIVATE_FOLDER } from "#core/names.ts";
import { finishStoppedSteps } from "./hold.ts";
import { HOLD_FOLDER, PARK_FOLDER, STAGE_FOLDER } from "./paths.ts";
import type { DeviceRecords, Disk, TreeStore } from "./ports.ts";

const MARKED = "root";

/** Begins the name of the folder in `.lockstep` that marks a root; the id of its space follows. */
export const MARKER_PREFIX = "root-";

type RootWorld = {
  readonly disk: Disk;
  readonly records: DeviceRecords;
  readonly trees: TreeStore;
  readonly space: SpaceId;
};

/** Where a root has its marker, relative to it. */
export function markerPath(space: SpaceId): string {
  return joinPath(PRIVATE_FOLDER, MARKER_PREFIX + space);
}

async function ensureFolder(disk: Disk, path: string): Promise<void> {
  try {
    await disk.change.makeFolder(path);
  } catch (error) {
    if (codeOf(error) !== "exists") throw error;
  }
}

/**
 * Gets the root ready: the engine's own folders, and on the first run the marker that proves later
 * that this is still the folder (SPEC RT1).
 */
export async function prepareRoot(world: RootWorld): Promise<void> {
  const { disk, records, space } = world;
  if (records.setting(MARKED) === undefined) {
    await ensureFolder(disk, PRIVATE_FOLDER);
    await ensureFolder(disk, markerPath(space));
    // Once the marker is on record, a root without it counts as replaced.
    await disk.change.syncFolders(["", PRIVATE_FOLDER]);
    const root = await disk.look.stat("");
    records.setSetting(MARKED, root?.device ?? "");
  }
  await checkRoot(world);
  for (const folder of [STAGE_FOLDER, HOLD_FOLDER, PARK_FOLDER]) await ensureFolder(disk, folder);
  await finishStoppedSteps(disk);
  await clearStage(world);
}

/** Throws WorldError `root-gone` unless the root is the very folder that was linked (SPEC RT2). */
async function checkRoot({ disk, space }: RootWorld): Promise<void> {
  const root = await disk.look.stat("");
  const marker = root?.kind === "folder" ? await disk.look.stat(markerPath(space)) : null;
  if (root?.kind === "folder" && marker?.kind === "folder" && marker.device === root.device) return;
  throw rootGone();
}

/**
 * Sees to it that nothing is done to a root, or told of it, that is not the one that was linked:
 * it is looked at once a tick, not at all in one that neither looks nor does anything (SPEC RT2).
 */
export class RootSight {
  readonly #world: RootWorld;
  readonly #wake: () => void;
  /** Somebody found it missing or unreadable since a tick found it in order. */
  #isDoubtful = false;
  /** The present tick found it in order. */
  #isSeen = false;

  constructor(world: RootWorld, wake: () => void) {
    this.#world = world;
    this.#wake = wake;
  }

  async beginTick(): Promise<void> {
    this.#isSeen = false;
    if (this.#isDoubtful) await this.see();
  }

  /** Throws WorldError `root-gone`. */
  async see(): Promise<void> {
    if (this.#isSeen) return;
    await checkRoot(this.#world);
    this.#isSeen = true;
    this.#isDoubtful = false;
  }

  /**
   * Whether it is there at this moment; the loop, which may be asleep, hears of it. Null when all
   * is well, else why not: an unmounted root gives no hint.
   */
  async trouble(): Promise<string | null> {
    try {
      await checkRoot(this.#world);
      return null;
    } catch (error) {
      this.#isDoubtful = true;
      this.#wake();
      // What passes by itself is met by the next tick.
      return codeOf(error) === "root-gone" ? messageOf(error) : null;
    }
  }
}

/** What is said of a root that is not the folder that was linked. */
export function rootGone(): WorldError {
  const detail = "it is missing, unmounted or replaced, and nothing was deleted anywhere";
  const next = "Bring it back, or forget it with lockstep unlink and link it anew";
  return new WorldError("root-gone", `The synced folder is not there: ${detail}. ${next}.`);
}

/**
 * Removes stage files that no wanted content can use, and those that stand at their place already
 * under a second name; the others are resumed. True when there are such.
 */
export async function clearStage({
  disk,
  trees,
}: Pick<RootWorld, "disk" | "trees">): Promise<boolean> {
  const wanted = new Set<string>();
  for (const { id, remote } of trees.changed()) {
    if (remote?.content.kind === "file") wanted.add(`${id}-${remote.content.sha256.slice(0, 32)}`);
  }
  const { entries } = await disk.look.list(STAGE_FOLDER);
  let isLeft = false;
  for (const { name, links } of entries) {
    if (wanted.has(name) && links === 1) isLeft = true;
    else await disk.change.remove(joinPath(STAGE_FOLDER, name));
  }
  return isLeft;
}
