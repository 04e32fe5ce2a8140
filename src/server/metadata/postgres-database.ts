import { DatabaseError, Pool, TypeOverrides, type ClientConfig } from "pg";
import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import type { SpaceId } from "#core/ids.ts";
import { noSpace } from "./answers.ts";
import { MIGRATIONS } from "./postgres-schema.ts";
import { integerOf, raw, type Row } from "./rows.ts";

/** Everything of ours stands in a schema of this name, beside whatever else the database holds. */
const SCHEMA = "lockstep";

/** Where processes tell each other of journals that grew: a space's id and a sequence. */
export const NEWS_CHANNEL = "lockstep_journals";

/** Connections that one server keeps, beside the one that listens; further calls wait for one. */
const MAX_CONNECTIONS = 10;
/** How long a call waits for a connection, and a connection for the database. */
const CONNECT_TIMEOUT_MS = 5_000;
const LOCK_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 30_000;
/** A server that says nothing this long is gone; later than it would say so itself. */
const SILENCE_MS = 35_000;

/** How often a transaction is done again that the database ended to break a ring of waiting. */
const MAX_DEADLOCKS = 5;

/** Held while the schema is brought up to date: "LKST". */
const MIGRATION_LOCK = 0x4c4b5354;

const INT8 = 20;

/** Integers of 64 bits come as text; none of ours is beyond what a number holds. */
const types = new TypeOverrides();
types.setTypeParser(INT8, (text) => {
  const value = Number(text);
  assert(Number.isSafeInteger(value), `${text} is no safe integer`);
  return value;
});

/** Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html */
const RETRYABLE_CLASSES = new Set(["08", "25", "40", "53", "55", "57", "58"]);
const FULL = new Set(["53100"]);
const REFUSALS = ["28", "3D", "42501"];
const DEADLOCKS = new Set(["40001", "40P01"]);

function worldError(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error;
  const say = (code: string, message: string): WorldError =>
    new WorldError(code, message, { retryable: true, cause: error });
  const { code = "" } = error;
  if (FULL.has(code)) return say("storage-full", "The disk of the PostgreSQL database is full.");
  if (RETRYABLE_CLASSES.has(code.slice(0, 2))) {
    return say("unavailable", `The PostgreSQL database cannot do this now (${code}).`);
  }
  if (REFUSALS.some((start) => code.startsWith(start))) {
    return say(
      "unavailable",
      `The PostgreSQL database does not let this server in (${code}): look at user, password, ` +
        "database and rights.",
    );
  }
  return error;
}

/** Runs what talks to the database; what is no answer of its is a connection that failed. */
async function ask<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof DatabaseError) throw cause;
    throw new ConnectionLost(cause);
  }
}

class ConnectionLost extends WorldError {
  constructor(cause: unknown) {
    super("unavailable", "The PostgreSQL database cannot be reached.", { retryable: true, cause });
  }
}

/** After these the connection is of no more use: it broke, or the database closes it. */
function isBroken(error: unknown): boolean {
  if (error instanceof DatabaseError) return (error.code ?? "").startsWith("57P");
  return error instanceof ConnectionLost;
}

/** Runs one statement with its values; `changes` counts rows that were written. */
export type Run = (
  sql: string,
  values?: readonly unknown[],
) => Promise<{ readonly rows: readonly Row[]; readonly changes: number }>;

/** How to reach the database of a `postgres:` URL. */
export function clientConfig(url: string): ClientConfig {
  const given = new URL(url);
  const settings = [
    `search_path=${SCHEMA}`,
    "default_transaction_isolation=read\\ committed",
    "synchronous_commit=on",
    `lock_timeout=${LOCK_TIMEOUT_MS}`,
    `statement_timeout=${STATEMENT_TIMEOUT_MS}`,
  ].map((setting) => `-c ${setting}`);
  given.searchParams.set("options", settings.join(" "));
  return {
    connectionString: given.href,
    application_name: "lockstep",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: SILENCE_MS,
    keepAlive: true,
    types,
  };
}

/** A PostgreSQL database with our schema, through a few connections. */
export class PostgresDatabase implements AsyncDisposable {
  readonly #pool: Pool;

  private constructor(url: string) {
    this.#pool = new Pool({ ...clientConfig(url), max: MAX_CONNECTIONS });
    // An idle connection that breaks is dropped, one in use fails its call: nobody else is to hear.
    this.#pool.on("error", () => {});
    this.#pool.on("connect", (client) => client.on("error", () => {}));
  }

