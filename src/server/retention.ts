import type { ContentRow } from "./metadata/collection.ts";

/** How long what files held is kept, in milliseconds from when they held it last. */
export type Retention = {
  /** Everything. */
  readonly allMs: number;
  /** What was there when a day (UTC) ended, and what a deleted file held last. */
  readonly dailyMs: number;
};

const DAY_MS = 86_400_000;

type Held = Pick<ContentRow, "sequence" | "timeMs" | "isLast" | "deletedMs">;

/**
 * Which contents of a node are kept no longer, by their sequences; `contents` are all that it ever
 * had, oldest first. What a living node holds is always kept. Ages count from when a content was
 * held last: what stood unchanged for years and was replaced by mistake today is as young as the
 * mistake.
 */
export function outlived(
  contents: readonly Held[],
  { allMs, dailyMs }: Retention,
  nowMs: number,
): number[] {
  const gone: number[] = [];
  for (const [at, content] of contents.entries()) {
    const { timeMs, isLast, deletedMs, sequence } = content;
    if (isLast && deletedMs === null) continue;
    const next = isLast ? deletedMs : contents[at + 1]?.timeMs;
    // Clocks go back: nothing ends before it began.
    const endMs = Math.max(next ?? nowMs, timeMs);
    if (endMs > nowMs - allMs) continue;
    const sinceMs = nowMs - dailyMs;
    const isKept = isLast ? endMs > sinceMs : hasEndOfDay(timeMs, endMs, sinceMs);
    if (!isKept) gone.push(sequence);
  }
  return gone;
}

/** Whether a day ended while it was held, and not before `sinceMs`. */
function hasEndOfDay(fromMs: number, toMs: number, sinceMs: number): boolean {
  const lastEndMs = Math.floor((toMs - 1) / DAY_MS) * DAY_MS;
  return lastEndMs >= fromMs && lastEndMs >= sinceMs;
}
