import type { Metadata } from "./port.ts";
import { SqliteAccounts } from "./sqlite-accounts.ts";
import { SqliteChunks } from "./sqlite-chunks.ts";
import { SqliteFile } from "./sqlite-file.ts";
import { SqliteJournals } from "./sqlite-journals.ts";
import { SqliteLinks } from "./sqlite-links.ts";
import { SqlitePacks } from "./sqlite-packs.ts";
import { SqliteScrub } from "./sqlite-scrub.ts";

/**
 * Metadata in one SQLite file (WAL, every write synced before its promise resolves), or in memory
 * for `":memory:"`. A call does its work synchronously: no transaction is open while another call
 * runs. Throws WorldError `database-too-new`, `database-foreign`, `database-damaged`,
 * `unavailable`.
 */
export async function openSqliteMetadata(path: string): Promise<Metadata> {
  const file = SqliteFile.open(path);
  return {
    accounts: new SqliteAccounts(file),
    journals: new SqliteJournals(file),
    chunks: new SqliteChunks(file),
    collection: { links: new SqliteLinks(file), packs: new SqlitePacks(file) },
    scrub: new SqliteScrub(file),
    [Symbol.asyncDispose]: async () => file[Symbol.dispose](),
  };
}
