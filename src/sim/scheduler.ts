import type { Draw } from "./chance.ts";

/** Somebody whose steps wait for their turn. A dead one's promises are never settled. */
export class Actor {
  readonly name: string;
  /** How often it has its turn, against the others. */
  readonly weight: number;
  alive = true;

  constructor(name: string, weight: number) {
    this.name = name;
    this.weight = weight;
  }
}

type Step = { readonly actor: Actor; readonly label: string; readonly run: () => void };
type Timer = Step & { readonly atMs: number };

/** Steps in one turn of Node's event loop, which costs as much as a step does. */
const STEPS_A_LOOP = 64;

/** Calls in one step that may go without a turn. */
const MOST_AT_ONCE = 1_000;

export type Ending = "done" | "out-of-steps" | "nothing-left";

/**
 * Who does what next, and what time it is: one step at a time, chosen by the seed. Between two
 * steps all microtasks run, so that one seed is one interleaving. Nothing here is a real timer:
 * immediates are only how microtasks are run dry.
 */
export class Scheduler {
  readonly #draw: Draw;
  readonly #longestStepMs: number;
  readonly #ready: Step[] = [];
  readonly #timers = new Set<Timer>();
  /** No timer is due before this. */
  #earliestMs = Number.POSITIVE_INFINITY;
  #totalWeight = 0;
  /** Calls since the last step that had no turn of their own. */
  #atOnce = 0;
  #hash = 0x811c9dc5;
  /** Virtual milliseconds since the story began; whole, or it would tick at fractions. */
  nowMs = 0;
  steps = 0;
  /** Collects the steps as text, for people to read. */
  story: string[] | null = null;
  /** Whether anybody looks at `hash`: most stories are never compared with another. */
  isHashed = false;
  /** Called after every step, when all has come to rest. */
  afterStep: () => void = () => {};

  constructor(draw: Draw, longestStepMs: number) {
    this.#draw = draw;
    this.#longestStepMs = longestStepMs;
  }

  /** Runs `work` when its turn comes, and settles with what came of it. */
  call<T>(actor: Actor, label: string, work: () => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#add({
        actor,
        label,
        run: () => {
          try {
            resolve(work());
          } catch (error) {
            // What was thrown is passed on as it is.
            // oxlint-disable-next-line typescript/prefer-promise-reject-errors
            reject(error);
          }
        },
      });
    });
  }

  /** Does `work` in the midst of the present step, so that nobody comes in between. */
  atOnce<T>(actor: Actor, label: string, work: () => T): Promise<T> {
    // Whoever goes on for ever without waiting for anybody has to wait: the story ends some time.
    if (this.#atOnce >= MOST_AT_ONCE) return this.call(actor, label, work);
    this.#atOnce++;
    return new Promise<T>((resolve) => {
      if (!actor.alive) return;
      if (this.story !== null) this.#tell(`${actor.name} ${label}, at once`);
      resolve(work());
    });
  }

  /** Makes a step ready after a while; returns what takes it back. */
  after(delayMs: number, actor: Actor, label: string, run: () => void): () => void {
    const atMs = Math.ceil(this.nowMs + Math.max(0, delayMs));
    const timer: Timer = { actor, label, run, atMs };
    this.#timers.add(timer);
    this.#earliestMs = Math.min(this.#earliestMs, atMs);
    return () => this.#timers.delete(timer);
  }

  /** Whether a line of the story is lost on all: then nobody has to write one. */
  get isDeaf(): boolean {
    return !this.isHashed && this.story === null;
  }

  /** A line of the story; part of what makes two runs the same. */
  note(text: string): void {
    if (this.isHashed) this.#mix(text);
    if (this.story !== null) this.#tell(text);
  }

  #mix(text: string): void {
    let hash = this.#hash;
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    }
    this.#hash = hash;
  }

  #tell(text: string): void {
    this.story?.push(`${String(this.nowMs).padStart(8)} ${text}`);
  }

  /** Of all steps and lines; the same number for every story when they are not hashed. */
  get hash(): number {
    return this.#hash >>> 0;
  }

  /**
   * Ends an actor. What it had asked for may still happen, unheard: each of its steps is taken or
   * dropped.
   */
  orphan(actor: Actor, draw: Draw): void {
    actor.alive = false;
    const orphans = this.#ready.filter((step) => step.actor === actor);
    for (const step of orphans) {
      this.#ready.splice(this.#ready.indexOf(step), 1);
      this.#totalWeight -= actor.weight;
      if (!draw.chance(0.5)) continue;
      this.note(`${actor.name} had asked for ${step.label}`);
      step.run();
    }
  }

  /** Steps until `isDone` holds, at most so many. */
  run(isDone: () => boolean, mostSteps: number): Promise<Ending> {
    return new Promise((resolve, reject) => {
      let left = mostSteps;
      let ended = false;
      const end = (ending: Ending): void => {
        ended = true;
        resolve(ending);
      };
      const turn = (): void => {
        if (ended) return;
        try {
          if (left < mostSteps) this.afterStep();
          if (isDone()) end("done");
          else if (left-- === 0) end("out-of-steps");
          else if (!this.#step()) end("nothing-left");
        } catch (error) {
          ended = true;
          // What was thrown is passed on as it is.
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors
          reject(error);
        }
      };
      // Microtasks run dry between two immediates of one turn of the event loop, too.
      const round = (): void => {
        turn();
        if (!ended) queue();
      };
      const queue = (): void => {
        for (let count = 1; count < STEPS_A_LOOP; count++) setImmediate(turn);
        setImmediate(round);
      };
      queue();
    });
  }

  #add(step: Step): void {
    if (!step.actor.alive) return;
    this.#ready.push(step);
    this.#totalWeight += step.actor.weight;
  }

  #step(): boolean {
    this.#wakeTimers();
    const step = this.#take();
    if (step === null) return false;
    if (!step.actor.alive) return true;
    this.steps++;
    this.#atOnce = 0;
    this.nowMs += this.#draw.below(this.#longestStepMs + 1);
    if (this.isHashed) {
      this.#mix(step.actor.name);
      this.#mix(step.label);
    }
    if (this.story !== null) this.#tell(`${step.actor.name} ${step.label}`);
    step.run();
    return true;
  }

  #wakeTimers(): void {
    if (this.#ready.length > 0 && this.#earliestMs > this.nowMs) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) {
      if (!timer.actor.alive) this.#timers.delete(timer);
      else nextMs = Math.min(nextMs, timer.atMs);
    }
    if (this.#ready.length === 0 && nextMs !== Number.POSITIVE_INFINITY) {
      this.nowMs = Math.max(this.nowMs, nextMs);
    }
    this.#earliestMs = nextMs;
    if (nextMs > this.nowMs) return;
    this.#earliestMs = Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) {
      if (timer.atMs > this.nowMs) {
        this.#earliestMs = Math.min(this.#earliestMs, timer.atMs);
        continue;
      }
      this.#timers.delete(timer);
      this.#add(timer);
    }
  }

  #take(): Step | null {
    let left = this.#draw.fraction() * this.#totalWeight;
    let index = 0;
    for (; index < this.#ready.length - 1; index++) {
      left -= this.#ready[index]?.actor.weight ?? 0;
      if (left < 0) break;
    }
    const step = this.#ready[index];
    if (step === undefined) return null;
    this.#ready.splice(index, 1);
    this.#totalWeight = this.#ready.length === 0 ? 0 : this.#totalWeight - step.actor.weight;
    return step;
  }
}
