import { ObjectId } from "mongodb";
import { assert } from "#core/assert.ts";
import { concat, utf8 } from "#core/bytes.ts";
import type { ChunkId, NodeId, SpaceId } from "#core/ids.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { neededChunks } from "#protocol/kept-chunks.ts";
import { namedChunks, readEntry, writeEntry } from "./entries.ts";
import { inBatches, linkId } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import type { Append, NodeRow } from "./port.ts";
import { blobOf, integerOf, packChunkIds, packLengths, textOf, unpackChunkIds } from "./rows.ts";

/** A document has at most 16 MiB; what is longer is stored in pieces of this length before it. */
const PIECE_BYTES = 8 * 1024 * 1024;

const SEQUENCE_DIGITS = 16;
const LENGTH_BYTES = 4;

/** Where an entry stands in the journal: ids sort as sequences do. */
export function journalId(space: SpaceId, sequence: number): string {
  return `${space}/${String(sequence).padStart(SEQUENCE_DIGITS, "0")}`;
}

export function nodeKey(space: SpaceId, node: NodeId): string {
  return `${space}/${node}`;
}

export function revisionId(space: SpaceId, node: NodeId, sequence: number): string {
  return `${nodeKey(space, node)}/${String(sequence).padStart(SEQUENCE_DIGITS, "0")}`;
}

/** A node after an entry, without what it holds. */
type Placed = Omit<NodeRow, "meta" | "chunks" | "lengths">;

/** What a journal's document holds: the entry, and where its nodes are afterwards. */
export type Written = { readonly entry: Entry; readonly nodes: readonly Placed[] };

/** The document of an entry; long ones leave pieces behind when it does not land. */
export async function writeDocument(
  database: MongoDatabase,
  space: SpaceId,
  { entry, nodes }: Append,
): Promise<Stored> {
  const { text, chunks } = writeEntry(entry);
  const placed = nodes.map(({ meta: _, chunks: __, lengths: ___, ...rest }): Placed => rest);
  const json = utf8(JSON.stringify({ text, nodes: placed }));
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, json.length);
  const whole = Buffer.from(concat([length, json, chunks]));
  const named = {
    _id: journalId(space, entry.sequence),
    commit: `${space}/${entry.commitId}`,
    sequence: entry.sequence,
    chain: entry.chain,
    sizeBytes: whole.length,
  };
  if (whole.length <= PIECE_BYTES) return { ...named, whole };
  const pieces = new ObjectId().toHexString();
  for (let at = 0; at * PIECE_BYTES < whole.length; at++) {
    const bytes = whole.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES);
    await database.insert("pieces", { _id: `${pieces}/${at}`, bytes });
  }
  return { ...named, pieces };
}

export async function readDocument(database: MongoDatabase, stored: Stored): Promise<Written> {
  const whole = await bytesOf(database, stored);
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
  const end = LENGTH_BYTES + view.getUint32(0);
  // Written by this file alone.
  const { text, nodes } = JSON.parse(
    new TextDecoder().decode(whole.subarray(LENGTH_BYTES, end)),
  ) as { text: string; nodes: Placed[] };
  return { entry: readEntry(text, whole.subarray(end)), nodes };
}

async function bytesOf(database: MongoDatabase, stored: Stored): Promise<Uint8Array> {
  if (stored["pieces"] === undefined) return blobOf(stored, "whole");
  const sizeBytes = integerOf(stored, "sizeBytes");
  const pieces: Uint8Array[] = [];
  for (let at = 0; at * PIECE_BYTES < sizeBytes; at++) {
    const piece = await database.one("pieces", { _id: `${textOf(stored, "pieces")}/${at}` });
    assert(piece !== undefined, "every piece of an entry is there");
    pieces.push(blobOf(piece, "bytes"));
  }
  return concat(pieces);
}

/**
 * Brings nodes, revisions and links to where an entry of the journal has them. Any number of
 * processes may do so at once, and one that comes late changes nothing.
 */
