import { utf8 } from "#core/bytes.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import { HARMLESS_WAYS } from "./cheater.ts";
import { hashOf } from "./contents.ts";
import type { Device } from "./device.ts";
import { disagreements, type Ledger } from "./oracle.ts";
import { show } from "./people.ts";
import type { Actor, Scheduler } from "./scheduler.ts";
import type { VirtualServer } from "./virtual-server.ts";

/** Steps that one round of waiting may take. */
const MOST_STEPS = 12_000;
/** The longest pause after something failed, and what follows. */
const LONGEST_MS = 400_000;
/** Who has all that the others have, and hears nothing more for so many steps, has all. */
const MOST_CALM_STEPS = 40;
/** What everybody saves in the first round shows whom the server kept from whom. */
const ROUNDS = 3;

/** Several chunks, in a space of either kind. */
const SIZE_BYTES = 20_000;

type Reckoning = {
  readonly devices: readonly Device[];
  readonly server: VirtualServer;
  readonly scheduler: Scheduler;
  readonly people: Actor;
  readonly ledger: Ledger;
  readonly happened: Set<string>;
  /** What went wrong meanwhile. */
  readonly wrong: readonly string[];
};

/**
 * What is wrong after a lie, as sentences. Everybody saves something more, so that whoever knows
 * another journal than the others has to meet theirs: then the victim has stopped with a reason, or
 * it has exactly what its peers have; nobody else has stopped, and no byte is lost or made up.
 */
export async function reckon(world: Reckoning): Promise<string[]> {
  const { devices, server, happened } = world;
  const victim = devices.find(({ cheater }) => cheater !== null);
  for (let round = 0; round < ROUNDS; round++) {
    for (const device of devices) saveOneMore(device, round, world);
    await waitForAll(world);
    if (world.wrong.length > 0) return [];
    victim?.cheater?.end();
  }
  const apart = keptApart(devices);
  const cheater = victim?.cheater ?? null;
  if (victim !== undefined && cheater !== null) {
    const end = victim.stopped ?? (victim === apart ? "nobody to find it out by" : "went on");
    happened.add(`cheat: ${cheater.way}: ${cheater.told ? end : "told no lie"}`);
  }
  const going = devices.filter(({ stopped }) => stopped === null);
  const together = going.filter((device) => device !== apart);
  const believers = going.filter((device) => device !== apart && isTaken(device));
  if (believers.length > 0) {
    return believers.map(({ name, cheater: by }) => `${name} went on after a lie: ${by?.way}`);
  }
  const crimes = (await disagreements(together, server)).map((line) => `not the same: ${line}`);
  for (const device of going) {
    const { name, chain, engine } = device;
    const head = device === apart ? device.cheater?.head : server.head;
    if (chain !== head) crimes.push(`${name} is at another head than the server`);
    if (engine === null) crimes.push(`${name} does not run`);
  }
  return [...crimes, ...bytesOf(world)];
}

/** True of a device that was told what nobody who knows better goes on after. */
function isTaken({ cheater }: Device): boolean {
  return cheater !== null && cheater.told && !HARMLESS_WAYS.has(cheater.way);
}

/**
 * The device, if any, whose commits nobody else hears of, and that hears of nobody else's because
 * all others are shut out. It is a fork, and a fork is found out only where its sides meet (Li,
 * Krohn, Mazières, Shasha: Secure untrusted data repository, 2004): this one knows one journal.
 */
function keptApart(devices: readonly Device[]): Device | null {
  const victim = devices.find(({ cheater }) => cheater?.way === "one-way" && cheater.told);
  if (victim === undefined) return null;
  const others = devices.filter((device) => device !== victim);
  return others.every(({ stopped }) => stopped === "shut out") ? victim : null;
}

function saveOneMore(
  { disk, person, name }: Device,
  round: number,
  { scheduler }: Reckoning,
): void {
  if (disk.peek(`${name} ${round}`) !== null) return;
  for (const said of person.write(
    `${name} ${round}`,
    utf8(`${name} at last ${round} `.padEnd(SIZE_BYTES, name)),
  )) {
    scheduler.note(`${name}'s person ${said}`);
  }
}

async function waitForAll({ devices, server, scheduler, people, wrong }: Reckoning): Promise<void> {
  for (const { engine } of devices) void engine?.settle();
  const untilMs = scheduler.nowMs + LONGEST_MS;
  scheduler.after(LONGEST_MS, people, "has waited", () => undefined);
  const isDone = ({ engine, stopped, chain }: Device): boolean =>
    stopped !== null || (chain === server.head && engine?.status(0).state === "in-sync");
  let calm = 0;
  const isOver = (): boolean => {
    calm = devices.every(isDone) ? calm + 1 : 0;
    return wrong.length > 0 || scheduler.nowMs >= untilMs || calm > MOST_CALM_STEPS;
  };
  await scheduler.run(isOver, MOST_STEPS);
}

/** Whose disk it may be, all that people saved is there, and nothing that nobody saved. */
function bytesOf({ devices, ledger }: Reckoning): string[] {
  const wrong: string[] = [];
  const present = new Set<string>();
  for (const { name, disk, stopped } of devices) {
    for (const { path, inode } of disk.everything()) {
      const isKept = path.startsWith(`${PRIVATE_FOLDER}/`);
      // What somebody wrote into the moment it was displaced comes back by the next sweep: whoever
      // has stopped has it where it was put.
      if (inode.kind !== "file" || (isKept && stopped === null)) continue;
      present.add(hashOf(inode.bytes));
      if (isKept || ledger.knows(inode.bytes)) continue;
      wrong.push(`${name} has bytes that nobody saved at ${path}: ${show(inode.bytes)}`);
    }
  }
  for (const bytes of ledger.living()) {
    if (!present.has(hashOf(bytes))) wrong.push(`lost: ${show(bytes)}`);
  }
  return wrong;
}
