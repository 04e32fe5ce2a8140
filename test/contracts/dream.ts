import { after } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Draw } from "../../src/sim/chance.ts";
import { Person } from "../../src/sim/people.ts";
import { Actor, Scheduler } from "../../src/sim/scheduler.ts";
import { MachineTime } from "../../src/sim/virtual-clock.ts";
import { VirtualDisk } from "../../src/sim/virtual-disk.ts";

const STEPS_AT_ONCE = 1_000;
/** A person takes longer for anything than the dreamed disk's clock for a tick. */
const DEED_MS = 5;

/**
 * Dreamed time that passes by itself until the file's tests are over: whoever waits for something
 * in a test lets the dreamed world take its turns.
 */
export class Dream {
  readonly draw = new Draw(1, "dream");
  readonly scheduler = new Scheduler(this.draw, 0);
  readonly actor = new Actor("me", 1);
  readonly time = new MachineTime(this.scheduler);
  #isOver = false;
  #restless: (() => void)[] = [];

  constructor() {
    after(() => {
      this.#isOver = true;
    });
    void this.#pass();
  }

  /** A disk and a person on it; nobody keeps count of what people save. */
  newDisk(): { disk: VirtualDisk; person: Person } {
    const nothing = (): void => {};
    const heard = { saved: nothing, killed: nothing, spread: nothing, tore: nothing };
    const witness = { ...heard, knows: () => true };
    const disk = new VirtualDisk("disk", this.time, false, witness);
    return { disk, person: new Person(disk, witness, ["a"], nothing) };
  }

  /** What a person does takes a moment, and nobody interferes. */
  async deed(steps: Iterable<unknown>): Promise<void> {
    this.scheduler.nowMs += DEED_MS;
    for (const step of steps) void step;
  }

  /** Resolves when nobody has anything left to do. */
  rest(): Promise<void> {
    return new Promise((resolve) => this.#restless.push(resolve));
  }

  async #pass(): Promise<void> {
    while (!this.#isOver) {
      const ending = await this.scheduler.run(() => this.#isOver, STEPS_AT_ONCE);
      if (ending === "nothing-left") for (const wake of this.#restless.splice(0)) wake();
      await setImmediate();
    }
  }
}
