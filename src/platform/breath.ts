/** Read or written in one synchronous call: sooner than a thread would have heard of it. */
export const SMALL_BYTES = 64 * 1024;

/** How long synchronous calls may follow each other before the event loop gets a turn. */
const MAX_HELD_MS = 8;

/**
 * Lets a run of short synchronous calls be interrupted at bounded intervals: promises alone never
 * give sockets and timers a turn, and a tick that walks 100,000 files would hold them for a second.
 */
export class Breath {
  #sinceMs = performance.now();

  /** True when the loop has been held long enough: then `await take()`. */
  due(): boolean {
    return performance.now() - this.#sinceMs > MAX_HELD_MS;
  }

  /** Gives the event loop one turn. */
  async take(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#sinceMs = performance.now();
  }
}
