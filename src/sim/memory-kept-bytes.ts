import type { ChunkId } from "#core/ids.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { KeptBytes } from "#sync/ports.ts";

/** What a device keeps of its chunks, in memory. */
export class MemoryKeptBytes implements KeptBytes {
  readonly #limitBytes: number;
  readonly #kept = new Map<ChunkId, Uint8Array>();
  readonly #isDamaged: () => boolean;
  #heldBytes = 0;

  /** `isDamaged` is asked each time that something is read. */
  constructor(limitBytes: number, isDamaged: () => boolean = () => false) {
    this.#limitBytes = limitBytes;
    this.#isDamaged = isDamaged;
  }

  get(raw: ChunkId): Uint8Array | null {
    const bytes = this.#kept.get(raw)?.slice();
    if (bytes === undefined) return null;
    if (this.#isDamaged()) bytes[bytes.length >> 1]! ^= 1;
    return bytes;
  }

  put(chunks: readonly ChunkFrame[], heat: "edited" | "at rest"): void {
    for (const { id, bytes } of chunks) this.#putOne(id, bytes, heat);
  }

  #putOne(raw: ChunkId, bytes: Uint8Array, heat: "edited" | "at rest"): void {
    const { length } = bytes;
    if (this.#kept.has(raw) || length > this.#limitBytes) return;
    if (heat === "at rest" && this.#heldBytes + length > this.#limitBytes) return;
    for (const [oldest, { length: freed }] of this.#kept) {
      if (this.#heldBytes + length <= this.#limitBytes) break;
      this.#kept.delete(oldest);
      this.#heldBytes -= freed;
    }
    this.#kept.set(raw, bytes.slice());
    this.#heldBytes += length;
  }

  close(): void {
    this.#kept.clear();
    this.#heldBytes = 0;
  }
}
