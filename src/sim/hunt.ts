import { Worker } from "node:worker_threads";
import type { MutantStory, MutantTask } from "./mutant-worker.ts";
import type { Mutant } from "./mutation.ts";
import { play } from "./story.ts";
import { drawSwarm } from "./swarm.ts";

/** A mutant may never come to rest: a story that takes this long by a real clock is found, too. */
const LONGEST_STORY_MS = 30_000;
const MOST_HEAP_MB = 1_024;
const COMPLAINT_LENGTH = 100;

export type Hunt = {
  /** The first seed. */
  readonly from: number;
  /** Stories that are played at most. */
  readonly most: number;
};

/** `stories`: how many it took; null when all went well. */
export type Finding = {
  readonly name: string;
  readonly stories: number | null;
  readonly complaint: string;
};

/** One thread with a mutant in it, one story at a time. */
class Prey implements AsyncDisposable {
  readonly #worker: Worker;
  #hear: (story: MutantStory) => void = () => {};
  #seed = 0;
  #alarm: NodeJS.Timeout;

  constructor(mutant: Mutant) {
    this.#worker = new Worker(new URL("mutant-worker.ts", import.meta.url), {
      workerData: mutant,
      resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP_MB },
    });
    this.#worker.on("message", (story: MutantStory) => {
      this.#alarm.refresh();
      this.#seed = story.seed + 1;
      this.#hear(story);
    });
    this.#worker.on("error", (error) => this.#end(`the process ended: ${String(error)}`));
    this.#alarm = setTimeout(() => this.#end("does not come to rest"), LONGEST_STORY_MS);
  }

  /** The first story that goes wrong, or null when all go well. */
  async firstWrong({ from, to }: MutantTask): Promise<MutantStory | null> {
    const { promise, resolve } = Promise.withResolvers<MutantStory | null>();
    this.#seed = from;
    this.#hear = (story) => {
      if (story.wrong.length > 0) resolve(story);
      else if (story.seed === to - 1) resolve(null);
    };
    this.#alarm.refresh();
    this.#worker.postMessage({ from, to } satisfies MutantTask);
    return promise;
  }

  #end(why: string): void {
    this.#hear({ seed: this.#seed, wrong: [why] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#alarm);
    await this.#worker.terminate();
  }
}

let playing: Promise<unknown> = Promise.resolve();

/** True when a story goes well without any mutant; they share a database, so one at a time. */
function isWell(seed: number): Promise<boolean> {
  const outcome = playing.then(() => play(drawSwarm(seed), null));
  playing = outcome;
  return outcome.then(({ wrong }) => wrong.length === 0);
}

/**
 * Plays stories with a mutant until one goes wrong that goes well without it. What went wrong of
 * its own accord says nothing about the mutant.
 */
export async function hunt(mutant: Mutant, { from, most }: Hunt): Promise<Finding> {
  const { name } = mutant;
  const to = from + most;
  let unsound = 0;
  for (let next = from; next < to;) {
    await using prey = new Prey(mutant);
    const story = await prey.firstWrong({ from: next, to });
    if (story === null) break;
    const { seed, wrong } = story;
    if (await isWell(seed)) {
      const complaint = (wrong[0] ?? "").split("\n")[0] ?? "";
      const short = complaint.slice(0, COMPLAINT_LENGTH);
      return { name, stories: seed - from + 1, complaint: `${short} (seed ${seed})` };
    }
    unsound++;
    next = seed + 1;
  }
  const alone = unsound === 0 ? "" : `, ${unsound} of which go wrong without it`;
  return { name, stories: null, complaint: `not found in ${most} stories${alone}` };
}

function lineOf({ name, stories, complaint }: Finding, width: number): string {
  return `${name.padEnd(width)}  ${String(stories ?? "-").padStart(6)}  ${complaint}`;
}

/** Hunts all of them, several at a time; returns how many were not found. */
export async function huntAll(
  mutants: readonly Mutant[],
  { workers, ...terms }: Hunt & { readonly workers: number },
): Promise<number> {
  const width = Math.max(...mutants.map(({ name }) => name.length));
  const left = [...mutants];
  const findings: Finding[] = [];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const finding = await hunt(next, terms);
      findings.push(finding);
      console.log(lineOf(finding, width));
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  const taken = findings.flatMap(({ stories }) => stories ?? []).sort((a, b) => a - b);
  const median = taken[Math.floor(taken.length / 2)] ?? 0;
  const lost = mutants.length - taken.length;
  console.log(`half of them within ${median} stories; ${taken.length} found, ${lost} not found`);
  return lost;
}
