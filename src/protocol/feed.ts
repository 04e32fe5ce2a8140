import { z } from "zod";
import { Change, KeyEpoch, PlannedOn, Signature } from "./commit.ts";
import { Chain, CommitId, DeviceId, Sequence } from "./ids.ts";

/**
 * One journal entry as devices read it. `device` is absent when a REST call made the commit.
 * `chain` is `chain.ts`'s value after this entry. A sealed space's entries carry what their device
 * signed: the base, the key epoch and the signature, exactly as they were sent.
 */
export const Entry = z.object({
  sequence: Sequence,
  commitId: CommitId,
  device: DeviceId.optional(),
  timeMs: z.int(),
  changes: z.array(Change),
  base: PlannedOn.optional(),
  keyEpoch: KeyEpoch.optional(),
  signature: Signature.optional(),
  chain: Chain,
  /** The changes are left out: whoever asks made them, and asked for it. */
  brief: z.literal(true).optional(),
});
export type Entry = z.infer<typeof Entry>;

/**
 * The opaque position of a device in a space's journal: the server's epoch and a sequence. Devices
 * store it and send it back; only the server looks inside.
 */
export const Cursor = z.string().max(128);

/**
 * The cursor before the first entry of whatever journal the server has: a device begins with it
 * again when its own is of no past that the server knows.
 */
export const CURSOR_START = "";

/**
 * The server's operator says that he put an older copy back, which ended with this entry: what had
 * come after it is lost at the server. `epoch` tells one such restore from another.
 */
export const Restored = z.object({ epoch: z.string().max(64), sequence: Sequence, chain: Chain });
export type Restored = z.infer<typeof Restored>;

/** Announced restores that a journal remembers; a device that missed more has to be linked anew. */
export const MAX_RESTORES = 16;

/** Entries after the cursor, oldest first, never part of one; `cursor` stands behind the last. */
export const Feed = z.object({
  entries: z.array(Entry),
  cursor: Cursor,
  head: Sequence,
  /** Oldest first; absent when there never was one. */
  restores: z.array(Restored).max(MAX_RESTORES).optional(),
  /** The server's copies of some of this space's chunks are damaged: see `LackingAnswer`. */
  lacking: z.literal(true).optional(),
});
export type Feed = z.infer<typeof Feed>;
