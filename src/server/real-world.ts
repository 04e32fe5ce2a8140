import { randomBytes } from "node:crypto";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { pino, type Logger } from "pino";
import type { Chance, Clock, Log, LogFields } from "#core/world.ts";

/** This machine's clocks. */
export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (delayMs, signal) => {
    try {
      await sleep(Math.max(delayMs, 0), undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // Node wraps the reason; the port promises the reason itself.
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
  after: (delayMs, act) => {
    const timer = setTimeout(act, Math.max(delayMs, 0));
    return () => clearTimeout(timer);
  },
  today: () => {
    const now = new Date();
    const two = (value: number): string => String(value).padStart(2, "0");
    return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  },
};

/** Lets everything else that waits for the processor go first. */
export const nextTurn = (): Promise<void> => setImmediate();

/** The operating system's randomness. */
export const realChance: Chance = { bytes: (length) => randomBytes(length) };

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/**
 * A whole hash confirms to whoever has a file that it is here, and a token opens an account: what
 * stays is enough to compare two lines by.
 */
function masked(fields: LogFields = {}): LogFields {
  const shown = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string"
      ? value
          .replaceAll(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, "$1…")
          .replaceAll(/\b(ls_(?:dev|pat)_)[\w-]+/g, "$1…")
      : value,
  ]);
  return Object.fromEntries(shown) as LogFields;
}

/** Structured lines to a file, or to stderr: stdout belongs to the command's own answer. */
export function openLog(level: LogLevel, file: string | undefined): Log & { flush(): void } {
  const destination = pino.destination({ dest: file ?? 2, sync: true, mkdir: true });
  const logger: Logger = pino({ level, base: null }, destination);
  const at = (write: "debug" | "info" | "warn" | "error") => (event: string, fields?: LogFields) =>
    logger[write]({ event, ...masked(fields) });
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    flush: () => destination.flushSync(),
  };
}
