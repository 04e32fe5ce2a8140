import { existsSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";

// "LKST": tells this database from any other program's.
const APPLICATION_ID = 0x4c4b5354;

/**
 * Pages that one open database keeps in memory while it works. Rows are found by ids and hashes
 * that are drawn: a transaction whose pages have no room writes each of them again and again.
 */
const CACHE_KIB = 64 * 1024;

/**
 * Pages of 4 KiB that the write-ahead log holds before they are brought into the database. Rows are
 * found by ids that are drawn: a few hundred of them touch thousands of pages, and the same ones
 * again and again.
 */
const LOG_PAGES = 16 * 1024;

/**
 * One row a node, one group of columns a side. A name or a content that equals the one on the side
 * before it (remote, synced, local in this order) is stored as NULL: nearly all rows agree. Parents
 * are always there: they tell whether the side is.
 */
const NODES = `
CREATE TABLE nodes (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  changed INTEGER NOT NULL,
  remote_parent TEXT, remote_key TEXT, remote_name TEXT, remote_content TEXT,
  remote_mtime_ms REAL, remote_crev INTEGER, remote_lrev INTEGER,
  synced_parent TEXT, synced_key TEXT, synced_name TEXT, synced_content TEXT, synced_file TEXT,
  local_parent TEXT, local_key TEXT, local_name TEXT, local_content TEXT, local_file TEXT,
  local_stamp TEXT, local_executable INTEGER, local_racy INTEGER, local_blind TEXT,
  local_missed_ms REAL,
  parked_parent TEXT, parked_name TEXT,
  displacing TEXT,
  placing TEXT
) STRICT;
CREATE INDEX nodes_remote ON nodes (remote_parent, remote_key) WHERE remote_parent IS NOT NULL;
CREATE INDEX nodes_synced ON nodes (synced_parent, synced_key) WHERE synced_parent IS NOT NULL;
CREATE INDEX nodes_local ON nodes (local_parent, local_key) WHERE local_parent IS NOT NULL;
CREATE INDEX nodes_file ON nodes (local_file) WHERE local_file IS NOT NULL;
CREATE INDEX nodes_local_folders ON nodes (id)
  WHERE kind = 'folder' AND local_parent IS NOT NULL;
CREATE INDEX nodes_changed ON nodes (id) WHERE changed = 1;
`;

const RECORDS = `
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE manifests (content TEXT PRIMARY KEY, pieces BLOB NOT NULL) STRICT;
CREATE TABLE sources (
  chunk BLOB NOT NULL, node TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  PRIMARY KEY (chunk, node, offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX sources_node ON sources (node);
`;

/** What a sealed space needs: see `SealedRecords`. */
const SEALED = `
CREATE TABLE sealed_chunks (
  raw BLOB PRIMARY KEY, stored BLOB NOT NULL, secret BLOB NOT NULL,
  length INTEGER NOT NULL, domain INTEGER NOT NULL, epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE inline_contents (raw BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE manifest_roots (content BLOB PRIMARY KEY, root BLOB NOT NULL) STRICT;
CREATE TABLE chains (
  sequence INTEGER PRIMARY KEY, chain BLOB NOT NULL, commit_id BLOB NOT NULL
) STRICT;
CREATE INDEX chains_commit ON chains (commit_id);
`;

/**
 * The revisions that were agreed on; NULL: the remote side's. Of what was agreed on before they
 * were stored, what the server has as it was then counts as that revision.
 */
const AGREED_REVISIONS = `
ALTER TABLE nodes ADD COLUMN synced_crev INTEGER;
ALTER TABLE nodes ADD COLUMN synced_lrev INTEGER;
UPDATE nodes SET synced_crev = 0 WHERE synced_parent IS NOT NULL AND (
  remote_parent IS NULL
  OR substr(coalesce(synced_content, remote_content), 2) <> substr(remote_content, 2)
);
UPDATE nodes SET synced_lrev = 0 WHERE synced_parent IS NOT NULL AND (
  remote_parent IS NULL OR synced_parent <> remote_parent OR synced_name IS NOT NULL
);
`;

/**
 * `bases`: what a chunk is a delta to, as a manifest has it. `signature`: NULL until it is made,
 * empty when it never will be.
 */
const DELTAS = `
ALTER TABLE sealed_chunks ADD COLUMN bases BLOB;
CREATE TABLE signatures (raw BLOB PRIMARY KEY, signature BLOB) STRICT, WITHOUT ROWID;
CREATE INDEX signatures_due ON signatures (raw) WHERE signature IS NULL;
INSERT INTO signatures (raw) SELECT raw FROM sealed_chunks;
`;

/**
 * The commit that is being sent is a setting of some megabytes. Where rows lie in their own index,
 * SQLite reads such a row whole each time that it looks for another one beside it.
 */
const LARGE_SETTINGS = `
ALTER TABLE settings RENAME TO settings_before;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO settings SELECT name, value FROM settings_before;
DROP TABLE settings_before;
`;

/** Step N leads from `user_version` N to N + 1; a step that was released is never changed. */
const STEPS: readonly string[] = [
  NODES + RECORDS,
  SEALED,
  AGREED_REVISIONS,
  DELTAS,
  LARGE_SETTINGS,
];

/** The device's database file: one connection, its transactions and its troubles. */
export class DeviceFile {
  readonly #database: DatabaseSync;
  readonly #path: string;
  #depth = 0;

  /** Opens, checks and brings up to date; throws WorldError `database-damaged` or `-newer`. */
  constructor(path: string) {
    this.#path = path;
    const unclean = existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0;
    this.#database = this.guard(() => new DatabaseSync(path));
    try {
      this.guard(() => this.#prepare(unclean));
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  prepare(sql: string): StatementSync {
    const statement = this.guard(() => this.#database.prepare(sql));
    // Columns by position: naming 25 of them costs more than reading them.
    statement.setReturnArrays(true);
    return statement;
  }

  /** All or nothing; one inside another is part of it, and undone alone when it alone throws. */
  transaction<T>(work: () => T): T {
    const point = `inner_${this.#depth}`;
    const [begin, keep, undo] =
      this.#depth === 0
        ? ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"]
        : [`SAVEPOINT ${point}`, `RELEASE ${point}`, `ROLLBACK TO ${point}; RELEASE ${point}`];
    this.guard(() => this.#database.exec(begin));
    this.#depth++;
    try {
      const result = work();
      assert(!(result instanceof Promise), "a transaction ends before its work does");
      this.guard(() => this.#database.exec(keep));
      return result;
    } catch (error) {
      // SQLite has already rolled back when the disk was full or failed.
      if (this.#database.isTransaction) this.#database.exec(undo);
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /**
   * The same, without waiting for the disk: SQLite's write-ahead log stays whole in any case, and
   * each later transaction makes durable what stands in it before its own. One inside another is
   * part of that.
   */
  lazily<T>(work: () => T): T {
    if (this.#depth > 0) return this.transaction(work);
    this.guard(() => this.#database.exec("PRAGMA synchronous = NORMAL"));
    try {
      return this.transaction(work);
    } finally {
      this.guard(() => this.#database.exec("PRAGMA synchronous = FULL"));
    }
  }

  /** Runs `work`; what SQLite throws becomes a WorldError that names the file. */
  guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** What SQLite threw as a WorldError; anything else as it is. */
  explain(error: unknown): unknown {
    if (!(error instanceof Error) || !("errcode" in error)) return error;
    const cause = error;
    switch (Number(error.errcode) & 0xff) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return this.#damaged(error.message, cause);
      case SQLITE_FULL:
        return new WorldError("no-space", `The disk of ${this.#path} is full: make room on it.`, {
          cause,
        });
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return new WorldError("busy", `Another program uses ${this.#path}: close it.`, {
          cause,
          retryable: true,
        });
      case SQLITE_PERM:
      case SQLITE_READONLY:
      case SQLITE_CANTOPEN: {
        const message = `Cannot open ${this.#path} for writing: give this account access to it.`;
        return new WorldError("no-permission", message, { cause });
      }
      case SQLITE_IOERR: {
        const message = `The disk failed at ${this.#path} (${error.message}): check the disk.`;
        return new WorldError("io", message, { cause });
      }
      default:
        return error;
    }
  }

  /** Lets go of the pages that are kept at hand. */
  forget(): void {
    if (this.#database.isOpen) this.#database.exec("PRAGMA shrink_memory");
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(unclean: boolean): void {
    const database = this.#database;
    const version = this.#pragma("user_version");
    if (version > STEPS.length) throw this.#newer(version);
    if (version > 0 && this.#pragma("application_id") !== APPLICATION_ID) {
      throw this.#damaged("it belongs to another program");
    }
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      PRAGMA cache_size = -${CACHE_KIB}; PRAGMA wal_autocheckpoint = ${LOG_PAGES};
      PRAGMA journal_size_limit = 67108864;`);
    // A full look takes seconds at a million rows: only where the last session did not end well.
    if (unclean) this.#check();
    for (let step = version; step < STEPS.length; step++) {
      this.transaction(() => {
        database.exec(STEPS[step] ?? "");
        database.exec(
          `PRAGMA user_version = ${step + 1}; PRAGMA application_id = ${APPLICATION_ID}`,
        );
      });
    }
  }

  #check(): void {
    const row = this.#database.prepare("PRAGMA quick_check(1)").get();
    const verdict = String(row?.["quick_check"] ?? "no answer");
    if (verdict !== "ok") throw this.#damaged(verdict);
  }

  #pragma(name: string): number {
    return Number(this.#database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
  }

  #damaged(how: string, cause?: unknown): WorldError {
    const message =
      `The device database ${this.#path} is damaged (${how}): move it away and link the folder ` +
      "again, nothing in the folder is lost.";
    return new WorldError("database-damaged", message, { cause });
  }

  #newer(version: number): WorldError {
    const message =
      `The device database ${this.#path} was written by a newer Lockstep (format ${version}, ` +
      `this one knows ${STEPS.length}): update Lockstep.`;
    return new WorldError("database-newer", message);
  }
}

const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
