import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { commitId, nodeId, type ChunkId, type NodeId } from "#core/ids.ts";
import type { Chance, Clock } from "#core/world.ts";
import type { Change, CommitAnswer } from "#protocol/commit.ts";
import { readPlainMeta, writePlainMeta } from "#protocol/meta.ts";
import { describeContent, type Described } from "./content.ts";
import { LEASE_MS, type Intake } from "./intake.ts";
import type { Journal } from "./journal.ts";
import type { ChunkIndex, Head, JournalStore, NodeRow, SpaceRow } from "./metadata/port.ts";
import { parsePath, Paths, resolvePath, type Found } from "./paths.ts";
import { ProblemError } from "./problem-error.ts";
import type { Session } from "./tokens.ts";

/** How often a commit without a base is tried again behind others that were faster. */
const MAX_TRIES = 50;

/** Nodes read at a time when all of a space is listed. */
const NODES_AT_ONCE = 1_000;

export type FileParts = {
  readonly journals: JournalStore;
  readonly chunks: ChunkIndex;
  readonly journal: Journal;
  readonly intake: Intake;
  readonly clock: Clock;
  readonly chance: Chance;
};

/** The version of a file: when its content or its place last changed. */
export function versionOf(node: Pick<NodeRow, "crev" | "lrev">): number {
  return Math.max(node.crev, node.lrev);
}

/** The living file at a path. Throws ProblemError `not-found` and `bad-request`. */
export async function findFile(
  journals: JournalStore,
  space: SpaceRow,
  path: string,
): Promise<NodeRow> {
  const found = await resolvePath(journals, space, parsePath(path));
  if (found.outcome === "found" && found.node.type === "file") return found.node;
  throw new ProblemError(
    "not-found",
    `There is no file ${path} in the space ${space.name}; list its files for those there are.`,
  );
}

export type FileWish = {
  readonly path: string;
  readonly chunks: readonly ChunkId[];
  /** The version that the caller saw last, 0 for none; undefined: the last write wins. */
  readonly baseVersion: number | undefined;
  readonly executable: boolean | undefined;
};

export type FileCommitted =
  | { readonly outcome: "committed"; readonly version: number }
  | { readonly outcome: "pending"; readonly version: number; readonly missing: ChunkId[] };

/** Where a file can be written. ProblemError `conflict` when something else is in the way. */
function freeOrFile(path: string, found: Found): Exclude<Found, { outcome: "blocked" }> {
  if (found.outcome === "missing") return found;
  const { type } = found.node;
  if (found.outcome === "found" && type === "file") return found;
  const where = found.outcome === "found" ? "there" : "where the path needs a folder";
  throw new ProblemError(
    "conflict",
    `${path} cannot be a file: a ${type} is ${where}; choose another path.`,
  );
}

/**
 * A base is good when the file has not changed since. It may be later than the file's own version:
 * versions are of the whole space, and `get_updates` tells later ones when a folder was renamed.
 */
function refuseStale(wish: FileWish, node: NodeRow | undefined, head: Head): void {
  const { path, baseVersion } = wish;
  if (baseVersion === undefined) return;
  const current = node === undefined ? 0 : versionOf(node);
  const good =
    current === 0 ? baseVersion === 0 : baseVersion >= current && baseVersion <= head.sequence;
  if (good) return;
  const now = current === 0 ? "does not exist" : `is at version ${current}`;
  throw new ProblemError(
    "stale-version",
    `${path} ${now}, the commit was based on version ${baseVersion}; read it and commit again.`,
    { members: { current_version: current } },
  );
}

type Content = Pick<
  Extract<Described, { outcome: "described" }>,
  "sizeBytes" | "sha256" | "lengths"
>;

function changesFor(
  { clock, chance }: Pick<FileParts, "clock" | "chance">,
  found: ReturnType<typeof freeOrFile>,
  wish: FileWish,
  { sizeBytes, sha256, lengths }: Content,
): Change[] {
  const before = found.outcome === "found" ? readPlainMeta(found.node.meta).content : undefined;
  const executable = wish.executable ?? (before?.kind === "file" && before.executable);
  const content = { kind: "file", sizeBytes, sha256, executable } as const;
  const meta = writePlainMeta({ content, mtimeMs: clock.nowMs() });
  const body = { meta, chunks: [...wish.chunks], lengths };
  if (found.outcome === "found") {
    return [{ kind: "update", node: found.node.id, crev: found.node.crev, ...body }];
  }
  const changes: Change[] = [];
  const draw = (): NodeId => nodeId(toHex(chance.bytes(16)));
  let { parent } = found;
  for (const name of found.rest.slice(0, -1)) {
    const node = draw();
    const folder = writePlainMeta({ content: { kind: "folder" }, mtimeMs: 0 });
    changes.push({ kind: "create", node, type: "folder", parent, name, meta: folder, chunks: [] });
    parent = node;
  }
  const name = found.rest.at(-1) ?? "";
  changes.push({ kind: "create", node: draw(), type: "file", parent, name, ...body });
  return changes;
}

/** Commits changes that were planned on `head`; `again` when others were faster: plan anew. */
async function land(
  parts: FileParts,
  where: { readonly space: SpaceRow; readonly session: Session; readonly head: Head },
  changes: Change[],
): Promise<Exclude<CommitAnswer, { outcome: "refused" }> | "again"> {
  const commit = {
    commitId: commitId(toHex(parts.chance.bytes(16))),
    base: where.head,
    changes,
  };
  const answer = await parts.journal.commit(where.space, commit, {
    device: where.session.device ?? undefined,
    nowMs: parts.clock.nowMs(),
  });
  if (answer.outcome !== "refused") return answer;
  if (answer.code === "over-quota") throw new ProblemError("storage-full", answer.detail);
  if (answer.code === "bad-change") throw new ProblemError("bad-request", answer.detail);
  return "again";
}

