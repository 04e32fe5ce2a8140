import { assert } from "#core/assert.ts";
import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { ChunkId, SpaceId } from "#core/ids.ts";
import type { Chance, Digest } from "#core/world.ts";
import { FRAME_HEAD_BYTES, type ChunkFrame } from "#protocol/frames.ts";
import { MAX_BATCH_BYTES, MAX_CHUNK_BYTES, MAX_CHUNK_IDS } from "#protocol/limits.ts";
import type { PackStore, PackWriter } from "./chunks/port.ts";
import type { ChunkIndex, ChunkPlace } from "./metadata/port.ts";

/** How long chunks that no commit names yet are kept, from when they were last asked for. */
export const LEASE_MS = 72 * 60 * 60 * 1_000;

/** Verified chunks wait in memory up to this, so that the index is asked about many at once. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;

/** Neighbours in a pack are read at once up to this. */
const MAX_READ_BYTES = MAX_CHUNK_BYTES;

type World = {
  readonly packs: PackStore;
  readonly chunks: Omit<ChunkIndex, "heldBytes">;
  readonly digest: Digest;
  readonly chance: Chance;
  /** Told of bytes that a space had not sent before, whoever else has them. */
  readonly onAccepted?: (space: SpaceId, bytes: number) => Promise<void>;
  /** What is waited for before packs are removed that were written for nothing; else nothing. */
  readonly beforeRemoving?: () => Promise<void>;
};

/** Takes chunks in, makes them durable and staged, and gives them out again. */
export class Intake {
  readonly #world: World;
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
   * `hash-mismatch` (naming the chunk) or `body-too-large`, and whatever the frames' source throws;
   * then nothing of the batch is stored.
   */
  async store(space: SpaceId, frames: AsyncIterable<ChunkFrame>, nowMs: number): Promise<number> {
    const batch = new Batch(this.#world);
    try {
      for await (const frame of frames) await batch.add(frame);
      await batch.finish();
    } catch (error) {
      // The first failure is the one to tell; what stays unfinished goes at the next start.
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
    return batch.frames;
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
   * Throws WorldError `not-found`, naming the first that the space does not hold, before it
   * returns; while iterating `chunk-damaged`, `pack-missing` or `pack-short`.
   */
  async fetch(space: SpaceId, ids: readonly ChunkId[]): Promise<AsyncIterable<ChunkFrame>> {
    return this.#read(space, cutShort(await this.#places(space, ids)));
  }

  async #places(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]> {
    const places = await this.#world.chunks.held(space, ids);
    const byId = new Map(places.map((place) => [place.id, place]));
    return ids.map((id) => {
      const place = byId.get(id);
      if (place === undefined) {
        throw new WorldError("not-found", `This space does not hold chunk ${id}.`);
      }
      return place;
    });
  }

  async *#read(
    space: SpaceId,
    places: readonly ChunkPlace[],
  ): AsyncGenerator<ChunkFrame, void, undefined> {
    for (const run of runs(places)) yield* await this.#readRun(space, run);
  }

  async #readRun(space: SpaceId, run: Run): Promise<ChunkFrame[]> {
    try {
      return await this.#readAt(run);
    } catch (error) {
      if (!(error instanceof WorldError) || error.code !== "pack-missing") throw error;
      // The chunks may have been merged into another pack since they were looked up.
      const moved = await this.#places(
        space,
        run.places.map(({ id }) => id),
      );
      const frames: ChunkFrame[] = [];
      for (const again of runs(moved)) frames.push(...(await this.#readAt(again)));
      return frames;
    }
  }

  async #readAt({ pack, offsetBytes, lengthBytes, places }: Run): Promise<ChunkFrame[]> {
    const { packs, digest } = this.#world;
    const bytes = await packs.read(pack, offsetBytes, lengthBytes);
    return places.map((place) => {
      const from = place.offsetBytes - offsetBytes;
      const chunk = bytes.subarray(from, from + place.lengthBytes);
      if (toHex(digest.sha256(chunk)) === place.id) return { id: place.id, bytes: chunk };
      throw new WorldError("chunk-damaged", `Chunk ${place.id} is damaged in pack ${pack}.`);
    });
  }
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

/** Chunks that lie one behind the other in a pack. */
type Run = {
  readonly pack: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly places: readonly ChunkPlace[];
};

function* runs(places: readonly ChunkPlace[]): Generator<Run, void, undefined> {
  for (let start = 0; start < places.length;) {
    const first = places[start];
    assert(first !== undefined, "the start of a run is a place");
    let { lengthBytes } = first;
    let end = start + 1;
    for (let next = places[end]; next !== undefined; next = places[end]) {
      const adjacent =
        next.pack === first.pack && next.offsetBytes === first.offsetBytes + lengthBytes;
      if (!adjacent || lengthBytes + next.lengthBytes > MAX_READ_BYTES) break;
      lengthBytes += next.lengthBytes;
      end++;
    }
    const { pack, offsetBytes } = first;
    yield { pack, offsetBytes, lengthBytes, places: places.slice(start, end) };
    start = end;
  }
}
