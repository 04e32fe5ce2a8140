import { messageOf, WorldError } from "#core/errors.ts";
import type { Clock, Log } from "#core/world.ts";
import { CURSOR_START, type Feed } from "#protocol/feed.ts";
import type { Remote } from "./ports.ts";

const WAIT_MS = 50_000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 20_000;
/** Pages held for the engine at most: fetching waits while it works. */
const MAX_PAGES = 4;

/** Ends a question for another one. */
const NUDGED = new Error("asked anew");

export type Page = { readonly cursor: string; readonly feed: Feed };

/**
 * Keeps one request waiting at the server, always, and hands its pages to the engine, which applies
 * them at its own pace. An idle device has this request open and sends nothing else.
 */
export class Feeder {
  readonly #remote: Remote;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #wake: () => void;
  readonly #pages: Page[] = [];
  readonly #waiting = new Set<() => void>();
  #room: (() => void) | null = null;
  #cursor: string;
  #head = 0;
  /** Who asks how far the server is waits for an answer to a question put after that. */
  #wanted = 1;
  #answered = 0;
  /** Ends the question or the pause under way. */
  #nudge = new AbortController();
  #failures = 0;
  #failure: WorldError | null = null;
  #isLacking = false;

  constructor(world: { remote: Remote; clock: Clock; log: Log }, cursor: string, wake: () => void) {
    this.#remote = world.remote;
    this.#clock = world.clock;
    this.#log = world.log;
    this.#cursor = cursor;
    this.#wake = wake;
  }

  /** True once the server has answered since `refresh`, or since the beginning. */
  get answered(): boolean {
    return this.#answered >= this.#wanted;
  }

  /** Asks the server at once how far it is, instead of waiting to be told. */
  refresh(): void {
    this.#wanted++;
    this.#nudge.abort(NUDGED);
  }

  /** The newest sequence that the server is known to have. */
  get head(): number {
    return this.#head;
  }

  /** Resolves at the next page, failure, or abort. */
  async next(signal: AbortSignal): Promise<void> {
    if (this.#pages.length > 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** Null while the server answers. */
  get failure(): WorldError | null {
    return this.#failure;
  }

  /** Whether the server's copies of some chunks are damaged. */
  get isLacking(): boolean {
    return this.#isLacking;
  }

  get first(): Page | undefined {
    return this.#pages[0];
  }

  /** Lets go of the first page, for which there is room again. */
  drop(): void {
    this.#pages.shift();
    this.#room?.();
    this.#room = null;
  }

  /** Runs until the signal aborts or the server says something that waiting does not heal. */
  async run(signal: AbortSignal): Promise<void> {
    // One signal for both ends; `AbortSignal.any` takes longer than all else that a question does.
    const stop = (): void => this.#nudge.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await this.#ask(signal);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    let more = false;
    while (!signal.aborted) {
      if (this.#nudge.signal.aborted) this.#nudge = new AbortController();
      const { signal: both } = this.#nudge;
      try {
        const cursor = this.#cursor;
        const wanted = this.#wanted;
        // The first question does not wait, so that an engine soon knows how far it is behind.
        const waitMs = more || !this.answered || this.#failure !== null ? 0 : WAIT_MS;
        const feed = await this.#remote.changes(cursor, waitMs, both);
        const first = this.#failure !== null || waitMs === 0;
        this.#failures = 0;
        this.#answered = wanted;
        this.#failure = null;
        this.#head = Math.max(this.#head, feed.head);
        const isNews = feed.lacking === true && !this.#isLacking;
        this.#isLacking = feed.lacking === true;
        more = feed.entries.length > 0 && feed.entries.at(-1)?.sequence !== feed.head;
        // Also of an empty journal: whoever has no cursor of it is not told that it is another one.
        const begins = cursor === CURSOR_START && feed.cursor !== cursor;
        if (feed.entries.length > 0 || begins) {
          this.#cursor = feed.cursor;
          this.#pages.push({ cursor, feed });
        }
        if (feed.entries.length > 0 || first || isNews) this.#tell();
        if (this.#pages.length >= MAX_PAGES) await this.#waitForRoom(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#nudge.signal.aborted && !(await this.#failed(error, both))) return;
      }
    }
  }

  async #waitForRoom(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#room = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** Pauses, until the signal aborts; true when it is worth asking again. */
  async #failed(error: unknown, signal: AbortSignal): Promise<boolean> {
    const failure =
      error instanceof WorldError
        ? error
        : new WorldError("unexpected", messageOf(error), { cause: error });
    this.#failure = failure;
    this.#log.warn("feed-failed", { code: failure.code, message: failure.message });
    this.#tell();
    if (!failure.retryable) return false;
    const delayMs = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.#failures++);
    await this.#clock.sleep(delayMs, signal).catch(() => undefined);
    return true;
  }

  #tell(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
    this.#wake();
  }
}
