import { z } from "zod";
import { ChunkId } from "./ids.ts";
import { MAX_CHUNK_IDS } from "./limits.ts";

/** Which of these does this space lack? Asking also renews the lease of those that are there. */
export const MissingQuestion = z.object({ chunks: z.array(ChunkId).max(MAX_CHUNK_IDS) });
export const MissingAnswer = z.object({ missing: z.array(ChunkId) });

/** How many bytes the account may still send; null where nothing limits it but the disk. */
export const RoomAnswer = z.object({ roomBytes: z.int().min(0).nullable() });

/**
 * Chunks of this space whose only copy at the server is damaged or gone, by id: whoever has their
 * bytes is asked to send them again. Cut short where there are more.
 */
export const LackingAnswer = z.object({ lacking: z.array(ChunkId).max(MAX_CHUNK_IDS) });

/** Answer to a framed upload: how many frames were verified and made durable. */
export const StoredAnswer = z.object({ stored: z.int() });

/**
 * Asks for chunks of this space; the answer is a framed batch in the order of the question, cut
 * short (never within a frame) where MAX_BATCH_BYTES would be passed: ask again for the rest. A
 * chunk that this space does not hold, or that is damaged, is a 404 that names it, before the first
 * byte.
 */
export const FetchQuestion = z.object({ chunks: z.array(ChunkId).min(1).max(MAX_CHUNK_IDS) });
