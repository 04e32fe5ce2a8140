import { PRIVATE_FOLDER } from "#core/names.ts";
import type { MachineTime } from "./virtual-clock.ts";
import type { Inode, VirtualDisk, Witness } from "./virtual-disk.ts";

const HOLD = `${PRIVATE_FOLDER}/hold/`;
const PARK = `${PRIVATE_FOLDER}/park/`;
const STAGE = `${PRIVATE_FOLDER}/stage`;

/** What was displaced is never purged sooner. */
const LEAST_HELD_MS = 24 * 3_600_000;
/** When it was held, its size and its modification time stand in a held thing's name. */
const HELD = /^(?<heldMs>\d+)\.(?<size>\d+)\.(?<mtime>-?\d+)\./u;

type Judged = {
  readonly name: string;
  readonly disk: VirtualDisk;
  readonly time: MachineTime;
  readonly witness: Witness;
  readonly accuse: (crime: string) => void;
};

/**
 * Judges each effect of the engine on a disk: what it puts under a name that people see is a whole
 * content that somebody saved, and durable (I10); no last name of anything is taken away but in
 * stage (I11).
 */
export class DiskOracle {
  readonly #judged: Judged;
  /** What was given a name that a power cut may still take. */
  readonly #fleeting = new Map<Inode, Inode>();

  constructor(judged: Judged) {
    this.#judged = judged;
  }

  /** The engine gave an inode a name in a folder. */
  placed(path: string, inode: Inode, folder: Inode): void {
    if (path.startsWith(`${PRIVATE_FOLDER}/`)) return;
    const { witness, name, accuse } = this.#judged;
    this.#fleeting.set(inode, folder);
    if (inode.kind !== "file" || !inode.byEngine) return;
    if (!witness.knows(inode.bytes)) accuse(`${name} shows at ${path} what nobody saved`);
    if (inode.durable !== null) accuse(`${name} shows ${path} before its bytes are durable`);
  }

  /** The engine took the name `path` away, or gave it to something else. */
  took(path: string, inode: Inode): void {
    if (inode.links > 0 || inode.kind === "folder" || inode.isUnwanted) return;
    const { name, accuse, time } = this.#judged;
    const isHeld = path.startsWith(HOLD);
    if (path.startsWith(STAGE) && (inode.byEngine || inode.bytes.length === 0)) return;
    if (isHeld && time.nowMs - heldSinceMs(path.slice(HOLD.length)) >= LEAST_HELD_MS) return;
    if (path.startsWith(PARK) && inode.kind === "symlink") return;
    accuse(`${name} took the only name of what was at ${path}`);
  }

  /** The names in these folders are durable. */
  synced(folders: ReadonlySet<Inode>): void {
    const holds = (folder: Inode, inode: Inode): boolean =>
      [...folder.entries.values()].some((each) => each.inode === inode);
    for (const [inode, folder] of this.#fleeting) {
      // What a person took elsewhere meanwhile has its name there.
      const isElsewhere = (): boolean =>
        !holds(folder, inode) && [...folders].some((each) => holds(each, inode));
      if (folders.has(folder) || isElsewhere()) this.#fleeting.delete(inode);
    }
  }

  /** The machine went down: names that were not durable are there for good, or gone. */
  wentDown(): void {
    this.#fleeting.clear();
  }

  /**
   * The device got an older database: what lies in a folder that it does not know counts as a
   * person's, which an outage may take without it being deleted anywhere (EX9).
   */
  forgot(isKnown: (folder: Inode) => boolean): void {
    for (const [inode, folder] of this.#fleeting) {
      if (!isKnown(folder)) this.#fleeting.delete(inode);
    }
  }

  isFleeting(inode: Inode): boolean {
    return this.#fleeting.has(inode);
  }

  /** What lies in the engine's own folder at rest although nothing needs it, as sentences. */
  leftovers(): string[] {
    const { disk, name } = this.#judged;
    const wrong: string[] = [];
    for (const folder of [PARK, STAGE]) {
      const { entries } = disk.peek(folder) ?? {};
      for (const left of entries?.values() ?? []) wrong.push(`${name} left ${folder} ${left.name}`);
    }
    for (const { name: held, inode } of disk.peek(HOLD)?.entries.values() ?? []) {
      const { size, mtime } = HELD.exec(held)?.groups ?? {};
      const { sizeBytes, mtimeNs } = disk.statOf(inode).stamp;
      if (String(sizeBytes) === size && String(mtimeNs) === mtime) continue;
      wrong.push(`${name} keeps in hold what changed there: ${held}`);
    }
    return wrong;
  }
}

function heldSinceMs(name: string): number {
  return Number(HELD.exec(name)?.groups?.["heldMs"] ?? Number.NaN);
}
