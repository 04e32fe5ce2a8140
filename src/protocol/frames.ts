import { toHex, fromHex } from "../core/bytes.ts";
import { chunkId, type ChunkId } from "../core/ids.ts";
import { WorldError } from "../core/errors.ts";
import { MAX_CHUNK_BYTES } from "./limits.ts";

/**
 * A batch of chunks on the wire: `[id 32][length 4, big endian][bytes]…`, nothing before, between
 * or behind the frames. Media type `application/vnd.lockstep.chunks`.
 */
export const FRAMES_MEDIA_TYPE = "application/vnd.lockstep.chunks";

export const FRAME_HEAD_BYTES = 36;

export type ChunkFrame = { readonly id: ChunkId; readonly bytes: Uint8Array };

/** The 36 bytes that stand before a chunk. */
export function frameHead(id: ChunkId, lengthBytes: number): Uint8Array {
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  head.set(fromHex(id), 0);
  new DataView(head.buffer).setUint32(32, lengthBytes);
  return head;
}

function bad(detail: string): WorldError {
  return new WorldError("bad-frames", `The batch of chunks is damaged: ${detail}.`);
}

/**
 * Splits a stream into frames, holding at most one chunk and one piece of the stream. Throws
 * WorldError `bad-frames` when a length is 0 or above MAX_CHUNK_BYTES or the stream ends within a
 * frame.
 */
export async function* readFrames(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<ChunkFrame, void, undefined> {
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  let headFilled = 0;
  let body: Uint8Array | null = null;
  let bodyFilled = 0;
  for await (const piece of stream) {
    let offset = 0;
    while (offset < piece.length) {
      if (body === null) {
        const take = Math.min(FRAME_HEAD_BYTES - headFilled, piece.length - offset);
        head.set(piece.subarray(offset, offset + take), headFilled);
        headFilled += take;
        offset += take;
        if (headFilled < FRAME_HEAD_BYTES) break;
        const length = new DataView(head.buffer).getUint32(32);
        if (length === 0 || length > MAX_CHUNK_BYTES) throw bad(`a chunk of ${length} bytes`);
        body = new Uint8Array(length);
        bodyFilled = 0;
      }
      const take = Math.min(body.length - bodyFilled, piece.length - offset);
      body.set(piece.subarray(offset, offset + take), bodyFilled);
      bodyFilled += take;
      offset += take;
      if (bodyFilled === body.length) {
        yield { id: chunkId(toHex(head.subarray(0, 32))), bytes: body };
        body = null;
        headFilled = 0;
      }
    }
  }
  if (body !== null || headFilled > 0) throw bad("it ends within a chunk");
}
