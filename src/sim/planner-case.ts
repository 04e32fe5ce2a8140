import { ROOT_NODE } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import { FOLDER, type Content, type Place } from "#core/node.ts";
import type { Plan } from "#sync/planner.ts";
import type { NodeRow } from "#sync/tree.ts";
import { Draw } from "./chance.ts";
import { DEEDS, Hands, Tally, type Deed } from "./planner-deeds.ts";
import { drawNodeId, ModelDevice } from "./planner-device.ts";
import { Pair } from "./planner-pair.ts";
import {
  differences,
  examined,
  interference,
  losses,
  openRows,
  pathsOf,
  unsighted,
} from "./planner-verdict.ts";
import { ModelServer, type SentChange } from "./planner-server.ts";
import { NO_STEP_FAULTS, type StepFaults } from "./planner-steps.ts";

const NAMES = ["a", "b", "A", "c.txt", "\u00e4", "a\u0308"];
/** Turns that each device gets, once nothing goes wrong any more, until all must be at rest. */
const MOST_ROUNDS = 25;
const EXAMINED_EVERY = 24;

export type CaseOutcome = {
  readonly wrong: readonly string[];
  readonly plans: number;
  /** Triples: devices that had something to settle. */
  readonly triples: number;
  readonly story: readonly string[];
};

/**
 * A planner's case from a seed, after Dropbox's CanopyCheck ("Testing our new sync engine", 2020):
 * one tree that all agree on, changed on each side, then planned, carried out and committed until
 * nothing is left to do. Disk and server are maps, steps succeed or fail as drawn, and no time
 * passes: whatever goes wrong here is the planner's doing.
 */
export function playCase(seed: number, telling: Telling = {}): CaseOutcome {
  return new Case(seed, telling).play();
}

type Telling = {
  /** One plan in so many is held to all that must be true of plans. */
  readonly examinedEvery?: number;
  /** Collects plans and commits as text, too. */
  readonly isTold?: boolean;
};

class Case {
  readonly #draw: Draw;
  readonly #nameKey: (name: string) => string;
  readonly #server: ModelServer;
  readonly #devices: ModelDevice[] = [];
  readonly #hands: Hands[] = [];
  readonly #tally = new Tally();
  readonly #deeds: readonly Deed[];
  readonly #isAlone: boolean;
  /** Nobody's disk tells names apart that the space does not. */
  readonly #isFolding: boolean;
  readonly #examinedEvery: number;
  readonly #isTold: boolean;
  readonly #wrong: string[] = [];
  readonly #story: string[] = [];
  #mayForget = false;
  #plans = 0;
  #triples = 0;

