import { toHex } from "#core/bytes.ts";
import { messageOf, WorldError } from "#core/errors.ts";
import type { PackWriter } from "./chunks/port.ts";
import type { CollectorRules, CollectorWorld } from "./collector.ts";
import type { Moved, PackRow } from "./metadata/collection.ts";
import type { ChunkPlace } from "./metadata/port.ts";

const PACKS_AT_ONCE = 200;
/** A pack in which less than this share is needed is copied together with others. */
const LEAST_LIVE_SHARE = 0.5;
/** Packs below this are small. */
const SMALL_PACK_BYTES = 8 * 1024 * 1024;
/** A merged pack ends at about this: some stores hold it in memory until it is whole. */
const MERGED_BYTES = 32 * 1024 * 1024;

export type PackCount = {
  /** Packs whose chunks were copied into others. */
  readonly merged: number;
  /** Packs that are gone, and how long they were. */
  readonly removed: number;
  readonly freedBytes: number;
  /** Objects without a row, and those of them that are gone. */
  readonly strays: number;
  readonly straysRemoved: number;
};

type Step = (what: string) => Promise<void>;

/** A pack under construction, and what is to lie in it. */
type Merge = {
  readonly name: string;
  readonly writer: PackWriter;
  readonly moved: Moved[];
  sizeBytes: number;
};

/**
 * Removes packs that nothing lies in, and copies what is left in sparse and small ones together. A
 * name is never used again, so a removal that comes late, or twice, hits nothing else.
 */
export class PackCollector {
  readonly #world: CollectorWorld;
  readonly #rules: CollectorRules;
  readonly #step: Step;

  constructor(world: CollectorWorld, rules: CollectorRules, step: Step) {
    this.#world = world;
    this.#rules = rules;
    this.#step = step;
  }

  async run(isDry: boolean): Promise<PackCount> {
    const { collection, clock } = this.#world;
    const count = { merged: 0, removed: 0, freedBytes: 0 };
    const sparse: PackRow[] = [];
    const small: PackRow[] = [];
    let known = 0;
    for await (const page of this.#packs()) {
      await this.#step(`${count.removed} packs`);
      known += page.length;
      const nowMs = clock.nowMs();
      const empty = page.filter(({ chunks, doomedMs }) => chunks === 0 && doomedMs === null);
      if (empty.length > 0 && !isDry) await collection.packs.doom(namesOf(empty), nowMs);
      for (const pack of page) {
        const { chunks, liveBytes, sizeBytes } = pack;
        if (chunks === 0) continue;
        if (liveBytes < LEAST_LIVE_SHARE * sizeBytes) sparse.push(pack);
        else if (sizeBytes < SMALL_PACK_BYTES) small.push(pack);
      }
      const due = page.filter(({ doomedMs }) => this.#isOver(doomedMs, nowMs));
      if (!isDry) await this.#remove(due);
      count.removed += due.length;
      count.freedBytes += due.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    }
    const isFew = small.length < this.#rules.manySmallPacks;
    const merging = isFew ? sparse : [...sparse, ...small];
    count.merged = isDry ? merging.length : await this.#merge(merging);
    return { ...count, ...(await this.#strays(known, isDry)) };
  }

  #isOver(doomedMs: number | null, nowMs: number): boolean {
    return doomedMs !== null && doomedMs + this.#rules.packGraceMs <= nowMs;
  }

  /** The bytes first: while the row is there, the next run knows of them. */
  async #remove(packs: readonly PackRow[]): Promise<void> {
    for (const { name } of packs) await this.#world.packs.remove(name);
    if (packs.length > 0) await this.#world.collection.packs.drop(namesOf(packs));
  }

  async *#packs(): AsyncGenerator<PackRow[]> {
    const { packs } = this.#world.collection;
    let page = await packs.packs(PACKS_AT_ONCE);
    while (page.length > 0) {
      yield page;
      const last = page.length < PACKS_AT_ONCE ? undefined : page.at(-1);
      page = last === undefined ? [] : await packs.packs(PACKS_AT_ONCE, last.name);
    }
  }

