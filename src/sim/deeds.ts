import type { Draw } from "./chance.ts";
import type { Deed, Way } from "./people.ts";
import type { Swarm } from "./swarm.ts";

/** A deed, and `done` when it did something and did not give up. */
export function* watched(deed: Deed, done: () => void): Deed {
  let last: string | number | null = null;
  for (const said of deed) {
    last = said;
    yield said;
  }
  if (last !== null && !String(last).startsWith("gives up")) done();
}

export function pickWay(ways: Swarm["ways"], draw: Draw): Way {
  const list = Object.entries(ways) as [Way, number][];
  let left = draw.fraction() * list.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [way, weight] of list) {
    left -= weight;
    if (left < 0) return way;
  }
  return "write";
}
