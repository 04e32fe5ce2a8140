import type { Chance, Clock, Log } from "#core/world.ts";
import { access } from "node:fs/promises";
import { WorldError } from "#core/errors.ts";
import { ClosedPacks } from "./chunks/closed-packs.ts";
import { DiskPacks } from "./chunks/disk.ts";
import type { PackStore } from "./chunks/port.ts";
import type { ChunksConfig, DatabaseConfig, ServerConfig } from "./config.ts";
import { openMasterKey } from "./master-key.ts";
import type { Metadata } from "./metadata/port.ts";

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
export async function openPacks(
  config: ChunksConfig,
  world: World,
): Promise<PackStore & AsyncDisposable> {
  if (config.kind === "file") return DiskPacks.open(config.path);
  const { S3Packs } = await import("./chunks/s3.ts");
  return S3Packs.open(config.bucket, world);
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
