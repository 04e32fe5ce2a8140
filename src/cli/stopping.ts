import { EXIT } from "./exit.ts";
import { note } from "./output.ts";

/** Signals this close together are one: a terminal and npm both pass a Ctrl-C on. */
const ONE_SIGNAL_MS = 1_000;

/**
 * Aborts at the first Ctrl-C, SIGTERM or SIGHUP; a second one, more than a second later, ends the
 * process at once (nothing is lost: the next start finds everything as after a power cut).
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  let firstMs: number | null = null;
  const hear = (signal: NodeJS.Signals): void => {
    const nowMs = performance.now();
    if (firstMs === null) {
      firstMs = nowMs;
      stop.abort(signal);
    } else if (nowMs - firstMs > ONE_SIGNAL_MS) {
      note("Stopped at once; what was under way is taken up again by the next start.");
      process.exit(EXIT.failed);
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, hear);
  return stop.signal;
}
