import { messageOf } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import type { PackStore } from "./chunks/port.ts";
import {
  Collector,
  type CollectionReport,
  type CollectorOptions,
  type CollectorWorld,
} from "./collector.ts";
import type { ServerConfig } from "./config.ts";
import { nodeDigest } from "./digest.ts";
import type { Metadata } from "./metadata/port.ts";
import { nextTurn, realChance, realClock } from "./real-world.ts";
import { openBeside } from "./stores.ts";

/** A server that has just begun has other things to do. */
const FIRST_RUN_MS = 10 * 60 * 1_000;

/** What the runs of this process came to. */
export type CollectingState = {
  /** When the last one ended, in seconds since 1970; 0 before the first. */
  endedSeconds: number;
  freedBytes: number;
};

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
    collection: metadata.collection,
    packs,
    clock,
    chance: realChance,
    digest: nodeDigest,
    log,
    rest: nextTurn,
  };
  return new Collector(world, config.collecting.rules);
}

/**
 * One run over the stores that the settings name, also while servers use them. Throws what
 * `openBeside` throws.
 */
export async function collectOnce(
  config: ServerConfig,
  options: CollectorOptions & { readonly log: Log },
): Promise<CollectionReport | "busy"> {
  const world = { clock: realClock, chance: realChance, log: options.log };
  await using stores = await openBeside(config, world);
  return await collectorOf(stores.metadata, stores.packs, { ...world, config }).run(options);
}

/** Runs a collector now and then until `closing`; what goes wrong waits for the next time. */
export async function collectNowAndThen(
  world: Surroundings & { readonly metadata: Metadata; readonly packs: PackStore },
  state: CollectingState,
  closing: AbortSignal,
): Promise<void> {
  const { metadata, packs, config, clock, log } = world;
  const { everyMs } = config.collecting;
  if (everyMs === null) return;
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
