import { assert } from "#core/assert.ts";
import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { ChunkId, SpaceId } from "#core/ids.ts";
import type { Chance, Digest } from "#core/world.ts";
import { FRAME_HEAD_BYTES, type ChunkFrame } from "#protocol/frames.ts";
import { MAX_BATCH_BYTES, MAX_CHUNK_IDS } from "#protocol/limits.ts";
import type { PackStore, PackWriter } from "./chunks/port.ts";
import type { ChunkIndex, ChunkPlace, ScrubIndex } from "./metadata/port.ts";
import { findDamaged, readRun, runsOf, type Run } from "./pack-reading.ts";

/** How long chunks that no commit names yet are kept, from when they were last asked for. */
export const LEASE_MS = 72 * 60 * 60 * 1_000;

/** Verified chunks wait in memory up to this, so that the index is asked about many at once. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;

/** Quarantine is for the few; a server that lost more has a backup to be put back. */
const MAX_QUARANTINED = 10_000;

type World = {
  readonly packs: PackStore;
  readonly chunks: Omit<ChunkIndex, "heldBytes">;
  readonly scrub: Pick<ScrubIndex, "quarantine" | "quarantined">;
  readonly digest: Digest;
  readonly chance: Chance;
  /** Told of frames' bytes when they are written: without, their sources keep them. */
  readonly release?: (bytes: Uint8Array) => void;
  /** Told of chunks that were found damaged or gone when they were to be given out. */
  readonly onDamaged?: (chunks: readonly ChunkId[]) => void;
  /** Told of bytes that a space had not sent before, whoever else has them. */
  readonly onAccepted?: (space: SpaceId, bytes: number) => Promise<void>;
  /** What is waited for before packs are removed that were written for nothing; else nothing. */
  readonly beforeRemoving?: () => Promise<void>;
};

/** The source of a batch broke off, with this. */
type Broken = { readonly error: unknown };

/** Takes chunks in, makes them durable and staged, and gives them out again. */
export class Intake {
  readonly #world: World;
  /** What of broken batches is being stored, by space. */
  readonly #salvaging = new Map<SpaceId, Promise<void>>();
  #unused: string[] = [];
  #removing: Promise<void> = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }

  /**
   * Stores a batch for a space and returns how many frames it held; all are durable and staged for
   * 72 hours then. What is stored already, for anybody, is written and made durable all the same,
   * beside the rest, and dropped after the answer: neither an answer nor its time tells what others
   * have (Harnik, Pinkas, Shulman-Peleg 2010, "Side Channels in Cloud Services"). Throws WorldError
   * `hash-mismatch` (naming the chunk) or `body-too-large`: then nothing of the batch is stored.
   * Throws whatever the frames' source throws: then what had come whole is stored before.
   */
  async store(space: SpaceId, frames: AsyncIterable<ChunkFrame>, nowMs: number): Promise<number> {
    const batch = new Batch(this.#world);
    const broken = await this.#take(batch, frames);
    if (broken === null) {
      await this.#stage(space, batch, nowMs);
      return batch.frames;
    }
    await this.#salvage(space, this.#stage(space, batch, nowMs));
    throw broken.error;
  }

  /** The first failure is the one to tell: that nothing could be saved is none. */
  async #salvage(space: SpaceId, staging: Promise<void>): Promise<void> {
    const before = this.#salvaging.get(space);
    const salvaging = Promise.allSettled([before, staging]).then(() => undefined);
    this.#salvaging.set(space, salvaging);
    await salvaging;
    if (this.#salvaging.get(space) === salvaging) this.#salvaging.delete(space);
  }

  /** Why the source broke off, null when it did not; a batch that is refused is discarded. */
  async #take(batch: Batch, frames: AsyncIterable<ChunkFrame>): Promise<Broken | null> {
    const source = frames[Symbol.asyncIterator]();
    const next = async (): Promise<IteratorResult<ChunkFrame, unknown> | Broken> => {
      try {
        return await source.next();
      } catch (error) {
        return { error };
      }
    };
    try {
      for (;;) {
        const one = await next();
        if ("error" in one) return one;
        if (one.done === true) return null;
        await batch.add(one.value);
      }
    } catch (error) {
      // What stays unfinished goes at the next start.
      await Promise.allSettled([batch.discard(), source.return?.()]);
      throw error;
    }
  }

