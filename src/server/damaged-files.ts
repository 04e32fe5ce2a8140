import { joinPath } from "#core/names.ts";
import { ROOT_NODE, type ChunkId, type NodeId, type SpaceId } from "#core/ids.ts";
import { MAX_DEPTH } from "#protocol/limits.ts";
import type { LinkCollection } from "./metadata/collection.ts";
import { allContents, allSpaces } from "./metadata/pages.ts";
import type { JournalStore, ScrubIndex, SpaceRow } from "./metadata/port.ts";

/** Chunks in quarantine of one space that are looked for; of more a backup is the way back. */
const MOST_CHUNKS = 100_000;

/** A file whose bytes a server cannot give out as they were. */
export type DamagedFile = {
  readonly space: SpaceId;
  readonly spaceName: string;
  readonly node: NodeId;
  /** Null in a sealed space, where only its devices know names. */
  readonly path: string | null;
  /** Whether the content that it has now is damaged, or had when it was deleted. */
  readonly isCurrent: boolean;
  readonly isDeleted: boolean;
  /** Earlier versions that are. */
  readonly versions: number;
};

export type DamagedFilesWorld = {
  readonly journals: JournalStore;
  readonly links: Pick<LinkCollection, "spaces" | "contents">;
  readonly scrub: Pick<ScrubIndex, "quarantined">;
};

/** The files of all spaces that need a chunk in quarantine, space by space (SPEC QU3). */
export async function* damagedFiles(world: DamagedFilesWorld): AsyncGenerator<DamagedFile> {
  for await (const space of allSpaces(world.links)) yield* filesIn(world, space);
}

type Found = Pick<DamagedFile, "isCurrent" | "isDeleted" | "versions">;

async function* filesIn(
  { journals, links, scrub }: DamagedFilesWorld,
  space: SpaceId,
): AsyncGenerator<DamagedFile> {
  const damaged = new Set<ChunkId>(await scrub.quarantined(space, MOST_CHUNKS));
  const row = damaged.size === 0 ? undefined : await journals.space(space);
  if (row === undefined) return;
  const found = new Map<NodeId, Found>();
  for await (const { node, chunks, isLast, deletedMs } of allContents(links, space)) {
    if (!chunks.some((chunk) => damaged.has(chunk))) continue;
    const known = found.get(node) ?? { isCurrent: false, versions: 0 };
    const isDeleted = deletedMs !== null;
    found.set(node, {
      isCurrent: known.isCurrent || isLast,
      isDeleted,
      versions: known.versions + (isLast ? 0 : 1),
    });
  }
  for (const [node, what] of found) {
    const path = await pathOf(journals, row, node);
    yield { space, spaceName: row.name, node, path, ...what };
  }
}

/** Where a node is, or was when it was deleted; null where names are sealed. */
async function pathOf(
  journals: JournalStore,
  space: SpaceRow,
  node: NodeId,
): Promise<string | null> {
  if (space.kind === "sealed") return null;
  let path = "";
  for (let at = node, depth = 0; at !== ROOT_NODE && depth <= MAX_DEPTH; depth++) {
    const [row] = await journals.nodes(space.id, [at]);
    if (row === undefined) return null;
    path = path === "" ? row.name : joinPath(row.name, path);
    at = row.parent;
  }
  return path;
}
