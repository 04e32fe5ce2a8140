import { constants } from "node:fs";
import {
  access,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
  type FileHandle,
} from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import { OpenPacks } from "./open-packs.ts";
import { packExists, packMissing, packShort, type KnownPacks, type PackWriter } from "./port.ts";

/** Packs under construction lie here; what is left of them after a crash is nobody's. */
const UNFINISHED = "unfinished";
/** Those of programs beside the server, which may be at work while it starts. */
const UNFINISHED_BESIDE = "unfinished-beside";
/** What one of them has not touched for so long it will not finish. */
const ABANDONED_MS = 24 * 3_600_000;

const SUFFIX = ".pack";

/** The file that says which store this is. */
const STORE_ID = "store.id";

/** The first two characters are the folder that a pack lies in. */
const NAME = /^[0-9a-z]{2}[0-9a-z-]{2,126}$/;

/** Where a finished pack lies in a folder of packs. */
export function packPath(folder: string, name: string): string {
  assert(NAME.test(name), `not a pack name: ${name}`);
  return join(folder, name.slice(0, 2), `${name}${SUFFIX}`);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

function worldError(error: unknown, name: string): unknown {
  if (error instanceof WorldError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  if (code === "EEXIST") return packExists(name);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new WorldError("storage-full", "The disk that chunks are stored on is full.", {
      retryable: true,
      cause: error,
    });
  }
  return new WorldError("unavailable", `Pack ${name} cannot be read or written (${code}).`, {
    retryable: true,
    cause: error,
  });
}

async function guarded<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw worldError(error, name);
  }
}

/** Makes names in a folder survive a power cut; Windows syncs them with the file itself. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  await using handle = await open(folder, constants.O_RDONLY);
  await handle.sync();
}

/** Folders made in a parent, durable before they are first written to. */
class Folders {
  readonly #made = new Map<string, Promise<void>>();

  /** Callers at the same time wait for one another: none goes on before the name is durable. */
  ensure(folder: string): Promise<void> {
    const known = this.#made.get(folder);
    if (known !== undefined) return known;
    const making = mkdir(folder, { recursive: true }).then(() => syncFolder(dirname(folder)));
    this.#made.set(folder, making);
    making.catch(() => this.#made.delete(folder));
    return making;
  }
}

/**
 * Packs as files below one folder, `ab/abcd….pack`. One process at a time may have it `open`: what
 * is unfinished then is removed. Others may be `beside` it, and finish what they have begun.
 */
export class DiskPacks implements KnownPacks {
  readonly #folder: string;
  /** Where packs are under construction. */
  readonly #unfinished: string;
  readonly #folders = new Folders();
  readonly #files: OpenPacks;

  private constructor(folder: string, unfinished: string) {
    this.#folder = folder;
    this.#unfinished = join(folder, unfinished);
    this.#files = new OpenPacks((name) => this.#openToRead(name));
  }

