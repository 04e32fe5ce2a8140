import { foldName, plainNameKey } from "#core/names.ts";
import { Draw } from "./chance.ts";
import { Cheater } from "./cheater.ts";
import { ConflictOracle } from "./conflict-oracle.ts";
import { CostOracle, slotsOf } from "./cost-oracle.ts";
import { Device, idOf } from "./device.ts";
import { answerHolds } from "./holding.ts";
import type { StoreImage } from "./memory-store.ts";
import {
  conflictCopies,
  differences,
  disagreements,
  isAtRest,
  isKeptBack,
  isLasting,
  Ledger,
  toldOf,
  treeOf,
  keptFolders,
  withoutEmptied,
  verdict,
} from "./oracle.ts";
import type { Outcome } from "./outcome.ts";
import { Past } from "./past.ts";
import { CollectorAtWork } from "./collecting.ts";
import { pickWay, watched } from "./deeds.ts";
import type { Deed, Surprise, Way } from "./people.ts";
import { Actor, Scheduler } from "./scheduler.ts";
import { reckon } from "./reckoning.ts";
import { SealedAccount } from "./sealed-account.ts";
import type { NewKeys } from "./sealing.ts";
import { PLAIN_READER } from "./space-reader.ts";
import type { Fate, Swarm } from "./swarm.ts";
import { MachineTime, virtualClock } from "./virtual-clock.ts";
import { VirtualServer } from "./virtual-server.ts";

