import { parentPort, workerData } from "node:worker_threads";
import { plant, type Mutant } from "./mutation.ts";

/** Plays planner cases in a thread of its own, with a planted bug or without one. */

export type CasesTask = { readonly from: number; readonly to: number };
export type CasesReport = {
  readonly failed: readonly { readonly seed: number; readonly wrong: readonly string[] }[];
  readonly plans: number;
  readonly triples: number;
  /** Processor time that this thread took. */
  readonly cpuMs: number;
};

const mutant = workerData as Mutant | null;
if (mutant !== null) plant(mutant);
// Only now, so that the hook is asked for each of their files.
const { playCase } = await import("./planner-case.ts");

parentPort?.on("message", ({ from, to }: CasesTask) => {
  const failed: { seed: number; wrong: readonly string[] }[] = [];
  let plans = 0;
  let triples = 0;
  const began = process.threadCpuUsage();
  for (let seed = from; seed < to; seed++) {
    const outcome = playCase(seed);
    plans += outcome.plans;
    triples += outcome.triples;
    if (outcome.wrong.length > 0) failed.push({ seed, wrong: outcome.wrong });
  }
  const { user, system } = process.threadCpuUsage(began);
  const cpuMs = (user + system) / 1_000;
  parentPort?.postMessage({ failed, plans, triples, cpuMs } satisfies CasesReport);
});
