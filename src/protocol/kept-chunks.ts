import { concat, fromHex, toHex, utf8 } from "../core/bytes.ts";
import type { ChunkId } from "../core/ids.ts";
import type { Digest } from "../core/world.ts";
import type { Change } from "./commit.ts";

/**
 * A small edit of a large file names few chunks: those that its content needs besides the ones of
 * the revision before it. What both sides take for the whole is compared by a hash, so that nothing
 * that is needed is ever left out of it (SPEC SS7).
 */

const LABEL = utf8("lockstep/chunk-list/1\0");

type Update = Extract<Change, { kind: "update" }>;
type Named = Pick<Update, "chunks" | "keeps">;

/** The hash that a list goes by; the order of its chunks says nothing. */
export function hashChunkList(digest: Digest, chunks: readonly ChunkId[]): string {
  const sorted = [...chunks].sort();
  return toHex(digest.sha256(concat([LABEL, ...sorted.map(fromHex)])));
}

/** How an update says that it needs `after` where the revision before it needed `before`. */
export function nameChunks(
  digest: Digest,
  before: readonly ChunkId[],
  after: readonly ChunkId[],
): Named {
  const had = new Set(before);
  const has = new Set(after);
  const chunks = after.filter((id) => !had.has(id));
  const drops = before.filter((id) => !has.has(id));
  if (chunks.length + drops.length >= after.length) return { chunks: [...after] };
  return { chunks, keeps: { drops, all: hashChunkList(digest, after) } };
}

/** Every chunk that an update needs, `before` being what the revision before it needed. */
export function neededChunks(before: readonly ChunkId[], { chunks, keeps }: Named): ChunkId[] {
  if (keeps === undefined) return [...chunks];
  const drops = new Set(keeps.drops);
  return [...before.filter((id) => !drops.has(id)), ...chunks].sort();
}
