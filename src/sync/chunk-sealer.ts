import { assert } from "#core/assert.ts";
import { codeOf } from "#core/errors.ts";
import {
  MIN_SHARED_BYTES,
  type ChunkKeys,
  type FramedChunk,
  type SealedChunk,
} from "#crypto/chunk.ts";
import type { ChunkWork } from "#crypto/chunk-work.ts";
import { MAX_BATCH, Question, type OprfWorld } from "#crypto/oprf.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { Ristretto } from "#crypto/ristretto.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { KeyService } from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";

/** What the key service may answer without stopping anybody: the chunk is sealed privately then. */
const FALL_BACK_CODES: readonly string[] = ["key-service-away", "too-many-evaluations"];

export type SealingWorld = {
  readonly primitives: Primitives;
  readonly work: ChunkWork;
  /** Loaded when a chunk is first to be shared: it takes more memory than all else that idles. */
  readonly ristretto: () => Promise<Ristretto>;
  readonly keyService: KeyService;
  readonly keys: () => SealedKeys;
  /** Told when chunks were sealed for the space alone although they might have been shared. */
  readonly onFallBack: (code: string, chunks: number) => void;
};

/**
 * Seals raw chunks (SPEC SL6, SL7): those of 16 KiB and more of a shared space with the key
 * service's help, so that equal ones of different accounts are equal; all others for the space
 * alone.
 */
export class ChunkSealer {
  readonly #world: SealingWorld;

  constructor(world: SealingWorld) {
    this.#world = world;
  }

  /**
   * One sealed chunk a frame, in their order; the frames' bytes are given away. Throws WorldError
   * of the key service's.
   */
  async seal(frames: readonly ChunkFrame[], signal?: AbortSignal): Promise<SealedChunk[]> {
    const { service, domain, current } = this.#world.keys();
    const { work } = this.#world;
    const keys: ChunkKeys = { key: current.content, epoch: current.epoch };
    const isShared = frames.map(
      ({ bytes }) => domain === "shared" && service !== null && bytes.length >= MIN_SHARED_BYTES,
    );
    const raw = frames.map(({ bytes }) => bytes);
    const [alone, shared] = await Promise.all([
      work.sealPrivate(
        keys,
        raw.filter((_, at) => !isShared[at]),
      ),
      this.#shareAll(
        raw.filter((_, at) => isShared[at]),
        keys,
        signal,
      ),
    ]);
    const next = { alone: alone.values(), shared: shared.values() };
    return isShared.map((shares) => present((shares ? next.shared : next.alone).next().value));
  }

  async #shareAll(
    raw: readonly Uint8Array[],
    keys: ChunkKeys,
    signal?: AbortSignal,
  ): Promise<SealedChunk[]> {
    const { work, keys: known } = this.#world;
    const { service } = known();
    if (service === null) return work.sealPrivate(keys, raw);
    const sealed: SealedChunk[] = [];
    let isAway = false;
    for (let from = 0; from < raw.length; from += MAX_BATCH) {
      const batch = raw.slice(from, from + MAX_BATCH);
      if (isAway) {
        sealed.push(...(await work.sealPrivate(keys, batch)));
        continue;
      }
      const framed = await work.frameShared(service.epoch, batch);
      const evaluated = await this.#evaluatedOrNot(framed, service, signal);
      isAway = evaluated === null;
      const done =
        evaluated === null
          ? await work.sealUnshared(keys, framed)
          : await work.sealShared(framed, evaluated);
      sealed.push(...done);
    }
    return sealed;
  }

  /** Null when the key service cannot help now. */
  async #evaluatedOrNot(
    framed: readonly FramedChunk[],
    service: NonNullable<SealedKeys["service"]>,
    signal?: AbortSignal,
  ): Promise<Uint8Array[] | null> {
    const { keyService, onFallBack, primitives, ristretto } = this.#world;
    const { hashes, chance } = primitives;
    const inputs = framed.map(({ input }) => input);
    const oprf: OprfWorld = { hashes, chance, ristretto: await ristretto() };
    const question = new Question(oprf, service, inputs);
    let answer: Uint8Array;
    try {
      answer = await keyService.evaluate(question.request, signal);
    } catch (error) {
      if (!FALL_BACK_CODES.includes(codeOf(error))) throw error;
      onFallBack(codeOf(error), framed.length);
      return null;
    }
    return question.finish(answer);
  }
}

function present<T>(value: T | undefined): T {
  assert(value !== undefined, "as many sealed chunks as raw ones");
  return value;
}
