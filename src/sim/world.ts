import { foldName, plainNameKey } from "#core/names.ts";
import { Draw } from "./chance.ts";
import { Cheater } from "./cheater.ts";
import { ConflictOracle } from "./conflict-oracle.ts";
import { CostOracle, slotsOf } from "./cost-oracle.ts";
import { Device, idOf } from "./device.ts";
import { Fates } from "./fates.ts";
import { answerHolds } from "./holding.ts";
import {
  conflictCopies,
  differences,
  isKeptBack,
  isLasting,
  Ledger,
  toldOf,
  treeOf,
  keptFolders,
  withoutEmptied,
  verdict,
} from "./oracle.ts";
import { NO_RUNS, type Outcome } from "./outcome.ts";
import { Past } from "./past.ts";
import { CollectorAtWork } from "./collecting.ts";
import { pickWay, watched } from "./deeds.ts";
import type { Deed, Way } from "./people.ts";
import { Rest } from "./rest.ts";
import { Actor, Scheduler } from "./scheduler.ts";
import { isAnnounced, whenGoneBack } from "./going-back.ts";
import { reckon } from "./reckoning.ts";
import { SealedAccount } from "./sealed-account.ts";
import type { NewKeys } from "./sealing.ts";
import { PLAIN_READER } from "./space-reader.ts";
import { isForgetful, type Swarm } from "./swarm.ts";
import { MachineTime, virtualClock } from "./virtual-clock.ts";
import { VirtualServer } from "./virtual-server.ts";

/** Steps that a story may take until everybody has done what they came for. */
const MOST_STORY_STEPS = 40_000;
/** Where one person does one thing, and nothing fails, everybody has it after this. */
const LONGEST_REST_MS = 20_000;

/** One story: machines, people, a server, and what befalls them. */
export class World {
  readonly #swarm: Swarm;
  readonly #scheduler: Scheduler;
  readonly #server: VirtualServer;
  readonly #account: SealedAccount | null;
  readonly #collector: CollectorAtWork | null;
  readonly #devices: Device[] = [];
  readonly #ledger = new Ledger();
  readonly #past = new Past();
  readonly #conflicts: ConflictOracle;
  readonly #happened = new Set<string>();
  readonly #wrong: string[] = [];
  readonly #people: Actor;
  readonly #fate: Actor;
  readonly #draw: Draw;
  readonly #fates: Fates;
  readonly #rest: Rest;
  #busy = 0;

