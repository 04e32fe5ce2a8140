import type { BigIntStats } from "node:fs";
import type { EntryKind, Stat } from "#sync/ports.ts";

// The one place where the system's stat becomes the engine's words: everything that looks at a disk
// comes through here, so that two looks at one inode always give the same key and the same stamp.

/**
 * Identity of the inode, `device:inode:birth time in ns`. The birth time tells a reused inode
 * number from the file that had it before; it is 0 where the file system records none, which
 * statx(2) says by leaving it zero.
 */
export function fileKeyOf(stats: BigIntStats): Stat["file"] {
  const birthNs = stats.birthtimeNs > 0n ? stats.birthtimeNs : 0n;
  return `${stats.dev}:${stats.ino}:${birthNs}`;
}

/** Size and both times in full: milliseconds would call two edits within one the same state. */
function stampOf(stats: BigIntStats): Stat["stamp"] {
  return {
    sizeBytes: Number(stats.size),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
  };
}

/** True when two stamps tell of the same state of one inode. */
export function sameStamp(left: Stat["stamp"], right: Stat["stamp"]): boolean {
  return (
    left.sizeBytes === right.sizeBytes &&
    left.mtimeNs === right.mtimeNs &&
    left.ctimeNs === right.ctimeNs
  );
}

function kindOf(stats: BigIntStats): EntryKind {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "folder";
  if (stats.isSymbolicLink()) return "symlink";
  return "other";
}

// The owner's bit decides, as in git: the others follow a person's umask, not their intent.
const OWNER_EXECUTE = 0o100n;

/** `stats` (from a call with `bigint: true` that does not follow links) in the engine's words. */
export function statOf(stats: BigIntStats): Stat {
  const kind = kindOf(stats);
  return {
    kind,
    file: fileKeyOf(stats),
    device: `${stats.dev}`,
    stamp: stampOf(stats),
    executable: kind === "file" && (stats.mode & OWNER_EXECUTE) !== 0n,
    links: Number(stats.nlink),
  };
}
