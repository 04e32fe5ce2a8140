import type { SpaceId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";

/**
 * How many spaces' last announcements are remembered; for others a waiter may wait in vain once.
 */
const MAX_REMEMBERED_SPACES = 10_000;

type Waiter = { readonly sequence: number; readonly wake: () => void };

/**
 * Tells those who wait for a space's journal to grow, or for anything else that is known by an id
 * and only grows: of what this process announces, and of what it is told that others did.
 */
export class Announcer<Id extends string = SpaceId> {
  readonly #clock: Clock;
  readonly #waiters = new Map<Id, Set<Waiter>>();
  /** Last announced sequences, least recently announced first. */
  readonly #last = new Map<Id, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many calls of `waitBeyond` are under way. */
  get waiting(): number {
    let count = 0;
    for (const waiters of this.#waiters.values()) count += waiters.size;
    return count;
  }

  /** The journal of `space` has reached `sequence`. */
  announce(space: Id, sequence: number): void {
    const reached = Math.max(sequence, this.#last.get(space) ?? 0);
    this.#last.delete(space);
    this.#last.set(space, reached);
    for (const oldest of this.#last.keys()) {
      if (this.#last.size <= MAX_REMEMBERED_SPACES) break;
      this.#last.delete(oldest);
    }
    for (const waiter of this.#waiters.get(space) ?? []) {
      if (waiter.sequence < reached) waiter.wake();
    }
  }

  /** Any journal may have grown: whoever waits has to look. */
  announceAll(): void {
    for (const waiters of this.#waiters.values()) {
      for (const waiter of waiters) waiter.wake();
    }
  }

  /**
   * True as soon as the journal is known to be longer than `sequence`, also when that was announced
   * before, or may be so; false after `timeoutMs`. Rejects with the signal's reason when it aborts
   * first.
   */
  async waitBeyond(
    space: Id,
    sequence: number,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    signal?.throwIfAborted();
    if ((this.#last.get(space) ?? 0) > sequence) return true;
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const stop = () => reject(reasonOf(signal));
    signal?.addEventListener("abort", stop, { once: true });
    const waiter = { sequence, wake: () => resolve(true) };
    this.#add(space, waiter);
    const callOff = this.#clock.after(timeoutMs, () => resolve(false));
    try {
      return await promise;
    } finally {
      callOff();
      signal?.removeEventListener("abort", stop);
      this.#remove(space, waiter);
    }
  }

  #add(space: Id, waiter: Waiter): void {
    const waiters = this.#waiters.get(space) ?? new Set();
    this.#waiters.set(space, waiters.add(waiter));
  }

  #remove(space: Id, waiter: Waiter): void {
    const waiters = this.#waiters.get(space);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(space);
  }
}

function reasonOf(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new Error("aborted");
}
