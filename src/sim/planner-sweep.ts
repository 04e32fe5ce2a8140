import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Mutant } from "./mutation.ts";
import { playCase } from "./planner-case.ts";
import type { CasesReport, CasesTask } from "./planner-worker.ts";

/** Cases that a thread is given at a time. */
const CASES_AT_ONCE = 2_000;
/** … while a planted bug is looked for: the first that finds it ends the hunt. */
const CASES_AT_ONCE_HUNTING = 250;
/** Failures whose story is told. */
const MOST_TOLD = 3;
const MOST_NAMED = 40;

type Range = { readonly count: number; readonly from: number; readonly workers: number };

type Swept = CasesReport;

/** Plays the cases of a range of seeds; with a planted bug it ends at the first that goes wrong. */
export async function playCases(
  { count, from, workers }: Range,
  mutant: Mutant | null,
): Promise<Swept> {
  const failed: CasesReport["failed"][number][] = [];
  let [plans, triples, cpuMs] = [0, 0, 0];
  const atOnce = mutant === null ? CASES_AT_ONCE : CASES_AT_ONCE_HUNTING;
  let next = from;
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL("planner-worker.ts", import.meta.url), {
      workerData: mutant,
    });
    while (next < from + count && (mutant === null || failed.length === 0)) {
      const task = { from: next, to: Math.min(next + atOnce, from + count) };
      next = task.to;
      worker.postMessage(task satisfies CasesTask);
      const [report] = (await once(worker, "message")) as [CasesReport];
      failed.push(...report.failed);
      plans += report.plans;
      triples += report.triples;
      cpuMs += report.cpuMs;
    }
    await worker.terminate();
  };
  await Promise.all(Array.from({ length: workers }, work));
  failed.sort((left, right) => left.seed - right.seed);
  return { failed, plans, triples, cpuMs };
}

/** Plays a range and says what came of it; a single case is told whole. */
export async function sweepCases(range: Range): Promise<number> {
  if (range.count === 1) return tellCase(range.from);
  const startedMs = performance.now();
  const { failed, plans, triples, cpuMs } = await playCases(range, null);
  const seconds = (performance.now() - startedMs) / 1_000;
  for (const { seed } of failed.slice(0, MOST_TOLD)) tellCase(seed);
  if (failed.length > MOST_TOLD) {
    const seeds = failed.slice(MOST_TOLD, MOST_NAMED).map(({ seed }) => seed);
    console.log(`\nalso ${seeds.join(" ")}`);
  }
  const rate = (number: number): string => Math.round((number * 1_000) / cpuMs).toString();
  console.log(
    `${seconds.toFixed(1)} s; a second of a core did ${rate(range.count)} cases with ` +
      `${rate(triples)} triples, ${rate(plans)} plans`,
  );
  console.log(`${range.count - failed.length} passed, ${failed.length} failed`);
  return failed.length;
}

function tellCase(seed: number): number {
  const { story, wrong } = playCase(seed, { isTold: true });
  console.log(`\ncase ${seed}`);
  for (const line of story) console.log(line);
  for (const line of wrong) console.log(`WRONG ${line}`);
  return wrong.length;
}
