import { concat } from "#core/bytes.ts";
import { packExists, packMissing, packShort, type PackStore, type PackWriter } from "./port.ts";

/** Packs that are gone with the process: the simulator's disk. */
export class MemoryPacks implements PackStore {
  readonly #packs = new Map<string, Uint8Array>();
  readonly #unfinished = new Set<string>();

  async create(name: string): Promise<PackWriter> {
    if (this.#packs.has(name) || this.#unfinished.has(name)) throw packExists(name);
    this.#unfinished.add(name);
    const parts: Uint8Array[] = [];
    let lengthBytes = 0;
    return {
      append: async (bytes) => {
        const offset = lengthBytes;
        // A copy: a Buffer's own slice would be a view.
        parts.push(new Uint8Array(bytes));
        lengthBytes += bytes.length;
        return offset;
      },
      finish: async () => {
        this.#unfinished.delete(name);
        this.#packs.set(name, concat(parts));
      },
      discard: async () => {
        this.#unfinished.delete(name);
      },
    };
  }

  async read(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const pack = this.#packs.get(name);
    if (pack === undefined) throw packMissing(name);
    if (offsetBytes + lengthBytes > pack.length) {
      throw packShort(name, { endBytes: pack.length, offsetBytes, lengthBytes });
    }
    return pack.slice(offsetBytes, offsetBytes + lengthBytes);
  }

  async *list(): AsyncGenerator<string, void, undefined> {
    yield* this.#packs.keys();
  }

  async remove(name: string): Promise<void> {
    this.#packs.delete(name);
  }

  get count(): number {
    return this.#packs.size;
  }

  /** Puts packs back that are not there. */
  restore(image: ReadonlyMap<string, Uint8Array>): void {
    for (const [name, bytes] of image) if (!this.#packs.has(name)) this.#packs.set(name, bytes);
  }

  /** All packs as of now. */
  image(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#packs);
  }
}
