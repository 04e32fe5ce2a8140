import { access } from "node:fs/promises";
import { messageOf, WorldError } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import { DiskPacks } from "./chunks/disk.ts";
import { ClosedPacks } from "./chunks/closed-packs.ts";
import type { PackStore } from "./chunks/port.ts";
import {
  Collector,
  type CollectionReport,
  type CollectorOptions,
  type CollectorWorld,
} from "./collector.ts";
import type { ServerConfig } from "./config.ts";
import { nodeDigest } from "./digest.ts";
import { openMasterKey } from "./master-key.ts";
import type { Collection } from "./metadata/collection.ts";
import type { Metadata } from "./metadata/port.ts";
import { realChance, realClock } from "./real-world.ts";
import { openMetadata, openPacks } from "./stores.ts";

/** A server that has just begun has other things to do. */
const FIRST_RUN_MS = 10 * 60 * 1_000;

/** What the runs of this process came to. */
export type CollectingState = {
  /** When the last one ended, in seconds since 1970; 0 before the first. */
  endedSeconds: number;
  freedBytes: number;
};

/** Throws WorldError `not-collectable` where the database cannot tell what nobody needs. */
function collectionOf({ collection }: Metadata): Collection {
  if (collection !== undefined) return collection;
  throw new WorldError(
    "not-collectable",
    "What a MongoDB database holds cannot be collected yet: nothing of it goes.",
  );
}

type Surroundings = {
  readonly config: Pick<ServerConfig, "collecting">;
  readonly clock: Clock;
  readonly log: Log;
};

/** A collector over a server's stores. */
function collectorOf(
  metadata: Metadata,
  packs: PackStore,
  { config, clock, log }: Surroundings,
): Collector {
  const world: CollectorWorld = {
    journals: metadata.journals,
    scrub: metadata.scrub,
    collection: collectionOf(metadata),
    packs,
    clock,
    chance: realChance,
    digest: nodeDigest,
    log,
  };
  return new Collector(world, config.collecting.rules);
}

/**
 * One run over the stores that the settings name, also while servers use them. Throws WorldError
 * `no-data`, `not-collectable`, and those of the stores.
 */
export async function collectOnce(
  config: ServerConfig,
  options: CollectorOptions & { readonly log: Log },
): Promise<CollectionReport | "busy"> {
  const { database, chunks } = config;
  const { log } = options;
  const world = { clock: realClock, chance: realChance, log };
  for (const place of [database, chunks]) {
    if ("path" in place) await expectThere(place.path);
  }
  await using stores = new AsyncDisposableStack();
  const metadata = stores.use(await openMetadata(database, world));
  // What is unfinished there may be a running server's.
  const packs = stores.use(
    chunks.kind === "file" ? DiskPacks.beside(chunks.path) : await openPacks(chunks, world),
  );
  const key = await openMasterKey(config.keyFile, { chance: realChance, isInUse: true });
  const collector = collectorOf(metadata, new ClosedPacks(packs, key), { ...world, config });
  return await collector.run(options);
}

async function expectThere(path: string): Promise<void> {
  try {
    await access(path);
  } catch (cause) {
    throw new WorldError("no-data", `There is no server's data at ${path}.`, { cause });
  }
}

/** Runs a collector now and then until `closing`; what goes wrong waits for the next time. */
export async function collectNowAndThen(
  world: Surroundings & { readonly metadata: Metadata; readonly packs: PackStore },
  state: CollectingState,
  closing: AbortSignal,
): Promise<void> {
  const { metadata, packs, config, clock, log } = world;
  const { everyMs } = config.collecting;
  if (everyMs === null || metadata.collection === undefined) return;
  const collector = collectorOf(metadata, packs, world);
  let waitMs = Math.min(everyMs, FIRST_RUN_MS);
  while (!closing.aborted) {
    try {
      await clock.sleep(waitMs, closing);
      waitMs = everyMs;
      const report = await collector.run({}, closing);
      if (report === "busy") continue;
      state.endedSeconds = clock.nowMs() / 1_000;
      state.freedBytes += report.freedBytes;
      log.info("collected", countsOf(report));
    } catch (error) {
      if (!closing.aborted) log.error("collecting-failed", { message: messageOf(error) });
    }
  }
}

/** For the log: what went, without saying of whom. */
function countsOf({ spaces, isDry: _, ...rest }: CollectionReport) {
  const versions = spaces.reduce((sum, space) => sum + space.versions, 0);
  const condemned = spaces.reduce((sum, space) => sum + space.chunks, 0);
  return { versions, condemned, ...rest };
}
