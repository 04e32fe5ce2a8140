import { readFileSync, statSync, watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import { basename } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { assert, unreachable } from "#core/assert.ts";
import { codeOf } from "#core/errors.ts";
import { ROOT_NODE } from "#core/ids.ts";
import type { NodeId } from "#core/ids.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { diskError, errnoOf } from "./errno.ts";
import { RootPath } from "./root-path.ts";
import { fileKeyOf } from "./stat.ts";

// The thread that holds the watches. inotify drops events without a word when nobody reads them for
// a while, and the main thread may be busy for that long; this one only ever moves ids.

export type WatcherStart = { readonly root: string };

export type WatchRequest =
  | { readonly kind: "watch"; readonly folder: NodeId; readonly path: string }
  | { readonly kind: "unwatch"; readonly folder: NodeId }
  /** Answered with `ready` when all requests before it are done. */
  | { readonly kind: "mark"; readonly mark: number };

export type WatcherTask =
  | { readonly kind: "requests"; readonly requests: readonly WatchRequest[] }
  /** The last batch of touched folders was taken: the next may come. */
  | { readonly kind: "taken" };

export type WatcherAnswer =
  | { readonly kind: "touched"; readonly folders: readonly NodeId[]; readonly overflow: boolean }
  | { readonly kind: "trouble"; readonly sentence: string | null }
  | { readonly kind: "ready"; readonly mark: number };

/** Events in one turn of the loop above which some may already have been dropped. */
const MAX_BURST_EVENTS = 8_000;
/** Touched folders that wait to be told; above, everything has to be looked at anyway. */
const MAX_TOUCHED = 8_000;
/** Watches that are set before the loop gets a turn to read events. */
const SLICE_REQUESTS = 128;
/** Batches follow each other at most this fast; the first after a rest goes at once. */
const BATCH_GAP_MS = 5;

type Watched = {
  readonly watcher: FSWatcher;
  readonly file: string;
  readonly ownName: string;
  /** True when the system may have ended it: asking for it again must not find it alive. */
  suspect: boolean;
};

class Watches {
  readonly #paths: RootPath;
  readonly #port: NonNullable<typeof parentPort>;
  readonly #watched = new Map<NodeId, Watched>();
  /** Folders that the system refused to watch, with the errno that it gave. */
  readonly #refused = new Map<NodeId, { path: string; errno: string }>();
  #requests: WatchRequest[] = [];
  #touched = new Set<NodeId>();
  #overflow = false;
  #burst = 0;
  readonly #maxBurst = Math.min(MAX_BURST_EVENTS, limitOf("max_queued_events", 16_384) / 2);
  #untaken = false;
  #sentMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #told: string | null = null;

  constructor(root: string, port: NonNullable<typeof parentPort>) {
    this.#paths = new RootPath(root);
    this.#port = port;
    port.on("message", (task: WatcherTask) => this.#receive(task));
  }

  #receive(task: WatcherTask): void {
    if (task.kind === "taken") {
      this.#untaken = false;
      this.#flushSoon();
      return;
    }
    const waiting = this.#requests.length > 0;
    this.#requests.push(...task.requests);
    if (!waiting) this.#work();
  }

  #work(): void {
    const slice = this.#requests.slice(0, SLICE_REQUESTS);
    for (const request of slice) this.#fulfil(request);
    this.#requests = this.#requests.slice(slice.length);
    if (this.#requests.length > 0) setImmediate(() => this.#work());
    else this.#tellTrouble();
  }

  #fulfil(request: WatchRequest): void {
    switch (request.kind) {
      case "watch":
        this.#watch(request.folder, request.path);
        break;
      case "unwatch":
        this.#unwatch(request.folder);
        break;
      case "mark":
        // What could not be watched is known by the time that the rest is.
        this.#tellTrouble();
        this.#send({ kind: "ready", mark: request.mark });
        break;
      default:
        unreachable(request);
    }
  }

  #watch(folder: NodeId, path: string): void {
    try {
      using reached = this.#paths.folder(path);
      const file = fileKeyOf(statSync(reached.at, { bigint: true }));
      const known = this.#watched.get(folder);
      if (known !== undefined && known.file === file && !known.suspect) return;
      known?.watcher.close();
      this.#watched.delete(folder);
      const watcher = watch(reached.at, { persistent: false });
      const watched = { watcher, file, ownName: basename(reached.at), suspect: false };
      watcher.on("change", (kind, name) => this.#event(folder, watched, kind, name));
      watcher.on("error", () => this.#lost(folder, watched));
      this.#watched.set(folder, watched);
      this.#refused.delete(folder);
    } catch (error) {
      this.#failed(folder, path, error);
    }
  }

  #failed(folder: NodeId, path: string, error: unknown): void {
    const errno = errnoOf(error);
    if (errno === "ENOSPC" || errno === "EMFILE") {
      this.#refused.set(folder, { path, errno });
      return;
    }
    const code = codeOf(diskError(error, "watch", path));
    if (code === "unexpected") throw error;
    // Gone since it was seen: its parent has an event. Not readable: looks find that out.
    if (code === "not-found" || code === "not-a-folder") this.#touch(folder);
  }

  #unwatch(folder: NodeId): void {
    this.#refused.delete(folder);
    const watched = this.#watched.get(folder);
    if (watched === undefined) return;
    watched.watcher.close();
    this.#watched.delete(folder);
    const [next] = this.#refused;
    if (next !== undefined) this.#watch(next[0], next[1].path);
  }

  #lost(folder: NodeId, watched: Watched): void {
    watched.suspect = true;
    this.#touch(folder);
  }

  #event(folder: NodeId, watched: Watched, kind: string, name: string | Buffer | null): void {
    if (this.#burst++ === 0) setImmediate(() => (this.#burst = 0));
    if (this.#burst > this.#maxBurst) this.#overflowed();
    // The end of the folder itself comes under the name that it was watched by.
    if (kind === "rename" && name === watched.ownName) watched.suspect = true;
    if (folder === ROOT_NODE && name === PRIVATE_FOLDER) return;
    this.#touch(folder);
  }

  #touch(folder: NodeId): void {
    if (this.#overflow) return;
    this.#touched.add(folder);
    if (this.#touched.size > MAX_TOUCHED) this.#overflowed();
    this.#flushSoon();
  }

  #overflowed(): void {
    this.#overflow = true;
    this.#touched.clear();
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#untaken || this.#timer !== null) return;
    if (this.#touched.size === 0 && !this.#overflow) return;
    const waitMs = this.#sentMs + BATCH_GAP_MS - performance.now();
    if (waitMs <= 0) {
      this.#flush();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#flush();
    }, Math.ceil(waitMs));
  }

  #flush(): void {
    this.#send({ kind: "touched", folders: [...this.#touched], overflow: this.#overflow });
    this.#touched = new Set();
    this.#overflow = false;
    this.#untaken = true;
    this.#sentMs = performance.now();
  }

  #tellTrouble(): void {
    const sentence = this.#troubleSentence();
    if (sentence === this.#told) return;
    this.#told = sentence;
    this.#send({ kind: "trouble", sentence });
  }

  #troubleSentence(): string | null {
    const [first] = this.#refused.values();
    if (first === undefined) return null;
    const missing = this.#refused.size;
    const setting = first.errno === "ENOSPC" ? "max_user_watches" : "max_user_instances";
    // Other programs of this user count against the same limit.
    const needed = limitOf(setting, 8_192) + (first.errno === "ENOSPC" ? missing : 128);
    const number = 2 ** Math.ceil(Math.log2(needed + 1));
    const folders = missing === 1 ? "1 folder is" : `${missing} folders are`;
    return (
      `${folders} looked at from time to time instead of watched, because this system allows too ` +
      `few watches: run "sudo sysctl fs.inotify.${setting}=${number}" to change that.`
    );
  }

  #send(answer: WatcherAnswer): void {
    this.#port.postMessage(answer);
  }
}

/** A limit of inotify on this machine, or `otherwise` where there is none to read. */
function limitOf(name: string, otherwise: number): number {
  try {
    return Number(readFileSync(`/proc/sys/fs/inotify/${name}`, "utf8")) || otherwise;
  } catch {
    return otherwise;
  }
}

assert(parentPort !== null, "the watcher runs in a thread of its own");
void new Watches((workerData as WatcherStart).root, parentPort);
