import { chunkId, type ChunkId, type SpaceId } from "#core/ids.ts";
import { inBatches, linkId } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import type { ChunkPlace, KeptChunk, ScrubIndex } from "./port.ts";
import { integerOf, textOf } from "./rows.ts";

/** What a scrub reads over and finds, in a MongoDB database: packs are what chunks lie in. */
export class MongoScrub implements ScrubIndex {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async storedBytes(): Promise<number> {
    const sum = [{ $group: { _id: null, bytes: { $sum: "$lengthBytes" } } }];
    const [found] = await this.#database.ask(() =>
      this.#database.collection("chunks").aggregate(sum).toArray(),
    );
    return found === undefined ? 0 : integerOf(found, "bytes");
  }

  async packs(after: string, most: number): Promise<string[]> {
    const names: string[] = [];
    for (let last = after; names.length < most;) {
      const next: Stored | undefined = (
        await this.#database.many(
          "chunks",
          { pack: { $gt: last } },
          { sort: { pack: 1 }, limit: 1 },
        )
      )[0];
      if (next === undefined) break;
      last = textOf(next, "pack");
      names.push(last);
    }
    return names;
  }

  async inPack(pack: string): Promise<KeptChunk[]> {
    const found = await this.#database.many("chunks", { pack }, { sort: { offsetBytes: 1 } });
    return found.map((chunk) => ({
      id: chunkId(chunk._id),
      pack,
      offsetBytes: integerOf(chunk, "offsetBytes"),
      lengthBytes: integerOf(chunk, "lengthBytes"),
      isQuarantined: chunk["isQuarantined"] === true,
    }));
  }

  async quarantine(places: readonly ChunkPlace[], isQuarantined: boolean): Promise<number> {
    let changed = 0;
    for (const { id, pack, offsetBytes } of places) {
      const where = { _id: id, pack, offsetBytes };
      const [filter, update] = isQuarantined
        ? [{ ...where, isQuarantined: { $ne: true } }, { $set: { isQuarantined } }]
        : [{ ...where, isQuarantined: true }, { $unset: { isQuarantined: "" } }];
      if (await this.#database.change("chunks", filter, update)) changed++;
    }
    return changed;
  }

  async quarantined(space: SpaceId, most: number): Promise<ChunkId[]> {
    const all = await this.#database.many("chunks", { isQuarantined: true }, { sort: { _id: 1 } });
    const links = all.map(({ _id }) => linkId(space, chunkId(_id)));
    const held = await inBatches(links, (some) =>
      this.#database.many("links", { _id: { $in: some } }),
    );
    const ids = held.map(({ _id }) => chunkId(_id.slice(space.length + 1)));
    return ids.toSorted().slice(0, most);
  }
}
