import { assert } from "#core/assert.ts";
import * as chunks from "./chunk.ts";
import type { ChunkKeys, FramedChunk, SealedChunk } from "./chunk.ts";
import type { Primitives } from "./primitives.ts";

/**
 * Sealing and opening many chunks, each as `chunk.ts` has it, in the order given: it takes more of
 * a processor than all else, so it is done in threads where there are cores. Bytes that are handed
 * over belong to whoever does it: the caller has them no more.
 */
export interface ChunkWork {
  sealPrivate(keys: ChunkKeys, raw: readonly Uint8Array[]): Promise<SealedChunk[]>;
  frameShared(epoch: number, raw: readonly Uint8Array[]): Promise<FramedChunk[]>;
  /** `evaluated` is the key service's answer about each. */
  sealShared(
    framed: readonly FramedChunk[],
    evaluated: readonly Uint8Array[],
  ): Promise<SealedChunk[]>;
  sealUnshared(keys: ChunkKeys, framed: readonly FramedChunk[]): Promise<SealedChunk[]>;
  /** The raw bytes of each. Throws WorldError `bad-chunk`. */
  open(sealed: readonly SealedChunk[]): Promise<Uint8Array[]>;
  /** Told of bytes that `open` gave and that nobody looks at any more. */
  release(raw: Uint8Array): void;
}

/** The same on this thread. */
export function chunkWorkHere(primitives: Primitives): ChunkWork {
  return {
    sealPrivate: async (keys, raw) => raw.map((one) => chunks.sealPrivate(primitives, keys, one)),
    frameShared: async (epoch, raw) => raw.map((one) => chunks.frameShared(primitives, epoch, one)),
    async sealShared(framed, evaluated) {
      assert(framed.length === evaluated.length, "as many answers as chunks");
      return framed.map((one, at) => chunks.sealShared(primitives, one, evaluated[at]!));
    },
    sealUnshared: async (keys, framed) =>
      framed.map((one) => chunks.sealUnshared(primitives, keys, one)),
    open: async (sealed) =>
      sealed.map(({ entry, stored }) => chunks.openChunk(primitives, entry, stored)),
    release() {},
  };
}
