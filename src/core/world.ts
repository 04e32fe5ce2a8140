/** The time and the chance of a world: real ones in `platform`, drawn from a seed in `sim`. */

export interface Clock {
  /** Milliseconds since 1970 by this machine's clock; may jump, decides nothing about order. */
  nowMs(): number;
  /** Milliseconds that only grow, from an arbitrary start: for waiting and for rates. */
  monotonicMs(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /**
   * Has `act` called after `delayMs`, never at once; returns what calls it off. For those who wait
   * often and are mostly woken sooner: a signal costs more than all else that they do.
   */
  after(delayMs: number, act: () => void): () => void;
  /** Today in this machine's time zone, `YYYY-MM-DD`. */
  today(): string;
}

export interface Chance {
  /** Unpredictable bytes (in a simulation: from the seed). */
  bytes(length: number): Uint8Array;
}

export interface Digest {
  /** SHA-256 of `bytes`, 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Structured logging; `event` is a stable kebab-case word. Never pass secrets or tokens. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}
