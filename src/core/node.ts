import type { ChunkId, ContentHash, NodeId } from "./ids.ts";

export type NodeKind = "file" | "folder" | "symlink";

/** Where a node stands: a name in a folder. */
export type Place = { readonly parent: NodeId; readonly name: string };

export type FileContent = {
  readonly kind: "file";
  readonly sizeBytes: number;
  readonly sha256: ContentHash;
  readonly executable: boolean;
};
export type FolderContent = { readonly kind: "folder" };
export type SymlinkContent = { readonly kind: "symlink"; readonly target: string };

/**
 * What a node holds. Modification times are carried beside it and never compared between machines.
 */
export type Content = FileContent | FolderContent | SymlinkContent;

export const FOLDER: FolderContent = { kind: "folder" };

/** One piece of a file, in order. */
export type ManifestEntry = { readonly chunk: ChunkId; readonly lengthBytes: number };

/** A file's ordered chunk list: lengths add up to the file's size; an empty file has none. */
export type Manifest = readonly ManifestEntry[];

export function samePlace(left: Place, right: Place): boolean {
  return left.parent === right.parent && left.name === right.name;
}

/** Equal bytes (or target, or both folders); the executable bit is a dimension of its own. */
export function sameBody(left: Content, right: Content): boolean {
  if (left.kind === "file") {
    return right.kind === "file" && left.sha256 === right.sha256;
  }
  if (left.kind === "symlink") return right.kind === "symlink" && left.target === right.target;
  return right.kind === "folder";
}

/** Equal bytes and equal executable bit. */
export function sameContent(left: Content, right: Content): boolean {
  if (!sameBody(left, right)) return false;
  return left.kind !== "file" || right.kind !== "file" || left.executable === right.executable;
}
