import { assert } from "#core/assert.ts";
import { codeOf } from "#core/errors.ts";
import {
  frameShared,
  MIN_SHARED_BYTES,
  sealPrivate,
  sealShared,
  type FramedChunk,
  type SealedChunk,
} from "#crypto/chunk.ts";
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
  readonly ristretto: Ristretto;
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
  readonly #oprf: OprfWorld;

  constructor(world: SealingWorld) {
    this.#world = world;
    const { primitives, ristretto } = world;
    this.#oprf = { hashes: primitives.hashes, chance: primitives.chance, ristretto };
  }

  /** One sealed chunk a frame, in their order. Throws WorldError of the key service's. */
  async seal(frames: readonly ChunkFrame[], signal?: AbortSignal): Promise<SealedChunk[]> {
    const { service, domain } = this.#world.keys();
    const shared = new Map<ChunkFrame, SealedChunk>();
    if (domain === "shared" && service !== null) {
      const large = frames.filter(({ bytes }) => bytes.length >= MIN_SHARED_BYTES);
      for (let from = 0; from < large.length; from += MAX_BATCH) {
        const batch = large.slice(from, from + MAX_BATCH);
        const sealed = await this.#shareOrNot(batch, service, signal);
        if (sealed === null) break;
        batch.forEach((frame, at) => shared.set(frame, present(sealed[at])));
      }
    }
    return frames.map((frame) => shared.get(frame) ?? this.#alone(frame));
  }

  #alone({ bytes }: ChunkFrame): SealedChunk {
    const { current } = this.#world.keys();
    const key = { key: current.content, epoch: current.epoch };
    return sealPrivate(this.#world.primitives, key, bytes);
  }

  /** Null when the key service cannot help now. */
  async #shareOrNot(
    frames: readonly ChunkFrame[],
    service: NonNullable<SealedKeys["service"]>,
    signal?: AbortSignal,
  ): Promise<SealedChunk[] | null> {
    const { primitives, keyService, onFallBack } = this.#world;
    const framed = frames.map(({ bytes }): FramedChunk => {
      return frameShared(primitives, service.epoch, bytes);
    });
    const inputs = framed.map(({ input }) => input);
    const question = new Question(this.#oprf, service, inputs);
    let answer: Uint8Array;
    try {
      answer = await keyService.evaluate(question.request, signal);
    } catch (error) {
      if (!FALL_BACK_CODES.includes(codeOf(error))) throw error;
      onFallBack(codeOf(error), frames.length);
      return null;
    }
    const evaluated = question.finish(answer);
    return framed.map((one, at) => sealShared(primitives, one, present(evaluated[at])));
  }
}

function present<T>(value: T | undefined): T {
  assert(value !== undefined, "as many answers as questions");
  return value;
}