  /** Resolves when what a space's broken batches held is stored, or failed to be. */
  async salvaged(space: SpaceId): Promise<void> {
    await this.#salvaging.get(space);
  }

  /** Makes a batch durable, and lets the space have what is in it. */
  async #stage(space: SpaceId, batch: Batch, nowMs: number): Promise<void> {
    try {
      await batch.finish();
    } catch (error) {
      await batch.discard().catch(() => {});
      throw error;
    }
    const ids = [...batch.ids];
    if (ids.length > 0) {
      // When this fails the pack stays: whether its places were recorded is not known for sure, and
      // a pack that nothing names is the collector's.
      const { chunks } = this.#world;
      const before = await chunks.held(space, ids);
      const used = await chunks.stage(space, batch.written, ids, nowMs + LEASE_MS);
      this.#removeLater(batch.packs.filter((pack) => !used.has(pack)));
      this.#tellAccepted(space, batch.written, before);
    }
  }

  /** Resolves when what was written for nothing is gone. */
  async idle(): Promise<void> {
    await this.#removing;
  }

  /** What counts is what is new to the space: what is new to all would tell what others have. */
  #tellAccepted(
    space: SpaceId,
    written: readonly ChunkPlace[],
    before: readonly ChunkPlace[],
  ): void {
    const known = new Set(before.map(({ id }) => id));
    const accepted = written.filter(({ id }) => !known.has(id));
    const bytes = accepted.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    if (bytes > 0) void this.#world.onAccepted?.(space, bytes).catch(() => {});
  }

  /** Many at once and some time after their answers, so that no next answer is slower for one. */
  #removeLater(packs: readonly string[]): void {
    const isUnderWay = this.#unused.length > 0;
    this.#unused.push(...packs);
    if (isUnderWay || packs.length === 0) return;
    this.#removing = this.#removing.then(async () => {
      await this.#world.beforeRemoving?.();
      // What cannot be removed now is a pack that nothing names: the collector's.
      for (const pack of this.#unused.splice(0)) {
        await this.#world.packs.remove(pack).catch(() => {});
      }
    });
  }

  /**
   * The chunks in the order of the question, cut short where the batch would pass MAX_BATCH_BYTES.
   * Throws WorldError `not-found`, or `chunk-damaged` for what is in quarantine, naming the first
   * that cannot be given, before it returns. What turns out to be damaged while iterating goes into
   * quarantine, and `chunk-damaged` is thrown.
   */
  async fetch(space: SpaceId, ids: readonly ChunkId[]): Promise<AsyncIterable<ChunkFrame>> {
    return this.#read(space, cutShort(await this.#places(space, ids)));
  }

  async #places(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    const places = await this.#world.chunks.held(space, ids);
    const byId = new Map(places.map((place) => [place.id, place]));
    const lacking = ids.find((id) => !byId.has(id));
    if (lacking !== undefined) throw await this.#refusal(space, lacking);
    return ids.map((id) => {
      const place = byId.get(id);
      assert(place !== undefined, "a chunk that was found has a place");
      return place;
    });
  }

  async #refusal(space: SpaceId, id: ChunkId): Promise<WorldError> {
    const quarantined = await this.#world.scrub.quarantined(space, MAX_QUARANTINED);
    if (quarantined.includes(id)) return chunkDamaged(id);
    return new WorldError("not-found", `This space does not hold chunk ${id}.`);
  }

  async *#read(
    space: SpaceId,
    places: readonly ChunkPlace[],
  ): AsyncGenerator<ChunkFrame, void, undefined> {
    for (const run of runsOf(places)) yield* await this.#readRun(space, run);
  }

  async #readRun(space: SpaceId, run: Run): Promise<ChunkFrame[]> {
    const frames = await readRun(this.#world, run);
    if (frames !== null) return frames;
    // The chunks may have been merged into another pack since they were looked up.
    const ids = run.places.map(({ id }) => id);
    const again: ChunkFrame[] = [];
    for (const next of runsOf(await this.#places(space, ids))) {
      again.push(...((await readRun(this.#world, next)) ?? (await this.#giveUp(next))));
    }
    return again;
  }

  /** What is wrong here is not given out again before somebody has sent it again. */
  async #giveUp({ places }: Run): Promise<never> {
    const { scrub } = this.#world;
    const damaged = await findDamaged(this.#world, places);
    await scrub.quarantine(damaged, true);
    this.#world.onDamaged?.(damaged.map(({ id }) => id));
    const [first] = damaged;
    if (first !== undefined) throw chunkDamaged(first.id);
    throw new WorldError("unavailable", "A pack could not be read.", { retryable: true });
  }
}

function chunkDamaged(id: ChunkId): WorldError {
  const detail = `The server's copy of chunk ${id} is damaged, until a device sends it again.`;
  return new WorldError("chunk-damaged", detail);
}

/** A pack that a batch writes to. */
type Target = { readonly name: string; readonly writer: PackWriter };

/** One upload on its way into two packs: one for what is new, one for what is stored already. */
class Batch {
  /** Distinct chunks, in the order of their first frame. */
  readonly ids = new Set<ChunkId>();
  readonly written: ChunkPlace[] = [];
  frames = 0;
  readonly #world: World;
  #sizeBytes = 0;
  #window: ChunkFrame[] = [];
  #windowBytes = 0;
  #fresh: Target | undefined;
  #spare: Target | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  get packs(): string[] {
    return this.#targets().map(({ name }) => name);
  }

  async add(frame: ChunkFrame): Promise<void> {
    const { id, bytes } = frame;
    this.frames++;
    this.#sizeBytes += FRAME_HEAD_BYTES + bytes.length;
    if (this.#sizeBytes > MAX_BATCH_BYTES || this.frames > MAX_CHUNK_IDS) {
      throw new WorldError(
        "body-too-large",
        `A batch holds at most ${MAX_BATCH_BYTES} bytes and ${MAX_CHUNK_IDS} chunks.`,
      );
    }
    if (toHex(this.#world.digest.sha256(bytes)) !== id) {
      throw new WorldError("hash-mismatch", `The bytes of chunk ${id} have another hash.`);
    }
    if (this.ids.has(id)) return;
    this.ids.add(id);
    this.#window.push(frame);
    this.#windowBytes += bytes.length;
    if (this.#windowBytes >= MAX_WINDOW_BYTES) await this.#flush();
  }

  /** What was written is durable and has a name then; nothing names it yet. */
  async finish(): Promise<void> {
    await this.#flush();
    await Promise.all(this.#targets().map(({ writer }) => writer.finish()));
  }

  async discard(): Promise<void> {
    await Promise.all(this.#targets().map(({ writer }) => writer.discard()));
  }

  async #flush(): Promise<void> {
    const frames = this.#window;
    if (frames.length === 0) return;
    this.#window = [];
    this.#windowBytes = 0;
    // Both, always: that one of them stays empty must not be heard from outside.
    const fresh = (this.#fresh ??= await this.#createPack());
    const spare = (this.#spare ??= await this.#createPack());
    const stored = await this.#world.chunks.stored(frames.map(({ id }) => id));
    for (const { id, bytes } of frames) {
      const { name, writer } = stored.has(id) ? spare : fresh;
      const offsetBytes = await writer.append(bytes);
      this.written.push({ id, pack: name, offsetBytes, lengthBytes: bytes.length });
      this.#world.release?.(bytes);
    }
  }

  #targets(): Target[] {
    return [this.#fresh, this.#spare].filter((target) => target !== undefined);
  }

  async #createPack(): Promise<Target> {
    const name = toHex(this.#world.chance.bytes(16));
    return { name, writer: await this.#world.packs.create(name) };
  }
}

/** The places whose frames fit in one batch; the first always does. */
function cutShort(places: readonly ChunkPlace[]): readonly ChunkPlace[] {
  let sizeBytes = 0;
  const end = places.findIndex((place) => {
    sizeBytes += FRAME_HEAD_BYTES + place.lengthBytes;
    return sizeBytes > MAX_BATCH_BYTES;
  });
  return end === -1 ? places : places.slice(0, end);
}
