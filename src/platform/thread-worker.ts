import { parentPort, workerData } from "node:worker_threads";
import { openCutter, type Cutter } from "#chunking/cutter.ts";
import { sizesOf, type SizeClass } from "#chunking/sizes.ts";
import { assert } from "#core/assert.ts";
import { messageOf, WorldError } from "#core/errors.ts";
import { chunkWorkHere } from "#crypto/chunk-work.ts";
import { buffersOf, handOver, type ChunkAnswer, type ChunkTask } from "./chunk-task.ts";
import { errnoOf } from "./errno.ts";
import { digestFile, hashFile, type FileDigest } from "./file-digest.ts";
import { systemPrimitives } from "./primitives.ts";

// A thread that does one thing at a time: digests a file, or seals or opens chunks. Descriptors
// belong to the whole process: the main thread opens, compares and closes, so that there is one
// place that walks paths.

/** What a thread is started with. */
export type WorkerStart = {
  readonly cutKey: Uint8Array;
  readonly vgear: WebAssembly.Module | null;
  /** One word; the main thread sets it to 1 to have the present file left. */
  readonly stop: Int32Array<SharedArrayBuffer>;
};

export type DigestWork = {
  readonly call: "digest";
  readonly descriptor: number;
  readonly sizeBytes: number;
  /** Null: of the whole file alone. */
  readonly sizeClass: SizeClass | null;
};

export type WorkerTask = DigestWork | ChunkTask;

export type WorkerAnswer =
  /** Null: the file was left before its end. */
  | { readonly kind: "digested"; readonly digest: FileDigest | null }
  | { readonly kind: "worked"; readonly answer: ChunkAnswer }
  /** An error itself would lose its codes on the way between threads. */
  | {
      readonly kind: "failed";
      readonly errno: string | null;
      /** Of a WorldError that is not to be tried again. */
      readonly code: string | null;
      readonly message: string;
    };

/** What a file is read in; it has room for the rest of the piece before, at most 4 MiB. */
const SEGMENT_BYTES = 16 * 1024 * 1024;

const port = parentPort;
assert(port !== null, "a thread's program is started as a thread");
const start = workerData as WorkerStart;
const work = chunkWorkHere(systemPrimitives);
let cutter: Cutter | undefined;

function digest({ descriptor, sizeBytes, sizeClass }: DigestWork): FileDigest | null {
  cutter ??= openCutter(start.vgear, start.cutKey, SEGMENT_BYTES);
  const isStopped = (): boolean => Atomics.load(start.stop, 0) !== 0;
  if (sizeClass !== null) {
    return digestFile({ descriptor, sizeBytes, sizes: sizesOf(sizeClass) }, cutter, isStopped);
  }
  const sha256 = hashFile({ descriptor, sizeBytes }, cutter.buffer, isStopped);
  return sha256 === null ? null : { sha256, manifest: [] };
}

async function workOn(task: ChunkTask): Promise<ChunkAnswer> {
  switch (task.call) {
    case "sealPrivate":
      return work.sealPrivate(...task.values);
    case "frameShared": {
      const framed = await work.frameShared(...task.values);
      // Paddings are pieces of one that all chunks share, which would be copied whole.
      return framed.map((one) => {
        return { ...one, frame: { ...one.frame, padding: one.frame.padding.slice() } };
      });
    }
    case "sealShared":
      return work.sealShared(...task.values);
    case "sealUnshared":
      return work.sealUnshared(...task.values);
    case "open":
      return work.open(...task.values);
  }
}

/** Nobody else in this thread has what it made: a buffer may be larger than its bytes, and go. */
function isMostly(usedBytes: number, bufferBytes: number): boolean {
  return 2 * usedBytes >= bufferBytes;
}

function failed(error: unknown): WorkerAnswer {
  return {
    kind: "failed",
    errno: errnoOf(error) ?? null,
    code: error instanceof WorldError ? error.code : null,
    message: messageOf(error),
  };
}

async function serve(task: WorkerTask): Promise<void> {
  try {
    if (task.call === "digest") {
      port?.postMessage({ kind: "digested", digest: digest(task) } satisfies WorkerAnswer);
      return;
    }
    const { chunks: answer, buffers } = handOver(await workOn(task), isMostly);
    port?.postMessage({ kind: "worked", answer } satisfies WorkerAnswer, buffers);
    // What came with the task and was not handed on.
    for (const buffer of buffersOf(task)) buffer.transfer(0);
  } catch (error) {
    port?.postMessage(failed(error));
  }
}

port.on("message", (task: WorkerTask) => void serve(task));
