import type { Clock, Digest } from "#core/world.ts";
import type { PackStore } from "./chunks/port.ts";
import type { ChunkPlace, KeptChunk, ScrubIndex } from "./metadata/port.ts";
import { findDamaged, readRun, runsOf } from "./pack-reading.ts";

/** Packs that are listed at once. */
const PAGE_PACKS = 100;

export type ScrubWorld = {
  readonly packs: Pick<PackStore, "read">;
  readonly scrub: ScrubIndex;
  readonly digest: Digest;
  readonly clock: Clock;
};

export type ScrubOptions = {
  /** At most so many bytes a second are read; null: as many as can be. */
  readonly bytesPerSecond: number | null;
  /** Told of what was read after each run of chunks. */
  readonly onProgress?: (count: ScrubCount) => void;
};

export type ScrubCount = {
  readonly packs: number;
  readonly chunks: number;
  readonly bytes: number;
  /** Chunks that were found damaged or gone, those included that were in quarantine before. */
  readonly damaged: number;
  /** Chunks that went into quarantine now. */
  readonly quarantined: number;
  /** Chunks that are sound again where they lie, and left quarantine: a disk that came back. */
  readonly released: number;
};

/**
 * Reads every stored chunk and compares it with its id (SPEC QU3). What is wrong goes into
 * quarantine, nothing is removed. Throws what the stores throw when they cannot be reached: what
 * could not be read is not called damaged.
 */
export async function scrubChunks(world: ScrubWorld, options: ScrubOptions): Promise<ScrubCount> {
  const reading = new Reading(world, options);
  for (let after = ""; ;) {
    const names = await world.scrub.packs(after, PAGE_PACKS);
    for (const name of names) await reading.read(await world.scrub.inPack(name));
    const last = names.at(-1);
    if (last === undefined) return reading.count;
    after = last;
  }
}

class Reading {
  readonly #world: ScrubWorld;
  readonly #options: ScrubOptions;
  readonly #beganMs: number;
  count: ScrubCount = { packs: 0, chunks: 0, bytes: 0, damaged: 0, quarantined: 0, released: 0 };

  constructor(world: ScrubWorld, options: ScrubOptions) {
    this.#world = world;
    this.#options = options;
    this.#beganMs = world.clock.monotonicMs();
  }

  /** Reads the chunks of one pack. */
  async read(kept: readonly KeptChunk[]): Promise<void> {
    this.#add({ packs: 1 });
    const before = new Map(kept.map(({ id, isQuarantined }) => [id, isQuarantined]));
    for (const run of runsOf(kept)) {
      const isSound = (await readRun(this.#world, run)) !== null;
      const damaged = isSound ? [] : await findDamaged(this.#world, run.places);
      await this.#judge(run.places, damaged, (place) => before.get(place.id) === true);
      this.#add({ chunks: run.places.length, bytes: run.lengthBytes, damaged: damaged.length });
      this.#options.onProgress?.(this.count);
      await this.#slowDown();
    }
  }

  async #judge(
    places: readonly ChunkPlace[],
    damaged: readonly ChunkPlace[],
    wasQuarantined: (place: ChunkPlace) => boolean,
  ): Promise<void> {
    const { scrub } = this.#world;
    const wrong = new Set(damaged);
    const fresh = damaged.filter((place) => !wasQuarantined(place));
    const back = places.filter((place) => !wrong.has(place) && wasQuarantined(place));
    if (fresh.length > 0) this.#add({ quarantined: await scrub.quarantine(fresh, true) });
    if (back.length > 0) this.#add({ released: await scrub.quarantine(back, false) });
  }

  #add(more: Partial<ScrubCount>): void {
    const { count } = this;
    const sum = (key: keyof ScrubCount): number => count[key] + (more[key] ?? 0);
    this.count = {
      packs: sum("packs"),
      chunks: sum("chunks"),
      bytes: sum("bytes"),
      damaged: sum("damaged"),
      quarantined: sum("quarantined"),
      released: sum("released"),
    };
  }

  /** Waits until no more was read since the beginning than may be. */
  async #slowDown(): Promise<void> {
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === null) return;
    const { clock } = this.#world;
    const dueMs = this.#beganMs + (this.count.bytes / bytesPerSecond) * 1_000;
    const leftMs = dueMs - clock.monotonicMs();
    if (leftMs > 0) await clock.sleep(leftMs);
  }
}
