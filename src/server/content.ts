import { createHash } from "node:crypto";
import { contentHash, type ChunkId, type ContentHash, type SpaceId } from "#core/ids.ts";
import { FRAME_HEAD_BYTES } from "#protocol/frames.ts";
import { MAX_BATCH_BYTES, MAX_CHUNK_IDS } from "#protocol/limits.ts";
import type { Intake } from "./intake.ts";
import type { ChunkIndex, ChunkPlace } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** The server reads a file once to know its hash: this bounds what one call can make it do. */
const MAX_REST_FILE_BYTES = 64 * 1024 ** 3;

export type Described =
  | {
      readonly outcome: "described";
      readonly sizeBytes: number;
      readonly sha256: ContentHash;
      readonly lengths: number[];
    }
  | { readonly outcome: "missing-chunks"; readonly missing: ChunkId[] };

/** Groups of chunks that `Intake.fetch` gives out whole. */
function* batches(chunks: readonly ChunkId[], lengths: readonly number[]) {
  let batch: ChunkId[] = [];
  let sizeBytes = 0;
  for (const [index, chunk] of chunks.entries()) {
    const frameBytes = FRAME_HEAD_BYTES + (lengths[index] ?? 0);
    if (sizeBytes + frameBytes > MAX_BATCH_BYTES || batch.length === MAX_CHUNK_IDS) {
      yield batch;
      batch = [];
      sizeBytes = 0;
    }
    batch.push(chunk);
    sizeBytes += frameBytes;
  }
  if (batch.length > 0) yield batch;
}

function inOrder(chunks: readonly ChunkId[], places: readonly ChunkPlace[]): Described | number[] {
  const lengthOf = new Map(places.map(({ id, lengthBytes }) => [id, lengthBytes]));
  const missing = new Set<ChunkId>();
  const lengths: number[] = [];
  for (const chunk of chunks) {
    const length = lengthOf.get(chunk);
    if (length === undefined) missing.add(chunk);
    else lengths.push(length);
  }
  return missing.size > 0 ? { outcome: "missing-chunks", missing: [...missing] } : lengths;
}

/**
 * Size and SHA-256 of the file that these chunks of a space make, by reading them, or which of them
 * the space does not hold. Throws ProblemError `bad-request` above MAX_REST_FILE_BYTES.
 */
export async function describeContent(
  { chunks: index, intake }: { readonly chunks: ChunkIndex; readonly intake: Intake },
  space: SpaceId,
  chunks: readonly ChunkId[],
): Promise<Described> {
  const lengths = inOrder(chunks, await index.held(space, [...new Set(chunks)]));
  if ("outcome" in lengths) return lengths;
  const sizeBytes = lengths.reduce((sum, length) => sum + length, 0);
  if (sizeBytes > MAX_REST_FILE_BYTES) {
    throw new ProblemError(
      "bad-request",
      `The file has ${sizeBytes} bytes, the most is ${MAX_REST_FILE_BYTES}; sync it with a device.`,
    );
  }
  const [only] = chunks;
  // A chunk's id is the hash of its bytes, so a file of one chunk is known already.
  if (only !== undefined && chunks.length === 1) {
    return { outcome: "described", sizeBytes, sha256: contentHash(only), lengths };
  }
  const hash = createHash("sha256");
  for (const batch of batches(chunks, lengths)) {
    for await (const { bytes } of await intake.fetch(space, batch)) hash.update(bytes);
  }
  return { outcome: "described", sizeBytes, sha256: contentHash(hash.digest("hex")), lengths };
}
