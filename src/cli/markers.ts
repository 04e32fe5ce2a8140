import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { SpaceId } from "#core/ids.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { MARKER_PREFIX } from "#sync/root.ts";
import { wrongUsage } from "./exit.ts";

/**
 * Throws CommandError when a folder is marked as the root of another space than `own`: two devices
 * that share one folder would send each other's files to both accounts.
 */
export function checkMarkers(dir: string, own: SpaceId | null): void {
  const folder = join(dir, PRIVATE_FOLDER);
  const foreign = namesIn(folder).find(
    (name) => name.startsWith(MARKER_PREFIX) && name !== `${MARKER_PREFIX}${own}`,
  );
  if (foreign === undefined) return;
  throw wrongUsage(
    `${dir} was linked elsewhere, as ${join(folder, foreign)} marks: make sure that no other ` +
      "Lockstep syncs it, remove that marker and run this again.",
  );
}

/** The names in a folder; none when it is not there, or is no folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
