import { closeSync, constants, fchmodSync, fstatSync, fsync, ftruncateSync } from "node:fs";
import { futimesSync, openSync, read, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import type { DiskStage, Stat } from "#sync/ports.ts";
import { SMALL_BYTES, type Breath } from "./breath.ts";
import { isPrivate, syncFailed, withExecutable } from "./disk-change.ts";
import { diskError, shownPath } from "./errno.ts";
import type { RootPath } from "./root-path.ts";
import { statOf } from "./stat.ts";
import { isZero } from "./zeros.ts";

const readAt = promisify(read);
const writeAt = promisify(write);
const syncDescriptor = promisify(fsync);

/** Stage files that stay open between two writes; more are closed and opened again when needed. */
const MAX_OPEN_STAGED = 64;

const OPEN_FLAGS = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

type Open = {
  readonly descriptor: number;
  readonly mode: number;
  sizeBytes: number;
  /** Writes under way: a descriptor closed below one could by then be another file's. */
  writes: number;
  closed: boolean;
};

export class RealDiskStage implements DiskStage, AsyncDisposable {
  readonly #paths: RootPath;
  readonly #breath: Breath;
  /** By path, the one used longest ago first. */
  readonly #open = new Map<string, Open>();

  constructor(paths: RootPath, breath: Breath) {
    this.#paths = paths;
    this.#breath = breath;
  }

  async open(path: string): Promise<number> {
    if (this.#breath.due()) await this.#breath.take();
    return this.#take(path, constants.O_CREAT).sizeBytes;
  }

  async write(path: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    if (this.#breath.due()) await this.#breath.take();
    const file = this.#take(path, 0);
    const end = offsetBytes + bytes.length;
    file.writes++;
    try {
      // Zeros where there are none but zeros need no blocks: a sparse file stays one.
      if (isZero(bytes) && (await this.#readsZero(file, offsetBytes, bytes.length))) return;
      file.sizeBytes = Math.max(file.sizeBytes, end);
      let done = 0;
      while (done < bytes.length) {
        const left = bytes.length - done;
        const at = offsetBytes + done;
        done +=
          left <= SMALL_BYTES
            ? writeSync(file.descriptor, bytes, done, left, at)
            : (await writeAt(file.descriptor, bytes, done, left, at)).bytesWritten;
      }
    } catch (error) {
      throw diskError(error, "write", path);
    } finally {
      file.writes--;
      if (file.closed) closeWhenIdle(file);
    }
  }

  /** True when a piece of the file holds nothing but zeros, or lies beyond its end. */
  async #readsZero(file: Open, offsetBytes: number, lengthBytes: number): Promise<boolean> {
    const end = Math.min(offsetBytes + lengthBytes, file.sizeBytes);
    const present = new Uint8Array(Math.max(0, end - offsetBytes));
    for (let at = 0; at < present.length;) {
      const left = present.length - at;
      const { bytesRead } = await readAt(file.descriptor, present, at, left, offsetBytes + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return isZero(present);
  }

  async finish(
    path: string,
    as: { sizeBytes: number; executable: boolean; mtimeMs: number },
  ): Promise<Stat> {
    if (this.#breath.due()) await this.#breath.take();
    const { descriptor, writes, sizeBytes, mode } = this.#take(path, 0);
    assert(writes === 0, `a stage file is finished while it is written: ${path}`);
    this.#open.delete(path);
    try {
      if (sizeBytes !== as.sizeBytes) ftruncateSync(descriptor, as.sizeBytes);
      const wanted = withExecutable(mode, as.executable);
      if (wanted !== (mode & 0o7777)) fchmodSync(descriptor, wanted);
      const seconds = secondsOf(as.mtimeMs);
      futimesSync(descriptor, seconds, seconds);
      await syncDescriptor(descriptor).catch((error: unknown) => {
        throw syncFailed(path, error);
      });
      // Read back: the disk keeps times in steps of its own.
      return statOf(fstatSync(descriptor, { bigint: true }));
    } catch (error) {
      throw diskError(error, "finish", path);
    } finally {
      closeSync(descriptor);
    }
  }

  async close(path: string): Promise<void> {
    const file = this.#open.get(path);
    if (file === undefined) return;
    this.#open.delete(path);
    closeWhenIdle(file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#open.values()) closeWhenIdle(file);
    this.#open.clear();
  }

  #take(path: string, more: number): Open {
    const known = this.#open.get(path);
    if (known !== undefined) {
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    const opened = this.#openFile(path, more);
    this.#open.set(path, opened);
    this.#closeOldest(opened);
    return opened;
  }

  #openFile(path: string, more: number): Open {
    if (!isPrivate(path)) {
      const message = `Only files in ${PRIVATE_FOLDER} are written; stage ${shownPath(path)}.`;
      throw new WorldError("outside-root", message);
    }
    const flags = OPEN_FLAGS | more;
    const descriptor = this.#paths.within("open", path, (at) => openSync(at, flags, 0o666));
    const stats = fstatSync(descriptor);
    if (stats.isFile() && stats.nlink === 1) {
      const { size: sizeBytes, mode } = stats;
      return { descriptor, mode, sizeBytes, writes: 0, closed: false };
    }
    closeSync(descriptor);
    // A second name is a person's file: a crash came between giving it that name and removing this.
    const message = `${shownPath(path)} is in use as a file of yours: remove this name.`;
    throw new WorldError("exists", message);
  }

  #closeOldest(opened: Open): void {
    for (const [path, file] of this.#open) {
      if (this.#open.size <= MAX_OPEN_STAGED) return;
      if (file.writes > 0 || file === opened) continue;
      this.#open.delete(path);
      closeWhenIdle(file);
    }
  }
}

/**
 * Seconds that come out of the system as these milliseconds: few thousandths have an exact double,
 * and libuv cuts off, so it has to be the next one from zero. As text, because Node takes a
 * negative number for "now".
 */
function secondsOf(mtimeMs: number): string {
  const seconds = mtimeMs / 1_000;
  return String(seconds + (seconds * Number.EPSILON) / 2);
}

function closeWhenIdle(file: Open): void {
  file.closed = true;
  if (file.writes === 0) closeSync(file.descriptor);
}
