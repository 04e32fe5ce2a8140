import type { Clock, Log } from "#core/world.ts";
import { MongoAccounts } from "./mongo-accounts.ts";
import { MongoChunks } from "./mongo-chunks.ts";
import { MongoDatabase } from "./mongo-database.ts";
import { MongoJournals } from "./mongo-journals.ts";
import { MongoLinks } from "./mongo-links.ts";
import { MongoPacks } from "./mongo-packs.ts";
import { prepareMongo } from "./mongo-schema.ts";
import { MongoScrub } from "./mongo-scrub.ts";
import { MongoShared } from "./mongo-shared.ts";
import type { Metadata } from "./port.ts";

/**
 * Metadata in a MongoDB database, which any number of processes may have open. Calls fail with
 * WorldError `unavailable`, retryable, while it cannot be reached, and go on by themselves when it
 * is back. Throws WorldError `database-too-new`, `database-foreign`, `unavailable`.
 */
export async function openMongoMetadata(
  url: string,
  world: { readonly clock: Clock; readonly log: Log },
): Promise<Metadata> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await MongoDatabase.open(url, prepareMongo));
  const shared = opened.use(new MongoShared(database, world));
  const all = opened.move();
  return { ...mongoStores(database), shared, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** What stands in a database, without what its processes tell each other. */
export function mongoStores(database: MongoDatabase) {
  return {
    accounts: new MongoAccounts(database),
    journals: new MongoJournals(database),
    chunks: new MongoChunks(database),
    collection: { links: new MongoLinks(database), packs: new MongoPacks(database) },
    scrub: new MongoScrub(database),
  };
}
