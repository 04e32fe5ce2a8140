import { chmodSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fromHex } from "#core/bytes.ts";
import type { ChunkId } from "#core/ids.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { KeptBytes } from "#sync/ports.ts";

/** The most that one linked folder keeps, and the share of what was free on the disk. */
export const MAX_KEPT_BYTES = 1024 * 1024 * 1024;
const SHARE_OF_FREE = 0.05;

const CACHE_KIB = 1024;

/** Chunks of some hundred kilobytes take a write for each page: larger ones than SQLite's own. */
const PAGE_BYTES = 16 * 1024;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS kept (
  number INTEGER PRIMARY KEY, raw BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL
) STRICT;
`;

/** How much a folder whose state lies beside `path` may keep: `limitBytes`, or less. */
export function keptLimit(path: string, limitBytes = MAX_KEPT_BYTES): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return Math.min(limitBytes, Math.floor(bavail * bsize * SHARE_OF_FREE));
  } catch {
    return 0;
  }
}

type Open = {
  readonly database: DatabaseSync;
  readonly get: StatementSync;
  readonly put: StatementSync;
  readonly oldest: StatementSync;
  readonly drop: StatementSync;
};

/**
 * A file beside the device's database. Nothing in it is needed: nobody waits until it is durable,
 * and it is thrown away when anything is wrong with it.
 */
export class FileKeptBytes implements KeptBytes {
  readonly #path: string;
  readonly #limitBytes: number;
  #open: Open | null = null;
  #heldBytes = 0;

  /** `limitBytes` 0: nothing is kept, and what was is removed. */
  constructor(path: string, limitBytes: number) {
    this.#path = path;
    this.#limitBytes = limitBytes;
    if (limitBytes <= 0) this.#remove();
    else this.#tried(() => this.#begin());
  }

  get(raw: ChunkId): Uint8Array | null {
    return this.#orNothing(({ get }) => {
      const row = get.get(fromHex(raw)) as unknown as [Uint8Array] | undefined;
      return row?.[0] ?? null;
    });
  }

  put(chunks: readonly ChunkFrame[], heat: "edited" | "at rest"): void {
    const kept = chunks.filter(({ bytes }) => bytes.length <= this.#limitBytes);
    if (kept.length === 0) return;
    this.#orNothing((open) => {
      // Each transaction writes the same few pages anew.
      open.database.exec("BEGIN");
      for (const { id, bytes } of kept) this.#putOne(open, id, bytes, heat);
      open.database.exec("COMMIT");
    });
  }

  #putOne({ put }: Open, raw: ChunkId, bytes: Uint8Array, heat: "edited" | "at rest"): void {
    const { length } = bytes;
    if (heat === "at rest" && this.#heldBytes + length > this.#limitBytes) return;
    while (this.#heldBytes + length > this.#limitBytes && this.#dropOldest());
    const { changes } = put.run(fromHex(raw), bytes);
    if (changes > 0) this.#heldBytes += length;
  }

  close(): void {
    this.#open?.database.close();
    this.#open = null;
  }

  #begin(): void {
    // Made before SQLite makes it, for others' eyes not even at first.
    writeFileSync(this.#path, "", { flag: "a", mode: 0o600 });
    chmodSync(this.#path, 0o600);
    const database = new DatabaseSync(this.#path);
    try {
      // One engine a folder: nobody else looks at it, and locks need not be taken each time.
      database.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA locking_mode = EXCLUSIVE;
        PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF;
        PRAGMA cache_size = -${CACHE_KIB}; ${SCHEMA}`);
      const prepare = (sql: string): StatementSync => {
        const statement = database.prepare(sql);
        statement.setReturnArrays(true);
        return statement;
      };
      const sum = prepare("SELECT coalesce(sum(length(bytes)), 0) FROM kept").get();
      this.#heldBytes = (sum as unknown as [number])[0];
      this.#open = {
        database,
        get: prepare("SELECT bytes FROM kept WHERE raw = ?"),
        put: prepare("INSERT OR IGNORE INTO kept (raw, bytes) VALUES (?, ?)"),
        oldest: prepare("SELECT number, length(bytes) FROM kept ORDER BY number LIMIT 1"),
        drop: prepare("DELETE FROM kept WHERE number = ?"),
      };
      while (this.#heldBytes > this.#limitBytes && this.#dropOldest());
    } catch (error) {
      database.close();
      throw error;
    }
  }

  #dropOldest(): boolean {
    const row = this.#open?.oldest.get() as unknown as [number, number] | undefined;
    if (row === undefined) return false;
    this.#open?.drop.run(row[0]);
    this.#heldBytes -= row[1];
    return true;
  }

  #orNothing<T>(work: (open: Open) => T): T | null {
    const open = this.#open;
    return open === null ? null : this.#tried(() => work(open));
  }

  /** A file that cannot be used is removed, and nothing is kept until the next start. */
  #tried<T>(work: () => T): T | null {
    try {
      return work();
    } catch {
      this.#remove();
      return null;
    }
  }

  #remove(): void {
    try {
      this.close();
    } catch {
      // It is removed all the same.
    }
    this.#heldBytes = 0;
    for (const path of [this.#path, `${this.#path}-journal`]) {
      try {
        rmSync(path, { force: true });
      } catch {
        // Its disk fails, or is not there: nothing of it is needed.
      }
    }
  }
}