  private constructor(swarm: Swarm, scheduler: Scheduler, server: VirtualServer) {
    this.#swarm = swarm;
    this.#conflicts = new ConflictOracle(swarm.folding ? foldName : plainNameKey);
    this.#scheduler = scheduler;
    this.#server = server;
    this.#draw = new Draw(swarm.seed, "fate");
    this.#people = new Actor("people", 1);
    this.#fate = new Actor("fate", 1);
    const ids = Array.from({ length: swarm.devices }, (_, index) => idOf(index));
    const account = SealedAccount.of(swarm, server.space, ids);
    server.reader = account?.reader ?? PLAIN_READER;
    this.#account = account;
    const world = {
      account,
      swarm,
      scheduler,
      server,
      witness: this.#ledger,
      past: this.#past,
      conflicts: this.#conflicts,
      happened: this.#happened,
      accuse: (crime: string) => this.#accuse(crime),
    };
    for (let index = 0; index < swarm.devices; index++) {
      this.#devices.push(new Device(world, index));
    }
    const later = (delayMs: number, label: string, act: () => void): void =>
      this.#later(delayMs, label, act);
    this.#fates = new Fates({ ...world, devices: this.#devices, draw: this.#draw, later });
    this.#collector = CollectorAtWork.of({ ...world, devices: this.#devices });
    this.#rest = new Rest({
      ...world,
      collector: this.#collector,
      devices: this.#devices,
      people: this.#people,
      wrong: this.#wrong,
      answer: (device) => this.#answer(device, this.#draw),
    });
    this.#hireCheater();
    scheduler.afterStep = () => this.#bury();
  }

  static async open(
    swarm: Swarm,
    { story = null, isHashed = false }: { story?: string[] | null; isHashed?: boolean },
  ): Promise<World> {
    const scheduler = new Scheduler(new Draw(swarm.seed, "schedule"), swarm.longestStepMs);
    scheduler.story = story;
    scheduler.isHashed = isHashed;
    const actor = new Actor("server", 1);
    const clock = virtualClock(scheduler, actor, new MachineTime(scheduler));
    const draw = new Draw(swarm.seed, "server");
    const server = await VirtualServer.open(clock, draw, swarm);
    return new World(swarm, scheduler, server);
  }

  #hireCheater(): void {
    const cheat = this.#swarm.sealed?.cheat ?? null;
    if (cheat === null) return;
    const server = this.#server;
    const cheater = new Cheater(cheat, {
      draw: new Draw(this.#swarm.seed, "cheat"),
      claim: ({ changes }) => this.#past.claim(server.opened(changes)),
      entries: () => server.entries(),
      known: (id) =>
        this.#devices.find((device) => device.id === id)?.store.sealed.lastSequence() ?? 0,
      isRenewing: async () => {
        const row = await server.spaceRow();
        return row.kind === "sealed" && (this.#account?.epoch ?? 0) > row.keyEpoch;
      },
      announce: (sequence) => server.announcer.announce(server.space, sequence),
    });
    const victims = cheater.liesToAll ? this.#devices : [this.#device(cheat.device)];
    for (const device of victims) device.cheater = cheater;
  }

  async play(): Promise<Outcome> {
    for (const device of this.#devices) await device.start();
    if (this.#swarm.sequential) await this.#playInOrder();
    else await this.#playAtOnce();
    const isShutOut = this.#devices.some(({ stopped }) => stopped !== null);
    if (this.#swarm.sealed?.cheat || isShutOut) return this.#reckon();
    if (this.#wrong.length === 0) await this.#rest.heal();
    this.#wrong.push(...this.#server.faults);
    if (this.#wrong.length === 0) {
      const { folding } = this.#swarm;
      const isSteady = !isForgetful(this.#swarm) && !this.#devices.some(({ hasAsked }) => hasAsked);
      const story = { mayForget: this.#fates.hasRestored, isSteady, folding };
      this.#wrong.push(...(await verdict(this.#devices, this.#server, this.#ledger, story)));
      const entries = isSteady ? await this.#server.openedEntries() : [];
      this.#wrong.push(...this.#conflicts.faults(this.#devices, entries, this.#past));
    }
    if (this.#wrong.length === 0 && this.#swarm.seed % 4 === 0) await this.#rest.expectRest();
    if (this.#wrong.length === 0 && this.#swarm.seed % 16 === 1) await this.#rest.expectReasons();
    if (this.#wrong.length === 0 && this.#swarm.seed % 8 === 0)
      await this.#rest.expectSameAfterRestart();
    // In a story too long for its steps somebody may still act.
    if (this.#wrong.length === 0 && isAnnounced(this.#swarm) && this.#busy === 0) {
      for (const crime of await whenGoneBack(this.#parts, () => this.#rest.rest()))
        this.#accuse(crime);
    }
    return this.#outcome();
  }

  get #parts() {
    const [server, past, account] = [this.#server, this.#past, this.#account];
    return { server, past, account, scheduler: this.#scheduler, devices: this.#devices };
  }

  async #outcome(): Promise<Outcome> {
    if (this.#wrong.length === 0) this.#wrong.push(...((await this.#collector?.faults()) ?? []));
    for (const device of this.#devices) device.kill();
    const { hash, steps } = this.#scheduler;
    const collected = this.#collector?.runs ?? NO_RUNS;
    return { hash, steps, wrong: this.#wrong, happened: [...this.#happened], collected };
  }

  /** Whoever was lied to, or shut out, has stopped, or has all that the others have. */
  async #reckon(): Promise<Outcome> {
    if (this.#wrong.length === 0) await this.#rest.mend();
    if (this.#wrong.length > 0) return this.#outcome();
    const [devices, server, scheduler] = [this.#devices, this.#server, this.#scheduler];
    const world = { devices, server, scheduler, happened: this.#happened, people: this.#people };
    const crimes = await reckon({ ...world, ledger: this.#ledger, wrong: this.#wrong });
    for (const crime of crimes) this.#accuse(crime);
    return this.#outcome();
  }

  /** The story is not over before it is done. */
  #later(delayMs: number, label: string, act: () => void): void {
    this.#busy++;
    this.#scheduler.after(delayMs, this.#fate, label, () => {
      this.#busy--;
      act();
    });
  }

  #accuse(crime: string): void {
    this.#scheduler.note(`WRONG: ${crime}`);
    this.#wrong.push(crime);
  }

  /** Everybody acts when they like. */
  async #playAtOnce(): Promise<void> {
    let atMs = 0;
    for (const { id, device, waitMs } of this.#swarm.deeds) {
      atMs += waitMs;
      this.#busy++;
      this.#scheduler.after(atMs, this.#people, "acts", () => this.#act(id, device));
    }
    let fateMs = 0;
    for (const { id, fate, device, waitMs } of this.#swarm.fates) {
      fateMs += waitMs;
      this.#busy++;
      this.#scheduler.after(fateMs, this.#fate, fate, () => {
        this.#busy--;
        this.#fates.befall(fate, this.#device(device), new Draw(this.#swarm.seed, `fate ${id}`));
      });
    }
    let epochMs = 0;
    for (const keys of this.#swarm.sealed?.epochs ?? []) {
      epochMs += keys.waitMs;
      this.#busy++;
      this.#scheduler.after(epochMs, this.#fate, "new keys", () => this.#beginEpoch(keys));
    }
    const cheat = this.#swarm.sealed?.cheat ?? null;
    if (cheat !== null) {
      this.#busy++;
      this.#scheduler.after(cheat.waitMs, this.#fate, `cheats: ${cheat.way}`, () => {
        this.#busy--;
        this.#device(cheat.device).cheater?.begin();
      });
    }
    let answerMs = 0;
    for (const { id, device, waitMs } of this.#swarm.holding?.answers ?? []) {
      answerMs += waitMs;
      this.#busy++;
      this.#scheduler.after(answerMs, this.#people, "answers", () => {
        this.#busy--;
        this.#answer(this.#device(device), new Draw(this.#swarm.seed, `answer ${id}`));
      });
    }
    const isOver = (): boolean => this.#busy === 0 || this.#wrong.length > 0;
    await this.#scheduler.run(isOver, MOST_STORY_STEPS);
  }

  /** The keyring has the new keys a while before the server asks for them. */
  #beginEpoch({ lateMs, without }: NewKeys): void {
    const account = this.#account;
    if (account === null) return;
    // Whoever finds out a lie is not the one to be shut out.
    const isLiedTo = this.#swarm.sealed?.cheat?.device === without;
    if (typeof without === "number" && !isLiedTo) {
      this.#happened.add("sealed: shut out");
      this.#device(without).shutOut();
    }
    const members = this.#devices.filter(({ stopped }) => stopped !== "shut out");
    account.begin(new Set(members.map(({ id }) => id)));
    const { epoch } = account;
    this.#scheduler.note(`keys of epoch ${epoch}`);
    this.#happened.add("sealed: new keys");
    this.#scheduler.after(lateMs, this.#fate, "asks for new keys", () => {
      this.#busy--;
      void this.#server.beginKeyEpoch(epoch);
    });
  }

  /** True when a device had asked something. */
  #answer(device: Device, draw: Draw): boolean {
    const said = answerHolds(device, this.#swarm.holding?.rejected ?? 0, draw);
    for (const line of said) this.#scheduler.note(line);
    return said.length > 0;
  }

  #act(id: number, device: number): void {
    const { deed, name } = this.#deed(id, device);
    const next = (): void => {
      const { done, value } = deed.next();
      if (typeof value === "string") this.#scheduler.note(`${name}'s person ${value}`);
      if (done === true) this.#busy--;
      else if (typeof value === "number") {
        this.#scheduler.after(value, this.#people, `goes on at ${name}`, next);
      } else void this.#scheduler.call(this.#people, `goes on at ${name}`, next);
    };
    next();
  }

  #deed(id: number, index: number): { deed: Deed; name: string; way: Way } {
    const device = this.#device(index);
    const draw = new Draw(this.#swarm.seed, `deed ${id}`);
    const { deeds } = this.#swarm;
    const meant = deeds.find((deed) => deed.id === id)?.way;
    const way = meant ?? pickWay(this.#swarm.ways, draw);
    if (isAnnounced(this.#swarm) && this.#swarm.seed % deeds.length === id) this.#server.backUp();
    const done = (): void => void this.#happened.add(`people: ${way}`);
    const deed = watched(device.person.does(way, draw, `${device.name}${id}`), done);
    return { deed, name: device.name, way };
  }

  #device(index: number): Device {
    const device = this.#devices[index];
    if (device === undefined) throw new RangeError(`no device ${index}`);
    return device;
  }

  /** One deed after the other, all at rest between: nothing conflicts, everything arrives. */
  async #playInOrder(): Promise<void> {
    await this.#rest.rest();
    const costs = new CostOracle(this.#devices, this.#server, this.#swarm.sealed !== null);
    for (const { id, device } of this.#swarm.deeds) {
      if (this.#wrong.length > 0) return;
      // Its person does not see what others did, and may be in their way.
      if (this.#devices.some(isKeptBack)) break;
      await this.#actAlone(id, this.#device(device), costs);
    }
    const copies = conflictCopies(this.#device(0).disk);
    if (copies.length > 0) this.#accuse(`conflict copies of nothing: ${copies.join(", ")}`);
  }

  async #actAlone(id: number, device: Device, costs: CostOracle): Promise<void> {
    const before = await costs.snapshot(device);
    const kept = keptFolders(device.disk, before.ids);
    const { deed, name, way } = this.#deed(id, device.index);
    let steps = 0;
    for (const said of deed) {
      if (typeof said === "number") await this.#rest.pass(said);
      else {
        steps++;
        this.#scheduler.note(`${name}'s person ${said}`);
      }
    }
    const meant = withoutEmptied(treeOf(device.disk), kept);
    const slots = slotsOf(device.disk);
    const { nowMs } = this.#scheduler;
    await this.#rest.rest();
    const tookMs = this.#scheduler.nowMs - nowMs;
    // What a disk does not take is tried again after pauses.
    const isRetried = this.#devices.some(({ engine }) =>
      engine?.status(0).problems.some(isLasting),
    );
    const isLinked = this.#swarm.ways["make-outside-link"] !== undefined;
    if (tookMs > LONGEST_REST_MS && !isRetried && !isLinked) {
      this.#accuse(`after ${way} on ${name} it took ${tookMs} ms until all were at rest`);
    }
    const told = toldOf(this.#devices);
    for (const { disk, name: other } of this.#devices) {
      const lines = differences(meant, treeOf(disk), told);
      for (const line of lines) this.#accuse(`after ${way} on ${name}, ${other} differs: ${line}`);
    }
    if (this.#wrong.length > 0) return;
    const faults = await costs.faults(device, { way, steps }, before, slots);
    for (const fault of faults) this.#accuse(`after ${way} on ${name}: ${fault}`);
  }

  /** Processes that ended in the middle of something are taken away. */
  #bury(): void {
    for (const device of this.#devices) if (device.crashDue) device.kill();
  }
}
