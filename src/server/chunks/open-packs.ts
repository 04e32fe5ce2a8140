import type { FileHandle } from "node:fs/promises";

/** Packs that are kept open for the next read. */
const MAX_OPEN_PACKS = 64;

type OpenPack = { readonly file: Promise<FileHandle>; readers: number; dropped: boolean };

/** Keeps the packs that were read last open; one that is dropped closes after its last reader. */
export class OpenPacks implements AsyncDisposable {
  readonly #openFile: (name: string) => Promise<FileHandle>;
  /** Least recently used first. */
  readonly #packs = new Map<string, OpenPack>();

  constructor(openFile: (name: string) => Promise<FileHandle>) {
    this.#openFile = openFile;
  }

  /** Runs `work` with the open file; it stays open at least until the work is done. */
  async use<T>(name: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
    const pack = this.#packs.get(name) ?? this.#opening(name);
    pack.readers++;
    this.#packs.delete(name);
    this.#packs.set(name, pack);
    await this.#dropOldest();
    try {
      return await work(await pack.file);
    } catch (error) {
      // What failed is not asked again: the file may be another one by now.
      this.#drop(name, pack);
      throw error;
    } finally {
      pack.readers--;
      await closeUnused(pack);
    }
  }

  async forget(name: string): Promise<void> {
    const pack = this.#packs.get(name);
    if (pack === undefined) return;
    this.#drop(name, pack);
    await closeUnused(pack);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#packs.keys()) await this.forget(name);
  }

  #opening(name: string): OpenPack {
    const file = this.#openFile(name);
    // Whoever uses it hears of the failure; until then it is nobody's.
    file.catch(() => {});
    return { file, readers: 0, dropped: false };
  }

  async #dropOldest(): Promise<void> {
    for (const name of this.#packs.keys()) {
      if (this.#packs.size <= MAX_OPEN_PACKS) return;
      await this.forget(name);
    }
  }

  #drop(name: string, pack: OpenPack): void {
    pack.dropped = true;
    if (this.#packs.get(name) === pack) this.#packs.delete(name);
  }
}

async function closeUnused(pack: OpenPack): Promise<void> {
  if (!pack.dropped || pack.readers > 0) return;
  const file = await pack.file.catch(() => undefined);
  await file?.close();
}
