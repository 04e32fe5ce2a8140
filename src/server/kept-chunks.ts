import type { Digest } from "#core/world.ts";
import { hashChunkList, neededChunks } from "#protocol/kept-chunks.ts";
import { MAX_COMMIT_CHUNKS } from "#protocol/limits.ts";
import { refused, type Draft, type Refused, type Step } from "./draft.ts";
import type { View } from "./view.ts";

/**
 * The draft with every update's chunks named in full (SPEC SS7). Refuses with `chunks-differ` an
 * update that takes the revision before it for another one than the space has. What is stale stays
 * as it is: it is found by whoever judges the draft.
 */
export function nameInFull(draft: Draft, view: View, digest: Digest): Draft | Refused {
  const steps = new Map(draft.steps);
  for (const [id, step] of draft.steps) {
    const keeps = step.kind === "alter" ? step.update?.change.keeps : undefined;
    const row = view.nodes.get(id);
    if (step.kind !== "alter" || step.update === null || keeps === undefined) continue;
    const { change } = step.update;
    if (row === undefined || row.deleted || row.crev !== change.crev) continue;
    const chunks = neededChunks(row.chunks, change);
    if (chunks.length > MAX_COMMIT_CHUNKS) return refused("bad-change", "Too many chunks.", id);
    if (hashChunkList(digest, chunks) !== keeps.all) {
      const detail = `Its chunks of revision ${row.crev} are others: name all that it needs.`;
      return refused("chunks-differ", detail, id);
    }
    const full: Step = { ...step, update: { ...step.update, change: { ...change, chunks } } };
    steps.set(id, full);
  }
  return { ...draft, steps };
}
