import type { CollectorAtWork } from "./collecting.ts";
import { Draw } from "./chance.ts";
import type { Device } from "./device.ts";
import { differences, disagreements, isAtRest, treeOf } from "./oracle.ts";
import type { Actor, Scheduler } from "./scheduler.ts";
import type { Swarm } from "./swarm.ts";
import type { VirtualServer } from "./virtual-server.ts";

/** Steps that one round of settling may take. */
const MOST_ROUND_STEPS = 12_000;
const MOST_ROUNDS = 12;
const LONGEST_PAUSE_MS = 310_000;
/** So long after people's last deed everything is done that can be done. */
const BARRED_MS = 60_000;
/** An engine that has nothing to do is watched this long. */
const IDLE_MS = 40_000;

type RestWorld = {
  readonly swarm: Swarm;
  readonly scheduler: Scheduler;
  readonly server: VirtualServer;
  readonly devices: readonly Device[];
  readonly people: Actor;
  /** Nothing is collected from now on but when somebody looks. */
  readonly collector: CollectorAtWork | null;
  /** What went wrong so far. */
  readonly wrong: readonly string[];
  readonly accuse: (crime: string) => void;
  /** Somebody answers what a device asks; true when it had asked something. */
  readonly answer: (device: Device) => boolean;
};

/** How a story comes to rest, and what must be true of its machines then. */
export class Rest {
  readonly #world: RestWorld;

  constructor(world: RestWorld) {
    this.#world = world;
  }

  /** Whatever went wrong goes wrong no more. */
  async heal(): Promise<void> {
    await this.mend();
    await this.rest();
  }

  async mend(): Promise<void> {
    this.#world.scheduler.note("everything heals");
    this.#world.collector?.end();
    this.#world.server.restart(true);
    for (const device of this.#world.devices) {
      device.plight.cutOff = false;
      device.plight.ioErrors = 0;
      device.plight.full = false;
      device.plight.faulty = false;
      device.endNever();
      device.onCommit = null;
      device.onList = null;
      device.store.crashAt = () => false;
      for (const { inode } of device.disk.everything()) inode.barred = false;
      if (!device.isRunning) await device.start();
    }
  }

