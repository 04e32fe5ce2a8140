import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import type { ChunkAnswer, ChunkTask } from "./chunk-task.ts";
import type { FileDigest } from "./file-digest.ts";
import type { DigestWork, WorkerAnswer, WorkerStart, WorkerTask } from "./thread-worker.ts";

/** Threads that a device starts at most; more of them read against each other on one disk. */
const MAX_WORKERS = Math.min(2, availableParallelism());

const IDLE_MS = 30_000;

/** Calls that may wait for a thread; whoever has more files than this in flight has lost count. */
const MAX_WAITING = 65_536;

/** Something was left before its end, through no fault of its own. */
export function stoppedError(): WorldError {
  const message = "A thread ended before it had done its work; it is done again.";
  return new WorldError("reader-stopped", message, { retryable: true });
}

/** What a thread threw, with its codes where they were. */
function failure(answer: Extract<WorkerAnswer, { kind: "failed" }>): Error {
  if (answer.code !== null) return new WorldError(answer.code, answer.message);
  const error = new Error(answer.message);
  return answer.errno === null ? error : Object.assign(error, { code: answer.errno });
}

/** One thread, and the one thing that it is doing. */
class Thread {
  readonly #worker: Worker;
  readonly #stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #ended: Promise<void>;
  #running: PromiseWithResolvers<WorkerAnswer> | null = null;
  #idleTimer: NodeJS.Timeout | undefined;
  #crash: Error | null = null;

  constructor(options: Pick<ThreadsOptions, "cutKey" | "vgear">, onEnd: () => void) {
    const { cutKey, vgear = null } = options;
    const start: WorkerStart = { cutKey, vgear, stop: this.#stop };
    const file = new URL("./thread-worker.ts", import.meta.url);
    this.#worker = new Worker(file, {
      workerData: start,
      name: "lockstep",
      // What a thread makes lives outside of its heap.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.unref();
    this.#worker.on("message", (answer: WorkerAnswer) => this.#settle(answer));
    this.#worker.on("error", (error) => {
      this.#crash = error instanceof Error ? error : new Error(String(error));
    });
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    this.#worker.on("exit", () => {
      ended.resolve();
      onEnd();
      const running = this.#running;
      this.#running = null;
      running?.reject(this.#crash ?? stoppedError());
    });
  }

  /** Null when `signal` had it stopped. */
  async digest(task: DigestWork, signal?: AbortSignal): Promise<FileDigest | null> {
    const stop = (): void => this.stop();
    Atomics.store(this.#stop, 0, 0);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const answer = await this.#run(task, []);
      assert(answer.kind === "digested", "a digest answers a digest");
      return answer.digest;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  async work(task: ChunkTask, buffers: readonly ArrayBuffer[]): Promise<ChunkAnswer> {
    const answer = await this.#run(task, buffers);
    assert(answer.kind === "worked", "chunks answer chunks");
    return answer.answer;
  }

  async #run(task: WorkerTask, buffers: readonly ArrayBuffer[]): Promise<WorkerAnswer> {
    assert(this.#running === null, "one thing a thread");
    const running = Promise.withResolvers<WorkerAnswer>();
    this.#running = running;
    // An idle thread does not keep a program from ending, one at work does.
    this.#worker.ref();
    this.#worker.postMessage(task, buffers);
    try {
      return await running.promise;
    } finally {
      this.#worker.unref();
    }
  }

  /** Ends the thread when it has had nothing to do for so long. */
  rest(idleMs: number, onEnd: () => void): void {
    const end = (): void => {
      onEnd();
      void this.#worker.terminate();
    };
    this.#idleTimer = setTimeout(end, idleMs).unref();
  }

  wake(): void {
    clearTimeout(this.#idleTimer);
  }

  /** Has the present file left at its next segment. */
  stop(): void {
    Atomics.store(this.#stop, 0, 1);
  }

  async end(): Promise<void> {
    this.wake();
    this.stop();
    // A thread that is terminated in mid-file may still be inside a read of a descriptor that its
    // owner is about to close: let it answer first.
    await this.#running?.promise.catch(() => null);
    void this.#worker.terminate();
    await this.#ended;
  }

  #settle(answer: WorkerAnswer): void {
    const running = this.#running;
    this.#running = null;
    if (answer.kind === "failed") running?.reject(failure(answer));
    else running?.resolve(answer);
  }
}

export type ThreadsOptions = {
  /** 48 bytes, see `cutKeyFrom`. */
  readonly cutKey: Uint8Array;
  /** See `readVgear`; without it files are cut more slowly. */
  readonly vgear?: WebAssembly.Module | null;
  readonly maxWorkers?: number;
  /** How long a thread is kept when there is nothing to do. */
  readonly idleMs?: number;
};

/** Threads that are started when they are first needed and ended when they no longer are. */
export class Threads implements AsyncDisposable {
  readonly #options: ThreadsOptions;
  readonly #threads = new Set<Thread>();
  readonly #resting: Thread[] = [];
  readonly #waiting = new Set<() => void>();
  #busy = 0;
  #isEnded = false;

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  /**
   * Waits for a thread and lends it to `work`, which begins before this returns when one is free.
   * Rejects with the signal's reason when that aborts while waiting, and with a retryable
   * `reader-stopped` when the pool was ended.
   */
  async use<T>(work: (thread: Thread) => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.#busy >= (this.#options.maxWorkers ?? MAX_WORKERS)) await this.#turn(signal);
    if (this.#isEnded) throw stoppedError();
    this.#busy += 1;
    const thread = this.#take();
    try {
      return await work(thread);
    } finally {
      this.#busy -= 1;
      this.#giveBack(thread);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#resting.length = 0;
    await Promise.all([...this.#threads].map((thread) => thread.end()));
  }

  #turn(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    assert(this.#waiting.size < MAX_WAITING, "too much waits for a thread");
    const turn = Promise.withResolvers<void>();
    const go = (): void => {
      this.#waiting.delete(go);
      signal?.removeEventListener("abort", leave);
      turn.resolve();
    };
    const leave = (): void => {
      this.#waiting.delete(go);
      turn.reject(signal?.reason as Error);
    };
    this.#waiting.add(go);
    signal?.addEventListener("abort", leave, { once: true });
    return turn.promise;
  }

  #take(): Thread {
    const rested = this.#resting.pop();
    rested?.wake();
    if (rested !== undefined) return rested;
    const thread = new Thread(this.#options, () => this.#forget(thread));
    this.#threads.add(thread);
    return thread;
  }

  #giveBack(thread: Thread): void {
    if (!this.#isEnded && this.#threads.has(thread)) {
      this.#resting.push(thread);
      thread.rest(this.#options.idleMs ?? IDLE_MS, () => this.#forget(thread));
    }
    const [next] = this.#waiting;
    next?.();
  }

  #forget(thread: Thread): void {
    this.#threads.delete(thread);
    const at = this.#resting.indexOf(thread);
    if (at >= 0) this.#resting.splice(at, 1);
  }
}
