import { WorldError } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import type { Metadata } from "./port.ts";
import { PostgresAccounts } from "./postgres-accounts.ts";
import { giveBackAttempt, takeAttempt } from "./postgres-attempts.ts";
import { PostgresChunks } from "./postgres-chunks.ts";
import { clientConfig, PostgresDatabase } from "./postgres-database.ts";
import { PostgresJournals } from "./postgres-journals.ts";
import { PostgresLinks } from "./postgres-links.ts";
import { PostgresScrub } from "./postgres-scrub.ts";
import { PostgresNews } from "./postgres-news.ts";
import { PostgresPacks } from "./postgres-packs.ts";

/**
 * Metadata in a PostgreSQL database, which any number of processes may have open. Calls fail with
 * WorldError `unavailable`, retryable, while it cannot be reached, and go on by themselves when it
 * is back. Throws WorldError `database-too-new`, `database-foreign`, `unavailable`.
 */
export async function openPostgresMetadata(
  url: string,
  world: { readonly clock: Clock; readonly log: Log },
): Promise<Metadata> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await PostgresDatabase.open(url));
  const news = opened.use(await openNews(url, world));
  const stores = opened.move();
  return {
    accounts: new PostgresAccounts(database),
    journals: new PostgresJournals(database),
    chunks: new PostgresChunks(database),
    collection: { links: new PostgresLinks(database), packs: new PostgresPacks(database) },
    scrub: new PostgresScrub(database),
    shared: {
      listen: (heard) => news.listen(heard),
      takeAttempt: (key, limit, nowMs) => takeAttempt(database, key, limit, nowMs),
      giveBackAttempt: (key) => giveBackAttempt(database, key),
    },
    [Symbol.asyncDispose]: () => stores.disposeAsync(),
  };
}

async function openNews(
  url: string,
  world: { readonly clock: Clock; readonly log: Log },
): Promise<PostgresNews> {
  try {
    return await PostgresNews.open(clientConfig(url), world);
  } catch (cause) {
    const detail = "The PostgreSQL database cannot be listened to.";
    throw new WorldError("unavailable", detail, { retryable: true, cause });
  }
}