  /** Opens the folder, and makes it when it is not there. */
  static async open(folder: string): Promise<DiskPacks> {
    const packs = new DiskPacks(resolve(folder), UNFINISHED);
    await guarded(folder, async () => {
      await packs.#folders.ensure(packs.#folder);
      await rm(packs.#unfinished, { recursive: true, force: true });
      await packs.#folders.ensure(packs.#unfinished);
      await removeAbandoned(join(packs.#folder, UNFINISHED_BESIDE), packs.#unfinished);
    });
    return packs;
  }

  /** For a program beside the server: what that one is writing is left alone. */
  static beside(folder: string): DiskPacks {
    return new DiskPacks(resolve(folder), UNFINISHED_BESIDE);
  }

  async create(name: string): Promise<PackWriter> {
    const path = this.#path(name);
    const unfinished = join(this.#unfinished, name);
    return guarded(name, async () => {
      await refuseExisting(path, name);
      await this.#folders.ensure(dirname(unfinished));
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
      const file = await open(unfinished, flags, 0o600);
      return new DiskPackWriter({ name, unfinished, path, file, folders: this.#folders });
    });
  }

  async read(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    return guarded(name, () =>
      this.#files.use(name, async (file) => {
        const bytes = Buffer.allocUnsafe(lengthBytes);
        let filled = 0;
        while (filled < lengthBytes) {
          const position = offsetBytes + filled;
          const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, position);
          if (bytesRead === 0) {
            throw packShort(name, { endBytes: position, offsetBytes, lengthBytes });
          }
          filled += bytesRead;
        }
        return bytes;
      }),
    );
  }

  async *list(): AsyncGenerator<string, void, undefined> {
    for (const pair of await guarded(this.#folder, () => readdir(this.#folder))) {
      if (pair.length !== 2) continue;
      for (const name of await guarded(pair, () => readdir(join(this.#folder, pair)))) {
        if (name.endsWith(SUFFIX)) yield name.slice(0, -SUFFIX.length);
      }
    }
  }

  async remove(name: string): Promise<void> {
    await this.#files.forget(name);
    await guarded(name, () => rm(this.#path(name), { force: true }));
  }

  async storeId(drawn: string): Promise<string> {
    const path = join(this.#folder, STORE_ID);
    const known = await guarded(STORE_ID, () =>
      readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return null;
        throw error;
      }),
    );
    if (known !== null && known !== "") return known;
    await guarded(STORE_ID, async () => {
      await this.#folders.ensure(this.#unfinished);
      const unfinished = join(this.#unfinished, STORE_ID);
      await writeFile(unfinished, drawn, { flush: true });
      await rename(unfinished, path);
      await syncFolder(this.#folder);
    });
    return drawn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  #path(name: string): string {
    return packPath(this.#folder, name);
  }

  async #openToRead(name: string): Promise<FileHandle> {
    try {
      return await open(this.#path(name), constants.O_RDONLY);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      throw packMissing(name, error);
    }
  }
}

/** By the disk's own clock: `fresh` was made just now. What is finished meanwhile is passed by. */
async function removeAbandoned(folder: string, fresh: string): Promise<void> {
  const names = await unlessGone(readdir(folder), []);
  const { mtimeMs: nowMs } = await stat(fresh);
  for (const name of names) {
    const path = join(folder, name);
    const entry = await unlessGone(stat(path), null);
    if (entry !== null && entry.mtimeMs < nowMs - ABANDONED_MS) await rm(path, { force: true });
  }
}

async function unlessGone<T, U>(looking: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await looking;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return otherwise;
    throw error;
  }
}

async function refuseExisting(path: string, name: string): Promise<void> {
  try {
    await access(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  throw packExists(name);
}

type Unfinished = {
  readonly name: string;
  /** Where it is written, and where it will stand. */
  readonly unfinished: string;
  readonly path: string;
  readonly file: FileHandle;
  readonly folders: Folders;
};

class DiskPackWriter implements PackWriter {
  readonly #pack: Unfinished;
  #lengthBytes = 0;

  constructor(pack: Unfinished) {
    this.#pack = pack;
  }

  async append(bytes: Uint8Array): Promise<number> {
    const { name, file } = this.#pack;
    const offset = this.#lengthBytes;
    await guarded(name, async () => {
      for (let written = 0; written < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, written, null, offset + written);
        written += bytesWritten;
      }
    });
    this.#lengthBytes += bytes.length;
    return offset;
  }

  async finish(): Promise<void> {
    const { name, unfinished, path, file, folders } = this.#pack;
    await guarded(name, async () => {
      await file.sync();
      await file.close();
      await folders.ensure(dirname(path));
      await refuseExisting(path, name);
      await rename(unfinished, path);
      await syncFolder(dirname(path));
    });
  }

  async discard(): Promise<void> {
    const { name, unfinished, file } = this.#pack;
    await guarded(name, async () => {
      await file.close();
      await rm(unfinished, { force: true });
    });
  }
}
