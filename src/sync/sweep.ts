import { toHex, utf8 } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import { ROOT_NODE } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import { hashFile, type HashWorld } from "./hash.ts";
import { freeParkName, readHoldName, type Held } from "./hold.ts";
import { sameStamp } from "./look.ts";
import { HOLD_FOLDER, PARK_FOLDER } from "./paths.ts";
import type { DeviceRecords, Entry } from "./ports.ts";
import { isRacy, LARGE_BYTES } from "./reading.ts";
import type { FileKey } from "./tree.ts";

/** What was displaced stays this long. */
const PURGE_MS = 7 * 24 * 3_600_000;
/** The setting that says what hold was when all of it was as its names say. */
const PROVED = "proved";

type Verdict = "same" | "other" | "unknown";

/**
 * Looks at what was displaced (SPEC EX6). Somebody may have written to it between the engine's last
 * look and its displacement, or later through an open descriptor, and put its time back: only its
 * bytes tell. So small files are read once, and again when their change time moves; large ones
 * before they go. What is not as its name says comes back as a file of its own, unless it has
 * another name that it can be found by.
 */
export class Sweeper {
  readonly #world: HashWorld & { readonly records: DeviceRecords };
  /** Change times (ns) at which held files were read and found as their names say. */
  #proved = new Map<string, bigint>();
  #sweeping: Promise<number> | null = null;

  constructor(world: HashWorld & { readonly records: DeviceRecords }) {
    this.#world = world;
  }

  /** One sweep at a time; returns how many files come back. `nowMs` is by the device's clock. */
  sweep(nowMs: number): Promise<number> {
    this.#sweeping ??= this.#sweep(nowMs).finally(() => (this.#sweeping = null));
    return this.#sweeping;
  }

  async #sweep(nowMs: number): Promise<number> {
    const { disk, records } = this.#world;
    const { entries } = await disk.look.list(HOLD_FOLDER);
    const before = records.setting(PROVED);
    if (this.#proved.size === 0 && before === this.#seal(entries)) {
      for (const { name, stamp } of entries) {
        if (stamp.sizeBytes <= LARGE_BYTES) this.#proved.set(name, stamp.ctimeNs);
      }
    }
    const names = namesOf(entries);
    const left: Entry[] = [];
    let recovered = 0;
    for (const entry of entries) {
      const held = readHoldName(entry.name);
      const isOld = held !== null && nowMs - held.heldMs > PURGE_MS;
      const verdict = held === null ? "other" : await this.#judge(entry, held, isOld, nowMs);
      const isElsewhere = entry.links > (names.get(entry.file) ?? 0);
      if (verdict === "same" ? isOld : verdict === "other" && isElsewhere) {
        await disk.change.remove(joinPath(HOLD_FOLDER, entry.name));
      } else if (verdict === "other") {
        await this.#recover(entry, held);
        recovered++;
      } else left.push(entry);
    }
    this.#remember(left, before);
    return recovered;
  }

  /** Also after a crash what was read once and rests since is not read again. */
  #remember(left: readonly Entry[], before: string | undefined): void {
    const proved = new Map<string, bigint>();
    let isWhole = true;
    for (const { name, stamp } of left) {
      const ctimeNs = this.#proved.get(name);
      if (ctimeNs === stamp.ctimeNs) proved.set(name, ctimeNs);
      else if (stamp.sizeBytes <= LARGE_BYTES) isWhole = false;
    }
    this.#proved = proved;
    const seal = isWhole && left.length > 0 ? this.#seal(left) : null;
    if (seal !== (before ?? null)) this.#world.records.setSetting(PROVED, seal);
  }

  #seal(entries: readonly Entry[]): string {
    const lines = entries.map(({ name, stamp }) => `${name} ${stamp.ctimeNs}`).sort();
    return toHex(this.#world.digest.sha256(utf8(lines.join("\n"))));
  }

  async #judge(entry: Entry, held: Held, isOld: boolean, nowMs: number): Promise<Verdict> {
    const { name, stamp, kind } = entry;
    if (stamp.sizeBytes !== held.sizeBytes || stamp.mtimeNs !== held.mtimeNs) return "other";
    if (kind !== "file" || held.hash === null) return "same";
    if (this.#proved.get(name) === stamp.ctimeNs) return "same";
    if (stamp.sizeBytes > LARGE_BYTES && !isOld) return "unknown";
    const path = joinPath(HOLD_FOLDER, name);
    try {
      const hash = await hashFile(this.#world, path, entry);
      const after = await this.#world.disk.look.stat(path);
      if (after === null || !sameStamp(after.stamp, stamp)) return "unknown";
      if (hash === null || !hash.startsWith(held.hash)) return "other";
    } catch (error) {
      // Whatever keeps it from being read, it stays.
      if (codeOf(error) === "unexpected") throw error;
      return "unknown";
    }
    if (!isRacy(stamp, nowMs)) this.#proved.set(name, stamp.ctimeNs);
    return "same";
  }

  /** By way of park, from where it is found as a new file. */
  async #recover({ name }: Entry, held: Held | null): Promise<void> {
    const { disk } = this.#world;
    // The engine parks nodes at the same time, by their own ids: none is of this form.
    const id = (held?.heldMs ?? 0).toString(16).padStart(32, "0");
    const place = held?.place ?? { parent: ROOT_NODE, name };
    const parked = await freeParkName(disk, id, place);
    await disk.change.rename(joinPath(HOLD_FOLDER, name), joinPath(PARK_FOLDER, parked));
  }
}

/** How many names in hold each inode has. */
function namesOf(entries: readonly Entry[]): Map<FileKey, number> {
  const names = new Map<FileKey, number>();
  for (const { file } of entries) names.set(file, (names.get(file) ?? 0) + 1);
  return names;
}
