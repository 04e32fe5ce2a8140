import { parentPort, workerData } from "node:worker_threads";
import { openCutter } from "#chunking/cutter.ts";
import { sizesOf } from "#chunking/sizes.ts";
import type { SizeClass } from "#chunking/sizes.ts";
import { assert } from "#core/assert.ts";
import { errnoOf } from "./errno.ts";
import { digestFile } from "./file-digest.ts";
import type { FileDigest } from "./file-digest.ts";

// A thread that digests one file at a time. Descriptors belong to the whole process: the main
// thread opens, compares and closes, so that there is one place that walks paths.

/** What a thread is started with. */
export type WorkerStart = {
  readonly cutKey: Uint8Array;
  readonly vgear: WebAssembly.Module | null;
  /** One word; the main thread sets it to 1 to have the present file left. */
  readonly stop: Int32Array<SharedArrayBuffer>;
};

export type WorkerTask = {
  readonly descriptor: number;
  readonly sizeBytes: number;
  readonly sizeClass: SizeClass;
};

export type WorkerAnswer =
  | { readonly kind: "digested"; readonly digest: FileDigest }
  | { readonly kind: "stopped" }
  /** `errno` is null for a bug. An error itself would lose its code on the way between threads. */
  | { readonly kind: "failed"; readonly errno: string | null; readonly message: string };

/** What a file is read in; it has room for the rest of the piece before, at most 4 MiB. */
const SEGMENT_BYTES = 16 * 1024 * 1024;

const port = parentPort;
assert(port !== null, "the file reader's worker is started as a thread");
const start = workerData as WorkerStart;
const cutter = openCutter(start.vgear, start.cutKey, SEGMENT_BYTES);

function answer(task: WorkerTask): WorkerAnswer {
  const { descriptor, sizeBytes, sizeClass } = task;
  try {
    const isStopped = (): boolean => Atomics.load(start.stop, 0) !== 0;
    const sizes = sizesOf(sizeClass);
    const digest = digestFile({ descriptor, sizeBytes, sizes }, cutter, isStopped);
    return digest === null ? { kind: "stopped" } : { kind: "digested", digest };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "failed", errno: errnoOf(error) ?? null, message };
  }
}

port.on("message", (task: WorkerTask) => port.postMessage(answer(task)));
