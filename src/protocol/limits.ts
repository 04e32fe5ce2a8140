/** The limits of the wire. Every body, list and batch has one; a server may lower none of them. */

/** Changes in one commit. */
export const MAX_CHANGES = 1_000;
/** Chunks that all changes of one commit may name together. */
export const MAX_COMMIT_CHUNKS = 200_000;
/** How far behind the head the base of a sealed commit may be: devices remember that far back. */
export const MAX_BASE_AGE = 4_096;
/** A node's meta, in UTF-8 bytes. */
export const MAX_META_BYTES = 64 * 1024;
/** A name as it stands on the wire (a sealed one is longer than what it hides). */
export const MAX_WIRE_NAME_BYTES = 1_024;
/** One chunk's stored bytes. */
export const MAX_CHUNK_BYTES = 8 * 1024 * 1024;
/** One framed batch of chunks, either way. */
export const MAX_BATCH_BYTES = 32 * 1024 * 1024;
/** Chunk ids in one question. */
export const MAX_CHUNK_IDS = 10_000;
/** A JSON body: a commit that names MAX_COMMIT_CHUNKS chunks fits. */
export const MAX_JSON_BYTES = 24 * 1024 * 1024;
/** A JSON body of every call but a commit and a question about chunks. */
export const MAX_SMALL_JSON_BYTES = 256 * 1024;
/** Journal entries in one answer of the change feed. */
export const MAX_FEED_ENTRIES = 500;
/** How long the change feed may be asked to wait: below the 60 s that proxies idle. */
export const MAX_FEED_WAIT_MS = 50_000;
/** Rows in one page of any list. */
export const MAX_PAGE = 1_000;
/** Folders between a node and the root. */
export const MAX_DEPTH = 2_048;
