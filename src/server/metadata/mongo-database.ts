import {
  MongoBulkWriteError,
  MongoClient,
  MongoServerError,
  type Collection,
  type Db,
  type Filter,
  type UpdateFilter,
} from "mongodb";
import { WorldError } from "#core/errors.ts";

/** Connections of one server; further calls wait for one. */
const MAX_CONNECTIONS = 20;
const CONNECT_TIMEOUT_MS = 5_000;
const SILENCE_MS = 35_000;

/** https://www.mongodb.com/docs/manual/reference/error-codes/ */
const DUPLICATE = 11_000;
const OUT_OF_DISK = 14_031;
const REFUSED = new Set([13, 18, 8_000]);

/** What is stored under one id. */
export type Stored = { readonly _id: string; readonly [field: string]: unknown };
export type Where = Filter<Stored>;
/** Order, most documents, and fields that are left out. */
type Selection = {
  readonly sort?: Record<string, 1 | -1>;
  readonly limit?: number;
  readonly without?: readonly string[];
};
export type Update = Readonly<Record<`$${string}`, Readonly<Record<string, unknown>>>>;

/** Whether somebody else had this id, or this value of what is unique, before. */
function isDuplicate(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE;
}

function worldError(error: unknown): unknown {
  if (error instanceof WorldError || isDuplicate(error)) return error;
  const say = (code: string, message: string): WorldError =>
    new WorldError(code, message, { retryable: true, cause: error });
  if (error instanceof MongoServerError) {
    if (error.code === OUT_OF_DISK) return say("storage-full", "The disk of MongoDB is full.");
    if (REFUSED.has(Number(error.code))) {
      return say(
        "unavailable",
        `MongoDB does not let this server in (${error.code}): look at user, password and rights.`,
      );
    }
    const retryable = ["RetryableWriteError", "TransientTransactionError", "NetworkError"];
    const isPassing = retryable.some((label) => error.hasErrorLabel(label));
    return isPassing ? say("unavailable", "MongoDB cannot do this now.") : error;
  }
  if (!(error instanceof Error) || !error.name.startsWith("Mongo")) return error;
  return say("unavailable", "MongoDB cannot be reached.");
}

/**
 * A MongoDB database with our collections. Nothing here needs a transaction: one document is
 * written at a time, and what decides is that an id can be taken once.
 */
export class MongoDatabase implements AsyncDisposable {
  readonly #client: MongoClient;
  readonly #db: Db;

  private constructor(url: string) {
    this.#client = new MongoClient(url, {
      appName: "lockstep",
      writeConcern: { w: "majority", journal: true },
      readConcern: { level: "majority" },
      readPreference: "primary",
      maxPoolSize: MAX_CONNECTIONS,
      waitQueueTimeoutMS: CONNECT_TIMEOUT_MS,
      serverSelectionTimeoutMS: CONNECT_TIMEOUT_MS,
      connectTimeoutMS: CONNECT_TIMEOUT_MS,
      socketTimeoutMS: SILENCE_MS,
      ignoreUndefined: true,
      promoteBuffers: true,
    });
    this.#db = this.#client.db();
  }

  /** Throws WorldError `unavailable`, and what `prepare` throws. */
  static async open(
    url: string,
    prepare: (database: MongoDatabase) => Promise<void>,
  ): Promise<MongoDatabase> {
    const database = new MongoDatabase(url);
    try {
      await database.ask(() => prepare(database));
      return database;
    } catch (error) {
      await database[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Names of the collections that are there. */
  async collectionNames(): Promise<string[]> {
    const there = this.#db.listCollections({}, { nameOnly: true });
    return this.ask(async () => (await there.toArray()).map(({ name }) => name));
  }

  collection(name: string): Collection<Stored> {
    return this.#db.collection<Stored>(name);
  }

  /** Runs what talks to the database, and says in our words why it could not. */
  async ask<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw worldError(error);
    }
  }

  /** False when its id, or what else is unique, is taken. */
  async insert(name: string, document: Stored): Promise<boolean> {
    return this.#unlessTaken(async () => {
      await this.collection(name).insertOne(document);
      return true;
    });
  }

  /** False when no document is as the filter says, or what is unique in the new one is taken. */
  async replace(name: string, filter: Where, document: Omit<Stored, "_id">): Promise<boolean> {
    return this.#unlessTaken(async () => {
      const { matchedCount } = await this.collection(name).replaceOne(filter, document);
      return matchedCount === 1;
    });
  }

  /** Inserts those that are not there yet. */
  async insertNew(name: string, documents: readonly Stored[]): Promise<void> {
    if (documents.length === 0) return;
    await this.ask(async () => {
      try {
        await this.collection(name).insertMany([...documents], { ordered: false });
      } catch (error) {
        if (!(error instanceof MongoBulkWriteError)) throw error;
        const faults = [error.writeErrors].flat();
        if (!faults.every(({ code }) => code === DUPLICATE)) throw error;
      }
    });
  }

  /** True when the document was as the filter says, and is changed. */
  async change(name: string, filter: Where, update: Update): Promise<boolean> {
    const { matchedCount } = await this.ask(() =>
      // The driver's own type knows of no field that a collection may have or not.
      this.collection(name).updateOne(filter, update as UpdateFilter<Stored>),
    );
    return matchedCount === 1;
  }

  /** Changes all that are as the filter says; returns how many. */
  async changeAll(name: string, filter: Where, update: Update): Promise<number> {
    const { matchedCount } = await this.ask(() =>
      this.collection(name).updateMany(filter, update as UpdateFilter<Stored>),
    );
    return matchedCount;
  }

  /** Removes all that are as the filter says; returns how many. */
  async remove(name: string, filter: Where): Promise<number> {
    const { deletedCount } = await this.ask(() => this.collection(name).deleteMany(filter));
    return deletedCount;
  }

  async one(name: string, filter: Where): Promise<Stored | undefined> {
    return (await this.ask(() => this.collection(name).findOne(filter))) ?? undefined;
  }

  async many(
    name: string,
    filter: Where,
    { sort, limit = 0, without = [] }: Selection = {},
  ): Promise<Stored[]> {
    const projection = Object.fromEntries(without.map((field) => [field, 0]));
    const found = this.collection(name).find(filter, { projection }).limit(limit);
    return this.ask(() => (sort === undefined ? found : found.sort(sort)).toArray());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }

  async #unlessTaken(work: () => Promise<boolean>): Promise<boolean> {
    return this.ask(async () => {
      try {
        return await work();
      } catch (error) {
        if (isDuplicate(error)) return false;
        throw error;
      }
    });
  }
}
