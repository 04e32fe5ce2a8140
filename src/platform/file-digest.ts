import { createHash, hash } from "node:crypto";
import { readSync } from "node:fs";
import type { CutKey, CutSizes } from "#chunking/cut.ts";
import { readyCuts } from "#chunking/split.ts";
import { chunkId, contentHash } from "#core/ids.ts";
import type { ContentHash } from "#core/ids.ts";
import type { Manifest, ManifestEntry } from "#core/node.ts";

/** What a file's bytes come down to. */
export type FileDigest = { readonly sha256: ContentHash; readonly manifest: Manifest };

/** What is read, and what it is cut by. `sizeBytes` is as expected: no byte beyond it is read. */
export type DigestTask = {
  readonly descriptor: number;
  readonly sizeBytes: number;
  readonly sizes: CutSizes;
  readonly key: CutKey;
};

/** Reads into buffer[from, to) until it is full or the file ends; returns where it came to. */
function fill(
  task: DigestTask,
  buffer: Uint8Array,
  from: number,
  to: number,
  position: number,
): number {
  let at = from;
  while (at < to) {
    const read = readSync(task.descriptor, buffer, at, to - at, position + at - from);
    if (read === 0) break;
    at += read;
  }
  return at;
}

/**
 * Reads, cuts and hashes a file on this thread, through `buffer`: one that holds the whole file, or
 * more than one chunk of the greatest length. A file that is shorter than expected is digested as
 * far as it goes. Null when `isStopped` said so before one of the segments. Throws what readSync
 * throws.
 */
export function digestFile(
  task: DigestTask,
  buffer: Uint8Array,
  isStopped: () => boolean,
): FileDigest | null {
  const manifest: ManifestEntry[] = [];
  // Most files are one chunk, whose hash is the file's: the second hash starts with the second
  // chunk.
  let whole: ReturnType<typeof createHash> | null = null;
  let held = 0;
  let position = 0;
  for (let isLast = false; !isLast;) {
    if (isStopped()) return null;
    const room = Math.min(buffer.length - held, task.sizeBytes - position);
    const end = fill(task, buffer, held, held + room, position);
    position += end - held;
    isLast = end < held + room || position === task.sizeBytes;
    let at = 0;
    for (const lengthBytes of readyCuts(buffer, 0, end, isLast, task.sizes, task.key)) {
      const chunk = buffer.subarray(at, at + lengthBytes);
      manifest.push({ chunk: chunkId(hash("sha256", chunk, "hex")), lengthBytes });
      at += lengthBytes;
    }
    if (!isLast || whole !== null || manifest.length !== 1) {
      whole ??= createHash("sha256");
      whole.update(buffer.subarray(held, end));
    }
    buffer.copyWithin(0, at, end);
    held = end - at;
  }
  return { sha256: contentHash(whole?.digest("hex") ?? manifest[0]!.chunk), manifest };
}
