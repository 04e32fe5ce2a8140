import { NO_RUNS, type Outcome } from "./outcome.ts";
import { World } from "./world.ts";
import type { Swarm } from "./swarm.ts";

export type Told = Outcome & { readonly swarm: Swarm; readonly story: readonly string[] };

/** What is kept of a story's course: its text, or a hash of it, for who compares two. */
type Kept = { readonly story?: string[]; readonly isHashed?: boolean };

/** Plays one story; what nobody expected to be thrown is wrong, too. */
export async function play(swarm: Swarm, kept: Kept = {}): Promise<Outcome> {
  try {
    const world = await World.open(swarm, kept);
    return await world.play();
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { hash: 0, steps: 0, wrong: [`thrown: ${what}`], happened: [], collected: NO_RUNS };
  }
}

/** A story with its text. */
export async function tell(swarm: Swarm): Promise<Told> {
  const story: string[] = [];
  return { ...(await play(swarm, { story, isHashed: true })), swarm, story };
}
