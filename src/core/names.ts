import { utf8Length } from "./bytes.ts";

/**
 * Longest name in UTF-8 bytes that a folder entry may have (the limit of ext4, APFS, NTFS alike).
 */
export const MAX_NAME_BYTES = 255;

/** Longest path in UTF-8 bytes, from the root of a space. */
export const MAX_PATH_BYTES = 4096;

/** The engine's own folder in every synced root: never synced, never scanned. */
export const PRIVATE_FOLDER = ".lockstep";

export type NameProblem =
  | "empty"
  | "dot"
  | "slash"
  | "control"
  | "too-long"
  | "not-unicode"
  | "private";

/** True for characters that no name may hold: C0 controls other than newline and tab, and DEL. */
function isForbiddenControl(code: number): boolean {
  return (code < 0x20 && code !== 0x0a && code !== 0x09) || code === 0x7f;
}

/**
 * Why `name` can stand in no tree, or null when it can. Newline and tab are legal on POSIX disks
 * and therefore sync; a device that cannot hold them reports it per path.
 */
export function nameProblem(name: string): NameProblem | null {
  if (name.length === 0) return "empty";
  if (name === "." || name === "..") return "dot";
  if (!name.isWellFormed()) return "not-unicode";
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (code === 0x2f) return "slash";
    if (isForbiddenControl(code)) return "control";
  }
  if (utf8Length(name) > MAX_NAME_BYTES) return "too-long";
  if (foldName(name) === PRIVATE_FOLDER) return "private";
  return null;
}

/**
 * What two names are compared by in a folding space: NFC and case folding, independent of locale.
 * Upper- then lower-casing unites what lower-casing alone keeps apart (ß and SS, both sigmas).
 */
export function foldName(name: string): string {
  if (isAscii(name)) return name.toLowerCase();
  return name.normalize("NFD").toUpperCase().toLowerCase().normalize("NFC");
}

/** Most names are, and for them all that folding does is to lower the case. */
function isAscii(name: string): boolean {
  for (let at = 0; at < name.length; at++) if (name.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** What two names are compared by in a space that keeps `a` and `A` apart: NFC only. */
export function plainNameKey(name: string): string {
  return name.normalize("NFC");
}

/** `folder/name`, where the root folder is the empty path. */
export function joinPath(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** The names of a path, outermost first; the root is the empty list. */
export function splitPath(path: string): string[] {
  return path === "" ? [] : path.split("/");
}
