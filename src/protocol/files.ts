import { z } from "zod";
import { ChunkId, Sequence } from "./ids.ts";
import { MAX_COMMIT_CHUNKS } from "./limits.ts";

/**
 * The seven REST calls that a programmer with curl uses. `user_id` is the account's name, a version
 * is a sequence of the account's plain space, `file_path` may hold slashes.
 */
const UserId = z.string().min(1).max(64);
const FilePath = z.string().min(1).max(4_096);
const Version = Sequence;

export const MetadataCommit = z.object({
  user_id: UserId,
  file_path: FilePath,
  chunk_hashes: z.array(ChunkId).max(MAX_COMMIT_CHUNKS),
  /** The version that the caller saw last (0: the file must not exist); stale ones get 409. */
  base_version: Version.optional(),
  executable: z.boolean().optional(),
  /** The plain space's name; `files` when absent. */
  space: z.string().max(64).optional(),
});

/** `version_id` is the new version, or the current one (0: none) when chunks are missing. */
export const MetadataCommitted = z.object({
  status: z.enum(["committed", "pending"]),
  version_id: Version,
  missing_chunks: z.array(ChunkId),
});

export const ChunkUploaded = z.object({ status: z.literal("uploaded") });

export const FileMetadata = z.object({
  chunk_hashes: z.array(ChunkId),
  version: Version,
  size_bytes: z.int(),
  sha256: z.string(),
});

/** `next` is there when `limit` was asked for and more follow: ask again with `after` set to it. */
export const FileList = z.object({
  files: z.array(z.object({ file_path: z.string(), version: Version })),
  next: z.string().optional(),
});

export const UpdatedFiles = z.object({
  updated_files: z.array(
    z.object({ file_path: z.string(), version: Version, deleted: z.boolean().optional() }),
  ),
  /** All up to this version is in this answer: what to ask with next time. */
  latest_version: Version,
});

export const FileReverted = z.object({
  status: z.literal("reverted"),
  version_id: Version,
  from_version_id: Version,
  previous_version_id: Version,
});
