import type { Chance, Clock, Log } from "#core/world.ts";
import { DiskPacks } from "./chunks/disk.ts";
import type { PackStore } from "./chunks/port.ts";
import type { ChunksConfig, DatabaseConfig } from "./config.ts";
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