  /** Runs until all devices are in sync, and two looks in a row found nothing to do. */
  async rest(): Promise<void> {
    let before = "";
    // Every round sweeps.
    for (const device of this.#world.devices) device.isSweeping = false;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      await this.#round();
      if (this.#world.wrong.length > 0) return;
      // What is held waits for ever: somebody answers.
      const asked = this.#world.devices.filter((device) => this.#world.answer(device));
      if (asked.length > 0) continue;
      const states = this.#world.devices.map(({ engine }) => engine?.status(0).state);
      const now = `${this.#world.server.head} ${states.join(" ")}`;
      const isRest = this.#world.devices.every(isAtRest);
      if (isRest && now === before) {
        const lines = await disagreements(this.#world.devices, this.#world.server);
        for (const line of lines) this.#world.accuse(`not the same: ${line}`);
        return;
      }
      before = now;
      if (!isRest) await this.#waitForSync();
    }
    this.#world.accuse(`no rest after ${MOST_ROUNDS} rounds: ${before}`);
    for (const device of this.#world.devices) {
      const status = device.engine?.status(0);
      this.#world.scheduler.note(`${device.name} ${JSON.stringify(status)}`);
    }
  }

  /** Steps that failed are tried again after pauses of up to five minutes. */
  async #waitForSync(): Promise<void> {
    const untilMs = this.#world.scheduler.nowMs + LONGEST_PAUSE_MS;
    const isOver = (): boolean =>
      this.#world.wrong.length > 0 ||
      this.#world.scheduler.nowMs > untilMs ||
      this.#world.devices.every(isAtRest);
    await this.#world.scheduler.run(isOver, MOST_ROUND_STEPS);
  }

  async #round(): Promise<void> {
    // One that ends meanwhile, because it was told of a restored server, never settles.
    const settling = new Map<Device, Device["engine"]>();
    for (const device of this.#world.devices) {
      const { engine } = device;
      if (engine === null) continue;
      settling.set(device, engine);
      void device
        .sweep()
        .then(() => engine.settle())
        .then(() => settling.delete(device));
    }
    const isSettled = (): boolean =>
      [...settling].every(([device, engine]) => device.engine !== engine);
    let ending = await this.#world.scheduler.run(
      () => isSettled() || this.#world.wrong.length > 0,
      MOST_ROUND_STEPS,
    );
    // In sync is what an engine says that has not heard of the latest commit yet, too.
    if (ending === "done") {
      const isLevel = (): boolean =>
        this.#world.devices.every((device) => device.chain === this.#world.server.head);
      ending = await this.#world.scheduler.run(
        () => isLevel() || this.#world.wrong.length > 0,
        MOST_ROUND_STEPS,
      );
    }
    if (ending !== "done") {
      const states = this.#world.devices.map(({ name, engine }) => {
        const status = engine?.status(0);
        return `${name} ${status?.state} ${JSON.stringify(status?.pending)}`;
      });
      this.#world.accuse(`settling ended ${ending}: ${states.join(", ")}`);
    }
  }

  /** In sync means at rest: no call of any port but the waiting feed. */
  async expectRest(): Promise<void> {
    // What cannot be made is tried again now and then.
    if (this.#world.devices.some(({ engine }) => engine?.status(0).state !== "in-sync")) return;
    // Hints that are still under way, and pauses of steps that nobody wants any more.
    await this.pass(LONGEST_PAUSE_MS);
    for (const device of this.#world.devices) device.calls = 0;
    await this.pass(IDLE_MS);
    for (const { name, calls } of this.#world.devices) {
      // A look at everything falls due every ten minutes, and takes some calls.
      if (calls > 0) this.#world.accuse(`${name} is idle and made ${calls} calls`);
    }
  }

  /**
   * Something cannot be read at one device, and people go on: what is not the same there has a
   * reason (I16), and is the same when it can be read again.
   */
  async expectReasons(): Promise<void> {
    // Where deletions are held, the reason is theirs.
    if (this.#world.swarm.holding !== null) return;
    const draw = new Draw(this.#world.swarm.seed, "reasons");
    const device = draw.pick(this.#world.devices);
    const inodes = [...device.disk.tree()].map(({ inode }) => inode);
    if (inodes.length === 0) return;
    const inode = draw.pick(inodes);
    inode.barred = true;
    for (const way of ["write", "append", "move", "write"] as const) {
      const { person, name } = draw.pick(this.#world.devices);
      for (const said of person.does(way, draw, `${name}late${draw.below(1_000)}`)) {
        this.#world.scheduler.note(`${name}'s person ${said}`);
      }
      await this.pass(draw.below(5_000));
    }
    for (const { engine } of this.#world.devices) void engine?.settle();
    await this.pass(BARRED_MS);
    const lines = await disagreements(this.#world.devices, this.#world.server);
    for (const line of lines) this.#world.accuse(`without a reason: ${line}`);
    inode.barred = false;
    // As chmod does: the time of the last change moves.
    device.disk.setExecutable(inode, inode.executable);
    if (this.#world.wrong.length === 0) await this.rest();
  }

  async expectSameAfterRestart(): Promise<void> {
    const head = this.#world.server.head;
    const trees = this.#world.devices.map(({ disk }) => treeOf(disk));
    for (const device of this.#world.devices) {
      device.kill();
      await device.start();
    }
    await this.rest();
    if (this.#world.server.head !== head) this.#world.accuse("a restart made commits");
    this.#world.devices.forEach(({ name, disk }, index) => {
      const lines = differences(trees[index] ?? new Map(), treeOf(disk), new Set());
      for (const line of lines) this.#world.accuse(`a restart changed ${name}: ${line}`);
    });
  }

  /** Lets so much time go by. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#world.scheduler.nowMs + ms;
    const isOver = (): boolean => this.#world.scheduler.nowMs >= untilMs;
    // Else the time goes by until something else happens.
    this.#world.scheduler.after(ms, this.#world.people, "has waited", () => undefined);
    await this.#world.scheduler.run(isOver, MOST_ROUND_STEPS);
  }
}
