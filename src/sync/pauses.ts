import type { NodeId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";

const FIRST_MS = 1_000;
const MOST_MS = 5 * 60_000;
/** A place that is not as planned so often in a row is held by something that no look can match. */
const RACED_TIMES = 3;

/** Steps that failed for reasons of their own are tried again with growing pauses (SPEC EN4). */
export class Pauses {
  readonly #clock: Clock;
  readonly #pauses = new Map<NodeId, { untilMs: number; pauseMs: number }>();
  readonly #raced = new Map<NodeId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  failed(id: NodeId): void {
    const pauseMs = Math.min(MOST_MS, (this.#pauses.get(id)?.pauseMs ?? FIRST_MS / 2) * 2);
    this.#pauses.set(id, { untilMs: this.#clock.nowMs() + pauseMs, pauseMs });
  }

  /** The place was not as planned: looking again heals it, but not for ever. */
  raced(id: NodeId): void {
    const times = (this.#raced.get(id) ?? 0) + 1;
    this.#raced.set(id, times);
    if (times >= RACED_TIMES) this.failed(id);
  }

  succeeded(id: NodeId): void {
    this.#raced.delete(id);
    this.#pauses.delete(id);
  }

  /** Ends all pauses: somebody waits, and what stood in the way may be gone. */
  end(): void {
    const nowMs = this.#clock.nowMs();
    for (const pause of this.#pauses.values()) pause.untilMs = Math.min(pause.untilMs, nowMs);
  }

  isPaused(id: NodeId): boolean {
    const pause = this.#pauses.get(id);
    return pause !== undefined && pause.untilMs > this.#clock.nowMs();
  }

  /** When the first pause ends (ms since 1970). */
  get dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const [id, { untilMs }] of this.#pauses) {
      if (this.isPaused(id)) dueMs = Math.min(dueMs, untilMs);
    }
    return dueMs;
  }
}