function tooBusy(): WorldError {
  return new WorldError("unavailable", "The file changes too fast.", { retryable: true });
}

/**
 * Makes these chunks the content of the file at a path, together with the folders on the way.
 * Without a base the last write wins; with one throws ProblemError `stale-version`; `conflict` when
 * something else has the name.
 */
export async function commitFile(
  parts: FileParts,
  space: SpaceRow,
  session: Session,
  wish: FileWish,
): Promise<FileCommitted> {
  const { journals } = parts;
  const names = parsePath(wish.path);
  let content: Content | undefined;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    // The head first: what changes after it makes the commit stale, never wrong.
    const head = await journals.head(space.id);
    const found = freeOrFile(wish.path, await resolvePath(journals, space, names));
    const node = found.outcome === "found" ? found.node : undefined;
    refuseStale(wish, node, head);
    const version = node === undefined ? 0 : versionOf(node);
    if (content === undefined) {
      const described = await describeContent(parts, space.id, wish.chunks);
      if (described.outcome === "missing-chunks") {
        // What is there already must still be there when the rest has come.
        await parts.chunks.renew(space.id, [...new Set(wish.chunks)], leaseEnd(parts));
        return { outcome: "pending", version, missing: described.missing };
      }
      content = described;
    }
    const changes = changesFor(parts, found, wish, content);
    const answer = await land(parts, { space, session, head }, changes);
    if (answer === "again") continue;
    if (answer.outcome === "committed") return { outcome: "committed", version: answer.sequence };
    return { outcome: "pending", version, missing: answer.missing };
  }
  throw tooBusy();
}

function leaseEnd({ clock }: FileParts): number {
  return clock.nowMs() + LEASE_MS;
}

export type FileReverted = {
  readonly version: number;
  readonly fromVersion: number;
  readonly previousVersion: number;
};

/**
 * Makes an older content of a file current again, as a new version: that of version `toVersion`, or
 * the one before the present one. Throws ProblemError `not-found` when there is none, and
 * `version-forgotten` when its bytes are no longer kept.
 */
export async function revertFile(
  parts: FileParts,
  space: SpaceRow,
  session: Session,
  wish: { readonly path: string; readonly toVersion: number | undefined },
): Promise<FileReverted> {
  const { journals } = parts;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const head = await journals.head(space.id);
    const node = await findFile(journals, space, wish.path);
    const target =
      wish.toVersion === undefined
        ? // What stood before the present content came: moves since then made revisions, but later.
          (await journals.revisions(space.id, node.id, node.crev, 1))[0]
        : await journals.revisionAt(space.id, node.id, wish.toVersion);
    if (target === undefined || target.sequence !== (wish.toVersion ?? target.sequence)) {
      const wanted = wish.toVersion === undefined ? "earlier version" : `version ${wish.toVersion}`;
      throw new ProblemError(
        "not-found",
        `${wish.path} has no ${wanted}; its current version is ${versionOf(node)}.`,
      );
    }
    if (target.forgotten === true) {
      throw new ProblemError(
        "version-forgotten",
        `Version ${target.sequence} of ${wish.path} is no longer kept; choose a later version.`,
      );
    }
    const { meta, chunks, lengths } = target;
    const body = { meta, chunks: [...chunks], lengths: [...(lengths ?? [])] };
    const answer = await land(parts, { space, session, head }, [
      { kind: "update", node: node.id, crev: node.crev, ...body },
    ]);
    if (answer === "again") continue;
    if (answer.outcome === "missing-chunks") {
      throw new ProblemError(
        "conflict",
        `${wish.path} cannot go back: bytes of that version are gone; choose another version.`,
      );
    }
    return {
      version: answer.sequence,
      fromVersion: versionOf(node),
      previousVersion: target.sequence,
    };
  }
  throw tooBusy();
}

/** All nodes of a space that changed after a sequence, living and dead, as they are now. */
export async function* changedNodes(
  journals: JournalStore,
  space: SpaceRow,
  sequence: number,
): AsyncGenerator<NodeRow, void, undefined> {
  for (let after = sequence; ;) {
    const rows = await journals.changedSince(space.id, after, NODES_AT_ONCE);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < NODES_AT_ONCE) return;
    after = versionOf(last);
  }
}

export type ListedFile = { readonly path: string; readonly version: number };

/** Every living file of a space, by path in the order of code units. */
export async function listFiles(journals: JournalStore, space: SpaceRow): Promise<ListedFile[]> {
  const nodes = new Map<NodeId, NodeRow>();
  // What changes while we read comes again later in the order of changes: the last row is right.
  for await (const row of changedNodes(journals, space, 0)) nodes.set(row.id, row);
  const paths = new Paths(async (id) => nodes.get(id));
  const files: ListedFile[] = [];
  for (const node of nodes.values()) {
    if (node.type !== "file" || node.deleted) continue;
    const path = await paths.of(node.id);
    if (path !== undefined) files.push({ path, version: versionOf(node) });
  }
  return files.sort((left, right) => (left.path < right.path ? -1 : 1));
}
