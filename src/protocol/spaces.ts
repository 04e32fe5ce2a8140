import { z } from "zod";
import { Chain, DeviceId, NodeId, Sequence, SpaceId } from "./ids.ts";
import { KeyEpoch } from "./commit.ts";
import { Cursor } from "./feed.ts";
import { Label } from "./text.ts";

export const SpaceName = Label.trim().min(1).max(64);

/** What the server can read of a space: all of it, or nothing but its shape. */
export const SpaceKind = z.enum(["plain", "sealed"]);
export type SpaceKind = z.infer<typeof SpaceKind>;

/** The plain space that the REST calls of `files.ts` speak of when they name none. */
export const REST_SPACE = "files";

export const SpaceRow = z.object({
  space: SpaceId,
  name: SpaceName,
  kind: SpaceKind,
  /** True when names that differ only in case are one name. */
  folding: z.boolean(),
  /** Identity of this journal; it changes when the server was restored from a backup. */
  epoch: z.string(),
  head: Sequence,
  chain: Chain,
  /** 48 bytes, hex: what files are cut by, see `chunking/cut.ts`. */
  cutKey: z.string().regex(/^[0-9a-f]{96}$/),
  /** The cursor before the first entry. */
  start: Cursor,
  /** The keys that commits have to be closed with; 0 in a plain space, where there are none. */
  keyEpoch: z.int(),
});
export type SpaceRow = z.infer<typeof SpaceRow>;
/** `next` is there when more follow: ask again with `after` set to it. */
export const SpaceList = z.object({ spaces: z.array(SpaceRow), next: SpaceId.optional() });

export const SpaceRequest = z.object({
  name: SpaceName,
  kind: SpaceKind,
  folding: z.boolean().default(true),
  /** Drawn by the device, so that it can be written into the keyring before the space exists. */
  space: SpaceId.optional(),
});

/**
 * From now on commits are closed with the space's next keys (SPEC SS4): `keyEpoch` is the present
 * one plus one, or the present one when the answer got lost.
 */
export const KeyEpochRequest = z.object({ keyEpoch: KeyEpoch });

/** One state of a node, newest first in a list. `place` or content fields as they were then. */
export const RevisionRow = z.object({
  node: NodeId,
  sequence: Sequence,
  type: z.enum(["file", "folder", "symlink"]),
  parent: NodeId,
  name: z.string(),
  meta: z.string(),
  /** The sequence of the content before this one, 0 for the first: a sealed meta is bound to it. */
  follows: z.int(),
  timeMs: z.int(),
  device: DeviceId.optional(),
  deviceName: z.string().optional(),
  deleted: z.boolean(),
  /** Its chunks are no longer kept: it cannot be brought back. */
  forgotten: z.literal(true).optional(),
});
export type RevisionRow = z.infer<typeof RevisionRow>;
export const RevisionList = z.object({
  revisions: z.array(RevisionRow),
  next: Sequence.optional(),
});

/** The content of one revision, to make a new one from. */
export const RevisionContent = z.object({
  meta: z.string(),
  follows: z.int(),
  chunks: z.array(z.string()),
  lengths: z.array(z.int()).optional(),
});

/** Deleted nodes, latest deletion first: their last revision before it. */
export const TrashList = z.object({ nodes: z.array(RevisionRow), next: Sequence.optional() });
