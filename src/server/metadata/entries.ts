import { z } from "zod";
import type { ChunkId } from "#core/ids.ts";
import { Entry } from "#protocol/feed.ts";
import { packChunkIds, unpackChunkIds } from "./rows.ts";

/** All chunks that an entry names, in order, repeats included. */
export function namedChunks(entry: Entry): ChunkId[] {
  return entry.changes.flatMap((change) => ("chunks" in change ? change.chunks : []));
}

const Stored = z.object({ counts: z.array(z.int()), entry: Entry });

/**
 * An entry as two columns: its JSON with the number of chunks of every change in place of their
 * ids, and the ids as bytes. What is read is what was written, to the letter: the chain hashes it.
 */
export function writeEntry(entry: Entry): { readonly text: string; readonly chunks: Uint8Array } {
  const counts = entry.changes.map((change) => ("chunks" in change ? change.chunks.length : 0));
  const changes = entry.changes.map((change) =>
    "chunks" in change ? { ...change, chunks: [] } : change,
  );
  return {
    text: JSON.stringify({ counts, entry: { ...entry, changes } }),
    chunks: packChunkIds(namedChunks(entry)),
  };
}

export function readEntry(text: string, chunks: Uint8Array): Entry {
  const { counts, entry } = Stored.parse(JSON.parse(text));
  const ids = unpackChunkIds(chunks);
  let taken = 0;
  const changes = entry.changes.map((change, index) => {
    if (!("chunks" in change)) return change;
    const from = taken;
    taken += counts[index] ?? 0;
    return { ...change, chunks: ids.slice(from, taken) };
  });
  return { ...entry, changes };
}
