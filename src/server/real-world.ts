import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pino, type Logger } from "pino";
import type { Chance, Clock, Log, LogFields } from "#core/world.ts";

/** This machine's clocks. */
export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (delayMs, signal) => {
    try {
      await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // Node wraps the reason; the port promises the reason itself.
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
  today: () => {
    const now = new Date();
    const two = (value: number): string => String(value).padStart(2, "0");
    return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  },
};

/** The operating system's randomness. */
export const realChance: Chance = { bytes: (length) => randomBytes(length) };

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** Structured lines to a file, or to stderr: stdout belongs to the command's own answer. */
export function openLog(level: LogLevel, file: string | undefined): Log & { flush(): void } {
  const destination = pino.destination({ dest: file ?? 2, sync: true, mkdir: true });
  const logger: Logger = pino({ level, base: null }, destination);
  const at = (write: "debug" | "info" | "warn" | "error") => (event: string, fields?: LogFields) =>
    logger[write]({ event, ...fields });
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    flush: () => destination.flushSync(),
  };
}
