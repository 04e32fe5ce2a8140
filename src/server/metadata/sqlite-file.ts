import { DatabaseSync, type StatementSync } from "node:sqlite";
import { WorldError } from "#core/errors.ts";
import { APPLICATION_ID, MIGRATIONS } from "./sqlite-schema.ts";
import { integerOf } from "./rows.ts";

/** How long another process (a backup) may hold the file before a call gives up. */
const BUSY_TIMEOUT_MS = 5_000;

/** Primary result codes, https://sqlite.org/rescode.html */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

function worldError(error: unknown, path: string): unknown {
  const say = (code: string, message: string, retryable: boolean): WorldError =>
    new WorldError(code, message, { retryable, cause: error });
  switch (resultCode(error)) {
    case BUSY:
    case LOCKED:
      return say("unavailable", `Another process keeps the database ${path} busy.`, true);
    case FULL:
      return say("storage-full", `The disk with the database ${path} is full.`, true);
    case IOERR:
    case READONLY:
    case CANTOPEN:
      return say("unavailable", `The database ${path} cannot be read or written.`, true);
    case CORRUPT:
    case NOTADB:
      return say(
        "database-damaged",
        `The file ${path} is damaged or no database: restore it from a backup.`,
        false,
      );
    default:
      return error;
  }
}

/**
 * One SQLite file with our schema; every call is synchronous, so nothing interleaves within one.
 */
export class SqliteFile implements Disposable {
  readonly #database: DatabaseSync;
  readonly #path: string;

  private constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
  }

  /**
   * Opens or creates the file and brings its schema up to date. Throws WorldError
   * `database-too-new`, `database-foreign`, `database-damaged` or `unavailable`, and then leaves
   * the file as it was.
   */
  static open(path: string): SqliteFile {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
      const file = new SqliteFile(database, path);
      file.#recognise();
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      database.exec("PRAGMA foreign_keys = ON");
      file.#migrate();
      return file;
    } catch (error) {
      database?.close();
      throw worldError(error, path);
    }
  }

  prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /** Runs statements outside of any transaction. */
  read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw worldError(error, this.#path);
    }
  }

  /**
   * Runs `work` in one transaction: all of it is durable when this returns, or none when it throws.
   */
  write<T>(work: () => T): T {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw worldError(error, this.#path);
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #pragma(name: string): number {
    const row = this.#database.prepare(`PRAGMA ${name}`).get();
    return row === undefined ? 0 : integerOf(row, name);
  }

  #recognise(): void {
    const tables = this.#database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get();
    const empty = tables !== undefined && integerOf(tables, "tables") === 0;
    if (!empty && this.#pragma("application_id") !== APPLICATION_ID) {
      throw new WorldError(
        "database-foreign",
        `The database ${this.#path} belongs to another program: choose another file.`,
      );
    }
    const version = this.#pragma("user_version");
    if (version > MIGRATIONS.length) {
      throw new WorldError(
        "database-too-new",
        `The database ${this.#path} has version ${version}, this server knows ` +
          `${MIGRATIONS.length}: start the newer server.`,
      );
    }
  }

  #migrate(): void {
    for (let version = this.#pragma("user_version"); version < MIGRATIONS.length; version++) {
      this.write(() => {
        // Two servers may have started at once: the version is read again under the lock.
        if (this.#pragma("user_version") !== version) return;
        this.#database.exec(MIGRATIONS[version] ?? "");
        this.#database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
        this.#database.exec(`PRAGMA user_version = ${version + 1}`);
      });
    }
  }
}
