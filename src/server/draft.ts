import { utf8Length } from "#core/bytes.ts";
import { ROOT_NODE, type ChunkId, type NodeId } from "#core/ids.ts";
import { foldName, nameProblem, plainNameKey } from "#core/names.ts";
import type { NodeKind } from "#core/node.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import { MAX_COMMIT_CHUNKS, MAX_META_BYTES } from "#protocol/limits.ts";
import { readPlainMeta, type OpenMeta } from "#protocol/meta.ts";
import type { NameSlot, SpaceRow } from "./metadata/port.ts";

type ChangeOf<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

/** New content; `kind` is null where the server cannot tell, in a sealed space. */
type Update = { readonly change: ChangeOf<"update">; readonly kind: NodeKind | null };

/** What one node goes through in a commit; a node moves and is rewritten at most once each. */
export type Step =
  | {
      readonly kind: "create";
      readonly create: ChangeOf<"create">;
      readonly slot: NameSlot;
    }
  | {
      readonly kind: "alter";
      readonly update: Update | null;
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

function checkMeta({ node, meta }: ChangeOf<"create"> | ChangeOf<"update">): void {
  if (utf8Length(meta) > MAX_META_BYTES) throw new BadChange(node, "Its meta is too long.");
  // A lone surrogate would not survive being stored as UTF-8, and the chain hashes what was sent.
  if (!isText(meta)) throw new BadChange(node, "Its meta is no Unicode text.");
}

/** What every database can store, and gives back as it was: PostgreSQL's texts hold no NUL. */
function isText(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

/** What a space's kind lets the server check of a change by itself. */
type Rules = {
  /** The kind that the meta speaks of; null when it cannot be read. */
  kindOf(change: ChangeOf<"create"> | ChangeOf<"update">): NodeKind | null;
  slotOf(change: ChangeOf<"create"> | ChangeOf<"move">): NameSlot;
};

function plainRules(folding: boolean): Rules {
  return {
    kindOf: (change) => {
      checkMeta(change);
      if ("keeps" in change && change.keeps !== undefined) {
        throw new BadChange(change.node, "A plain space names all of a content's chunks.");
      }
      let open: OpenMeta;
      try {
        open = readPlainMeta(change.meta);
      } catch {
        throw new BadChange(change.node, "Its meta cannot be read.");
      }
      checkChunkList(change, open);
      return open.content.kind;
    },
    slotOf: ({ node, parent, name, key }) => {
      if (key !== undefined) throw new BadChange(node, "Names in a plain space have no key.");
      const problem = nameProblem(name);
      if (problem !== null) throw new BadChange(node, `Its name cannot be used: ${problem}.`);
      return { parent, key: folding ? foldName(name) : plainNameKey(name) };
    },
  };
}

/** Names and contents are closed to the server: their size and shape is all it can judge. */
const SEALED_RULES: Rules = {
  kindOf: (change) => {
    checkMeta(change);
    if (change.lengths !== undefined) {
      throw new BadChange(change.node, "Lengths in a sealed space stand in the manifest.");
    }
    if (change.kind !== "create") return null;
    if (change.type !== "file" && change.chunks.length > 0) {
      throw new BadChange(change.node, `A ${change.type} holds no chunks.`);
    }
    return change.type;
  },
  slotOf: ({ node, parent, name, key }) => {
    if (key === undefined) throw new BadChange(node, "Names in a sealed space need a key.");
    if (!isText(name)) throw new BadChange(node, "Its name is no Unicode text.");
    if (!isText(key)) throw new BadChange(node, "Its name's key is no Unicode text.");
    return { parent, key };
  },
};

function checkChunkList(
  { node, chunks, lengths = [] }: ChangeOf<"create"> | ChangeOf<"update">,
  { content }: OpenMeta,
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

function stepOf(change: Change, before: Step | undefined, rules: Rules): Step {
  const again = () => new BadChange(change.node, "It is changed more than once.");
  if (change.node === ROOT_NODE) throw new BadChange(change.node, "The root cannot be changed.");
  if (change.kind === "create" || change.kind === "delete") {
    if (before !== undefined) throw again();
    if (change.kind === "delete") return { kind: "delete", change };
    const kind = rules.kindOf(change);
    if (kind !== change.type) {
      throw new BadChange(change.node, `It is a ${change.type}, its meta a ${kind}.`);
    }
    return { kind: "create", create: change, slot: rules.slotOf(change) };
  }
  const { update, move } = before?.kind === "alter" ? before : { update: null, move: null };
  if (before !== undefined && before.kind !== "alter") throw again();
  if (change.kind === "update") {
    if (update !== null) throw again();
    return { kind: "alter", update: { change, kind: rules.kindOf(change) }, move };
  }
  if (move !== null) throw again();
  return { kind: "alter", update, move: { change, slot: rules.slotOf(change) } };
}

/**
 * Sorts a commit by node, or refuses it as `bad-change` when it could not land in any tree
 * (SPEC JN10 to JN12, SS1).
 */
export function draftOf(
  commit: Commit,
  { kind, folding }: Pick<SpaceRow, "kind" | "folding">,
): Draft | Refused {
  const rules = kind === "sealed" ? SEALED_RULES : plainRules(folding);
  const steps = new Map<NodeId, Step>();
  const chunks = new Set<ChunkId>();
  let named = 0;
  try {
    for (const change of commit.changes) {
      steps.set(change.node, stepOf(change, steps.get(change.node), rules));
      if (!("chunks" in change)) continue;
      named += change.chunks.length;
      if (change.kind === "update") named += change.keeps?.drops.length ?? 0;
      if (named > MAX_COMMIT_CHUNKS) throw new BadChange(change.node, "Too many chunks at once.");
      for (const chunk of change.chunks) chunks.add(chunk);
    }
  } catch (error) {
    if (error instanceof BadChange) return error.refusal;
    throw error;
  }
  return { steps, chunks };
}
