import { WorldError } from "#core/errors.ts";
import type { Chance, Clock } from "#core/world.ts";

/** How often a call is made before its error is the caller's. */
const MAX_TRIES = 4;
const FIRST_PAUSE_MS = 200;
/** A server that wants to be left alone for longer is left alone by whoever called. */
const MAX_PAUSE_MS = 20_000;

/** What the server refused; `retryAfterMs` is how long it asked to be left alone. */
export class ServerError extends WorldError {
  readonly retryAfterMs: number | null;

  constructor(
    code: string,
    message: string,
    more: { retryable?: boolean; retryAfterMs?: number | null; cause?: unknown } = {},
  ) {
    super(code, message, more);
    this.retryAfterMs = more.retryAfterMs ?? null;
  }
}

/**
 * Makes a call that is safe to repeat, up to MAX_TRIES times with pauses that double and differ
 * from device to device, as long as what it throws is retryable.
 */
export async function retrying<T>(
  world: { readonly clock: Clock; readonly chance: Chance },
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let pauseMs = FIRST_PAUSE_MS, tried = 1; ; pauseMs *= 2, tried++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof WorldError) || !error.retryable || tried === MAX_TRIES) throw error;
      const askedMs = error instanceof ServerError ? (error.retryAfterMs ?? 0) : 0;
      if (askedMs > MAX_PAUSE_MS) throw error;
      const half = pauseMs / 2;
      const jitterMs = (half * (world.chance.bytes(1)[0] ?? 0)) / 255;
      await world.clock.sleep(Math.max(half + jitterMs, askedMs), signal);
    }
  }
}
