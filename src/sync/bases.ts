import { applyDelta } from "#chunking/delta.ts";
import type { ChunkId } from "#core/ids.ts";
import { allBases, type Rebuild, type SealedEntry } from "#crypto/chunk.ts";
import { MAX_CHUNK_IDS } from "#protocol/limits.ts";

/** Bytes of bases that are held at once, unless one chunk needs more. */
const RUN_BYTES = 16 * 1024 * 1024;

/** Runs of chunks that are fetched at once: any number of whole ones, few deltas. */
export function* runsOf(entries: readonly SealedEntry[]): Generator<SealedEntry[]> {
  let run: SealedEntry[] = [];
  let bytes = 0;
  let count = 0;
  for (const entry of entries) {
    const bases = allBases(entry);
    const more = bases.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const isFull = bytes + more > RUN_BYTES || count + 1 + bases.length > MAX_CHUNK_IDS;
    if (run.length > 0 && isFull) {
      yield run;
      run = [];
      bytes = 0;
      count = 0;
    }
    run.push(entry);
    bytes += more;
    count += 1 + bases.length;
  }
  if (run.length > 0) yield run;
}

/** What it takes to undo the deltas of one run: this disk's chunks, and the server's. */
export class Bases {
  readonly #local: (raw: ChunkId) => Promise<Uint8Array | null>;
  readonly #bytes = new Map<ChunkId, Uint8Array>();
  readonly #seen = new Set<ChunkId>();
  /** What the server has to be asked for, each behind its own bases. */
  readonly asked: SealedEntry[] = [];

  constructor(local: (raw: ChunkId) => Promise<Uint8Array | null>) {
    this.#local = local;
  }

  async need(bases: readonly SealedEntry[]): Promise<void> {
    for (const base of bases) {
      if (this.#seen.has(base.raw)) continue;
      this.#seen.add(base.raw);
      const bytes = await this.#local(base.raw);
      if (bytes !== null) this.#bytes.set(base.raw, bytes);
      else {
        await this.need(base.bases ?? []);
        this.asked.push(base);
      }
    }
  }

  put({ raw }: SealedEntry, bytes: Uint8Array): void {
    this.#bytes.set(raw, bytes);
  }

  rebuilding({ bases = [] }: SealedEntry): Rebuild {
    return (delta, lengthBytes) => {
      const bytes = bases.map(({ raw }) => this.#bytes.get(raw));
      return bytes.every((each) => each !== undefined)
        ? applyDelta(bytes, delta, lengthBytes)
        : null;
    };
  }
}
