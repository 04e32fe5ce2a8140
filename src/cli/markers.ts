import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { SpaceId } from "#core/ids.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { MARKER_PREFIX } from "#sync/root.ts";
import { wrongUsage } from "./exit.ts";

/** The spaces that a folder is marked as the root of; `link` makes one marker, `unlink` removes it. */
export function markedSpaces(dir: string): string[] {
  return namesIn(join(dir, PRIVATE_FOLDER))
    .filter((name) => name.startsWith(MARKER_PREFIX))
    .map((name) => name.slice(MARKER_PREFIX.length));
}

export function markerOf(dir: string, space: string): string {
  return join(dir, PRIVATE_FOLDER, MARKER_PREFIX + space);
}

/**
 * Throws CommandError when a folder is marked as the root of another space than `own`: two devices
 * that share one folder would send each other's files to both accounts.
 */
export function checkMarkers(dir: string, own: SpaceId | null): void {
  const foreign = markedSpaces(dir).find((space) => space !== own);
  if (foreign === undefined) return;
  throw wrongUsage(
    `${dir} was linked to another space, as ${markerOf(dir, foreign)} marks: make sure that no other Lockstep ` +
      "syncs it, remove that marker and run this again.",
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
