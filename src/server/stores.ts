import type { Chance, Clock, Log } from "#core/world.ts";
import { access } from "node:fs/promises";
import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { ClosedPacks } from "./chunks/closed-packs.ts";
import { DiskPacks } from "./chunks/disk.ts";
import type { KnownPacks, PackStore } from "./chunks/port.ts";
import type { ChunksConfig, DatabaseConfig, ServerConfig } from "./config.ts";
import { lockFolder } from "./lock.ts";
import { openMasterKey } from "./master-key.ts";
import type { JournalStore, Metadata } from "./metadata/port.ts";

type World = { readonly clock: Clock; readonly chance: Chance; readonly log: Log };

/** Opens the database; a driver is loaded only where it is used. */
export async function openMetadata(config: DatabaseConfig, world: World): Promise<Metadata> {
  switch (config.kind) {
    case "sqlite": {
      const { openSqliteMetadata } = await import("./metadata/sqlite.ts");
      return openSqliteMetadata(config.path);
    }
    case "postgres": {
      const { openPostgresMetadata } = await import("./metadata/postgres.ts");
      return openPostgresMetadata(config.url, world);
    }
    case "mongodb": {
      const { openMongoMetadata } = await import("./metadata/mongo.ts");
      return openMongoMetadata(config.url, world);
    }
  }
}

/** Opens where packs lie; a client is loaded only where it is used. */
export async function openPacks(config: ChunksConfig, world: World): Promise<KnownPacks> {
  if (config.kind === "file") return DiskPacks.open(config.path);
  const { S3Packs } = await import("./chunks/s3.ts");
  return S3Packs.open(config.bucket, world);
}

const STORE_ID_BYTES = 16;

/**
 * Makes sure that all servers of a database have their chunks in one place: the first one's. Throws
 * WorldError `other-chunk-store`; `folder-in-use` when another server has the folder open.
 */
export async function claimChunks(
  { database, chunks }: Pick<ServerConfig, "database" | "chunks">,
  { journals, packs, chance }: { journals: JournalStore; packs: KnownPacks; chance: Chance },
): Promise<Disposable | null> {
  // A SQLite file is one server's, and so is what it names.
  if (database.kind === "sqlite") return null;
  const lock = chunks.kind === "file" ? lockFolder(chunks.path) : null;
  try {
    const id = await packs.storeId(toHex(chance.bytes(STORE_ID_BYTES)));
    if ((await journals.drawOnce("chunk store", id)) === id) return lock;
    throw new WorldError(
      "other-chunk-store",
      "The chunks of this database lie elsewhere: give all its servers the same --chunks, which " +
        "has to be a bucket where they are several.",
    );
  } catch (error) {
    lock?.[Symbol.dispose]();
    throw error;
  }
}

/** A server's stores, for a program that works on them while servers run or none does. */
export type StoresBeside = AsyncDisposable & {
  readonly metadata: Metadata;
  /** Opened with the master key. */
  readonly packs: PackStore;
};

/**
 * Opens what a server of these settings has stored. Throws WorldError `no-data`, `no-master-key`
 * and those of the stores.
 */
export async function openBeside(config: ServerConfig, world: World): Promise<StoresBeside> {
  const { database, chunks, keyFile } = config;
  if (database.kind === "sqlite") {
    await access(database.path).catch((cause: unknown) => {
      const detail = `There is no server's database ${database.path}.`;
      throw new WorldError("no-data", detail, { cause });
    });
  }
  await using opened = new AsyncDisposableStack();
  const masterKey = await openMasterKey(keyFile, { chance: world.chance, isInUse: true });
  const metadata = opened.use(await openMetadata(database, world));
  const inner =
    chunks.kind === "file" ? DiskPacks.beside(chunks.path) : await openPacks(chunks, world);
  opened.use(inner);
  const stores = opened.move();
  return {
    metadata,
    packs: new ClosedPacks(inner, masterKey),
    [Symbol.asyncDispose]: () => stores.disposeAsync(),
  };
}
