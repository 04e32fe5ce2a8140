import { release } from "#core/bytes.ts";
import type { FramedChunk, SealedChunk } from "#crypto/chunk.ts";
import { chunkWorkHere, type ChunkWork } from "#crypto/chunk-work.ts";
import { handOver, type ChunkAnswer, type ChunkTask } from "./chunk-task.ts";
import { systemPrimitives } from "./primitives.ts";
import type { Threads } from "./threads.ts";

/** Up to here chunks are sealed before a message to a thread and back would have arrived. */
const SMALL_BYTES = 256 * 1024;

const here = chunkWorkHere(systemPrimitives);

function sum(bytes: readonly Uint8Array[]): number {
  return bytes.reduce((all, { length }) => all + length, 0);
}

/** Of a buffer that others may have pieces of, only all of it is given away. */
function isExactly(usedBytes: number, bufferBytes: number): boolean {
  return usedBytes === bufferBytes;
}

/** Sealing and opening chunks in threads; few bytes at once, on the calling one. */
export function chunkWorkIn(threads: Threads): ChunkWork {
  // What a call gives is what the task says: both are of one name in ChunkWork.
  const work = async <T extends ChunkAnswer>(task: ChunkTask, buffers: ArrayBuffer[]): Promise<T> =>
    (await threads.use((thread) => thread.work(task, buffers))) as T;
  return {
    async sealPrivate(keys, raw) {
      if (sum(raw) <= SMALL_BYTES) return here.sealPrivate(keys, raw);
      const { chunks, buffers } = handOver(raw, isExactly);
      return work<SealedChunk[]>({ call: "sealPrivate", values: [keys, chunks] }, buffers);
    },
    async frameShared(epoch, raw) {
      if (sum(raw) <= SMALL_BYTES) return here.frameShared(epoch, raw);
      const { chunks, buffers } = handOver(raw, isExactly);
      return work<FramedChunk[]>({ call: "frameShared", values: [epoch, chunks] }, buffers);
    },
    async sealShared(framed, evaluated) {
      if (sum(payloads(framed)) <= SMALL_BYTES) return here.sealShared(framed, evaluated);
      const { chunks, buffers } = handOver(framed, isExactly);
      return work<SealedChunk[]>({ call: "sealShared", values: [chunks, evaluated] }, buffers);
    },
    async sealUnshared(keys, framed) {
      if (sum(payloads(framed)) <= SMALL_BYTES) return here.sealUnshared(keys, framed);
      const { chunks, buffers } = handOver(framed, isExactly);
      return work<SealedChunk[]>({ call: "sealUnshared", values: [keys, chunks] }, buffers);
    },
    async open(sealed) {
      if (sum(sealed.map(({ stored }) => stored)) <= SMALL_BYTES) return here.open(sealed);
      const { chunks, buffers } = handOver(sealed, isExactly);
      return work<Uint8Array[]>({ call: "open", values: [chunks] }, buffers);
    },
    release,
  };
}

function payloads(framed: readonly FramedChunk[]): Uint8Array[] {
  return framed.map(({ frame }) => frame.payload);
}
