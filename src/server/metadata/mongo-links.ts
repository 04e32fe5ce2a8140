import { ObjectId } from "mongodb";
import { chunkId, nodeId, spaceId, type ChunkId, type NodeId, type SpaceId } from "#core/ids.ts";
import type { ContentKey, ContentRow, LinkCollection, LinkRow } from "./collection.ts";
import { TURN } from "./collection-rows.ts";
import { inBatches, linkId } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import { nodeKey, revisionId } from "./mongo-entries.ts";
import { MongoHeads } from "./mongo-heads.ts";
import { blobOf, integerOf, orNull, textOf, unpackChunkIds } from "./rows.ts";

/** Behind every id that begins like this. */
const END = "~";

/** What takes most of a revision's room, and says nothing of its chunks. */
const WITHOUT_META = { without: ["meta", "lengths"] };

const FORGOTTEN = { chunks: Buffer.alloc(0), lengths: null, forgotten: 1 };

/**
 * What is kept of spaces' revisions, and their claims on chunks, in a MongoDB database, a document
 * at a time.
 *
 * **Why no claim ends that an entry takes for granted.** `sweep` says of a claim that it is ending,
 * takes a turn in the journal, and removes what is still said to be ending by this sweep. An entry
 * lands in a place that was read before its chunks' claims were. Where that was before the turn, it
 * does not land, and looks again; where it was after, the claim was seen to be ending, which is as
 * good as gone, and chunks are sent again. What landed before the turn was brought to the links by
 * then, which takes the end off those that it names. Whoever stages or asks for a chunk takes the
 * end off too, or finds the claim gone: `sweep` removes, and they change, one document under the
 * condition that it is as it was. A sweep that is killed leaves claims that are ending; their lease
 * is past, so that the next one finds them.
 *
 * **Why nothing is forgotten that is needed.** That a node holds another content, or was deleted,
 * is for ever; by the time its row says so all revisions with the content before are there. Who
 * brings an old entry to the tree late finds its revisions there, and leaves them as they are.
 */
export class MongoLinks implements LinkCollection {
  readonly #database: MongoDatabase;
  readonly #heads: MongoHeads;

  constructor(database: MongoDatabase) {
    this.#database = database;
    this.#heads = new MongoHeads(database);
  }

  async takeTurn(holder: string, nowMs: number, untilMs: number): Promise<boolean> {
    const open = { _id: TURN, $or: [{ untilMs: { $lte: nowMs } }, { holder }] };
    if (await this.#database.change("turns", open, { $set: { holder, untilMs } })) return true;
    return this.#database.insert("turns", { _id: TURN, holder, untilMs });
  }

  async spaces(limit: number, after?: SpaceId): Promise<SpaceId[]> {
    const where = after === undefined ? {} : { _id: { $gt: after } };
    const rows = await this.#database.many("spaces", where, { sort: { _id: 1 }, limit });
    return rows.map(({ _id }) => spaceId(_id));
  }

  /** Of several reads: what an entry brings in between is newer than any head that was read. */
  async contents(space: SpaceId, limit: number, after?: ContentKey): Promise<ContentRow[]> {
    const rows: Stored[] = [];
    let from = after === undefined ? `${space}/` : revisionId(space, after.node, after.sequence);
    for (let isOver = false; !isOver && rows.length < limit;) {
      const where = { _id: { $gt: from, $lt: `${space}/${END}` } };
      const only = { sort: { _id: 1 }, limit, ...WITHOUT_META } as const;
      const page = await this.#database.many("revisions", where, only);
      rows.push(...page.filter((row) => row["content"] === row["sequence"]));
      from = page.at(-1)?._id ?? from;
      isOver = page.length < limit;
    }
    rows.splice(limit);
    const nodes = await this.#nodes(
      space,
      rows.map((row) => nodeId(textOf(row, "id"))),
    );
    const deaths = await this.#deaths(space, nodes);
    return rows.map((row) => {
      const id = nodeId(textOf(row, "id"));
      const sequence = integerOf(row, "sequence");
      return {
        node: id,
        sequence,
        timeMs: integerOf(row, "timeMs"),
        chunks: unpackChunkIds(blobOf(row, "chunks")),
        forgotten: row["forgotten"] === 1,
        isLast: nodes.get(id)?.["content"] === sequence,
        deletedMs: deaths.get(id) ?? null,
      };
    });
  }

