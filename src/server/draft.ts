import { utf8Length } from "#core/bytes.ts";
import { ROOT_NODE, type ChunkId, type NodeId } from "#core/ids.ts";
import { foldName, nameProblem, plainNameKey } from "#core/names.ts";
import type { Content } from "#core/node.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import { MAX_COMMIT_CHUNKS, MAX_META_BYTES } from "#protocol/limits.ts";
import { readPlainMeta } from "#protocol/meta.ts";
import type { NameSlot } from "./metadata/port.ts";

type ChangeOf<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

/** What one node goes through in a commit; a node moves and is rewritten at most once each. */
export type Step =
  | {
      readonly kind: "create";
      readonly create: ChangeOf<"create">;
      readonly content: Content;
      readonly slot: NameSlot;
    }
  | {
      readonly kind: "alter";
      readonly update: { readonly change: ChangeOf<"update">; readonly content: Content } | null;
      readonly move: { readonly change: ChangeOf<"move">; readonly slot: NameSlot } | null;
    }
  | { readonly kind: "delete"; readonly change: ChangeOf<"delete"> };

/** A commit whose changes make sense by themselves, one step a node, in the commit's order. */
export type Draft = {
  readonly steps: ReadonlyMap<NodeId, Step>;
  /** Every chunk that is named, once. */
  readonly chunks: ReadonlySet<ChunkId>;
};

export type Refused = Extract<CommitAnswer, { outcome: "refused" }>;

export function refused(code: Refused["code"], detail: string, node?: NodeId): Refused {
  return node === undefined
    ? { outcome: "refused", code, detail }
    : { outcome: "refused", code, node, detail };
}

/** Ends the making of a draft; caught where it began. */
class BadChange extends Error {
  readonly refusal: Refused;
  constructor(node: NodeId, detail: string) {
    super(detail);
    this.refusal = refused("bad-change", detail, node);
  }
}

function parseContent(change: ChangeOf<"create"> | ChangeOf<"update">): Content {
  const { node, meta } = change;
  if (utf8Length(meta) > MAX_META_BYTES) throw new BadChange(node, "Its meta is too long.");
  // A lone surrogate would not survive being stored as UTF-8, and the chain hashes what was sent.
  if (!meta.isWellFormed()) throw new BadChange(node, "Its meta is no Unicode text.");
  let content: Content;
  try {
    content = readPlainMeta(meta).content;
  } catch {
    throw new BadChange(node, "Its meta cannot be read.");
  }
  checkChunkList(change, content);
  return content;
}

function checkChunkList(
  { node, chunks, lengths = [] }: ChangeOf<"create"> | ChangeOf<"update">,
  content: Content,
): void {
  if (content.kind !== "file") {
    if (chunks.length + lengths.length === 0) return;
    throw new BadChange(node, `A ${content.kind} holds no chunks.`);
  }
  if (chunks.length !== lengths.length) {
    throw new BadChange(node, `It names ${chunks.length} chunks and ${lengths.length} lengths.`);
  }
  const sumBytes = lengths.reduce((sum, length) => sum + length, 0);
  if (sumBytes !== content.sizeBytes) {
    throw new BadChange(
      node,
      `Its chunks add up to ${sumBytes} bytes, its size is ${content.sizeBytes}.`,
    );
  }
}

function slotOf(change: ChangeOf<"create"> | ChangeOf<"move">, folding: boolean): NameSlot {
  const { node, parent, name, key } = change;
  if (key !== undefined) throw new BadChange(node, "Names in a plain space have no key.");
  const problem = nameProblem(name);
  if (problem !== null) throw new BadChange(node, `Its name cannot be used: ${problem}.`);
  return { parent, key: folding ? foldName(name) : plainNameKey(name) };
}

function stepOf(change: Change, before: Step | undefined, folding: boolean): Step {
  const again = () => new BadChange(change.node, "It is changed more than once.");
  if (change.node === ROOT_NODE) throw new BadChange(change.node, "The root cannot be changed.");
  if (change.kind === "create" || change.kind === "delete") {
    if (before !== undefined) throw again();
    if (change.kind === "delete") return { kind: "delete", change };
    const content = parseContent(change);
    if (content.kind !== change.type) {
      throw new BadChange(change.node, `It is a ${change.type}, its meta a ${content.kind}.`);
    }
    return { kind: "create", create: change, content, slot: slotOf(change, folding) };
  }
  const { update, move } = before?.kind === "alter" ? before : { update: null, move: null };
  if (before !== undefined && before.kind !== "alter") throw again();
  if (change.kind === "update") {
    if (update !== null) throw again();
    return { kind: "alter", update: { change, content: parseContent(change) }, move };
  }
  if (move !== null) throw again();
  return { kind: "alter", update, move: { change, slot: slotOf(change, folding) } };
}

/**
 * Sorts a plain space's commit by node, or refuses it as `bad-change` when it could not land in any
 * tree (SPEC JN10 to JN12).
 */
export function draftOf(commit: Commit, folding: boolean): Draft | Refused {
  const steps = new Map<NodeId, Step>();
  const chunks = new Set<ChunkId>();
  let named = 0;
  try {
    for (const change of commit.changes) {
      steps.set(change.node, stepOf(change, steps.get(change.node), folding));
      if (!("chunks" in change)) continue;
      named += change.chunks.length;
      if (named > MAX_COMMIT_CHUNKS) throw new BadChange(change.node, "Too many chunks at once.");
      for (const chunk of change.chunks) chunks.add(chunk);
    }
  } catch (error) {
    if (error instanceof BadChange) return error.refusal;
    throw error;
  }
  return { steps, chunks };
}
