import { z } from "zod";
import { Chain, DeviceId, NodeId, Sequence, SpaceId } from "./ids.ts";
import { Cursor } from "./feed.ts";

export const SpaceName = z.string().trim().min(1).max(64);

/** The plain space that the REST calls of `files.ts` speak of when they name none. */
export const REST_SPACE = "files";

export const SpaceRow = z.object({
  space: SpaceId,
  name: SpaceName,
  kind: z.enum(["plain"]),
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
});
export type SpaceRow = z.infer<typeof SpaceRow>;
/** `next` is there when more follow: ask again with `after` set to it. */
export const SpaceList = z.object({ spaces: z.array(SpaceRow), next: SpaceId.optional() });

export const SpaceRequest = z.object({
  name: SpaceName,
  kind: z.enum(["plain"]),
  folding: z.boolean().default(true),
});

/** One state of a node, newest first in a list. `place` or content fields as they were then. */
export const RevisionRow = z.object({
  node: NodeId,
  sequence: Sequence,
  type: z.enum(["file", "folder", "symlink"]),
  parent: NodeId,
  name: z.string(),
  meta: z.string(),
  timeMs: z.int(),
  device: DeviceId.optional(),
  deviceName: z.string().optional(),
  deleted: z.boolean(),
});
export type RevisionRow = z.infer<typeof RevisionRow>;
export const RevisionList = z.object({
  revisions: z.array(RevisionRow),
  next: Sequence.optional(),
});

/** The content of one revision, to make a new one from. */
export const RevisionContent = z.object({
  meta: z.string(),
  chunks: z.array(z.string()),
  lengths: z.array(z.int()).optional(),
});

/** Deleted nodes, latest deletion first: their last revision before it. */
export const TrashList = z.object({ nodes: z.array(RevisionRow), next: Sequence.optional() });
