import { hash } from "node:crypto";
import type { Inode } from "./virtual-disk.ts";

/** Bytes in a story are never changed in place: what they hash to is found once. */
const hashes = new WeakMap<Uint8Array, string>();

/** SHA-256 in hex. */
export function hashOf(bytes: Uint8Array): string {
  let known = hashes.get(bytes);
  if (known === undefined) hashes.set(bytes, (known = hash("sha256", bytes)));
  return known;
}

/** True when a file held these bytes at any time. */
export function everHeld(inode: Inode, sha256: string): boolean {
  return inode.past.some((bytes) => hashOf(bytes) === sha256);
}
