import { WorldError } from "#core/errors.ts";
import type { SpaceId } from "#core/ids.ts";
import { noSpace } from "./answers.ts";
import type { MongoDatabase, Stored, Where } from "./mongo-database.ts";
import { applyEntry, journalId, readDocument } from "./mongo-entries.ts";
import { integerOf, textOf } from "./rows.ts";

/** How often what entries landed under begins again. */
export const MAX_READS = 100;

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
    const row = await this.current(space);
    if (row === undefined) throw noSpace(space);
    return row;
  }

  /** The space's row, when everything that its journal holds has been brought to the tree. */
  async current(space: SpaceId): Promise<Stored | undefined> {
    for (;;) {
      const row = await this.#database.one("spaces", { _id: space });
      if (row === undefined) return undefined;
      const [head, keyEpoch] = [integerOf(row, "head"), integerOf(row, "keyEpoch")];
      const next = await this.#database.one("journal", { _id: journalId(space, head + 1) });
      if (next === undefined) return row;
      const at = { _id: space, head, keyEpoch };
      if (next["mark"] === undefined) {
        await applyEntry(this.#database, space, await readDocument(this.#database, next));
        const reached = { head: head + 1, chain: textOf(next, "chain") };
        await this.#database.change("spaces", at, { $set: reached });
        continue;
      }
      const mark = integerOf(next, "mark");
      if (mark === keyEpoch) return row;
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

  /** Puts an entry in the place of its epoch's mark; false when it cannot stand there. */
  async replaceMark({ _id, ...entry }: Stored, keyEpoch: number): Promise<boolean> {
    const mark: Where = { _id, mark: keyEpoch };
    return this.#database.replace("journal", mark, entry);
  }
}

/** For what began MAX_READS times. */
export function changing(): WorldError {
  return new WorldError("unavailable", "This space changes too often just now: try later.", {
    retryable: true,
  });
}
