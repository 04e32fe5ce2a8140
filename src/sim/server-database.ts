import type { SpaceId } from "#core/ids.ts";
import type { Collection } from "#server/metadata/collection.ts";
import type {
  AccountRow,
  AccountStore,
  ChunkIndex,
  JournalStore,
  ScrubIndex,
  SpaceRow,
} from "#server/metadata/port.ts";
import { SqliteAccounts } from "#server/metadata/sqlite-accounts.ts";
import { SqliteChunks } from "#server/metadata/sqlite-chunks.ts";
import { SqliteFile } from "#server/metadata/sqlite-file.ts";
import { SqliteJournals } from "#server/metadata/sqlite-journals.ts";
import { SqliteLinks } from "#server/metadata/sqlite-links.ts";
import { SqlitePacks } from "#server/metadata/sqlite-packs.ts";
import { SqliteScrub } from "#server/metadata/sqlite-scrub.ts";
import { MemoryMetadata } from "./memory-metadata.ts";

/** What a story's server keeps, and an older copy of it. */
export interface ServerDatabase {
  /** Null where nobody asks who is asking. */
  readonly accounts: AccountStore | null;
  readonly journals: JournalStore;
  readonly chunks: ChunkIndex;
  readonly collection: Collection;
  readonly scrub: ScrubIndex;
  /** The chain value after the space's newest entry. */
  head(): string;
  backUp(): void;
  /** Puts the copy that was made back. */
  restore(): void;
}

/** The server's database of one story, with its one space. */
export async function openServerDatabase(
  kind: "http" | "sqlite" | "memory",
  owner: AccountRow,
  space: SpaceRow,
): Promise<ServerDatabase> {
  const database =
    kind === "memory"
      ? new MemoryDatabase(space.id)
      : await SqliteDatabase.open(owner, kind === "http");
  await database.journals.createSpace(space);
  return database;
}

class MemoryDatabase implements ServerDatabase {
  readonly accounts = null;
  readonly #metadata = new MemoryMetadata();
  readonly journals = this.#metadata.journals;
  readonly chunks = this.#metadata.chunks;
  readonly collection = this.#metadata.collection;
  readonly scrub = this.#metadata.scrub;
  readonly #space: SpaceId;
  #backup: ReturnType<MemoryMetadata["image"]> | null = null;

  constructor(space: SpaceId) {
    this.#space = space;
  }

  head(): string {
    return this.#metadata.head(this.#space);
  }

  backUp(): void {
    this.#backup = this.#metadata.image();
  }

  restore(): void {
    if (this.#backup !== null) this.#metadata.restore(this.#backup);
  }
}

/**
 * The real schema in memory: one file for all stories of a thread, because opening one costs more
 * than a story; every story begins by emptying it.
 */
class SqliteDatabase implements ServerDatabase {
  static #shared: SqliteDatabase | null = null;
  readonly #file = SqliteFile.open(":memory:");
  readonly #accounts = new SqliteAccounts(this.#file);
  readonly journals = new SqliteJournals(this.#file);
  readonly chunks = new SqliteChunks(this.#file);
  readonly collection = {
    links: new SqliteLinks(this.#file),
    packs: new SqlitePacks(this.#file),
  };
  readonly scrub = new SqliteScrub(this.#file);
  readonly #tables: readonly string[];
  readonly #clear;
  readonly #head = this.#file.prepare("SELECT lower(hex(chain)) AS chain FROM spaces");
  #copies = 0;
  accounts: AccountStore | null = null;

  private constructor() {
    // Tables are emptied and filled in no order of who names whom.
    this.#run("PRAGMA foreign_keys = OFF");
    const rows = this.#file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    this.#tables = rows
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith("sqlite"));
    this.#clear = this.#tables.map((table) => this.#file.prepare(`DELETE FROM ${table}`));
  }

  static async open(owner: AccountRow, withAccounts: boolean): Promise<SqliteDatabase> {
    const database = (SqliteDatabase.#shared ??= new SqliteDatabase());
    database.#file.write(() => {
      for (const statement of database.#clear) statement.run();
    });
    await database.#accounts.createAccount(owner, { bundle: "", keyring: "" });
    database.accounts = withAccounts ? database.#accounts : null;
    return database;
  }

  head(): string {
    return String(this.#head.get()?.["chain"]);
  }

  backUp(): void {
    for (const table of this.#tables) {
      if (this.#copies > 0) this.#run(`DROP TABLE temp.backup_${table}`);
      this.#run(`CREATE TEMP TABLE backup_${table} AS SELECT * FROM main.${table}`);
    }
    this.#copies++;
  }

  restore(): void {
    this.#file.write(() => {
      for (const table of this.#tables) {
        this.#run(`DELETE FROM ${table}`);
        this.#run(`INSERT INTO ${table} SELECT * FROM temp.backup_${table}`);
      }
    });
  }

  #run(sql: string): void {
    this.#file.prepare(sql).run();
  }
}
