import type { Device } from "./device.ts";
import { differences, isKeptBack, toldOf, treeOf } from "./oracle.ts";
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

/** An older copy of the server is put back, and announced; false when none was made. */
export function goBack({ server, past, account, scheduler }: World): boolean {
  if (!server.restoreBackup()) return false;
  past.rewindTo(server.head.toLowerCase());
  // The next device that reads the keyring tells the server of keys that it has forgotten.
  if (account !== null) void server.beginKeyEpoch(account.epoch);
  scheduler.note("the server is restored");
  return true;
}

/** True where a server that went back would be announced, and nobody is asked anything else. */
export function isAnnounced({ sealed, holding }: Swarm): boolean {
  if (sealed === null || sealed.cheat !== null || holding !== null) return false;
  return sealed.epochs.every(({ without }) => without === null);
}

/**
 * The server goes back while all rest. What is wrong afterwards: each disk has to be as it was,
 * with nothing twice and nothing back that was deleted (SL18).
 */
export async function whenGoneBack(
  world: World & { readonly devices: readonly Device[] },
  rest: () => Promise<void>,
): Promise<string[]> {
  const { devices } = world;
  if (devices.some(isKeptBack)) return [];
  const before = devices.map(({ disk }) => treeOf(disk));
  const told = toldOf(devices);
  if (!goBack(world)) return [];
  await rest();
  return devices.flatMap(({ name, disk }, at) => {
    const lines = differences(before[at] ?? new Map(), treeOf(disk), told);
    return lines.map((line) => `a restored server changed ${name}: ${line}`);
  });
}