  constructor(seed: number, { examinedEvery = EXAMINED_EVERY, isTold = false }: Telling) {
    this.#isTold = isTold;
    this.#examinedEvery = examinedEvery;
    const draw = new Draw(seed, "planner");
    this.#draw = draw;
    this.#isAlone = draw.chance(0.15);
    this.#isFolding = this.#isAlone || draw.chance(0.4);
    const nameKey = memoized(draw.chance(0.85) ? foldName : plainNameKey);
    this.#nameKey = nameKey;
    this.#server = new ModelServer(nameKey);
    const count = draw.pick([2, 2, 2, 3, 4]);
    const names = draw.shuffle([...NAMES]).slice(0, draw.between(2, 4));
    const swarm = DEEDS.filter(() => draw.chance(0.6));
    this.#deeds = swarm.length === 0 ? ["edit", "move"] : swarm;
    for (let number = 0; number < count; number++) {
      const device = new ModelDevice(number, this.#server, { draw, nameKey });
      const diskKey = this.#isFolding || draw.chance(0.2) ? nameKey : (name: string) => name;
      this.#devices.push(device);
      this.#hands.push(new Hands(device, draw, this.#tally, { names, diskKey }));
    }
    this.#grow(names);
  }

  play(): CaseOutcome {
    try {
      this.#play();
    } catch (error) {
      this.#wrong.push(`it threw: ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
    }
    return { wrong: this.#wrong, plans: this.#plans, triples: this.#triples, story: this.#story };
  }

  #play(): void {
    if (!this.#isAlone && this.#draw.chance(0.4)) return this.#playPair();
    const alone = this.#isAlone ? this.#draw.pick(this.#devices) : null;
    this.#act(alone, 4);
    this.#mayForget = alone === null;
    if (this.#draw.chance(0.6)) {
      const turns = this.#draw.below(this.#devices.length * 4);
      for (let turn = 0; turn < turns; turn++) {
        this.#anything(this.#draw.pick(this.#devices));
        if (this.#draw.chance(0.1)) this.#act(alone, 2);
      }
    }
    const wanted = alone === null ? null : pathsOf(alone);
    this.#rest();
    if (this.#wrong.length > 0) return;
    this.#judge();
    if (alone !== null && wanted !== null) this.#wrong.push(...interference(alone, wanted));
  }

  /** Two people, one of whom commits before the other hears of it: what has to come is known. */
  #playPair(): void {
    const [first, second] = this.#draw.shuffle([...this.#devices]);
    if (first === undefined || second === undefined) return;
    this.#act(first, 4);
    this.#act(second, 4);
    const pair = new Pair(first, second, this.#nameKey);
    this.#rest([first]);
    this.#tell(() => `${first.name} has committed`);
    second.follow(this.#server.head);
    for (let turn = this.#draw.below(4); turn > 0; turn--) this.#anything(second);
    this.#rest();
    if (this.#wrong.length > 0) return;
    this.#judge();
    this.#wrong.push(...pair.judge(this.#server.living(), this.#isFolding));
  }

  /** The tree that all have agreed on. */
  #grow(names: readonly string[]): void {
    const folders: Place["parent"][] = [ROOT_NODE];
    const taken = new Set<string>();
    const size = this.#draw.between(1, 7);
    const isDeep = this.#draw.chance(0.5);
    const changes: SentChange[] = [];
    for (let number = 0; number < size; number++) {
      const parent = isDeep ? (folders.at(-1) ?? ROOT_NODE) : this.#draw.pick(folders);
      const name = this.#draw.pick(names);
      const key = `${parent}/${this.#nameKey(name)}`;
      if (taken.has(key)) continue;
      taken.add(key);
      const id = drawNodeId(this.#draw, 0xf_0000 + number);
      const isFolder = this.#draw.chance(0.6);
      if (isFolder) folders.push(id);
      const content: Content = isFolder ? FOLDER : this.#tally.next();
      const create = { kind: "create", node: id, type: content.kind, parent, name } as const;
      changes.push({
        change: { ...create, meta: "", chunks: [] },
        content,
        file: `base ${number}`,
      });
    }
    if (changes.length > 0) this.#server.commit(-1, changes);
    for (const device of this.#devices) {
      device.follow(this.#server.head);
      device.agreeOnAll();
    }
    this.#story.push(`base ${[...pathsOf(this.#devices[0]!)].join(", ")}`);
  }

  #act(alone: ModelDevice | null, most: number): void {
    for (const [number, hands] of this.#hands.entries()) {
      if (alone !== null && alone.number !== number) continue;
      // What a person does is seen by a look, and no look comes between a plan and its commits.
      this.#devices[number]!.outgoing = [];
      for (let left = this.#draw.below(most + 1); left > 0; left--) {
        hands.do(this.#draw.pick(this.#deeds));
      }
      this.#story.push(...hands.done.splice(0));
    }
  }

  /** A turn, or a commit of what a turn has left to send, with whatever may go wrong in it. */
  #anything(device: ModelDevice): void {
    if (device.outgoing.length > 0) return this.#send(device);
    const draw = this.#draw;
    if (this.#mayForget && draw.chance(0.01)) {
      device.unite();
      this.#tell(() => `${device.name} has lost its database`);
    }
    if (draw.chance(0.3)) this.#hide(device);
    device.withheldBelow = draw.chance(0.15) ? draw.between(1, 16) : 0;
    const { head } = this.#server;
    device.follow(draw.chance(0.9) ? head : draw.between(device.sequence, head));
    const faults: StepFaults = {
      failing: draw.chance(0.3) ? 0.3 : 0,
      crashing: draw.chance(0.2) ? 0.2 : 0,
    };
    const planned = this.#plan(device);
    this.#wrong.push(...unsighted(device, planned));
    const isAlive = device.turn(planned, faults);
    if (!isAlive) this.#tell(() => `${device.name} crashed`);
    this.#reveal(device);
  }

  #send(device: ModelDevice): void {
    const isCurrent = device.sequence === this.#server.head;
    const isSlow = this.#draw.chance(0.2);
    const isReady = ({ id, kind }: { id: NodeRow["id"]; kind: string }): boolean =>
      !isSlow ||
      (kind !== "update" && kind !== "create") ||
      device.rows.get(id)?.kind !== "file" ||
      this.#draw.chance(0.5);
    const sending = device.send(isReady);
    this.#tell(() => `${device.name} sends: ${JSON.stringify(sending)}; ${this.#landed()}`);
    if (typeof sending === "string") return;
    device.outgoing = [];
    if (isCurrent) {
      this.#wrong.push(`${device.name} was refused on the head it knows: ${sending.refused}`);
    }
  }

  /** Some files have not been read, some things cannot be seen. */
  #hide(device: ModelDevice): void {
    for (const row of device.rows.all()) {
      const { local } = row;
      if (local === null || local.blind !== null || !this.#draw.chance(0.2)) continue;
      if (row.kind === "file" && local.content !== null && this.#draw.chance(0.5)) {
        device.unread.set(local.file, local.content);
        device.rows.put({ ...row, local: { ...local, content: null } });
      } else {
        const blind = this.#draw.pick(["absent", "unreadable"] as const);
        device.rows.put({ ...row, local: { ...local, blind } });
      }
    }
  }

  #reveal(device: ModelDevice): void {
    for (const row of device.rows.all()) {
      const { local } = row;
      if (local === null) continue;
      const content = local.content ?? device.unread.get(local.file) ?? null;
      if (content === local.content && local.blind === null) continue;
      device.rows.put({ ...row, local: { ...local, content, blind: null } });
    }
    device.unread.clear();
  }

  /** Turn by turn, without faults, until nobody has anything left to do. */
  #rest(devices: readonly ModelDevice[] = this.#devices): void {
    for (const device of devices) {
      device.outgoing = [];
      device.withheldBelow = 0;
    }
    for (let round = 0; round < MOST_ROUNDS; round++) {
      let isQuiet = true;
      for (const device of devices) {
        device.follow(this.#server.head);
        if (device.rows.changed().length === 0) continue;
        isQuiet = false;
        if (round === 0) this.#triples++;
        device.turn(this.#plan(device), NO_STEP_FAULTS);
        while (device.outgoing.length > 0) this.#send(device);
      }
      if (isQuiet) return;
    }
    this.#wrong.push(`it does not come to rest: ${this.#left().join("; ")}`);
  }

  #left(): string[] {
    return this.#devices.flatMap((device) => openRows(device));
  }

  #tell(line: () => string): void {
    if (this.#isTold) this.#story.push(line());
  }

  #landed(): string {
    const entry = this.#server.entries.at(-1);
    const changes = entry?.changes.map(({ change }) => JSON.stringify(change)) ?? [];
    return `entry ${entry?.sequence} is ${changes.join(" ").replaceAll('"', "")}`;
  }

  #judge(): void {
    this.#wrong.push(...differences(this.#devices, this.#server));
    this.#wrong.push(...losses(this.#tally, this.#server));
  }

  #plan(device: ModelDevice): Plan {
    this.#tell(() => `${device.name} has ${openRows(device).join(" | ")}`);
    this.#plans++;
    const isExamined = this.#draw.below(this.#examinedEvery) === 0;
    const planned = isExamined ? examined(device, this.#wrong) : device.plan();
    this.#tell(() => {
      const local = planned.local.map((op) => JSON.stringify(op));
      const remote = planned.remote.map(({ kind, id, cut }) => `${kind} ${id.slice(0, 8)} ${cut}`);
      return `${device.name} plans ${[...local, ...remote].join(", ").replaceAll('"', "")}`;
    });
    return planned;
  }
}

function memoized(of: (name: string) => string): (name: string) => string {
  const known = KEYS.get(of) ?? new Map<string, string>();
  KEYS.set(of, known);
  return (name) => {
    const key = known.get(name);
    if (key !== undefined) return key;
    const made = of(name);
    if (known.size < MOST_KEYS) known.set(name, made);
    return made;
  };
}

const MOST_KEYS = 10_000;
const KEYS = new Map<unknown, Map<string, string>>();
