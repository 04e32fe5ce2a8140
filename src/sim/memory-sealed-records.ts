import type { ChunkId, ContentHash } from "#core/ids.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import type { SealedRecords } from "#sync/ports.ts";

/**
 * What a device of a sealed space remembers. All of it is true of the contents that it is about, so
 * an older database that still has it is no other world.
 */
export class MemorySealedRecords implements SealedRecords {
  readonly #sealed = new Map<ChunkId, SealedEntry>();
  readonly #inline = new Map<ChunkId, Uint8Array>();
  readonly #roots = new Map<ContentHash, Uint8Array>();
  readonly #chains = new Map<number, string>();

  sealed(raw: ChunkId): SealedEntry | undefined {
    return this.#sealed.get(raw);
  }

  putSealed(entry: SealedEntry): void {
    this.#sealed.set(entry.raw, entry);
  }

  inline(raw: ChunkId): Uint8Array | undefined {
    return this.#inline.get(raw);
  }

  putInline(raw: ChunkId, bytes: Uint8Array): void {
    this.#inline.set(raw, bytes);
  }

  root(content: ContentHash): Uint8Array | undefined {
    return this.#roots.get(content);
  }

  putRoot(content: ContentHash, root: Uint8Array): void {
    this.#roots.set(content, root);
  }

  chainAt(sequence: number): string | undefined {
    return this.#chains.get(sequence);
  }

  putChain(sequence: number, chain: string): void {
    this.#chains.set(sequence, chain);
  }
}
