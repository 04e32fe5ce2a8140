import { closeSync, constants, fchmodSync, fstatSync, fsync, linkSync } from "node:fs";
import { lstatSync, mkdirSync, openSync, readlinkSync, renameSync, rmdirSync } from "node:fs";
import { statSync, symlinkSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { codeOf, WorldError } from "#core/errors.ts";
import { foldName, PRIVATE_FOLDER } from "#core/names.ts";
import type { DiskChange, Stat } from "#sync/ports.ts";
import type { Breath } from "./breath.ts";
import { attempt, diskError, errnoOf, shownPath } from "./errno.ts";
import { namesOf } from "./root-path.ts";
import type { RootPath } from "./root-path.ts";
import { statOf } from "./stat.ts";

const syncDescriptor = promisify(fsync);

/** Folders whose entries are made durable at the same time. */
const MAX_SYNCS_AT_ONCE = 16;

const FILE_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const FOLDER_FLAGS = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0);

/** True for paths that only the engine uses: there it may overwrite and remove. */
export function isPrivate(path: string): boolean {
  const names = namesOf(path);
  return names.length > 1 && names[0] === PRIVATE_FOLDER;
}

export class RealDiskChange implements DiskChange {
  readonly #paths: RootPath;
  readonly #breath: Breath;

  constructor(paths: RootPath, breath: Breath) {
    this.#paths = paths;
    this.#breath = breath;
  }

  async makeFolder(path: string): Promise<Stat> {
    await this.#pause();
    return this.#paths.within("make the folder", path, (at) => {
      this.#mustBeOnRootsDisk(at, path);
      mkdirSync(at);
      return statOf(lstatSync(at, { bigint: true }));
    });
  }

  async makeSymlink(path: string, target: string): Promise<Stat> {
    await this.#pause();
    return this.#paths.within("make the link", path, (at) => {
      this.#mustBeOnRootsDisk(at, path);
      symlinkSync(target, at);
      return statOf(lstatSync(at, { bigint: true }));
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.#pause();
    using source = this.#paths.name(from);
    this.#paths.within("make the name", to, (at) => {
      // link(2) on Linux gives the link itself a second name; elsewhere it would follow it.
      if (process.platform !== "linux" && lstatSync(source.at).isSymbolicLink()) {
        symlinkSync(readlinkSync(source.at), at);
      } else {
        linkSync(source.at, at);
      }
    });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#pause();
    if (to.startsWith(`${from}/`)) {
      const message = `Cannot move ${shownPath(from)} into itself; move it elsewhere first.`;
      throw new WorldError("inside-itself", message);
    }
    using source = this.#paths.name(from);
    using target = this.#paths.name(to);
    if (!isPrivate(to)) refuseTaken(source.at, target.at, from, to);
    this.#paths.noteMove();
    attempt("move", from, () => renameSync(source.at, target.at));
  }

  async removeFolder(path: string): Promise<void> {
    await this.#pause();
    this.#paths.noteMove();
    this.#paths.within("remove the folder", path, rmdirSync);
  }

  async setExecutable(path: string, executable: boolean): Promise<Stat> {
    await this.#pause();
    const descriptor = this.#paths.within("open", path, (at) => openSync(at, FILE_FLAGS));
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile()) {
        const message = `${shownPath(path)} is no file any more; look at it again.`;
        throw new WorldError("not-a-file", message);
      }
      fchmodSync(descriptor, withExecutable(stats.mode, executable));
      return statOf(fstatSync(descriptor, { bigint: true }));
    } catch (error) {
      throw diskError(error, "change the mode of", path);
    } finally {
      closeSync(descriptor);
    }
  }

  async remove(path: string): Promise<void> {
    await this.#pause();
    if (!isPrivate(path)) {
      const message = `Only what lies in ${PRIVATE_FOLDER} is removed; hold ${shownPath(path)}.`;
      throw new WorldError("outside-root", message);
    }
    this.#paths.within("remove", path, unlinkSync);
  }

  async syncFolders(folders: readonly string[]): Promise<void> {
    // Windows has no such call: its journal orders the entries.
    if (process.platform === "win32") return;
    const waiting = [...new Set(folders)];
    const work = async () => {
      for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
        await this.#syncFolder(path);
      }
    };
    await Promise.all(Array.from({ length: MAX_SYNCS_AT_ONCE }, work));
  }

  async #syncFolder(path: string): Promise<void> {
    let descriptor: number;
    try {
      using reached = this.#paths.folder(path);
      descriptor = attempt("open", path, () => openSync(`${reached.at}/.`, FOLDER_FLAGS));
    } catch (error) {
      // A folder that is gone has no entries left that could be lost.
      if (codeOf(error) === "not-found" || codeOf(error) === "not-a-folder") return;
      throw error;
    }
    try {
      await syncDescriptor(descriptor);
    } catch (error) {
      // Some file systems know no such call for folders, and have nothing to do in it.
      const errno = errnoOf(error);
      if (errno !== "EINVAL" && errno !== "ENOTSUP") throw syncFailed(path, error);
    } finally {
      closeSync(descriptor);
    }
  }

  /** Files come from the root's own disk and cannot land on another; what has no bytes could. */
  #mustBeOnRootsDisk(at: string, path: string): void {
    if (statSync(dirname(at)).dev === statSync(this.#paths.root).dev) return;
    const message = `Cannot make ${shownPath(path)}: another file system is mounted there.`;
    throw new WorldError("other-disk", message);
  }

  async #pause(): Promise<void> {
    if (this.#breath.due()) await this.#breath.take();
  }
}

/** The `io` of a failed fsync: what was written may be gone although reading still shows it. */
export function syncFailed(path: string, cause: unknown): WorldError {
  const message = `The disk did not keep what was written to ${shownPath(path)}: check the disk.`;
  return new WorldError("io", message, { cause });
}

/** Everyone who may read may run, or nobody; all other bits stay. */
export function withExecutable(mode: number, executable: boolean): number {
  const bits = mode & 0o7777;
  return executable ? bits | ((bits & 0o444) >> 2) : bits & ~0o111;
}

/** Throws `exists` when `to` is taken by anything but `from` itself under another case. */
function refuseTaken(sourceAt: string, targetAt: string, from: string, to: string): void {
  const look = { bigint: true, throwIfNoEntry: false } as const;
  const taken = attempt("look at", to, () => lstatSync(targetAt, look));
  if (taken === undefined) return;
  const source = attempt("look at", from, () => lstatSync(sourceAt, look));
  // On a disk that folds case, "a" is found under "A"; a second name of its inode is not that.
  const isItself =
    source !== undefined &&
    source.dev === taken.dev &&
    source.ino === taken.ino &&
    (source.nlink === 1n || source.isDirectory()) &&
    foldName(from) === foldName(to);
  if (isItself) return;
  const message = `Cannot move ${shownPath(from)}: ${shownPath(to)} is taken; look at it again.`;
  throw new WorldError("exists", message);
}
