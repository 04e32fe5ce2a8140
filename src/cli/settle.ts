import { systemClock } from "#platform/clock.ts";
import { readPosition } from "#sync/settings.ts";
import type { OpenFolder } from "./daemon.ts";
import { callAs } from "./server-calls.ts";

const LOOK_MS = 10;

/**
 * Resolves when the engine has nothing left to do and has followed the server at least to where it
 * was when this was asked (the engine alone knows only what the server has told it so far); also
 * when it stops for good or the signal aborts.
 */
export async function settleFully(
  { engine, store, link }: OpenFolder,
  signal: AbortSignal,
): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  // Without an answer the engine is offline too, and does not settle before it has heard again.
  const head = await callAs(link)
    .space(link.space)
    .then(
      (row) => row.head,
      () => 0,
    );
  while (!signal.aborted) {
    await Promise.race([engine.settle(), gone]);
    const { sequence } = readPosition(store.records, link.startCursor);
    if (sequence >= head || engine.status(0).state === "halted") return;
    await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
  }
}