  /**
   * Connects and brings the schema up to date. Throws WorldError `database-too-new`,
   * `database-foreign` or `unavailable`, and then leaves the database as it was.
   */
  static async open(url: string): Promise<PostgresDatabase> {
    const database = new PostgresDatabase(url);
    try {
      await database.#migrate();
      return database;
    } catch (error) {
      await database[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** One statement by itself; once more on another connection when the first broke. */
  async read(sql: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    try {
      return await this.#readOnce(sql, values);
    } catch (error) {
      if (!isBroken(error)) throw worldError(error);
    }
    try {
      return await this.#readOnce(sql, values);
    } catch (error) {
      throw worldError(error);
    }
  }

  /** One writing statement by itself: how many rows it wrote, durable when this resolves. */
  async run(sql: string, values: readonly unknown[]): Promise<number> {
    return this.write(async (run) => (await run(sql, values)).changes);
  }

  /**
   * Runs `work` in one transaction: all of it is durable when this resolves, or none when it
   * throws, unless the connection broke in the moment of the commit: then nobody knows. `work` runs
   * again when the database ended the transaction to break a ring of waiting.
   */
  async write<T>(work: (run: Run) => Promise<T>): Promise<T> {
    for (let deadlocks = 0; ; deadlocks++) {
      try {
        return await this.#writeOnce(work);
      } catch (error) {
        const code = error instanceof DatabaseError ? (error.code ?? "") : "";
        if (!DEADLOCKS.has(code) || deadlocks >= MAX_DEADLOCKS) throw worldError(error);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }

  async #readOnce(sql: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#use(async (run) => (await run(sql, values)).rows);
  }

  async #writeOnce<T>(work: (run: Run) => Promise<T>): Promise<T> {
    return this.#use(async (run) => {
      await run("BEGIN");
      try {
        const result = await work(run);
        await run("COMMIT");
        return result;
      } catch (error) {
        // When this fails too the connection is gone, and with it the transaction.
        await run("ROLLBACK").catch(() => {});
        throw error;
      }
    });
  }

  async #use<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const client = await ask(() => this.#pool.connect());
    let broken = false;
    try {
      return await work(async (sql, values = []) => {
        try {
          const { rows, rowCount } = await ask(() => client.query<Row>(sql, [...values]));
          return { rows, changes: rowCount ?? 0 };
        } catch (error) {
          broken ||= isBroken(error);
          throw error;
        }
      });
    } finally {
      client.release(broken);
    }
  }

  async #migrate(): Promise<void> {
    await this.write(async (run) => {
      // Two servers may start at once.
      await run("SET LOCAL lock_timeout = 0");
      await run("SET LOCAL statement_timeout = 0");
      await run("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
      const version = await knownVersion(run);
      if (version > MIGRATIONS.length) {
        throw new WorldError(
          "database-too-new",
          `The PostgreSQL database has version ${version}, this server knows ` +
            `${MIGRATIONS.length}: start the newer server.`,
        );
      }
      for (const migration of MIGRATIONS.slice(version)) await run(migration);
      await run("UPDATE version SET version = $1 WHERE version <> $1", [MIGRATIONS.length]);
    });
  }
}

/**
 * Locks a space until the transaction ends, and gives its head and key epoch. Whatever a space
 * holds is written under its lock, which is taken first. Throws WorldError `not-found`.
 */
export async function lockSpace(run: Run, space: SpaceId): Promise<Row> {
  const { rows } = await run("SELECT head, key_epoch FROM spaces WHERE id = $1 FOR NO KEY UPDATE", [
    raw(space),
  ]);
  const [row] = rows;
  if (row === undefined) throw noSpace(space);
  return row;
}

/** The version of the schema; makes an empty one, of version 0, where there is none. */
async function knownVersion(run: Run): Promise<number> {
  const { rows } = await run(
    `SELECT (current_setting('server_encoding') = 'UTF8')::integer AS utf8,
       (to_regnamespace($1) IS NOT NULL)::integer AS there,
       (to_regclass($1 || '.version') IS NOT NULL)::integer AS ours,
       (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1)) AS tables`,
    [SCHEMA],
  );
  const [found = {}] = rows;
  if (integerOf(found, "utf8") === 0) {
    throw new WorldError(
      "database-foreign",
      "The PostgreSQL database is not in UTF8: make one with ENCODING 'UTF8'.",
    );
  }
  if (integerOf(found, "ours") === 1) {
    const version = await run("SELECT version FROM version");
    return integerOf(version.rows[0] ?? {}, "version");
  }
  if (integerOf(found, "tables") > 0) {
    throw new WorldError(
      "database-foreign",
      `The PostgreSQL database has a schema ${SCHEMA} of another program: choose another database.`,
    );
  }
  if (integerOf(found, "there") === 0) await run(`CREATE SCHEMA ${SCHEMA}`);
  await run("CREATE TABLE version (version integer NOT NULL)");
  await run("INSERT INTO version (version) VALUES (0)");
  return 0;
}
