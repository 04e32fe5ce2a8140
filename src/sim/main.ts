import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { huntAll } from "./hunt.ts";
import { MUTANTS, mutantsNamed } from "./mutants.ts";
import { PEOPLES_WAYS, RARER_WAYS } from "./people.ts";
import { NO_RUNS, type CollectorRuns } from "./outcome.ts";
import { neverReached, Reach, type Unreached } from "./reach.ts";
import { sweepCases } from "./planner-sweep.ts";
import { shrink } from "./shrink.ts";
import { play, tell } from "./story.ts";
import { ALL_FATES, drawSwarm, readSwarm, type Swarm, type Weather } from "./swarm.ts";

/**
 * npm run sim -- SEED | OPTIONS | --sweep N [--from SEED] [--workers K] [--shrink FAILURES]
 *                                   [--storm | --in-order | --collecting] [--reach]
 *              | --mutants [NAME…] [--most N] [--from SEED] [--workers K]
 *              | --planner N [--from SEED] [--workers K]
 */

/** Asks for what happened in a sweep, and what of the engine it never ran. */
const REACH = "--reach";

/** Seeds that a worker is given at a time. */
const SEEDS_AT_ONCE = 20;
/** Failures that are shrunk and shown; of the others only the seeds. */
const MOST_SHOWN = 5;
const MOST_SHRINKING_PLAYS = 250;
/** What a few stories leave behind is collected at once; more than that falls out of the cache. */
const YOUNG_HEAP_MB = 40;
/** A sweep says now and then how far it is. */
const PROGRESS_MS = 20_000;
/** A planted bug that no story of so many finds is one that the simulator is blind to. */
const MOST_HUNTED = 3_000;
/** One seed in so many is played twice: both must go the same way. */
const TWICE_EVERY = 100;

const THINGS_THAT_HAPPEN = [
  ...[...PEOPLES_WAYS, ...RARER_WAYS].map((way) => `people: ${way}`),
  ...ALL_FATES.map((fate) => `fate: ${fate}`),
];

type Task = { readonly from: number; readonly to: number; readonly weather: Weather };
type Report = {
  readonly failed: readonly { seed: number; wrong: readonly string[] }[];
  steps: number;
  /** In how many stories something happened. */
  readonly happened: Readonly<Record<string, number>>;
  readonly collected: CollectorRuns;
};

function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(name);
  return at === -1 ? otherwise : Number(process.argv[at + 1]);
}

/** What a sweep's stories are like, where that is not as the seed draws them. */
function weatherAsked(): Weather {
  if (process.argv.includes("--storm")) return "storm";
  if (process.argv.includes("--collecting")) return "collecting";
  return process.argv.includes("--in-order") ? "in-order" : "any";
}

function together(some: CollectorRuns, more: CollectorRuns): CollectorRuns {
  return {
    ended: some.ended + more.ended,
    crossed: some.crossed + more.crossed,
    killed: some.killed + more.killed,
  };
}

async function playAll({ from, to, weather }: Task): Promise<Report> {
  const failed: { seed: number; wrong: readonly string[] }[] = [];
  const happened: Record<string, number> = {};
  let steps = 0;
  let collected = NO_RUNS;
  for (let seed = from; seed < to; seed++) {
    const isHashed = seed % TWICE_EVERY === 0;
    const outcome = await play(drawSwarm(seed, weather), { isHashed });
    steps += outcome.steps;
    collected = together(collected, outcome.collected);
    for (const what of outcome.happened) happened[what] = (happened[what] ?? 0) + 1;
    let { wrong } = outcome;
    if (isHashed && wrong.length === 0) {
      const again = await play(drawSwarm(seed, weather), { isHashed });
      if (again.hash !== outcome.hash) wrong = ["the same seed went another way"];
    }
    if (wrong.length > 0) failed.push({ seed, wrong });
  }
  return { failed, steps, happened, collected };
}

