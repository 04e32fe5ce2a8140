import type { Clock } from "#core/world.ts";

type Sleeper = { readonly atMs: number; readonly wake: () => void };

/** A clock that stands still until it is told to go on. */
export class StandingClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #nowMs = 1_700_000_000_000;

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  today(): string {
    return "2023-11-14";
  }

  /** How many sleep at this moment. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const ends = new AbortController();
      const sleeper = {
        atMs: this.#nowMs + delayMs,
        wake: () => {
          ends.abort();
          this.#sleepers.delete(sleeper);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      const stop = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason instanceof Error ? signal.reason : new Error("stopped"));
      };
      signal?.addEventListener("abort", stop, { once: true, signal: ends.signal });
    });
  }

  after(delayMs: number, act: () => void): () => void {
    const sleeper = {
      atMs: this.#nowMs + delayMs,
      wake: () => {
        this.#sleepers.delete(sleeper);
        act();
      },
    };
    this.#sleepers.add(sleeper);
    return () => this.#sleepers.delete(sleeper);
  }

  /** Lets time pass and wakes those whose time it is. */
  advance(byMs: number): void {
    this.#nowMs += byMs;
    for (const sleeper of this.#sleepers) {
      if (sleeper.atMs <= this.#nowMs) sleeper.wake();
    }
  }
}
