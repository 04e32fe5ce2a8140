import { ObjectId } from "mongodb";
import { chunkId, type ChunkId } from "#core/ids.ts";
import type { Moved, PackCollection, PackRow, StoredChunk } from "./collection.ts";
import { claimed, inBatches } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import { integerOf, orNull } from "./rows.ts";

type Lying = { readonly chunks: number; readonly liveBytes: number };

function storedOf(row: Stored): StoredChunk {
  return { id: chunkId(row._id), lengthBytes: integerOf(row, "lengthBytes") };
}

/**
 * Packs, and chunks that nobody holds, in a MongoDB database, a document at a time.
 *
 * **Why no chunk goes that a space holds.** `removeUnheld` says of a chunk that it is ending, looks
 * for claims on it, and removes what nobody has taken back since. Who stages a chunk writes the
 * claim first and then takes the end off its place, and so does who finds the claim and needs the
 * chunk (`heldPlaces`): either that is before the removal, which then passes it by, or they find
 * the place gone. An end that is said later is followed by a look that finds the claim.
 *
 * **Why no pack goes that a chunk lies in.** Its row is written when everything lies in it that
 * ever will; a pack with a row that is seen empty after the row was is empty for ever. One without
 * is a stray, once nothing lies in it: a server that is killed before the row leaves one that is
 * not merged, and goes when it is empty.
 *
 * A merge moves chunks one by one, each from the place where it was copied: whoever is killed in
 * between leaves some here and some there, where they can be read.
 */
export class MongoPacks implements PackCollection {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async unheld(limit: number, after?: ChunkId) {
    const where = after === undefined ? {} : { _id: { $gt: after } };
    const page = await this.#database.many("chunks", where, { sort: { _id: 1 }, limit });
    const held = await claimed(
      this.#database,
      page.map(({ _id }) => _id),
    );
    const last = page.length < limit ? undefined : page.at(-1);
    return {
      chunks: page.filter(({ _id }) => !held.has(_id)).map(storedOf),
      next: last === undefined ? null : chunkId(last._id),
    };
  }

  async removeUnheld(ids: readonly ChunkId[]): Promise<readonly StoredChunk[]> {
    const ending = new ObjectId().toHexString();
    const all: Stored[] = await this.#database.many("chunks", { _id: { $in: [...ids] } });
    const said = { _id: { $in: [...ids] } };
    await this.#database.changeAll("chunks", said, { $set: { ending } });
    const held = await claimed(this.#database, ids);
    const kept = { _id: { $in: [...held] }, ending };
    await this.#database.changeAll("chunks", kept, { $unset: { ending: "" } });
    const due = all.filter(({ _id }) => !held.has(_id));
    const dueIds = { $in: due.map(({ _id }) => _id) };
    await this.#database.remove("chunks", { _id: dueIds, ending });
    const there = await this.#database.many("chunks", { _id: dueIds });
    const left = new Set(there.map(({ _id }) => _id));
    return due.filter(({ _id }) => !left.has(_id)).map(storedOf);
  }

  async packs(limit: number, after = ""): Promise<PackRow[]> {
    const where = { _id: { $gt: after } };
    const rows = await this.#database.many("packs", where, { sort: { _id: 1 }, limit });
    const lying = await this.#lying(rows.map(({ _id }) => _id));
    return rows.map((row) => {
      const { chunks, liveBytes } = lying.get(row._id) ?? { chunks: 0, liveBytes: 0 };
      const doomedMs = chunks > 0 ? null : orNull(integerOf, row, "doomedMs");
      return { name: row._id, sizeBytes: integerOf(row, "sizeBytes"), liveBytes, chunks, doomedMs };
    });
  }

  async move(
    { name, sizeBytes }: { readonly name: string; readonly sizeBytes: number },
    moved: readonly Moved[],
  ): Promise<number> {
    let count = 0;
    for (const { from, offsetBytes } of moved) {
      const where = { _id: from.id, pack: from.pack, offsetBytes: from.offsetBytes };
      const update = { $set: { pack: name, offsetBytes } };
      if (await this.#database.change("chunks", where, update)) count++;
    }
    await this.#database.insert("packs", { _id: name, sizeBytes, doomedMs: null });
    return count;
  }

  async doom(names: readonly string[], nowMs: number): Promise<void> {
    // Rows first: what is empty after that stays so.
    const rows = await this.#rows(names);
    const lying = await this.#lying(rows);
    const empty = rows.filter((name) => !lying.has(name));
    const where = { _id: { $in: empty }, doomedMs: null };
    await this.#database.changeAll("packs", where, { $set: { doomedMs: nowMs } });
  }

  async drop(names: readonly string[]): Promise<void> {
    const lying = await this.#lying(names);
    const empty = names.filter((name) => !lying.has(name));
    await this.#database.remove("packs", { _id: { $in: empty }, doomedMs: { $ne: null } });
    await this.#database.remove("strays", { _id: { $in: [...names] } });
  }

  async strays(
    names: readonly string[],
    nowMs: number | null,
  ): Promise<ReadonlyMap<string, number>> {
    const known = new Set(await this.#rows(names));
    const lying = await this.#lying(names);
    const unknown = names.filter((name) => !known.has(name) && !lying.has(name));
    if (nowMs !== null) {
      const seen = unknown.map((_id) => ({ _id, seenMs: nowMs }));
      await this.#database.insertNew("strays", seen);
    }
    const noted = await this.#database.many("strays", { _id: { $in: unknown } });
    const times = new Map(noted.map((row) => [row._id, integerOf(row, "seenMs")]));
    return new Map(unknown.map((name) => [name, times.get(name) ?? Number.POSITIVE_INFINITY]));
  }

  /** Which of these packs have a row. */
  async #rows(names: readonly string[]): Promise<string[]> {
    const rows = await inBatches(names, (some) =>
      this.#database.many("packs", { _id: { $in: some } }),
    );
    return rows.map(({ _id }) => _id);
  }

  /** What lies in these packs; those are left out in which nothing does. */
  async #lying(names: readonly string[]): Promise<Map<string, Lying>> {
    const group = { _id: "$pack", chunks: { $sum: 1 }, liveBytes: { $sum: "$lengthBytes" } };
    const sums = [{ $match: { pack: { $in: [...names] } } }, { $group: group }];
    const found = await this.#database.ask(() =>
      this.#database.collection("chunks").aggregate<Stored>(sums).toArray(),
    );
    return new Map(
      found.map((row) => [
        row._id,
        { chunks: integerOf(row, "chunks"), liveBytes: integerOf(row, "liveBytes") },
      ]),
    );
  }
}