/** Steps that a story may take until everybody has done what they came for. */
const MOST_STORY_STEPS = 40_000;
/** Steps that one round of settling may take. */
const MOST_ROUND_STEPS = 12_000;
const MOST_ROUNDS = 12;
/** An engine that is to end in a step does so in one of the next so many. */
const MOST_STEPS_TO_END = 40;
const MOST_OF_A_KIND = 3;
/** What people do to what an engine left. */
const FOUND_WAYS: readonly Surprise[] = ["put-back", "put-back", "write", "save-unchanged"];
const LONGEST_PAUSE_MS = 310_000;
/** Where one person does one thing, and nothing fails, everybody has it after this. */
const LONGEST_REST_MS = 20_000;
/** So long after people's last deed everything is done that can be done. */
const BARRED_MS = 60_000;
/** An engine that has nothing to do is watched this long. */
const IDLE_MS = 40_000;

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
  readonly #images = new Map<Device, StoreImage>();
  #busy = 0;
  #restored = false;

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
    this.#hireCheater();
    this.#collector = CollectorAtWork.of(world);
    scheduler.afterStep = () => this.#bury();
  }

  static async open(swarm: Swarm, story: string[] | null): Promise<World> {
    const scheduler = new Scheduler(new Draw(swarm.seed, "schedule"), swarm.longestStepMs);
    scheduler.story = story;
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
    if (this.#wrong.length === 0) await this.#heal();
    this.#wrong.push(...this.#server.faults);
    if (this.#wrong.length === 0) {
      const { folding } = this.#swarm;
      const isSteady = !this.#isForgetful() && !this.#devices.some(({ hasAsked }) => hasAsked);
      const story = { mayForget: this.#restored, isSteady, folding };
      this.#wrong.push(...(await verdict(this.#devices, this.#server, this.#ledger, story)));
      const entries = isSteady ? await this.#server.openedEntries() : [];
      this.#wrong.push(...this.#conflicts.faults(this.#devices, entries, this.#past));
    }
    if (this.#wrong.length === 0 && this.#swarm.seed % 4 === 0) await this.#expectRest();
    if (this.#wrong.length === 0 && this.#swarm.seed % 16 === 1) await this.#expectReasons();
    if (this.#wrong.length === 0 && this.#swarm.seed % 8 === 0)
      await this.#expectSameAfterRestart();
    return this.#outcome();
  }

  async #outcome(): Promise<Outcome> {
    if (this.#wrong.length === 0) this.#wrong.push(...((await this.#collector?.faults()) ?? []));
    for (const device of this.#devices) device.kill();
    const { hash, steps } = this.#scheduler;
    return { hash, steps, wrong: this.#wrong, happened: [...this.#happened] };
  }

  /** Whoever was lied to, or shut out, has stopped, or has all that the others have. */
  async #reckon(): Promise<Outcome> {
    if (this.#wrong.length === 0) await this.#mend();
    if (this.#wrong.length > 0) return this.#outcome();
    const [devices, server, scheduler] = [this.#devices, this.#server, this.#scheduler];
    const world = { devices, server, scheduler, happened: this.#happened, people: this.#people };
    const crimes = await reckon({ ...world, ledger: this.#ledger, wrong: this.#wrong });
    for (const crime of crimes) this.#accuse(crime);
    return this.#outcome();
  }

  /** True when a device or the server went back to what it knew before. */
  #isForgetful(): boolean {
    const forgetful: readonly Fate[] = ["roll-back", "server-restore", "power-cut"];
    return this.#swarm.fates.some(({ fate }) => forgetful.includes(fate));
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
        this.#befall(fate, this.#device(device), new Draw(this.#swarm.seed, `fate ${id}`));
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
    const meant = this.#swarm.deeds.find((deed) => deed.id === id)?.way;
    const way = meant ?? pickWay(this.#swarm.ways, draw);
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
    await this.#rest();
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
      if (typeof said === "number") await this.#pass(said);
      else {
        steps++;
        this.#scheduler.note(`${name}'s person ${said}`);
      }
    }
    const meant = withoutEmptied(treeOf(device.disk), kept);
    const slots = slotsOf(device.disk);
    const { nowMs } = this.#scheduler;
    await this.#rest();
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

  /** Lets so much time go by. */
  async #pass(ms: number): Promise<void> {
    const untilMs = this.#scheduler.nowMs + ms;
    const isOver = (): boolean => this.#scheduler.nowMs >= untilMs;
    // Else the time goes by until something else happens.
    this.#scheduler.after(ms, this.#people, "has waited", () => undefined);
    await this.#scheduler.run(isOver, MOST_ROUND_STEPS);
  }

  #befall(fate: Fate, device: Device, draw: Draw): void {
    const { plight } = device;
    this.#scheduler.note(`fate: ${fate} ${device.name}`);
    this.#happened.add(`fate: ${fate}`);
    const forMs = draw.between(1, 5_000);
    const lift = (act: () => void): void => {
      this.#busy++;
      this.#scheduler.after(forMs, this.#fate, `ends ${fate}`, () => {
        this.#busy--;
        act();
      });
    };
    const restart = (): void => lift(() => void device.start());
    switch (fate) {
      case "crash":
        device.kill();
        return restart();
      case "crash-in-commit":
        return this.#crashInCommit(device, draw, restart);
      case "crash-in-step":
        return this.#crashInStep(device, draw, restart);
      case "stop":
        device.stop();
        return restart();
      case "power-cut":
        device.powerCut();
        return restart();
      case "roll-back": {
        const image = this.#images.get(device);
        this.#images.set(device, device.store.image());
        if (image === undefined) return;
        device.rollBack(image);
        return restart();
      }
      case "partition":
        plight.cutOff = true;
        return lift(() => (plight.cutOff = false));
      case "server-crash":
        return this.#server.restart(draw.chance(0.5));
      case "server-restore":
        return this.#restoreServer();
      case "bar":
        return this.#bar(device, draw, lift);
      case "io":
        plight.ioErrors = draw.fraction() * 0.3;
        return lift(() => (plight.ioErrors = 0));
      case "full":
        plight.full = true;
        return lift(() => (plight.full = false));
      case "clock-jump":
        device.time.skewMs += draw.pick([-3_600_000, -5_000, 5_000, 3_600_000, 86_400_000]);
    }
  }

  #restoreServer(): void {
    if (this.#draw.chance(0.5) && this.#server.restoreBackup()) {
      this.#restored = true;
      this.#past.rewindTo(this.#server.head.toLowerCase());
      // The next device that reads the keyring tells the server of keys that it has forgotten.
      if (this.#account !== null) void this.#server.beginKeyEpoch(this.#account.epoch);
      this.#scheduler.note("the server is restored");
    } else this.#server.backUp();
  }

  #crashInCommit(device: Device, draw: Draw, restart: () => void): void {
    let countdown = draw.below(12);
    const moment = draw.chance(0.5) ? "before-commit" : "after-commit";
    const { store } = device;
    store.crashAt = (at) => {
      if (at !== moment || countdown-- > 0) return false;
      device.crashDue = true;
      store.close();
      restart();
      return true;
    };
  }

  /** What is left in the middle of a step is met by a person before the engine comes back. */
  #crashInStep(device: Device, draw: Draw, restart: () => void): void {
    const kind = draw.pick(["", "rename", "link", "stage write"]);
    device.endIn(draw.below(kind === "" ? MOST_STEPS_TO_END : MOST_OF_A_KIND), kind, () => {
      restart();
      if (draw.chance(0.7)) device.ambush.find(FOUND_WAYS);
    });
  }

  #bar(device: Device, draw: Draw, lift: (act: () => void) => void): void {
    const inodes = [...device.disk.tree()].map(({ inode }) => inode);
    if (inodes.length === 0) return;
    const folders = inodes.filter(({ kind }) => kind === "folder");
    const inode = draw.pick(folders.length > 0 && draw.chance(0.5) ? folders : inodes);
    inode.barred = true;
    // A folder's own watch hears of its new mode, too.
    device.disk.touch(inode);
    lift(() => {
      inode.barred = false;
      // As chmod does: the time of the last change moves.
      device.disk.setExecutable(inode, inode.executable);
    });
  }

  /** Processes that ended in the middle of something are taken away. */
  #bury(): void {
    for (const device of this.#devices) if (device.crashDue) device.kill();
  }

  /** Whatever went wrong goes wrong no more. */
  async #heal(): Promise<void> {
    await this.#mend();
    await this.#rest();
  }

  async #mend(): Promise<void> {
    this.#scheduler.note("everything heals");
    this.#collector?.end();
    this.#server.restart(true);
    for (const device of this.#devices) {
      device.plight.cutOff = false;
      device.plight.ioErrors = 0;
      device.plight.full = false;
      device.plight.faulty = false;
      device.endNever();
      device.store.crashAt = () => false;
      for (const { inode } of device.disk.everything()) inode.barred = false;
      if (!device.isRunning) await device.start();
    }
  }

  /** Runs until all devices are in sync, and two looks in a row found nothing to do. */
  async #rest(): Promise<void> {
    let before = "";
    // Every round sweeps.
    for (const device of this.#devices) device.isSweeping = false;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      await this.#round();
      if (this.#wrong.length > 0) return;
      // What is held waits for ever: somebody answers.
      const asked = this.#devices.filter((device) => this.#answer(device, this.#draw));
      if (asked.length > 0) continue;
      const states = this.#devices.map(({ engine }) => engine?.status(0).state);
      const now = `${this.#server.head} ${states.join(" ")}`;
      const isRest = this.#devices.every(isAtRest);
      if (isRest && now === before) {
        const lines = await disagreements(this.#devices, this.#server);
        for (const line of lines) this.#accuse(`not the same: ${line}`);
        return;
      }
      before = now;
      if (!isRest) await this.#waitForSync();
    }
    this.#accuse(`no rest after ${MOST_ROUNDS} rounds: ${before}`);
    for (const device of this.#devices) {
      const status = device.engine?.status(0);
      this.#scheduler.note(`${device.name} ${JSON.stringify(status)}`);
    }
  }

  /** Steps that failed are tried again after pauses of up to five minutes. */
  async #waitForSync(): Promise<void> {
    const untilMs = this.#scheduler.nowMs + LONGEST_PAUSE_MS;
    const isOver = (): boolean =>
      this.#wrong.length > 0 || this.#scheduler.nowMs > untilMs || this.#devices.every(isAtRest);
    await this.#scheduler.run(isOver, MOST_ROUND_STEPS);
  }

  async #round(): Promise<void> {
    let waiting = 0;
    for (const device of this.#devices) {
      const { engine } = device;
      if (engine === null) continue;
      waiting++;
      void device
        .sweep()
        .then(() => engine.settle())
        .then(() => waiting--);
    }
    let ending = await this.#scheduler.run(
      () => waiting === 0 || this.#wrong.length > 0,
      MOST_ROUND_STEPS,
    );
    // In sync is what an engine says that has not heard of the latest commit yet, too.
    if (ending === "done") {
      const isLevel = (): boolean =>
        this.#devices.every((device) => device.chain === this.#server.head);
      ending = await this.#scheduler.run(
        () => isLevel() || this.#wrong.length > 0,
        MOST_ROUND_STEPS,
      );
    }
    if (ending !== "done") {
      const states = this.#devices.map(({ name, engine }) => {
        const status = engine?.status(0);
        return `${name} ${status?.state} ${JSON.stringify(status?.pending)}`;
      });
      this.#accuse(`settling ended ${ending}: ${states.join(", ")}`);
    }
  }

  /** In sync means at rest: no call of any port but the waiting feed. */
  async #expectRest(): Promise<void> {
    // What cannot be made is tried again now and then.
    if (this.#devices.some(({ engine }) => engine?.status(0).state !== "in-sync")) return;
    // Hints that are still under way, and pauses of steps that nobody wants any more.
    await this.#pass(LONGEST_PAUSE_MS);
    for (const device of this.#devices) device.calls = 0;
    await this.#pass(IDLE_MS);
    for (const { name, calls } of this.#devices) {
      // A look at everything falls due every ten minutes, and takes some calls.
      if (calls > 0) this.#accuse(`${name} is idle and made ${calls} calls`);
    }
  }

  /**
   * Something cannot be read at one device, and people go on: what is not the same there has a
   * reason (I16), and is the same when it can be read again.
   */
  async #expectReasons(): Promise<void> {
    // Where deletions are held, the reason is theirs.
    if (this.#swarm.holding !== null) return;
    const draw = new Draw(this.#swarm.seed, "reasons");
    const device = draw.pick(this.#devices);
    const inodes = [...device.disk.tree()].map(({ inode }) => inode);
    if (inodes.length === 0) return;
    const inode = draw.pick(inodes);
    inode.barred = true;
    for (const way of ["write", "append", "move", "write"] as const) {
      const { person, name } = draw.pick(this.#devices);
      for (const said of person.does(way, draw, `${name}late${draw.below(1_000)}`)) {
        this.#scheduler.note(`${name}'s person ${said}`);
      }
      await this.#pass(draw.below(5_000));
    }
    for (const { engine } of this.#devices) void engine?.settle();
    await this.#pass(BARRED_MS);
    const lines = await disagreements(this.#devices, this.#server);
    for (const line of lines) this.#accuse(`without a reason: ${line}`);
    inode.barred = false;
    // As chmod does: the time of the last change moves.
    device.disk.setExecutable(inode, inode.executable);
    if (this.#wrong.length === 0) await this.#rest();
  }

  async #expectSameAfterRestart(): Promise<void> {
    const head = this.#server.head;
    const trees = this.#devices.map(({ disk }) => treeOf(disk));
    for (const device of this.#devices) {
      device.kill();
      await device.start();
    }
    await this.#rest();
    if (this.#server.head !== head) this.#accuse("a restart made commits");
    this.#devices.forEach(({ name, disk }, index) => {
      const lines = differences(trees[index] ?? new Map(), treeOf(disk), new Set());
      for (const line of lines) this.#accuse(`a restart changed ${name}: ${line}`);
    });
  }
}
