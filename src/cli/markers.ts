import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SpaceId } from "#core/ids.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { MARKER_PREFIX, markerPath } from "#sync/root.ts";
import { wrongUsage } from "./exit.ts";

/** The spaces that a folder is marked as the root of. */
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
    `${dir} was linked to another space, as ${markerOf(dir, foreign)} marks: make sure that no ` +
      "other Lockstep syncs it, remove that marker and run this again.",
  );
}

/** Marks a folder as the root of a space (SPEC RT1). */
export function mark(dir: string, space: SpaceId): void {
  mkdirSync(join(dir, markerPath(space)), { recursive: true });
}

/**
 * False when a linked folder is not there, or nothing of Lockstep's is in it: what is found in its
 * place, as below a disk that is not mounted, is left as it is.
 */
export function isMarked(dir: string): boolean {
  try {
    return statSync(join(dir, PRIVATE_FOLDER)).isDirectory();
  } catch (error) {
    // Who may not look does not know.
    return !(error instanceof Error && "code" in error && error.code === "ENOENT");
  }
}

/** The names in a folder; none when it is not there, or is no folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
