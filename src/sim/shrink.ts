import { play } from "./story.ts";
import type { Swarm } from "./swarm.ts";

/** As much of a failure as tells its kind. */
const KIND_LENGTH = 5;

/** Leaves out deeds, fates and faults for as long as the story still goes wrong. */
export async function shrink(
  swarm: Swarm,
  firstWrong: string | undefined,
  mostPlays: number,
): Promise<Swarm> {
  let best = swarm;
  let plays = 0;
  // Another kind of failure is another story.
  const kind = (firstWrong ?? "").slice(0, KIND_LENGTH);
  const attempt = async (smaller: Swarm): Promise<boolean> => {
    if (plays++ >= mostPlays) return false;
    const { wrong } = await play(smaller);
    if (!wrong.some((crime) => crime.startsWith(kind))) return false;
    best = smaller;
    return true;
  };
  const quiet = { lostRequest: 0, lostReply: 0, repeated: 0 };
  const calmer: Partial<Swarm>[] = [
    { fates: [] },
    { ...quiet, lostHints: 0, overflow: 0 },
    { slowListing: 0 },
    { ambush: null },
    { pageEntries: 500 },
    { latencyMs: 0, hintLatencyMs: 0 },
    { reuseInodes: false },
    { foldingDisks: swarm.foldingDisks.map(() => false) },
  ];
  for (const change of calmer) await attempt({ ...best, ...change });
  for (let before = -1; before !== size(best) && plays < mostPlays;) {
    before = size(best);
    for (let piece = Math.ceil(best.deeds.length / 2); piece >= 1; piece = Math.floor(piece / 2)) {
      for (let at = best.deeds.length - piece; at >= 0; at -= piece) {
        await attempt({ ...best, deeds: without(best.deeds, at, piece) });
      }
    }
    for (let at = best.fates.length - 1; at >= 0; at--) {
      await attempt({ ...best, fates: without(best.fates, at, 1) });
    }
  }
  return best;
}

function size({ deeds, fates }: Swarm): number {
  return deeds.length + fates.length;
}

/** What is left keeps its time: whoever comes after waits for those who are gone. */
function without<T extends { readonly waitMs: number }>(
  list: readonly T[],
  at: number,
  count: number,
): T[] {
  const waitMs = list.slice(at, at + count).reduce((sum, each) => sum + each.waitMs, 0);
  return list.flatMap((each, index) => {
    if (index >= at && index < at + count) return [];
    return [index === at + count ? { ...each, waitMs: each.waitMs + waitMs } : each];
  });
}
