import { Worker } from "node:worker_threads";
import { messageOf } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import type { Watcher } from "#sync/ports.ts";
import type { WatcherAnswer, WatcherStart, WatcherTask, WatchRequest } from "./watcher-worker.ts";

/** Watches every folder of a tree on its own, in a thread that does nothing else. */
export class FolderWatcher implements Watcher, AsyncDisposable {
  readonly #worker: Worker;
  readonly #listeners: (() => void)[] = [];
  #requests: WatchRequest[] = [];
  #touched = new Set<NodeId>();
  #overflow = false;
  #trouble: string | null = null;
  #lastMark = 0;
  readonly #waiting = new Map<number, () => void>();
  #closed = false;

  constructor(root: string) {
    const start: WatcherStart = { root };
    const file = new URL("./watcher-worker.ts", import.meta.url);
    // Flags that say how the main program is given would be taken for the thread's own.
    const options = { workerData: start, name: "lockstep watcher", execArgv: [] };
    this.#worker = new Worker(file, options);
    this.#worker.on("message", (answer: WatcherAnswer) => this.#receive(answer));
    this.#worker.on("error", (error) => this.#stopped(messageOf(error)));
  }

  watch(folder: NodeId, path: string): void {
    this.#request({ kind: "watch", folder, path });
  }

  unwatch(folder: NodeId): void {
    this.#request({ kind: "unwatch", folder });
  }

  async ready(): Promise<void> {
    if (this.#closed) return;
    const ready = Promise.withResolvers<void>();
    const mark = ++this.#lastMark;
    this.#waiting.set(mark, ready.resolve);
    this.#request({ kind: "mark", mark });
    await ready.promise;
  }

  take(): { folders: NodeId[]; overflow: boolean } {
    const taken = { folders: [...this.#touched], overflow: this.#overflow };
    this.#touched = new Set();
    this.#overflow = false;
    return taken;
  }

  onHint(listener: () => void): void {
    this.#listeners.push(listener);
  }

  trouble(): string | null {
    return this.#trouble;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#worker.terminate();
  }

  /** What is asked for in one go travels in one message, in its order. */
  #request(request: WatchRequest): void {
    if (this.#closed) return;
    this.#requests.push(request);
    if (this.#requests.length > 1) return;
    queueMicrotask(() => {
      this.#post({ kind: "requests", requests: this.#requests });
      this.#requests = [];
    });
  }

  #receive(answer: WatcherAnswer): void {
    if (this.#closed) return;
    if (answer.kind === "trouble") {
      this.#trouble = answer.sentence;
      return;
    }
    if (answer.kind === "ready") {
      this.#waiting.get(answer.mark)?.();
      this.#waiting.delete(answer.mark);
      return;
    }
    this.#post({ kind: "taken" });
    if (answer.overflow) this.#overflow = true;
    for (const folder of answer.folders) this.#touched.add(folder);
    this.#hint();
  }

  #stopped(why: string): void {
    this.#trouble = `Folders are no longer watched (${why}): restart Lockstep to watch them again.`;
    this.#overflow = true;
    this.#close();
    this.#hint();
  }

  /** Nothing more is asked or heard; whoever waits need not wait any longer. */
  #close(): void {
    this.#closed = true;
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }

  #hint(): void {
    for (const listener of this.#listeners) listener();
  }

  #post(task: WatcherTask): void {
    this.#worker.postMessage(task);
  }
}