async function sweep(count: number, first: number, workers: number): Promise<number> {
  const failed: { seed: number; wrong: readonly string[] }[] = [];
  let next = first;
  let steps = 0;
  let played = 0;
  let collected = NO_RUNS;
  const weather = weatherAsked();
  const happened: Record<string, number> = {};
  const unreached: Unreached[] = [];
  const startedMs = performance.now();
  let sayMs = startedMs + PROGRESS_MS;
  const work = async (): Promise<void> => {
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_HEAP_MB };
    const argv = process.argv.slice(2);
    const worker = new Worker(new URL(import.meta.url), { resourceLimits, argv });
    for (let from = next; from < first + count; from = next) {
      const to = Math.min(from + SEEDS_AT_ONCE, first + count);
      next = to;
      const report = Promise.withResolvers<Report>();
      worker.once("message", report.resolve);
      worker.once("error", report.reject);
      worker.postMessage({ from, to, weather } satisfies Task);
      const { failed: more, steps: taken, happened: also, ...rest } = await report.promise;
      collected = together(collected, rest.collected);
      worker.removeAllListeners("error");
      failed.push(...more);
      for (const [what, count] of Object.entries(also)) {
        happened[what] = (happened[what] ?? 0) + count;
      }
      steps += taken;
      played += to - from;
      if (performance.now() < sayMs) continue;
      sayMs = performance.now() + PROGRESS_MS;
      console.log(`${played} stories played, ${failed.length} failed`);
    }
    if (process.argv.includes(REACH)) {
      const answer = Promise.withResolvers<Unreached>();
      worker.once("message", answer.resolve);
      worker.postMessage(REACH);
      unreached.push(await answer.promise);
    }
    await worker.terminate();
  };
  await Promise.all(Array.from({ length: workers }, work));
  const seconds = (performance.now() - startedMs) / 1_000;
  failed.sort((a, b) => a.seed - b.seed);
  const shown = option("--shrink", MOST_SHOWN);
  for (const { seed, wrong } of failed.slice(0, shown)) {
    console.log(`\nseed ${seed}: ${wrong.slice(0, 4).join("\n  ")}`);
    show(await shrink(drawSwarm(seed, weather), wrong[0], MOST_SHRINKING_PLAYS));
  }
  if (failed.length > shown) {
    console.log(
      `\nalso ${failed
        .slice(shown, 60)
        .map(({ seed }) => seed)
        .join(" ")}`,
    );
  }
  if (process.argv.includes(REACH)) showReach(happened, unreached);
  const rate = (count / seconds).toFixed(0);
  console.log(
    `${seconds.toFixed(1)} s, ${rate} stories a second, ${Math.round(steps / count)} steps each`,
  );
  const { ended, crossed, killed } = collected;
  console.log(`collectors: ${ended} runs (commits landed during ${crossed}), ${killed} killed`);
  console.log(`${count - failed.length} passed, ${failed.length} failed`);
  return failed.length;
}

/** What happened in how many stories, and what of the engine never ran. */
function showReach(happened: Record<string, number>, unreached: readonly Unreached[]): void {
  const never = THINGS_THAT_HAPPEN.filter((what) => happened[what] === undefined);
  for (const what of Object.keys(happened).sort()) console.log(`${happened[what]} × ${what}`);
  for (const what of never) console.log(`never: ${what}`);
  for (const line of neverReached(unreached)) console.log(`not run: ${line}`);
}

function show(swarm: Swarm): void {
  console.log(JSON.stringify(swarm));
}

/** A seed, or a story's options as they were printed. */
async function replay(what: string): Promise<number> {
  const given = what.startsWith("{")
    ? readSwarm(JSON.parse(what) as object)
    : drawSwarm(Number(what), weatherAsked());
  const { swarm, story, wrong, hash, steps } = await tell(given);
  show(swarm);
  for (const line of story) console.log(line);
  for (const line of wrong) console.log(`WRONG ${line}`);
  console.log(
    `${steps} steps, hash ${hash.toString(16)}, ${wrong.length === 0 ? "well" : "wrong"}`,
  );
  return wrong.length;
}

/** Words behind an option, up to the next one; null when the option is not given. */
function words(name: string): string[] | null {
  const at = process.argv.indexOf(name);
  if (at === -1) return null;
  const rest = process.argv.slice(at + 1);
  const end = rest.findIndex((word) => word.startsWith("--"));
  return end === -1 ? rest : rest.slice(0, end);
}

async function run(): Promise<number> {
  const from = option("--from", 1);
  const workers = option("--workers", 2);
  const names = words("--mutants");
  if (names !== null) {
    const most = option("--most", MOST_HUNTED);
    return huntAll(mutantsNamed(names), MUTANTS, { from, most, workers });
  }
  const cases = option("--planner", 0);
  if (cases > 0) return sweepCases({ count: cases, from, workers });
  const count = option("--sweep", 0);
  return count > 0 ? sweep(count, from, workers) : replay(process.argv[2] ?? "1");
}

if (isMainThread) {
  const failures = await run();
  process.exitCode = failures > 0 ? 1 : 0;
} else {
  // Stacks are most of what an error costs; who replays a failure sees them.
  Error.stackTraceLimit = 0;
  const reach = new Reach();
  if (process.argv.includes(REACH)) await reach.begin();
  parentPort?.on("message", (task: Task | typeof REACH) => {
    const answer = task === REACH ? reach.unreached() : playAll(task);
    void answer.then((report) => parentPort?.postMessage(report));
  });
}
