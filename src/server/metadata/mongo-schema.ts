import { WorldError } from "#core/errors.ts";
import { inBatches } from "./mongo-chunks.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import { integerOf, textOf } from "./rows.ts";

/** What is stored, by its version: migrations lead from each to the next. */
const VERSION = 2;
const ROWS_AT_ONCE = 1_000;

type Index = { readonly key: Record<string, 1>; readonly unique?: true; readonly sparse?: true };

/** What each collection is looked up by, beside its ids. */
const INDEXES: Readonly<Record<string, readonly Index[]>> = {
  chunks: [{ key: { pack: 1, offsetBytes: 1 } }, { key: { isQuarantined: 1 }, sparse: true }],
  links: [{ key: { chunk: 1 } }, { key: { space: 1, leaseMs: 1 } }],
  accounts: [{ key: { key: 1 }, unique: true }],
  devices: [{ key: { tokenHash: 1 }, unique: true }, { key: { account: 1, createdMs: 1 } }],
  joins: [{ key: { expiresMs: 1 } }],
  attempts: [{ key: { untilMs: 1 } }],
  spaces: [{ key: { account: 1, name: 1 }, unique: true }],
  journal: [{ key: { commit: 1 }, unique: true }, { key: { atMs: 1 } }],
  nodes: [
    { key: { slot: 1 } },
    { key: { folder: 1, id: 1 } },
    { key: { space: 1, changed: 1, id: 1 } },
    { key: { space: 1, deletedAt: 1, id: 1 } },
  ],
};

/**
 * Makes an empty database ours, or brings an older one to this version; servers that do so at once
 * do the same. Throws WorldError `database-too-new`, `database-foreign`.
 */
export async function prepareMongo(database: MongoDatabase): Promise<void> {
  const known = await database.one("schema", { _id: "version" });
  if (known === undefined) await begin(database);
  for (const [name, indexes] of Object.entries(INDEXES)) {
    await database.collection(name).createIndexes(indexes.map((index) => ({ ...index })));
  }
  if (known !== undefined) await migrate(database, integerOf(known, "version"));
}

async function begin(database: MongoDatabase): Promise<void> {
  const names = Object.keys(INDEXES);
  const foreign = (await database.collectionNames()).find((name) => names.includes(name));
  // Another server may be making the same ones at this moment.
  const isOurs = (await database.one("schema", { _id: "version" })) !== undefined;
  if (foreign !== undefined && !isOurs) {
    throw new WorldError(
      "database-foreign",
      `The MongoDB database has a collection ${foreign} of another program: choose another ` +
        "database.",
    );
  }
  await database.insert("schema", { _id: "version", version: VERSION });
}

async function migrate(database: MongoDatabase, from: number): Promise<void> {
  if (from > VERSION) {
    throw new WorldError(
      "database-too-new",
      `The MongoDB database has version ${from}, this server knows ${VERSION}: start the newer ` +
        "server.",
    );
  }
  if (from === VERSION) return;
  await nameLinks(database);
  await addPacks(database);
  await database.change(
    "schema",
    { _id: "version", version: from },
    { $set: { version: VERSION } },
  );
}

/** Version 2: a link says what its id is made of. */
async function nameLinks(database: MongoDatabase): Promise<void> {
  for (;;) {
    const unnamed = { chunk: { $exists: false } };
    const page = await database.many("links", unnamed, { limit: ROWS_AT_ONCE });
    if (page.length === 0) return;
    const updates = page.map(({ _id }) => {
      const [space, chunk] = _id.split("/");
      return { updateOne: { filter: { _id }, update: { $set: { space, chunk } } } };
    });
    await database.collection("links").bulkWrite(updates, { ordered: false });
  }
}

/** Version 2: there is a row for each pack. */
async function addPacks(database: MongoDatabase): Promise<void> {
  const names = new Map<string, number>();
  for (let after = ""; ;) {
    const page: Stored[] = await database.many(
      "chunks",
      { _id: { $gt: after } },
      { sort: { _id: 1 }, limit: ROWS_AT_ONCE },
    );
    for (const place of page) {
      const end = integerOf(place, "offsetBytes") + integerOf(place, "lengthBytes");
      const name = textOf(place, "pack");
      names.set(name, Math.max(end, names.get(name) ?? 0));
    }
    const last = page.at(-1);
    if (last === undefined) break;
    after = last._id;
  }
  const rows = Array.from(names, ([_id, sizeBytes]) => ({ _id, sizeBytes, doomedMs: null }));
  await inBatches(rows, async (some) => {
    await database.insertNew("packs", some);
    return [];
  });
}
