import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { openCutter, type Cutter } from "#chunking/cutter.ts";
import { nextSizeClass, sizesOf, type SizeClass } from "#chunking/sizes.ts";
import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import type { ContentHash } from "#core/ids.ts";
import type { Digested, FileReader } from "#sync/ports.ts";
import { Breath } from "./breath.ts";
import { systemClock } from "./clock.ts";
import { attempt, diskError, errnoOf } from "./errno.ts";
import { digestFile } from "./file-digest.ts";
import type { FileDigest } from "./file-digest.ts";
import { RootPath } from "./root-path.ts";
import { sameStamp, statOf } from "./stat.ts";
import { stoppedError, Threads, type ThreadsOptions } from "./threads.ts";

/** Up to here a file is read before a message to a thread and back would have arrived. */
const SMALL_BYTES = 256 * 1024;

// A link is not followed (where the system can say so), and a pipe that took the file's name since
// it was looked at does not make this program wait for someone to write into it.
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

type Expected = Parameters<FileReader["digest"]>[1];

type Opened =
  | { readonly outcome: "open"; readonly descriptor: number }
  | { readonly outcome: "changed" }
  | { readonly outcome: "gone" };

export type FileReaderOptions = ThreadsOptions & {
  /** The synced folder. */
  readonly root: string;
  /** Threads that do other things as well; without them the reader has its own. */
  readonly threads?: Threads;
};

function isAsExpected(stats: ReturnType<typeof statOf>, expected: Expected): boolean {
  return (
    stats.kind === "file" && stats.file === expected.file && sameStamp(stats.stamp, expected.stamp)
  );
}

class DiskFileReader implements FileReader, AsyncDisposable {
  readonly #root: RootPath;
  readonly #cutter: Cutter;
  readonly #threads: Threads;
  readonly #isOwner: boolean;
  readonly #breath = new Breath();
  #turn: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: FileReaderOptions) {
    this.#root = new RootPath(options.root);
    this.#cutter = openCutter(options.vgear ?? null, options.cutKey, SMALL_BYTES);
    this.#threads = options.threads ?? new Threads(options);
    this.#isOwner = options.threads === undefined;
  }

  async digest(path: string, expected: Expected, signal?: AbortSignal): Promise<Digested> {
    signal?.throwIfAborted();
    assert(!this.#isClosed, "a file for a reader that is closed");
    const { sizeBytes } = expected.stamp;
    if (sizeBytes > SMALL_BYTES) {
      return this.#digestLarge(path, expected, nextSizeClass(sizeBytes, null), signal);
    }
    while (this.#breath.due()) await this.#yield();
    signal?.throwIfAborted();
    return this.#digestSmall(path, expected);
  }

  async hash(path: string, expected: Expected, signal?: AbortSignal): Promise<ContentHash | null> {
    const isSmall = expected.stamp.sizeBytes <= SMALL_BYTES;
    const digested = isSmall
      ? await this.digest(path, expected, signal)
      : await this.#digestLarge(path, expected, null, signal);
    return digested.outcome === "read" ? digested.sha256 : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    if (this.#isOwner) await this.#threads[Symbol.asyncDispose]();
  }

  /** One turn of the event loop for all who wait, so that they do not all go on in the same one. */
  async #yield(): Promise<void> {
    this.#turn ??= this.#breath.take().finally(() => {
      this.#turn = null;
    });
    await this.#turn;
  }

  #digestSmall(path: string, expected: Expected): Digested {
    const beganMs = systemClock.nowMs();
    const opened = this.#open(path, expected);
    if (opened.outcome !== "open") return opened;
    const { descriptor } = opened;
    try {
      const { sizeBytes } = expected.stamp;
      const sizes = sizesOf(nextSizeClass(sizeBytes, null));
      const task = { descriptor, sizeBytes, sizes };
      const digest = digestFile(task, this.#cutter, () => false);
      assert(digest !== null, "nobody stops a small file");
      return this.#checked(descriptor, path, expected, digest, beganMs);
    } catch (error) {
      return this.#failed(descriptor, path, expected, error);
    } finally {
      closeSync(descriptor);
    }
  }

  async #digestLarge(
    path: string,
    expected: Expected,
    sizeClass: SizeClass | null,
    signal?: AbortSignal,
  ): Promise<Digested> {
    return this.#threads.use(async (thread) => {
      signal?.throwIfAborted();
      const beganMs = systemClock.nowMs();
      const opened = this.#open(path, expected);
      if (opened.outcome !== "open") return opened;
      const { descriptor } = opened;
      try {
        const { sizeBytes } = expected.stamp;
        const task = { call: "digest", descriptor, sizeBytes, sizeClass } as const;
        const digest = await thread.digest(task, signal);
        signal?.throwIfAborted();
        if (digest === null) throw stoppedError();
        return this.#checked(descriptor, path, expected, digest, beganMs);
      } catch (error) {
        return this.#failed(descriptor, path, expected, error);
      } finally {
        closeSync(descriptor);
      }
    }, signal);
  }

  /** Opens what stands at `path` if it is what is expected: nothing else is ever opened. */
  #open(path: string, expected: Expected): Opened {
    try {
      using reached = this.#root.name(path);
      const { at } = reached;
      const stats = attempt("read", path, () => lstatSync(at, { bigint: true }));
      if (!isAsExpected(statOf(stats), expected)) return { outcome: "changed" };
      return { outcome: "open", descriptor: openSync(at, OPEN_FLAGS) };
    } catch (error) {
      // Between the look and the opening a link, a socket or a device took the name.
      if (["ELOOP", "EMLINK", "ENXIO", "ENODEV"].includes(errnoOf(error) ?? "")) {
        return { outcome: "changed" };
      }
      const failure = diskError(error, "read", path);
      const code = failure instanceof WorldError ? failure.code : "";
      if (code === "not-found" || code === "not-a-folder") return { outcome: "gone" };
      throw failure;
    }
  }

  #checked(
    descriptor: number,
    path: string,
    expected: Expected,
    digest: FileDigest,
    beganMs: number,
  ): Digested {
    const stats = attempt("read", path, () => fstatSync(descriptor, { bigint: true }));
    if (!isAsExpected(statOf(stats), expected)) return { outcome: "changed" };
    return { outcome: "read", stamp: expected.stamp, ...digest, beganMs };
  }

  /** An error tells of the expected file only if that is what was read. */
  #failed(descriptor: number, path: string, expected: Expected, error: unknown): Digested {
    const failure = diskError(error, "read", path);
    if (!(failure instanceof WorldError) || errnoOf(failure.cause) === undefined) throw failure;
    const stats = attempt("read", path, () => fstatSync(descriptor, { bigint: true }));
    if (!isAsExpected(statOf(stats), expected)) return { outcome: "changed" };
    throw failure;
  }
}

/**
 * The files of a synced folder, digested: small ones at once on this thread, large ones by threads
 * of their own. Dispose of it to end them; what they read then is given up with `reader-stopped`.
 */
export function openFileReader(options: FileReaderOptions): FileReader & AsyncDisposable {
  return new DiskFileReader(options);
}