export async function applyEntry(
  database: MongoDatabase,
  space: SpaceId,
  { entry, nodes }: Written,
): Promise<void> {
  const links = [...new Set(namedChunks(entry))].map((chunk) => linkId(space, chunk));
  await inBatches(links, async (some) => {
    // Who comes late finds them touched, and perhaps condemned since.
    const untouched = { _id: { $in: some }, touched: { $not: { $gte: entry.sequence } } };
    const linked = { leaseMs: null, touched: entry.sequence };
    await database.changeAll("links", untouched, { $set: linked, $unset: { ending: "" } });
    return [];
  });
  const contents = contentsOf(entry);
  const created = new Set<NodeId>();
  for (const { kind, node } of entry.changes) if (kind === "create") created.add(node);
  const fresh = nodes.filter(({ id }) => created.has(id));
  const changed = nodes.filter(({ id }) => !created.has(id));
  const after = fresh.map((node) => {
    const change = contents.get(node.id);
    assert(change !== undefined, "what an entry creates has a content");
    return { ...columnsOf(space, node, entry), ...contentOf(entry, change, []), follows: 0 };
  });
  const rows = after.map((row) => ({ _id: nodeKey(space, row.id), ...row }));
  await database.insertNew("revisions", revisionsOf(space, entry, after));
  await database.insertNew("nodes", rows);
  for (const node of changed) await applyChange(database, space, { entry, node, contents });
}

type ContentChange = Extract<Change, { kind: "create" | "update" }>;

/** What an entry says of the contents of the nodes that it creates or updates. */
function contentsOf({ changes }: Entry): Map<NodeId, ContentChange> {
  const contents = new Map<NodeId, ContentChange>();
  for (const change of changes) {
    if (change.kind === "create" || change.kind === "update") contents.set(change.node, change);
  }
  return contents;
}

/** What a node holds from an entry on, that has held chunks `before`. */
function contentOf({ sequence }: Entry, change: ContentChange, before: readonly ChunkId[]) {
  const { meta, lengths } = change;
  const chunks = change.kind === "update" ? neededChunks(before, change) : change.chunks;
  return {
    content: sequence,
    meta,
    chunks: Buffer.from(packChunkIds(chunks)),
    lengths: lengths === undefined ? null : Buffer.from(packLengths(lengths)),
  };
}

function columnsOf(space: SpaceId, node: Placed, { sequence }: Entry) {
  const { id, type, parent, name, key, crev, lrev, deleted } = node;
  const row = { space, id, type, parent, name, key, crev, lrev, changed: sequence };
  const folder = nodeKey(space, parent);
  // What is null stands in no index that anything living or dead is found by.
  const living = { folder, slot: `${folder}/${key}`, deletedAt: null };
  const dead = { folder: null, slot: null, deletedAt: sequence };
  return { ...row, deleted: deleted ? 1 : 0, ...(deleted ? dead : living) };
}

function revisionsOf(
  space: SpaceId,
  { sequence, timeMs, device }: Entry,
  rows: readonly { readonly id: NodeId; readonly [column: string]: unknown }[],
): Stored[] {
  return rows.map((row) => {
    return {
      ...row,
      _id: revisionId(space, row.id, sequence),
      sequence,
      timeMs,
      device: device ?? null,
    };
  });
}

async function applyChange(
  database: MongoDatabase,
  space: SpaceId,
  more: {
    readonly entry: Entry;
    readonly node: Placed;
    readonly contents: ReadonlyMap<NodeId, ContentChange>;
  },
): Promise<void> {
  const { entry, node, contents } = more;
  const _id = nodeKey(space, node.id);
  const before = await database.one("nodes", { _id });
  assert(before !== undefined, "what an entry changes was created by an earlier one");
  // Somebody else has done it, perhaps with later entries too.
  if (integerOf(before, "changed") >= entry.sequence) return;
  const change = contents.get(node.id);
  const kept = {
    content: before["content"],
    meta: before["meta"],
    chunks: before["chunks"],
    lengths: before["lengths"],
    follows: before["follows"],
  };
  const has = unpackChunkIds(blobOf(before, "chunks"));
  const content =
    change === undefined ? kept : { ...contentOf(entry, change, has), follows: before["content"] };
  const after = { ...columnsOf(space, node, entry), ...content };
  await database.insertNew("revisions", revisionsOf(space, entry, [after]));
  const earlier = { _id, changed: { $lt: entry.sequence } };
  await database.change("nodes", earlier, { $set: after });
}
