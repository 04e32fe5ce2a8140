import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { opendirSync, read, readdirSync, readlinkSync, readSync, statfsSync } from "node:fs";
import { statSync } from "node:fs";
import type { Dir } from "node:fs";
import { promisify } from "node:util";
import { WorldError } from "#core/errors.ts";
import { joinPath, PRIVATE_FOLDER } from "#core/names.ts";
import type { DiskChange, DiskLook, DiskStage, Entry, Listing, Stat } from "#sync/ports.ts";
import { Breath, SMALL_BYTES } from "./breath.ts";
import { RealDiskChange } from "./disk-change.ts";
import { RealDiskStage } from "./disk-stage.ts";
import { attempt, diskError, shownPath } from "./errno.ts";
import { RootPath, walkOfThisMachine } from "./root-path.ts";
import type { Walk } from "./root-path.ts";
import { statOf } from "./stat.ts";

const readAt = promisify(read);

// O_NONBLOCK: a FIFO that took a file's place would otherwise hold the program until somebody
// writes.
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** A folder whose own size is above this is read in slices, the others in one call. */
const SLICED_FOLDER_BYTES = 64 * 1024;
const SLICE_ENTRIES = 1_024;
/** Entries between two looks at the time. */
const STRIDE = 64;

/** The three sides of one real folder tree. */
export type Disk = AsyncDisposable & {
  readonly look: DiskLook;
  readonly change: DiskChange;
  readonly stage: DiskStage;
};

/** Opens nothing yet: every call reaches the root anew, so a disk may go and come back. */
export function openDisk(root: string, options: { readonly walk?: Walk } = {}): Disk {
  const paths = new RootPath(root, options.walk ?? walkOfThisMachine());
  const breath = new Breath();
  const stage = new RealDiskStage(paths, breath);
  return {
    look: new RealDiskLook(paths, breath),
    change: new RealDiskChange(paths, breath),
    stage,
    [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose](),
  };
}

class RealDiskLook implements DiskLook {
  readonly #paths: RootPath;
  readonly #breath: Breath;

  constructor(paths: RootPath, breath: Breath) {
    this.#paths = paths;
    this.#breath = breath;
  }

  async list(folder: string, signal?: AbortSignal): Promise<Listing> {
    if (this.#breath.due()) await this.#breath.take();
    using reached = this.#paths.folder(folder);
    // Looking by the folder's present name is twice as fast; what was seen counts only if the
    // folder still has that name afterwards.
    const name = reached.presentName();
    if (name !== null) {
      const listing = await this.#listAt(name, folder, signal).catch(() => null);
      signal?.throwIfAborted();
      if (listing !== null && reached.presentName() === name) return listing;
    }
    return await this.#listAt(reached.at, folder, signal);
  }

  async #listAt(at: string, folder: string, signal?: AbortSignal): Promise<Listing> {
    const entries: Entry[] = [];
    const undecodable: string[] = [];
    const { file } = statOf(attempt("list", folder, () => statSync(at, { bigint: true })));
    let seen = 0;
    for (const bytes of attempt("list", folder, () => namesIn(at))) {
      if (++seen % STRIDE === 0 && this.#breath.due()) {
        await this.#breath.take();
        signal?.throwIfAborted();
      }
      if (!isUtf8(bytes)) {
        undecodable.push(showOddBytes(bytes));
        continue;
      }
      const name = bytes.toString("utf8");
      if (folder === "" && name === PRIVATE_FOLDER) continue;
      try {
        const stats = lstatSync(`${at}/${name}`, { bigint: true, throwIfNoEntry: false });
        if (stats !== undefined) entries.push({ name, ...statOf(stats) });
      } catch (error) {
        throw diskError(error, "look at", joinPath(folder, name));
      }
    }
    return { file, entries, undecodable };
  }

  async stat(path: string): Promise<Stat | null> {
    if (this.#breath.due()) await this.#breath.take();
    try {
      const look = { bigint: true } as const;
      if (path === "")
        return statOf(attempt("look at", path, () => statSync(this.#paths.root, look)));
      return statOf(this.#paths.within("look at", path, (at) => lstatSync(at, look)));
    } catch (error) {
      if (error instanceof WorldError && GONE.has(error.code)) return null;
      throw error;
    }
  }

  async readLink(path: string): Promise<string> {
    if (this.#breath.due()) await this.#breath.take();
    const target = this.#paths.within("read", path, (at) =>
      readlinkSync(at, { encoding: "buffer" }),
    );
    if (isUtf8(target)) return target.toString("utf8");
    const message = `The link ${shownPath(path)} points to a name that is not UTF-8; change it.`;
    throw new WorldError("bad-name", message);
  }

  async read(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    if (this.#breath.due()) await this.#breath.take();
    const descriptor = this.#paths.within("read", path, (at) => openSync(at, READ_FLAGS));
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile()) {
        const message = `Cannot read ${shownPath(path)}: what stands there is no file; look again.`;
        throw new WorldError("not-a-file", message);
      }
      return await readPiece(
        descriptor,
        offsetBytes,
        Math.min(lengthBytes, stats.size - offsetBytes),
      );
    } catch (error) {
      throw diskError(error, "read", path);
    } finally {
      closeSync(descriptor);
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = attempt("look at", "", () => statfsSync(this.#paths.root));
    return bavail * bsize;
  }
}

const GONE: ReadonlySet<string> = new Set(["not-found", "not-a-folder"]);

/** Not written to before, so that no page of it is before it has to be. */
function emptyBytes(lengthBytes: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(lengthBytes).buffer);
}

async function readPiece(descriptor: number, at: number, lengthBytes: number): Promise<Uint8Array> {
  const bytes = emptyBytes(Math.max(lengthBytes, 0));
  let filled = 0;
  while (filled < bytes.length) {
    const left = bytes.length - filled;
    const bytesRead =
      left <= SMALL_BYTES
        ? readSync(descriptor, bytes, filled, left, at + filled)
        : (await readAt(descriptor, bytes, filled, left, at + filled)).bytesRead;
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled === bytes.length ? bytes : bytes.slice(0, filled);
}

/** The names in a folder as bytes, in slices where it is large. */
function namesIn(at: string): Iterable<Buffer> {
  if (statSync(at).size <= SLICED_FOLDER_BYTES) return readdirSync(at, { encoding: "buffer" });
  // Node passes "buffer" on to each entry's name; its types only speak of text.
  const encoding = "buffer" as BufferEncoding;
  return slicesOf(opendirSync(at, { encoding, bufferSize: SLICE_ENTRIES }));
}

function* slicesOf(folder: Dir): Generator<Buffer> {
  try {
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) {
      yield entry.name as unknown as Buffer;
    }
  } finally {
    folder.closeSync();
  }
}

/** A name that is not UTF-8, its valid parts as they are and each odd byte as %XX. */
function showOddBytes(bytes: Buffer): string {
  let shown = "";
  let index = 0;
  while (index < bytes.length) {
    const length = validLength(bytes, index);
    const piece = bytes.subarray(index, index + Math.max(length, 1));
    shown += length > 0 ? piece.toString("utf8") : `%${piece.toString("hex").toUpperCase()}`;
    index += piece.length;
  }
  return shown;
}

function validLength(bytes: Buffer, index: number): number {
  for (let length = 1; length <= 4 && index + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(index, index + length))) return length;
  }
  return 0;
}
