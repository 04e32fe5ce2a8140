import { WorldError } from "#core/errors.ts";
import type { Clock } from "#core/world.ts";

/** Ends the watch of a call that is over; one for all, because each call ends one. */
const OVER = new Error("over");

/**
 * Ends what has made no progress for `idleMs`: its `signal` aborts with a WorldError `offline`, or
 * with the reason of the caller's own signal. Dispose of it when the work is over.
 */
export class Stall implements Disposable {
  readonly signal: AbortSignal;
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #over = new AbortController();
  readonly #stop = new AbortController();
  #lastMs: number;
  #resting = false;

  constructor(clock: Clock, idleMs: number, signal?: AbortSignal) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#lastMs = clock.monotonicMs();
    const own = this.#stop.signal;
    this.signal = signal === undefined ? own : AbortSignal.any([signal, own]);
    void this.#watch();
  }

  /** What came is being used: until more is asked for, nobody waits for the other side. */
  rest(): void {
    this.#resting = true;
  }

  /** A byte went or came, or is asked for now. */
  progress(): void {
    this.#resting = false;
    this.#lastMs = this.#clock.monotonicMs();
  }

  [Symbol.dispose](): void {
    this.#over.abort(OVER);
  }

  async #watch(): Promise<void> {
    try {
      for (;;) {
        if (this.#resting) this.#lastMs = this.#clock.monotonicMs();
        const leftMs = this.#lastMs + this.#idleMs - this.#clock.monotonicMs();
        if (leftMs <= 0) break;
        await this.#clock.sleep(Math.ceil(leftMs), this.#over.signal);
      }
    } catch {
      return;
    }
    const seconds = Math.round(this.#idleMs / 1_000);
    const message = `The server was silent for ${seconds} s: it is tried again.`;
    this.#stop.abort(new WorldError("offline", message, { retryable: true }));
  }
}
