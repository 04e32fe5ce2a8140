import { MAX_RESTORES, type Restored } from "#protocol/feed.ts";

/** A space's announced restores with one more; the oldest go when they are too many. */
export function withRestore(
  before: readonly Restored[] | undefined,
  restored: Restored,
): readonly Restored[] {
  return [...(before ?? []), restored].slice(-MAX_RESTORES);
}
