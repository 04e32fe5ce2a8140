import { isShared } from "#core/bytes.ts";
import type { FramedChunk, SealedChunk } from "#crypto/chunk.ts";
import type { ChunkWork } from "#crypto/chunk-work.ts";

type Calls = Exclude<keyof ChunkWork, "release">;

/** A call of ChunkWork as data, on its way to a thread. */
export type ChunkTask = {
  readonly [Call in Calls]: {
    readonly call: Call;
    readonly values: Parameters<ChunkWork[Call]>;
  };
}[Calls];

/** What such a call gives. */
export type ChunkAnswer = readonly (SealedChunk | FramedChunk | Uint8Array)[];

/** Chunks on their way between threads, and the buffers that go with them instead of copies. */
export type HandedOver<T> = { readonly chunks: T[]; readonly buffers: ArrayBuffer[] };

type Chunk = ChunkAnswer[number];

function bytesOf(chunk: Chunk): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  return "stored" in chunk ? chunk.stored : chunk.frame.payload;
}

function withBytes(chunk: Chunk, bytes: Uint8Array): Chunk {
  if (chunk instanceof Uint8Array) return bytes;
  if ("stored" in chunk) return { ...chunk, stored: bytes };
  return { ...chunk, frame: { ...chunk.frame, payload: bytes } };
}

/**
 * Gives chunks away: buffers that `isWhole` says these chunks have for themselves are moved, bytes
 * that lie among others are copied out first. A message that had a part of a buffer in it would
 * copy all of the buffer.
 */
export function handOver<T extends Chunk>(
  chunks: readonly T[],
  isWhole: (usedBytes: number, bufferBytes: number) => boolean,
): HandedOver<T> {
  const used = new Map<ArrayBufferLike, number>();
  for (const { buffer, byteLength } of chunks.map((chunk) => bytesOf(chunk))) {
    used.set(buffer, (used.get(buffer) ?? 0) + byteLength);
  }
  const buffers = new Set<ArrayBuffer>();
  const given = chunks.map((chunk) => {
    const bytes = bytesOf(chunk);
    const { buffer } = bytes;
    const isOwn = !isShared(bytes) && isWhole(used.get(buffer) ?? 0, buffer.byteLength);
    const moved = isOwn ? bytes : new Uint8Array(bytes);
    if (moved.buffer instanceof ArrayBuffer) buffers.add(moved.buffer);
    // The same kind of chunk, with the same bytes.
    return withBytes(chunk, moved) as T;
  });
  return { chunks: given, buffers: [...buffers] };
}

/** The large buffers that came with a task. */
export function buffersOf(task: ChunkTask): Set<ArrayBuffer> {
  const chunks: ChunkAnswer =
    task.call === "open" || task.call === "sealShared" ? task.values[0] : task.values[1];
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer } of chunks.map((chunk) => bytesOf(chunk))) {
    if (buffer instanceof ArrayBuffer && !buffer.detached) buffers.add(buffer);
  }
  return buffers;
}
