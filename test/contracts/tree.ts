import {
  accountId,
  chunkId,
  commitId,
  contentHash,
  nodeId,
  ROOT_NODE,
  spaceId,
  type ChunkId,
  type NodeId,
} from "#core/ids.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { writePlainMeta } from "#protocol/meta.ts";
import type {
  ChunkPlace,
  Metadata,
  NodeRow,
  SpaceKeys,
  SpaceRow,
} from "../../src/server/metadata/port.ts";

let drawn = 0;

/** Ids that no other call returns. */
const draw = (digits: number): string => (++drawn).toString(16).padStart(digits, "0");
export const newNode = () => nodeId(draw(32));
export const newCommit = () => commitId(draw(32));
export const newChunk = () => chunkId(draw(64));
export const newSpaceId = () => spaceId(draw(32));
export const newAccount = () => accountId(draw(32));

type ChangeOf<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

export type SpaceTraits = { readonly folding?: boolean; readonly keys?: SpaceKeys };

/** A sealed space as it is made. */
export const FIRST_KEYS: SpaceKeys = { kind: "sealed", keyEpoch: 1, keyEpochSequence: 0 };

/** An account of its own with one space. */
export async function newSpace(
  metadata: Pick<Metadata, "accounts" | "journals">,
  { folding = true, keys = { kind: "plain" } }: SpaceTraits = {},
): Promise<SpaceRow> {
  const account = newAccount();
  const row = {
    id: account,
    name: account,
    key: account,
    opaqueRecord: "none",
    recoveryKey: "",
    createdMs: 1,
  };
  await metadata.accounts.createAccount(row, { bundle: "bundle", keyring: "keyring" });
  const space: SpaceRow = {
    id: newSpaceId(),
    account,
    name: "files",
    folding,
    epoch: draw(32),
    cutKey: draw(96),
    createdMs: 1,
    ...keys,
  };
  await metadata.journals.createSpace(space);
  return space;
}

/** Chunks that the index knows; their bytes are nowhere. */
export async function stageChunks(
  metadata: Pick<Metadata, "chunks">,
  space: SpaceRow,
  lengths: readonly number[],
): Promise<ChunkPlace[]> {
  let offsetBytes = 0;
  const pack = `pack-${draw(8)}`;
  const places = lengths.map((lengthBytes) => {
    const place = { id: newChunk(), pack, offsetBytes, lengthBytes };
    offsetBytes += lengthBytes;
    return place;
  });
  const ids = places.map(({ id }) => id);
  await metadata.chunks.stage(space.id, places, ids, 1_000);
  return places;
}

export const FOLDER_META = writePlainMeta({ content: { kind: "folder" }, mtimeMs: 0 });

export function fileMeta(sizeBytes: number): string {
  const sha256 = contentHash("f".repeat(64));
  const content = { kind: "file", sizeBytes, sha256, executable: false } as const;
  return writePlainMeta({ content, mtimeMs: 7 });
}

export function createFolder(
  name: string,
  parent: NodeId = ROOT_NODE,
  node: NodeId = newNode(),
): ChangeOf<"create"> {
  return { kind: "create", node, type: "folder", parent, name, meta: FOLDER_META, chunks: [] };
}

type FileContent = {
  readonly meta: string;
  readonly chunks: ChunkId[];
  readonly lengths: number[];
};

/** What a file made of these chunks holds. */
export function fileOf(places: readonly ChunkPlace[] = []): FileContent {
  const lengths = places.map(({ lengthBytes }) => lengthBytes);
  const sizeBytes = lengths.reduce((sum, length) => sum + length, 0);
  return { meta: fileMeta(sizeBytes), chunks: places.map(({ id }) => id), lengths };
}

export function createFile(
  name: string,
  parent: NodeId = ROOT_NODE,
  content: FileContent = fileOf(),
): ChangeOf<"create"> {
  return { kind: "create", node: newNode(), type: "file", parent, name, ...content };
}

export function update(node: NodeId, crev: number, content: FileContent): ChangeOf<"update"> {
  return { kind: "update", node, crev, ...content };
}

export function move(
  node: NodeId,
  lrev: number,
  name: string,
  parent: NodeId = ROOT_NODE,
): ChangeOf<"move"> {
  return { kind: "move", node, lrev, parent, name };
}

export function remove(node: NodeId, crev: number, lrev: number = crev): ChangeOf<"delete"> {
  return { kind: "delete", node, crev, lrev };
}

/** An entry that creates `count` folders in the root, and the rows that come of it. */
export function folders(sequence: number, count = 1): { entry: Entry; nodes: NodeRow[] } {
  const changes = Array.from({ length: count }, () => createFolder(`folder ${newNode()}`));
  const nodes = changes.map(({ node: id, type, parent, name, meta, chunks }) => {
    const revs = { crev: sequence, lrev: sequence, deleted: false };
    return { id, type, parent, name, key: name, meta, chunks, lengths: undefined, ...revs };
  });
  const chain = sequence.toString(16).padStart(64, "0");
  const entry = { sequence, commitId: newCommit(), timeMs: 5, changes, chain };
  return { entry, nodes };
}
