import { toHex } from "#core/bytes.ts";
import type { ChunkId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import { Collector, TURN_MS, type CollectorRules } from "#server/collector.ts";
import { nodeDigest } from "#server/digest.ts";
import type { Collection, ContentRow } from "#server/metadata/collection.ts";
import { Draw } from "./chance.ts";
import { hashOf } from "./contents.ts";
import type { Device } from "./device.ts";
import { readingFaults } from "./journal-oracle.ts";
import { NO_RUNS, type CollectorRuns } from "./outcome.ts";
import { Actor, type Scheduler } from "./scheduler.ts";
import type { VirtualServer } from "./virtual-server.ts";

/** A server that forgets within seconds what others keep for months. */
export type Collecting = {
  readonly everyMs: number;
  /** How long every version stays; of days there are none in a story. */
  readonly keptMs: number;
  readonly graceMs: number;
  /** How far the collector's clock is ahead: with three days, all that is staged is overdue. */
  readonly aheadMs: number;
  /** So many small packs are merged. */
  readonly smallPacks: number;
};

const LEASE_MS = 72 * 60 * 60 * 1_000;
const HOUR_MS = 60 * 60 * 1_000;
/** Later than any upload that is under way in a story ends. */
const STRAY_MS = 24 * HOUR_MS;
/** Share of runs that end in one of so many calls, and of those that end in one of these. */
const KILLED = 0.1;
const MOST_CALLS = 25;
const KILLED_IN = 0.1;
const CALLS = ["forget", "condemn", "sweep", "removeUnheld", "move", "doom", "drop"];
/** Where nothing was stored since the last run, the next one is for what time alone makes due. */
const LONGEST_PAUSE_MS = 1_000;
/** Share of runs after which somebody looks whether all that is kept can be read. */
const LOOKED_AFTER = 0.3;
/** Of removals of chunks that nobody holds: somebody saves those bytes again meanwhile. */
const SAVED_AGAIN = 0.3;
const LONGEST_STALL_MS = 3_000;
/** Runs after which nothing is left that nobody needs. */
const LAST_RUNS = 5;

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export function drawCollecting(draw: Draw): Collecting {
  return {
    everyMs: draw.pick([10, 50, 300]),
    keptMs: draw.pick([0, 0, 500, 2_000]),
    graceMs: draw.pick([0, 0, 300]),
    aheadMs: draw.chance(0.3) ? LEASE_MS : 0,
    smallPacks: draw.pick([2, 4, 16]),
  };
}

type StoryWorld = {
  readonly swarm: { readonly seed: number; readonly collecting: Collecting | null };
  readonly scheduler: Scheduler;
  readonly server: VirtualServer;
  readonly devices: readonly Device[];
  readonly happened: Set<string>;
};

/** Runs collectors beside a story's devices, each call of one with a turn of its own. */
export class CollectorAtWork {
  readonly #rules: CollectorRules;
  readonly #options: Collecting;
  readonly #scheduler: Scheduler;
  readonly #server: VirtualServer;
  readonly #clock: Clock;
  readonly #draw: Draw;
  readonly #devices: readonly Device[];
  /** What people do at a collector's worst moment. */
  readonly #moments: Draw;
  readonly #happened: Set<string>;
  #actor = new Actor("collector", 1);
  readonly #wrong: string[] = [];
  #laterMs = 0;
  /** When the last whole run began, and what was stored then. */
  #last = { stored: "", atMs: 0 };
  /** Calls until the collector at work ends in the midst of one; null: it is let alone. */
  #callsLeft: number | null = null;
  /** Or it ends in the next call of this name. */
  #endsIn: string | null = null;
  #isOver = false;
  /** Of the run that is under way. */
  #calls = 0;
  /** What was done until the end, without what is looked at then. */
  runs: CollectorRuns = NO_RUNS;

  private constructor(options: Collecting, world: StoryWorld) {
    this.#options = options;
    this.#scheduler = world.scheduler;
    this.#server = world.server;
    this.#draw = new Draw(world.swarm.seed, "collector");
    this.#devices = world.devices;
    this.#moments = new Draw(world.swarm.seed, "collector's moments");
    this.#happened = world.happened;
    const { keptMs, graceMs } = options;
    this.#rules = {
      retention: { allMs: keptMs, dailyMs: 0 },
      graceMs,
      packGraceMs: graceMs,
      strayMs: STRAY_MS,
      manySmallPacks: options.smallPacks,
    };
    const standing = (): never => {
      throw new Error("a collector waits for nothing");
    };
    this.#clock = {
      nowMs: () => this.#server.nowMs + options.aheadMs + this.#laterMs,
      monotonicMs: standing,
      sleep: standing,
      after: standing,
      today: standing,
    };
    this.#server.onEnd = () => this.#kill();
    this.#wait();
  }

  /** Null where every version stays. */
  static of(world: StoryWorld): CollectorAtWork | null {
    const { collecting } = world.swarm;
    return collecting === null ? null : new CollectorAtWork(collecting, world);
  }

  /** From now on nothing is collected, until the story is judged. */
  end(): void {
    this.#isOver = true;
    this.#kill();
  }

  /**
   * What is wrong now that all is at rest: something went too early, or, after some runs more,
   * something that nobody needs is still there, or something that is needed is not.
   */
  async faults(): Promise<string[]> {
    const { collection, space, packs, scrub } = this.#server;
    const contents = await collection.links.contents(space, 1_000_000);
    const wrong = [...this.#wrong, ...this.#tooEarly(contents)];
    for (let run = 0; run < LAST_RUNS; run++) {
      this.#laterMs += 2 * STRAY_MS + LEASE_MS;
      await this.#collector(collection, { ...this.#rules, graceMs: 0, packGraceMs: 0 }).run();
    }
    wrong.push(...(await readingFaults(this.#server)));
    const kept = await collection.links.contents(space, 1_000_000);
    const needed = new Set(kept.flatMap(({ chunks }) => chunks));
    const links = await collection.links.links(space, 1_000_000);
    for (const { chunk } of links) {
      if (!needed.has(chunk)) wrong.push(`chunk ${chunk} is held and nobody needs it`);
    }
    const rows = await collection.packs.packs(1_000_000);
    const stored = new Set<ChunkId>();
    for (const { name } of rows) {
      for (const { id } of await scrub.inPack(name)) stored.add(id);
    }
    for (const id of stored) {
      if (!needed.has(id)) wrong.push(`chunk ${id} is stored and nobody needs it`);
    }
    const objects = await Array.fromAsync(packs.list());
    const strays = objects.length - rows.length;
    // A store most of which is unknown stays as it is.
    if (strays < 0 || (strays > 0 && strays <= rows.length)) {
      wrong.push(`${objects.length} packs are stored, ${rows.length} are known`);
    }
    for (const { name, sizeBytes, liveBytes } of rows) {
      if (2 * liveBytes < sizeBytes)
        wrong.push(`of ${sizeBytes} bytes of ${name} ${liveBytes} live`);
    }
    return wrong;
  }

  #tooEarly(contents: readonly ContentRow[]): string[] {
    const wrong: string[] = [];
    for (const [at, content] of contents.entries()) {
      const { node, sequence, forgotten, isLast, deletedMs } = content;
      if (!forgotten) continue;
      const endMs = isLast ? deletedMs : contents[at + 1]?.timeMs;
      if (endMs === null) wrong.push(`what node ${node} holds was forgotten`);
      else if (endMs === undefined || endMs + this.#options.keptMs > this.#clock.nowMs()) {
        wrong.push(`version ${sequence} of node ${node} was forgotten too early`);
      }
    }
    return wrong;
  }

  #wait(): void {
    if (this.#isOver) return;
    const waitMs = this.#draw.between(1, 2 * this.#options.everyMs);
    this.#scheduler.after(waitMs, this.#actor, "begins", () => {
      if (this.#isDue) void this.#run();
      else this.#wait();
    });
  }

  get #isDue(): boolean {
    const { stored, atMs } = this.#last;
    return stored !== this.#server.stored || this.#scheduler.nowMs - atMs >= LONGEST_PAUSE_MS;
  }

  async #run(): Promise<void> {
    const actor = this.#actor;
    const began = { stored: this.#server.stored, atMs: this.#scheduler.nowMs };
    const { links, packs } = this.#server.collection;
    const turns = <T extends object>(port: T): T => this.#withTurns(port, actor);
    const collection = { links: turns(links), packs: turns(packs) };
    this.#callsLeft = this.#draw.chance(KILLED) ? this.#draw.below(MOST_CALLS) : null;
    this.#endsIn = this.#moments.chance(KILLED_IN) ? this.#moments.pick(CALLS) : null;
    const before = this.#server.head;
    this.#calls = 0;
    let report;
    try {
      report = await this.#collector(collection, this.#rules).run();
    } catch (error) {
      this.#wrong.push(`a collector failed: ${String(error)}`);
      return;
    }
    if (actor !== this.#actor) return;
    this.#calls = 0;
    if (report !== "busy") {
      const { ended, crossed, killed } = this.runs;
      const isCrossed = this.#server.head !== before;
      this.runs = { ended: ended + 1, crossed: crossed + Number(isCrossed), killed };
      this.#last = began;
      const { spaces, removed, merged } = report;
      if (spaces.some(({ versions }) => versions > 0)) this.#happened.add("collector: forgot");
      if (spaces.some(({ ended }) => ended > 0)) this.#happened.add("collector: swept");
      if (removed > 0) this.#happened.add("collector: removed a pack");
      if (merged > 0) this.#happened.add("collector: merged");
      if (this.#moments.chance(LOOKED_AFTER)) await this.#expectKept();
    }
    this.#wait();
  }

  /** What is not forgotten is held, at every moment. */
  async #expectKept(): Promise<void> {
    const { collection, space } = this.#server;
    const contents = await collection.links.contents(space, 1_000_000);
    const links = await collection.links.links(space, 1_000_000);
    const held = new Set(links.map(({ chunk }) => chunk));
    for (const { node, sequence, forgotten, chunks } of contents) {
      if (forgotten || chunks.every((chunk) => held.has(chunk))) continue;
      this.#wrong.push(`version ${sequence} of node ${node} is kept, and its chunks are not`);
    }
  }

  #collector(collection: Collection, rules: CollectorRules): Collector {
    const { packs, journals, scrub } = this.#server;
    const stores = { packs, journals, scrub, collection };
    const world = { ...stores, clock: this.#clock, chance: this.#draw };
    return new Collector({ ...world, digest: nodeDigest, log: SILENT }, rules);
  }

  /** The same port, each call of which waits for its turn. */
  #withTurns<T extends object>(port: T, actor: Actor): T {
    return new Proxy(port, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        return (...values: unknown[]) => {
          this.#calls++;
          const work = () => Reflect.apply(method, target, values) as Promise<unknown>;
          const call = () => this.#scheduler.call(actor, `collects: ${String(name)}`, work);
          const stallMs = name === "removeUnheld" ? this.#saveAgain(values[0]) : 0;
          const done = stallMs === 0 ? call() : this.#after(stallMs, actor, call);
          const isLast = this.#callsLeft !== null && this.#callsLeft-- === 0;
          if (isLast || name === this.#endsIn) this.#kill();
          // Who has ended hears nothing of what it had asked for.
          return new Promise<unknown>((resolve, reject) => {
            done.then(
              (value) => void (actor.alive && resolve(value)),
              (error: unknown) => void (actor.alive && reject(error as Error)),
            );
          });
        };
      },
    });
  }

  /** Somebody saves what is about to go; returns how many ms the collector takes until then. */
  #saveAgain(chunks: unknown): number {
    const draw = this.#moments;
    const ids = new Set(chunks as readonly string[]);
    if (this.#isOver || ids.size === 0 || !draw.chance(SAVED_AGAIN)) return 0;
    for (const { disk, person, name } of this.#devices) {
      for (const { path, inode } of disk.tree()) {
        const earlier = inode.past.find((bytes) => bytes.length > 0 && ids.has(hashOf(bytes)));
        if (inode.kind !== "file" || earlier === undefined) continue;
        for (const said of person.write(path, earlier)) {
          this.#scheduler.note(`${name}'s person, at once, ${said}`);
        }
        return draw.between(100, LONGEST_STALL_MS);
      }
    }
    return 0;
  }

  #after<T>(delayMs: number, actor: Actor, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#scheduler.after(delayMs, actor, "goes on", () => void work().then(resolve, reject));
    });
  }

  /** It ends wherever it is, and another one begins some time after its turn is over. */
  #kill(): void {
    // Before its second call it has asked for its turn at most.
    if (this.#calls > 1) this.runs = { ...this.runs, killed: this.runs.killed + 1 };
    this.#calls = 0;
    this.#endsIn = null;
    this.#laterMs += TURN_MS;
    this.#scheduler.orphan(this.#actor, this.#draw);
    this.#actor = new Actor(`collector ${toHex(this.#draw.bytes(2))}`, 1);
    this.#wait();
  }
}
