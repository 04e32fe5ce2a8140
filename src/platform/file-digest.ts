import { createHash, hash } from "node:crypto";
import { readSync } from "node:fs";
import type { CutSizes } from "#chunking/cut.ts";
import type { Cutter } from "#chunking/cutter.ts";
import { chunkId, contentHash } from "#core/ids.ts";
import type { ChunkId, ContentHash } from "#core/ids.ts";
import type { Manifest, ManifestEntry } from "#core/node.ts";
import { isZero } from "./zeros.ts";

/** What a file's bytes come down to. */
export type FileDigest = { readonly sha256: ContentHash; readonly manifest: Manifest };

/** What is read, and how it is cut. `sizeBytes` is as expected: no byte beyond it is read. */
export type DigestTask = {
  readonly descriptor: number;
  readonly sizeBytes: number;
  readonly sizes: CutSizes;
};

/** Reads into buffer[from, to) until it is full or the file ends; returns where it came to. */
function fill(
  task: Pick<DigestTask, "descriptor">,
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

/** Chunks of nothing but zeros, by their length: there are at most as many as classes of sizes. */
const zeroChunks = new Map<number, ChunkId>();

/**
 * The chunk at the start of the cutter's buffer[start, end). One of the greatest length that is
 * all zeros, as holes are, is known without cutting or hashing: equal bytes have no boundary (SPEC
 * CK7).
 */
function chunkAt(cutter: Cutter, start: number, end: number, sizes: CutSizes): ManifestEntry {
  const { maxBytes } = sizes;
  const longest = cutter.buffer.subarray(start, Math.min(end, start + maxBytes));
  const isHole = longest.length === maxBytes && isZero(longest);
  const known = isHole ? zeroChunks.get(maxBytes) : undefined;
  if (known !== undefined) return { chunk: known, lengthBytes: maxBytes };
  const lengthBytes = cutter.nextCut(start, end, sizes);
  const bytes = cutter.buffer.subarray(start, start + lengthBytes);
  const chunk = chunkId(hash("sha256", bytes, "hex"));
  if (isHole) zeroChunks.set(lengthBytes, chunk);
  return { chunk, lengthBytes };
}

/**
 * Reads, cuts and hashes a file on this thread, through the cutter's buffer, which holds the whole
 * file, or more than one chunk of the greatest length. A file that is shorter than expected is
 * digested as far as it goes. Null when `isStopped` said so before one of the segments. Throws what
 * readSync throws.
 */
export function digestFile(
  task: DigestTask,
  cutter: Cutter,
  isStopped: () => boolean,
): FileDigest | null {
  const { buffer } = cutter;
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
    // What is shorter than a chunk of the greatest length may go on in the next segment.
    while (at < end && (isLast || end - at >= task.sizes.maxBytes)) {
      const entry = chunkAt(cutter, at, end, task.sizes);
      manifest.push(entry);
      at += entry.lengthBytes;
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

/** The SHA-256 of a file alone, by the same rules. */
export function hashFile(
  task: Omit<DigestTask, "sizes">,
  buffer: Uint8Array,
  isStopped: () => boolean,
): ContentHash | null {
  const whole = createHash("sha256");
  for (let position = 0, end = -1; end !== 0 && position < task.sizeBytes; position += end) {
    if (isStopped()) return null;
    end = fill(task, buffer, 0, Math.min(buffer.length, task.sizeBytes - position), position);
    whole.update(buffer.subarray(0, end));
  }
  return contentHash(whole.digest("hex"));
}
