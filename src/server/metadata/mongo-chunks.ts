import { chunkId, type AccountId, type ChunkId, type SpaceId } from "#core/ids.ts";
import { changing, chunkGone } from "./chunk-rows.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import type { ChunkIndex, ChunkPlace } from "./port.ts";
import { integerOf, packSizes, textOf } from "./rows.ts";

/** Ids in one question: a document has at most 16 MiB. */
const MAX_IDS = 10_000;

/** How often an upload is staged anew that collectors keep taking from. */
const MAX_TRIES = 100;

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

/** Which chunks of these any space has a claim on, ending ones too. */
export async function claimed(
  database: MongoDatabase,
  ids: readonly string[],
): Promise<Set<string>> {
  const links = await inBatches(ids, (some) => database.many("links", { chunk: { $in: some } }));
  return new Set(links.map((link) => textOf(link, "chunk")));
}

/**
 * Where those of these chunks lie that the space holds. The links are read first: a collector that
 * wants a chunk and has not seen its link yet has said so before this takes it back.
 */
export async function heldPlaces(
  database: MongoDatabase,
  space: SpaceId,
  ids: readonly ChunkId[],
): Promise<Stored[]> {
  const links = [...new Set(ids)].map((id) => linkId(space, id));
  const held = await inBatches(links, (some) =>
    database.many("links", { _id: { $in: some }, ending: { $exists: false } }),
  );
  return keptPlaces(
    database,
    held.map(({ _id }) => _id.slice(space.length + 1)),
  );
}

/** Takes back what a collector has said of these chunks; those that are there then are kept. */
async function keptPlaces(database: MongoDatabase, ids: readonly string[]): Promise<Stored[]> {
  const found = await placesOf(database, ids);
  const ending = found.filter((place) => place["ending"] !== undefined).map(({ _id }) => _id);
  if (ending.length === 0) return found;
  await inBatches(ending, async (some) => {
    const where = { _id: { $in: some }, ending: { $exists: true } };
    await database.changeAll("chunks", where, { $unset: { ending: "" } });
    return [];
  });
  return placesOf(database, ids);
}

/** What is quarantined has no place. */
function placesOf(database: MongoDatabase, ids: readonly string[]): Promise<Stored[]> {
  return inBatches(ids, (some) =>
    database.many("chunks", { _id: { $in: some }, isQuarantined: { $ne: true } }),
  );
}

/** Where chunks lie and which space holds them, in a MongoDB database. */
export class MongoChunks implements ChunkIndex {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async held(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    const places = await heldPlaces(this.#database, space, ids);
    return places.map((place) => ({
      id: chunkId(place._id),
      pack: textOf(place, "pack"),
      offsetBytes: integerOf(place, "offsetBytes"),
      lengthBytes: integerOf(place, "lengthBytes"),
    }));
  }

  async stored(ids: readonly ChunkId[]): Promise<ReadonlySet<ChunkId>> {
    const places = await placesOf(this.#database, [...new Set(ids)]);
    return new Set(places.map(({ _id }) => chunkId(_id)));
  }

  async stage(
    space: SpaceId,
    written: readonly ChunkPlace[],
    ids: readonly ChunkId[],
    leaseMs: number,
  ): Promise<ReadonlySet<string>> {
    const wanted = [...new Set(ids)];
    const sent = new Set(written.map(({ id }) => id));
    const links = wanted.map((chunk) => ({
      _id: linkId(space, chunk),
      space,
      chunk,
      leaseMs,
      touched: 0,
    }));
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      await this.#place(written);
      const stored = new Set((await placesOf(this.#database, wanted)).map(({ _id }) => _id));
      const gone = wanted.filter((id) => !stored.has(id));
      const lost = gone.find((id) => !sent.has(id));
      if (lost !== undefined) throw chunkGone(lost);
      if (gone.length > 0) continue;
      await this.#database.insertNew("links", links);
      await this.renew(space, wanted, leaseMs);
      // Both are written; what a collector took in between is written again.
      const held = await heldPlaces(this.#database, space, wanted);
      if (held.length === wanted.length) return this.#addPacks(written);
    }
    throw changing();
  }

  /** What somebody has stored before is written again, and dropped: the first place stays. */
  async #place(written: readonly ChunkPlace[]): Promise<void> {
    const places = new Map(written.map(({ id, ...place }) => [String(id), place]));
    const rows = Array.from(places, ([_id, place]) => ({ _id, ...place }));
    await this.#database.insertNew("chunks", rows);
    const damaged = await inBatches([...places.keys()], (some) =>
      this.#database.many("chunks", { _id: { $in: some }, isQuarantined: true }),
    );
    for (const { _id } of damaged) {
      const update = { $set: places.get(_id) ?? {}, $unset: { isQuarantined: "" } };
      await this.#database.change("chunks", { _id, isQuarantined: true }, update);
    }
  }

  /**
   * Rows for those of these packs that chunks lie in: nothing is ever put into a pack that has one,
   * and what has none is no stray while a chunk lies there.
   */
  async #addPacks(written: readonly ChunkPlace[]): Promise<ReadonlySet<string>> {
    const ids = written.map(({ id }) => id);
    const used = new Set((await placesOf(this.#database, ids)).map((row) => textOf(row, "pack")));
    const sizes = [...packSizes(written)].filter(([pack]) => used.has(pack));
    const rows = sizes.map(([_id, sizeBytes]) => ({ _id, sizeBytes, doomedMs: null }));
    await this.#database.insertNew("packs", rows);
    return new Set(sizes.map(([pack]) => pack));
  }

  async heldBytes(account: AccountId): Promise<number> {
    let bytes = 0;
    for (const { _id: space } of await this.#database.many("spaces", { account })) {
      for (let after = `${space}/`; ;) {
        const page = { sort: { _id: 1 }, limit: MAX_IDS } as const;
        const where = { _id: { $gt: after, $lt: `${space}/~` } };
        const links = await this.#database.many("links", where, page);
        const ids = links.map(({ _id }) => _id.slice(space.length + 1));
        const places = await placesOf(this.#database, ids);
        for (const place of places) bytes += integerOf(place, "lengthBytes");
        const last = links.at(-1);
        if (last === undefined || links.length < MAX_IDS) break;
        after = last._id;
      }
      bytes += await this.#metaBytes(space);
    }
    return bytes;
  }

  /** What the metas of all contents take that a space's nodes ever had. */
  async #metaBytes(space: string): Promise<number> {
    const _id = { $gt: `${space}/`, $lt: `${space}/~` };
    const isFirst = { $expr: { $eq: ["$content", "$sequence"] } };
    const sum = { _id: null, bytes: { $sum: { $strLenBytes: "$meta" } } };
    const [found] = await this.#database.ask(() =>
      this.#database
        .collection("revisions")
        .aggregate<Stored>([{ $match: { _id, ...isFirst } }, { $group: sum }])
        .toArray(),
    );
    return found === undefined ? 0 : integerOf(found, "bytes");
  }

  async renew(space: SpaceId, ids: readonly ChunkId[], leaseMs: number): Promise<void> {
    const links = ids.map((id) => linkId(space, id));
    await inBatches(links, async (some) => {
      // Of a linked chunk it is null, which is less than no number.
      const shorter = { _id: { $in: some }, leaseMs: { $lt: leaseMs } };
      const renewed = { $set: { leaseMs }, $unset: { ending: "" } };
      await this.#database.changeAll("links", shorter, renewed);
      return [];
    });
  }
}
