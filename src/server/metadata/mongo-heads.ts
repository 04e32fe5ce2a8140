import { ObjectId } from "mongodb";
import type { SpaceId } from "#core/ids.ts";
import { noSpace } from "./answers.ts";
import { changing } from "./chunk-rows.ts";
import type { MongoDatabase, Stored, Where } from "./mongo-database.ts";
import { applyEntry, journalId, readDocument } from "./mongo-entries.ts";
import { integerOf, textOf } from "./rows.ts";

/** How often what entries landed under begins again. */
export const MAX_READS = 100;

/** Where the next entry of a space goes, as it was read. */
export type Place = {
  /** The space's row; its tree is at the head that this has. */
  readonly row: Stored;
  /** The mark that an entry has to replace; null where the place is free. */
  readonly mark: Stored | null;
};

/** Spaces' heads, which follow their journals: whoever reads one brings its tree up to it. */
export class MongoHeads {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  /** The entry of a sequence; a mark is none. */
  async entryAt(space: SpaceId, sequence: number): Promise<Stored | undefined> {
    return this.#database.one("journal", { _id: journalId(space, sequence), sequence });
  }

  async expect(space: SpaceId): Promise<Stored> {
    return (await this.expectPlace(space)).row;
  }

  async expectPlace(space: SpaceId): Promise<Place> {
    const place = await this.place(space);
    if (place === undefined) throw noSpace(space);
    return place;
  }

  /** The space's row, when everything that its journal holds has been brought to the tree. */
  async current(space: SpaceId): Promise<Stored | undefined> {
    return (await this.place(space))?.row;
  }

  /** Where the next entry goes, when everything before it has been brought to the tree. */
  async place(space: SpaceId): Promise<Place | undefined> {
    for (;;) {
      const row = await this.#database.one("spaces", { _id: space });
      if (row === undefined) return undefined;
      const [head, keyEpoch] = [integerOf(row, "head"), integerOf(row, "keyEpoch")];
      const next = await this.#database.one("journal", { _id: journalId(space, head + 1) });
      if (next === undefined) return { row, mark: null };
      const at = { _id: space, head, keyEpoch };
      if (next["mark"] === undefined) {
        await applyEntry(this.#database, space, await readDocument(this.#database, next));
        const reached = { head: head + 1, chain: textOf(next, "chain") };
        await this.#database.change("spaces", at, { $set: reached });
        continue;
      }
      const mark = integerOf(next, "mark");
      if (mark === keyEpoch) return { row, mark: next };
      const keys = { keyEpoch: mark, keyEpochSequence: head };
      await this.#database.change("spaces", at, { $set: keys });
    }
  }

  /**
   * Reads the tree as of one head: an entry that lands meanwhile may be half brought to the tree,
   * so that the read begins again.
   */
  async steady<T>(space: SpaceId, read: () => Promise<T>): Promise<T | []> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const row = await this.current(space);
      if (row === undefined) return [];
      const found = await read();
      const next = await this.entryAt(space, integerOf(row, "head") + 1);
      if (next === undefined) return found;
    }
    throw changing();
  }

  /** Puts an entry into a place; false when that is no more as it was read. */
  async take({ mark }: Place, stored: Stored): Promise<boolean> {
    if (mark === null) return this.#database.insert("journal", stored);
    const { _id: _, ...entry } = stored;
    return this.#database.replace("journal", asRead(mark), entry);
  }

  /**
   * Takes a turn in the journal: what lands afterwards was put into a place that was read after
   * this began. All that landed before has been brought to the tree then.
   */
  async turn(space: SpaceId): Promise<void> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const place = await this.place(space);
      if (place === undefined) return;
      const { row, mark } = place;
      const turn = new ObjectId().toHexString();
      const _id = journalId(space, integerOf(row, "head") + 1);
      const fresh = { _id, commit: `mark ${_id}`, mark: integerOf(row, "keyEpoch"), turn };
      const isTaken =
        mark === null
          ? await this.#database.insert("journal", fresh)
          : await this.#database.change("journal", asRead(mark), { $set: { turn } });
      if (isTaken) return;
    }
    throw changing();
  }
}

/** A mark, as long as nobody has changed it. */
function asRead({ _id, ...mark }: Stored): Where {
  return { _id, mark: mark["mark"], turn: mark["turn"] ?? null };
}
