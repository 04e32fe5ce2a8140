import { parentPort, workerData } from "node:worker_threads";
import type { Mutant } from "./mutation.ts";
import { plant } from "./mutation.ts";

/** Plays stories in a thread whose modules are a mutant's; posts each story's end. */

export type MutantTask = { readonly from: number; readonly to: number };
export type MutantStory = { readonly seed: number; readonly wrong: readonly string[] };

plant(workerData as Mutant);
// Only now, so that the hook is asked for each of their files.
const { play } = await import("./story.ts");
const { drawSwarm } = await import("./swarm.ts");

async function playUntilWrong({ from, to }: MutantTask): Promise<void> {
  for (let seed = from; seed < to; seed++) {
    const { wrong } = await play(drawSwarm(seed));
    parentPort?.postMessage({ seed, wrong } satisfies MutantStory);
    if (wrong.length > 0) return;
  }
}

parentPort?.on("message", (task: MutantTask) => void playUntilWrong(task));