  async forget(space: SpaceId, contents: readonly ContentKey[]): Promise<number> {
    const nodes = await this.#nodes(
      space,
      contents.map(({ node }) => node),
    );
    const past = contents.filter(({ node, sequence }) => {
      const row = nodes.get(node);
      return row !== undefined && (row["content"] !== sequence || row["deleted"] === 1);
    });
    // The revision that is listed is the last to be changed: one that ends before is found again.
    for (const { node, sequence } of past) {
      const _id = nodeKey(space, node);
      const { forgotten: _, ...empty } = FORGOTTEN;
      const tombstone = { _id, content: sequence, deleted: 1 };
      if (nodes.get(node)?.["content"] === sequence) {
        await this.#database.change("nodes", tombstone, { $set: empty });
      }
      const later = { $gt: revisionId(space, node, sequence), $lt: `${_id}/${END}` };
      const copies = { _id: later, content: sequence };
      await this.#database.changeAll("revisions", copies, { $set: FORGOTTEN });
    }
    const first = past.map(({ node, sequence }) => revisionId(space, node, sequence));
    const known = { _id: { $in: first }, forgotten: { $ne: 1 } };
    return this.#database.changeAll("revisions", known, { $set: FORGOTTEN });
  }

  async links(space: SpaceId, limit: number, after?: ChunkId): Promise<LinkRow[]> {
    const from = after === undefined ? `${space}/` : linkId(space, after);
    const where = { _id: { $gt: from, $lt: `${space}/${END}` } };
    const rows = await this.#database.many("links", where, { sort: { _id: 1 }, limit });
    const ids = rows.map((row) => textOf(row, "chunk"));
    const chunks = await inBatches(ids, (some) =>
      this.#database.many("chunks", { _id: { $in: some } }),
    );
    const lengths = new Map(chunks.map((row) => [row._id, integerOf(row, "lengthBytes")]));
    return rows.map((row) => ({
      chunk: chunkId(textOf(row, "chunk")),
      leaseMs: orNull(integerOf, row, "leaseMs"),
      touched: typeof row["touched"] === "number" ? row["touched"] : 0,
      // An upload that broke off may leave a claim on what is gone.
      lengthBytes: lengths.get(textOf(row, "chunk")) ?? 0,
    }));
  }

  async condemn(
    space: SpaceId,
    chunks: readonly ChunkId[],
    { sequence, leaseMs }: { readonly sequence: number; readonly leaseMs: number },
  ): Promise<number> {
    const linked = { leaseMs: null, touched: { $not: { $gt: sequence } } };
    const where = { _id: { $in: chunks.map((chunk) => linkId(space, chunk)) }, ...linked };
    return this.#database.changeAll("links", where, { $set: { leaseMs } });
  }

  async revive(space: SpaceId, chunks: readonly ChunkId[]): Promise<void> {
    const where = { _id: { $in: chunks.map((chunk) => linkId(space, chunk)) } };
    const linked = { $set: { leaseMs: null }, $unset: { ending: "" } };
    await this.#database.changeAll("links", where, linked);
  }

  async sweep(space: SpaceId, nowMs: number, limit: number): Promise<number> {
    const past = { leaseMs: { $lte: nowMs } };
    const due = await this.#database.many("links", { space, ...past }, { limit });
    if (due.length === 0) return 0;
    const ids = { $in: due.map(({ _id }) => _id) };
    const ending = new ObjectId().toHexString();
    await this.#database.changeAll("links", { _id: ids, ...past }, { $set: { ending } });
    await this.#heads.turn(space);
    return this.#database.remove("links", { _id: ids, ending });
  }

  async #nodes(space: SpaceId, ids: readonly NodeId[]): Promise<Map<NodeId, Stored>> {
    const keys = [...new Set(ids)].map((id) => nodeKey(space, id));
    const without = [...WITHOUT_META.without, "chunks"];
    const rows = await inBatches(keys, (some) =>
      this.#database.many("nodes", { _id: { $in: some } }, { without }),
    );
    return new Map(rows.map((row) => [nodeId(textOf(row, "id")), row]));
  }

  /** When those of these nodes were deleted that are. */
  async #deaths(space: SpaceId, nodes: ReadonlyMap<NodeId, Stored>): Promise<Map<NodeId, number>> {
    const dead = [...nodes].filter(([, row]) => row["deleted"] === 1);
    const keys = dead.map(([id, row]) => revisionId(space, id, integerOf(row, "deletedAt")));
    const without = [...WITHOUT_META.without, "chunks"];
    const rows = await inBatches(keys, (some) =>
      this.#database.many("revisions", { _id: { $in: some } }, { without }),
    );
    return new Map(rows.map((row) => [nodeId(textOf(row, "id")), integerOf(row, "timeMs")]));
  }
}