  /** Copies chunks, makes the copy durable, and only then says that they lie there. */
  async #merge(packs: readonly PackRow[]): Promise<number> {
    const { collection, scrub, clock } = this.#world;
    let merge: Merge | null = null;
    try {
      for (const [at, { name }] of packs.entries()) {
        await this.#step(`pack ${at + 1} of ${packs.length} to merge`);
        for (const { isQuarantined, ...place } of await scrub.inPack(name)) {
          const bytes = isQuarantined ? null : await this.#read(place);
          if (bytes === null) continue;
          merge ??= await this.#begin();
          const offsetBytes = await merge.writer.append(bytes);
          merge.moved.push({ from: place, offsetBytes });
          merge.sizeBytes = offsetBytes + bytes.length;
          if (merge.sizeBytes < MERGED_BYTES) continue;
          await this.#finish(merge);
          merge = null;
        }
      }
      if (merge !== null) await this.#finish(merge);
    } catch (error) {
      await merge?.writer.discard().catch(() => {});
      throw error;
    }
    // Those that nothing lies in any more; of two who have merged the same, one's new pack too.
    if (packs.length > 0) await collection.packs.doom(namesOf(packs), clock.nowMs());
    return packs.length;
  }

  async #begin(): Promise<Merge> {
    const name = toHex(this.#world.chance.bytes(16));
    return { name, writer: await this.#world.packs.create(name), moved: [], sizeBytes: 0 };
  }

  async #finish({ name, writer, moved, sizeBytes }: Merge): Promise<void> {
    await writer.finish();
    await this.#world.collection.packs.move({ name, sizeBytes }, moved);
  }

  /** Null where the bytes are not what they were: the chunk stays where it is, for scrub. */
  async #read({ id, pack, offsetBytes, lengthBytes }: ChunkPlace): Promise<Uint8Array | null> {
    const { packs, digest, log } = this.#world;
    try {
      const bytes = await packs.read(pack, offsetBytes, lengthBytes);
      if (toHex(digest.sha256(bytes)) === id) return bytes;
      log.warn("chunk-not-merged", { pack, message: "Its bytes are damaged." });
    } catch (error) {
      if (!(error instanceof WorldError) || error.retryable) throw error;
      log.warn("chunk-not-merged", { pack, message: messageOf(error) });
    }
    return null;
  }

  /**
   * Objects that no row names, as a server leaves them that ends between writing and recording. A
   * store most of which is unknown here belongs to another database: nothing of it is removed.
   */
  async #strays(
    known: number,
    isDry: boolean,
  ): Promise<Pick<PackCount, "strays" | "straysRemoved">> {
    const { collection, packs, clock, log } = this.#world;
    const nowMs = clock.nowMs();
    let strays = 0;
    const due: string[] = [];
    const look = async (names: readonly string[]): Promise<void> => {
      await this.#step(`${strays} stray packs`);
      const found = await collection.packs.strays(names, isDry ? null : nowMs);
      strays += found.size;
      for (const [name, seenMs] of found) {
        if (seenMs + this.#rules.strayMs <= nowMs) due.push(name);
      }
    };
    let names: string[] = [];
    for await (const name of packs.list()) {
      if (names.push(name) < PACKS_AT_ONCE) continue;
      await look(names);
      names = [];
    }
    if (names.length > 0) await look(names);
    if (due.length > known) {
      log.warn("strays-kept", { strays, known });
      return { strays, straysRemoved: 0 };
    }
    for (const name of isDry ? [] : due) await packs.remove(name);
    if (!isDry && due.length > 0) await collection.packs.drop(due);
    return { strays, straysRemoved: due.length };
  }
}

function namesOf(packs: readonly PackRow[]): string[] {
  return packs.map(({ name }) => name);
}
