import { Worker } from "node:worker_threads";
import type { MutantStory, MutantTask } from "./mutant-worker.ts";
import { together, type Mutant } from "./mutation.ts";
import { play } from "./story.ts";
import { drawSwarm } from "./swarm.ts";

/** A mutant may never come to rest: a story that takes this long by a real clock is found, too. */
const LONGEST_STORY_MS = 30_000;
const MOST_HEAP_MB = 1_024;
const COMPLAINT_LENGTH = 100;

/** Stories of the first round: most mutants fall in it, and those that do not come last. */
const FIRST_ROUND = 100;
/** A masked mutant is played alone for so many times the stories that it took with the other. */
const ALONE_FACTOR = 3;

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
  const outcome = playing.then(() => play(drawSwarm(seed)));
  playing = outcome;
  return outcome.then(({ wrong }) => wrong.length === 0);
}

/** True when a story goes well with nothing but this mutant. */
async function isWellWith(mutant: Mutant, seed: number): Promise<boolean> {
  await using prey = new Prey(mutant);
  return (await prey.firstWrong({ from: seed, to: seed + 1 })) === null;
}

/**
 * Plays stories with a mutant until one goes wrong that goes well without it, or with nothing but
 * `beside`. What went wrong of its own accord says nothing about the mutant.
 */
export async function hunt(
  mutant: Mutant,
  { from, most }: Hunt,
  beside: Mutant | null = null,
): Promise<Finding> {
  const { name } = mutant;
  const to = from + most;
  let unsound = 0;
  for (let next = from; next < to;) {
    await using prey = new Prey(mutant);
    const story = await prey.firstWrong({ from: next, to });
    if (story === null) break;
    const { seed, wrong } = story;
    if (await (beside === null ? isWell(seed) : isWellWith(beside, seed))) {
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

/** A mutant in the table: `stories` is null for one that nothing shows, `mask` what covers it. */
type Line = Finding & { readonly mask: string | null };

/**
 * Shows that a mutant is masked: with the one whose rule covers it a story goes wrong that goes
 * well with that one alone, and without it none of several times as many does.
 */
async function huntMasked(mutant: Mutant, by: Mutant, terms: Hunt): Promise<Line> {
  const both = await hunt(together(mutant, by), terms, by);
  const { name } = mutant;
  if (both.stories === null) return { ...both, name, mask: null };
  const alone = await hunt(mutant, { ...terms, most: both.stories * ALONE_FACTOR });
  if (alone.stories !== null) return { ...alone, mask: null };
  return { ...both, name, mask: by.name };
}

function lineOf({ name, stories, complaint, mask }: Line, width: number): string {
  const how = mask === null ? "" : `masked by ${mask}, with it: `;
  return `${name.padEnd(width)}  ${String(stories ?? "-").padStart(6)}  ${how}${complaint}`;
}

/** Does `work` on each, several at a time; in their order. */
async function inTurns<T>(
  list: readonly T[],
  workers: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...list];
  const turn = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: workers }, turn));
}

/**
 * Hunts all of them, several at a time, those that fall soon first; says at the end in a table how
 * many stories each took. Returns how many were not found.
 */
export async function huntAll(
  mutants: readonly Mutant[],
  all: readonly Mutant[],
  { workers, from, most }: Hunt & { readonly workers: number },
): Promise<number> {
  const width = Math.max(...mutants.map(({ name }) => name.length));
  const lines = new Map<string, Line>();
  const say = (line: Line): void => {
    lines.set(line.name, line);
    console.log(lineOf(line, width));
  };
  const first = Math.min(FIRST_ROUND, most);
  const play = async (each: Mutant, terms: Hunt): Promise<Line> => {
    const by = all.find(({ name }) => name === each.maskedBy);
    if (by !== undefined) return huntMasked(each, by, terms);
    return { ...(await hunt(each, terms)), mask: null };
  };
  await inTurns(mutants, workers, async (each) => say(await play(each, { from, most: first })));
  const left = mutants.filter(({ name }) => lines.get(name)?.stories === null);
  await inTurns(most > first ? left : [], workers, async (each) => {
    const line = await play(each, { from: from + first, most: most - first });
    say({ ...line, stories: line.stories === null ? null : line.stories + first });
  });
  return tell(mutants, lines, width);
}

/** The table of all; returns how many were not found. */
function tell(mutants: readonly Mutant[], lines: ReadonlyMap<string, Line>, width: number): number {
  console.log("");
  for (const { name } of mutants) {
    const line = lines.get(name);
    if (line !== undefined) console.log(lineOf(line, width));
  }
  const found = [...lines.values()].filter(
    ({ stories, mask }) => stories !== null && mask === null,
  );
  const taken = found.flatMap(({ stories }) => stories ?? []).sort((a, b) => a - b);
  const median = taken[Math.floor(taken.length / 2)] ?? 0;
  const maskedOnes = [...lines.values()].filter(({ mask }) => mask !== null).length;
  const lost = mutants.length - taken.length - maskedOnes;
  const often = `half of them within ${median} stories, all within ${taken.at(-1) ?? 0}`;
  const others = `${maskedOnes} masked by another rule; ${lost} not found`;
  console.log(`${taken.length} found, ${often}; ${others}`);
  return lost;
}
