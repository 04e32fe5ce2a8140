import assert from "node:assert/strict";
import { test } from "node:test";
import { foldName, plainNameKey } from "#core/names.ts";
import { Draw } from "../../src/sim/chance.ts";
import { ModelDevice } from "../../src/sim/planner-device.ts";
import { ModelServer } from "../../src/sim/planner-server.ts";
import { differences, examined } from "../../src/sim/planner-verdict.ts";
import { Folder, readTree, shownTree } from "./person.ts";

/**
 * One story: what all agree on, what A and B do without knowing of each other, and the tree when A
 * was the first to commit, and when B was. `same`: the other order comes to the same; `any`: one of
 * several trees, the same on all sides.
 */
type Told = {
  readonly rule: string;
  readonly says: string;
  readonly before: string;
  readonly a: string;
  readonly b: string;
  readonly aFirst: string;
  readonly bFirst: string;
};

/**
 * A story is a line: `rules | what it says | before | A did | B did | A first | B first`. An empty
 * cell is `-`.
 */
function readLine(line: string): Told {
  const cells = line.split(" | ").map((cell) => cell.trim());
  assert.equal(cells.length, 7, `seven cells: ${line}`);
  const [rule = "", says = "", before = "", a = "", b = "", aFirst = "", bFirst = ""] = cells.map(
    (cell) => (cell === "-" ? "" : cell),
  );
  return { rule, says, before, a, b, aFirst, bFirst: bFirst === "same" ? aFirst : bFirst };
}

const MOST_ROUNDS = 20;

/** Two people's devices and one that only listens, in front of one server. */
export class World {
  readonly server: ModelServer;
  readonly devices: readonly [ModelDevice, ModelDevice, ModelDevice];

  constructor(before: string, { folding = true, seed = 1 } = {}) {
    const nameKey = folding ? foldName : plainNameKey;
    const draw = new Draw(seed, "table");
    this.server = new ModelServer(nameKey);
    const open = (number: number): ModelDevice =>
      new ModelDevice(number, this.server, { draw, nameKey });
    this.devices = [open(0), open(1), open(2)];
    const [first] = this.devices;
    new Folder(first).act(readTree(before).map((entry) => `make ${entry}`));
    this.rest();
    for (const device of this.devices) device.done.length = 0;
  }

  get a(): ModelDevice {
    return this.devices[0];
  }

  get b(): ModelDevice {
    return this.devices[1];
  }

  /** Deeds of the person at a device; what was done before a `sync` is committed there. */
  act(device: ModelDevice, deeds: string): void {
    const lines = deeds.split(";").map((line) => line.trim());
    for (let at = 0; at < lines.length;) {
      const sync = lines.indexOf("sync", at);
      const end = sync === -1 ? lines.length : sync;
      new Folder(device).act(lines.slice(at, end).filter((line) => line !== ""));
      if (sync !== -1) this.rest([device]);
      at = end + 1;
    }
  }

  /** All devices and the server hold this tree, and know it. */
  expect(tree: string): void {
    assert.deepEqual(shownTree(this.a), readTree(tree));
    assert.deepEqual(differences(this.devices, this.server), []);
  }

  /** What is wrong with a device's next plan, which it stores. */
  examine(device: ModelDevice): string[] {
    const wrong: string[] = [];
    examined(device, wrong);
    return wrong;
  }

  /** Turns of these devices, one after the other, until none has anything left to do. */
  rest(devices: readonly ModelDevice[] = this.devices): void {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      let isQuiet = true;
      for (const device of devices) {
        device.follow(this.server.head);
        const planned = device.plan();
        if (planned.local.length + planned.remote.length > 0) isQuiet = false;
        device.turn(planned);
        while (device.outgoing.length > 0) {
          const sending = device.send(() => true);
          assert(typeof sending === "string", `refused: ${JSON.stringify(sending)}`);
        }
      }
      if (isQuiet) return;
    }
    assert.fail("it does not come to rest");
  }
}

/** Makes a test of each line's story, in both orders of committing. */
export function play(lines: readonly string[], space = { folding: true }): void {
  for (const { rule, says, before, a, b, aFirst, bFirst } of lines.map(readLine)) {
    for (const isAFirst of [true, false]) {
      test(`${rule}: ${says}, ${isAFirst ? "A" : "B"} first`, () => {
        const world = new World(before, space);
        world.act(world.a, a);
        world.act(world.b, b);
        world.rest([isAFirst ? world.a : world.b]);
        world.rest();
        const after = isAFirst ? aFirst : bFirst;
        world.expect(after === "any" ? shownTree(world.a).join(", ") : after);
      });
    }
  }
}
