import { chunkId, type AccountId, type ChunkId, type SpaceId } from "#core/ids.ts";
import { chunkGone } from "./chunk-rows.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import type { ChunkIndex, ChunkPlace } from "./port.ts";
import { integerOf, textOf } from "./rows.ts";

/** Ids in one question: a document has at most 16 MiB. */
const MAX_IDS = 10_000;

export function linkId(space: SpaceId, chunk: ChunkId): string {
  return `${space}/${chunk}`;
}

/** Runs `work` for all ids, so many at a time. */
export async function inBatches<Id, T>(
  ids: readonly Id[],
  work: (some: Id[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const all: T[] = [];
  for (let at = 0; at < ids.length; at += MAX_IDS) {
    all.push(...(await work(ids.slice(at, at + MAX_IDS))));
  }
  return all;
}

/** Where chunks lie and which space holds them, in a MongoDB database. */
export class MongoChunks implements ChunkIndex {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async held(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    const links = [...new Set(ids)].map((id) => linkId(space, id));
    const held = await inBatches(links, (some) =>
      this.#database.many("links", { _id: { $in: some } }),
    );
    const places = await this.#places(held.map(({ _id }) => _id.slice(space.length + 1)));
    return places.map((place) => ({
      id: chunkId(place._id),
      pack: textOf(place, "pack"),
      offsetBytes: integerOf(place, "offsetBytes"),
      lengthBytes: integerOf(place, "lengthBytes"),
    }));
  }

  async stored(ids: readonly ChunkId[]): Promise<ReadonlySet<ChunkId>> {
    return new Set((await this.#places([...new Set(ids)])).map(({ _id }) => chunkId(_id)));
  }

  async stage(
    space: SpaceId,
    written: readonly ChunkPlace[],
    ids: readonly ChunkId[],
    leaseMs: number,
  ): Promise<ReadonlySet<string>> {
    // What somebody has stored before is written again, and dropped: the first place stays.
    const places = written.map(({ id, ...place }) => ({ _id: id, ...place }));
    await this.#database.insertNew("chunks", places);
    for (const { _id, ...place } of places) {
      const update = { $set: place, $unset: { isQuarantined: "" } };
      await this.#database.change("chunks", { _id, isQuarantined: true }, update);
    }
    const wanted = [...new Set(ids)];
    const found = await this.#places([...new Set([...wanted, ...written.map(({ id }) => id)])]);
    const stored = new Set(found.map(({ _id }) => _id));
    const gone = wanted.find((id) => !stored.has(id));
    if (gone !== undefined) throw chunkGone(gone);
    const links = wanted.map((id) => ({ _id: linkId(space, id), leaseMs }));
    await this.#database.insertNew("links", links);
    await this.renew(space, wanted, leaseMs);
    const packs = new Set(written.map(({ pack }) => pack));
    const used = found.map((place) => textOf(place, "pack"));
    return new Set(used.filter((pack) => packs.has(pack)));
  }

  async heldBytes(account: AccountId): Promise<number> {
    let bytes = 0;
    for (const { _id: space } of await this.#database.many("spaces", { account })) {
      for (let after = `${space}/`; ;) {
        const page = { sort: { _id: 1 }, limit: MAX_IDS } as const;
        const where = { _id: { $gt: after, $lt: `${space}/~` } };
        const links = await this.#database.many("links", where, page);
        const places = await this.#places(links.map(({ _id }) => _id.slice(space.length + 1)));
        for (const place of places) bytes += integerOf(place, "lengthBytes");
        const last = links.at(-1);
        if (last === undefined || links.length < MAX_IDS) break;
        after = last._id;
      }
    }
    return bytes;
  }

  async renew(space: SpaceId, ids: readonly ChunkId[], leaseMs: number): Promise<void> {
    const links = ids.map((id) => linkId(space, id));
    await inBatches(links, async (some) => {
      // Of a linked chunk it is null, which is less than no number.
      const shorter = { _id: { $in: some }, leaseMs: { $lt: leaseMs } };
      await this.#database.ask(() =>
        this.#database.collection("links").updateMany(shorter, { $set: { leaseMs } }),
      );
      return [];
    });
  }

  /** What is quarantined has no place. */
  #places(ids: readonly string[]): Promise<Stored[]> {
    return inBatches(ids, (some) =>
      this.#database.many("chunks", { _id: { $in: some }, isQuarantined: { $ne: true } }),
    );
  }
}
