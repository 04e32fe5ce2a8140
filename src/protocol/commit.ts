import { z } from "zod";
import { MAX_CHANGES, MAX_META_BYTES, MAX_WIRE_NAME_BYTES } from "./limits.ts";
import { Chain, ChunkId, CommitId, NodeId, Sequence } from "./ids.ts";

/**
 * A name as the server sees it. In a plain space it is the name itself and `key` is absent (the
 * server folds it); in a sealed space it is the sealed name and `key` the token that makes it
 * unique.
 */
const WireName = z.string().min(1).max(MAX_WIRE_NAME_BYTES);
const NameKey = z.string().min(1).max(MAX_WIRE_NAME_BYTES);

/** What a node holds, opaque to the server in a sealed space: see `meta.ts` for plain ones. */
const Meta = z.string().max(MAX_META_BYTES);

/**
 * Every chunk that the content needs. In a plain space: in the file's order, repeats included, with
 * `lengths` beside it; a sealed space hides order and lengths in its manifest.
 */
const ChunkList = z.array(ChunkId);
const Lengths = z.array(z.int().min(1));

const Create = z.object({
  kind: z.literal("create"),
  node: NodeId,
  type: z.enum(["file", "folder", "symlink"]),
  parent: NodeId,
  name: WireName,
  key: NameKey.optional(),
  meta: Meta,
  chunks: ChunkList.default([]),
  lengths: Lengths.optional(),
});

/**
 * With this, in a sealed space, `chunks` are those that the content needs besides the ones of
 * revision `crev` without `drops`; `all` is the hash of what that makes (`kept-chunks.ts`).
 */
const KeptChunks = z.object({ drops: ChunkList, all: z.string().regex(/^[0-9a-f]{64}$/) });

/** New content; `crev` is the content revision that the change was planned on. */
const Update = z.object({
  kind: z.literal("update"),
  node: NodeId,
  crev: Sequence,
  meta: Meta,
  chunks: ChunkList.default([]),
  keeps: KeptChunks.optional(),
  lengths: Lengths.optional(),
});

/** New place; `lrev` is the location revision that the change was planned on. */
const Move = z.object({
  kind: z.literal("move"),
  node: NodeId,
  lrev: Sequence,
  parent: NodeId,
  name: WireName,
  key: NameKey.optional(),
});

/**
 * The node goes, at exactly these revisions. `approved`: it is part of a mass deletion, and a
 * person has said yes to it; other devices need not ask again.
 */
const Delete = z.object({
  kind: z.literal("delete"),
  node: NodeId,
  crev: Sequence,
  lrev: Sequence,
  approved: z.literal(true).optional(),
});

export const Change = z.discriminatedUnion("kind", [Create, Update, Move, Delete]);
export type Change = z.infer<typeof Change>;

/** The head that a commit was planned on. */
export const PlannedOn = z.object({ sequence: Sequence, chain: Chain });
export type PlannedOn = z.infer<typeof PlannedOn>;

/** Ed25519 by the device that commits, over `crypto/journal.ts`'s bytes, hex. */
export const Signature = z.string().regex(/^[0-9a-f]{128}$/);

/** Which of a sealed space's keys closed what a commit holds; the first is 1. */
export const KeyEpoch = z.int().min(1).max(65_535);

/** `keyEpoch` and `signature` stand in a sealed space's commits, and only there. */
export const Commit = z.object({
  commitId: CommitId,
  base: PlannedOn,
  changes: z.array(Change).min(1).max(MAX_CHANGES),
  keyEpoch: KeyEpoch.optional(),
  signature: Signature.optional(),
});
export type Commit = z.infer<typeof Commit>;

/** Why nothing of a commit landed, and which change (by node) it was. */
const REFUSALS = [
  "stale",
  "name-taken",
  "cycle",
  "parent-gone",
  "not-empty",
  "bad-change",
  "chunks-differ",
  "over-quota",
  "diverged",
  "epoch-old",
] as const;

export const CommitAnswer = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("committed"), sequence: Sequence, chain: Chain }),
  z.object({ outcome: z.literal("missing-chunks"), missing: z.array(ChunkId) }),
  z.object({
    outcome: z.literal("refused"),
    code: z.enum(REFUSALS),
    node: NodeId.optional(),
    detail: z.string(),
  }),
]);
export type CommitAnswer = z.infer<typeof CommitAnswer>;
