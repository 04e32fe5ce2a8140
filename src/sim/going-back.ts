import { Draw } from "./chance.ts";
import type { Device } from "./device.ts";
import { conflictCopies, differences, isKeptBack, toldOf, treeOf } from "./oracle.ts";
import type { Past } from "./past.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SealedAccount } from "./sealed-account.ts";
import type { Swarm } from "./swarm.ts";
import type { VirtualServer } from "./virtual-server.ts";

type World = {
  readonly server: VirtualServer;
  readonly past: Past;
  readonly account: SealedAccount | null;
  readonly scheduler: Scheduler;
};

type Devices = { readonly devices: readonly Device[] };

/** An older copy of the server is put back, and announced; false when none was made. */
export function goBack({ server, past, account, scheduler }: World): boolean {
  if (!server.restoreBackup()) return false;
  past.rewindTo(server.head.toLowerCase());
  // The next device that reads the keyring tells the server of keys that it has forgotten.
  if (account !== null) void server.beginKeyEpoch(account.epoch);
  scheduler.note("the server is restored");
  return true;
}

/**
 * A server that goes back while all are in sync: afterwards each disk is as it was, with nothing
 * twice and nothing back that was deleted (SL18).
 */
export class GoingBack {
  readonly #world: World & Devices;
  /** Before this of its deeds the backup is made. */
  readonly #at: number;

  private constructor(world: World & Devices, at: number) {
    this.#world = world;
    this.#at = at;
  }

  /** Null where nobody would announce it. */
  static of(swarm: Swarm, world: World & Devices): GoingBack | null {
    if (swarm.sealed === null || swarm.sealed.cheat !== null) return null;
    const draw = new Draw(swarm.seed, "going back");
    return new GoingBack(world, draw.below(swarm.deeds.length + 1));
  }

  /** To be called at rest, before each deed and after the last. */
  rests(at: number): void {
    if (at === this.#at) this.#world.server.backUp();
  }

  /** What is wrong when all are at rest again; null when the server did not go back. */
  async faults(rest: () => Promise<void>): Promise<string[] | null> {
    const { devices } = this.#world;
    if (devices.some(isKeptBack)) return null;
    const before = devices.map(({ disk }) => treeOf(disk));
    if (!goBack(this.#world)) return null;
    await rest();
    const told = toldOf(devices);
    const wrong = devices.flatMap(({ name, disk }, at) => {
      const lines = differences(before[at] ?? new Map(), treeOf(disk), told);
      return lines.map((line) => `a restored server changed ${name}: ${line}`);
    });
    const copies = devices.flatMap(({ disk }) => conflictCopies(disk));
    return [...wrong, ...copies.map((copy) => `a restored server made ${copy}`)];
  }
}
