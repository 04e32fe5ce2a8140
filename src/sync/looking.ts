import { nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import { absenceMs, type Arrivals } from "./absence.ts";
import { finishStoppedSteps } from "./hold.ts";
import type { IgnoreRules } from "./ignore.ts";
import { look, type Look, type Trouble } from "./look.ts";
import { Matcher, type MatchWorld } from "./match.ts";
import type { Fresh } from "./normalise.ts";
import { missingOf, OUTAGE_TOLD_MS, type Outage } from "./outage.ts";
import { pathOf, shownPath } from "./paths.ts";
import type { DeviceRecords, Disk, TreeStore, Watcher } from "./ports.ts";
import type { Problems } from "./problems.ts";
import { raced } from "./publish.ts";
import { readSent } from "./settings.ts";
import { PARK_NODE } from "./tree.ts";
import type { Unsynced } from "./unsynced.ts";

export type LookingWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly disk: Disk;
  readonly watcher: Watcher;
  readonly clock: Clock;
  readonly problems: Problems;
  readonly rules: IgnoreRules;
  readonly fresh: Fresh;
  readonly unsynced: Unsynced;
  /** What an outage may have taken from the disk, until everything was looked at. */
  readonly outage: () => Outage | null;
  /** Throws WorldError `root-gone` unless the root is the folder that was linked. */
  readonly seeRoot: () => Promise<void>;
};

/** A look at everything stands behind the watcher, at least this far apart … */
const FULL_LOOK_MS = 10 * 60_000;
/** … and never taking more than this share of the time. */
const FULL_LOOK_SHARE = 500;
/** Where folders cannot be watched, looking is all there is. */
const POLL_MS = 10_000;
const POLL_SHARE = 20;
/** A disk that moves under the look is looked at again after a pause. */
const UNSTEADY_MS = 100;

/**
 * Decides which folders to look at and when: what the watcher hinted, what a step found changed,
 * what was missed once, and everything now and then (SPEC SC9).
 */
export class Looking {
  readonly #world: LookingWorld;
  readonly #arrivals: Arrivals = new Map();
  readonly #again = new Set<NodeId>();
  #everything = true;
  #fullDueMs = 0;
  #fullCostMs = 0;
  #unsteadyMs: number | null = null;
  #isFullUnsteady = false;
  #started = false;
  #hasSeenAll = false;

  constructor(world: LookingWorld) {
    this.#world = world;
  }

  lookAgain(folder: NodeId): void {
    this.#again.add(folder);
  }

  lookAtEverything(): void {
    this.#everything = true;
  }

  /** True when a look is wanted at once. */
  get wanted(): boolean {
    return this.#everything || this.#again.size > 0;
  }

  /** True while an absence or an unsteady disk has to be looked at again before it is believed. */
  get isDoubtful(): boolean {
    return this.#unsteadyMs !== null || this.#absent(this.#world.clock.nowMs()).dueMs !== null;
  }

  /** Looks at what is due; returns files whose bytes must be read again. */
  async run(signal: AbortSignal): Promise<readonly NodeId[]> {
    const { clock, watcher, seeRoot } = this.#world;
    if (!this.#started) await this.#start();
    const hints = watcher.take();
    if (hints.overflow) this.#everything = true;
    const nowMs = clock.nowMs();
    const isFull = this.#everything || nowMs >= this.#fullDueMs || this.#isUnsteadyDue(nowMs);
    const folders = new Set([...this.#again, ...hints.folders, ...this.#absent(nowMs).folders]);
    if (!isFull && folders.size === 0) return [];
    this.#everything = false;
    this.#again.clear();
    try {
      await seeRoot();
      return await this.#look(isFull, folders, nowMs, signal);
    } catch (error) {
      // Nothing was looked at: what was hinted is not hinted again.
      if (isFull) this.#everything = true;
      for (const folder of folders) this.#again.add(folder);
      throw error;
    }
  }

  async #look(
    isFull: boolean,
    folders: ReadonlySet<NodeId>,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<readonly NodeId[]> {
    const { trees, clock } = this.#world;
    // What such a step has left would be seen as a second file of the one inode.
    if (isFull || folders.has(PARK_NODE)) await finishStoppedSteps(this.#world.disk);
    const beganMs = clock.monotonicMs();
    const seen = await look(this.#world, isFull ? "all" : folders, signal);
    if (isFull) this.#fullDone(clock.monotonicMs() - beganMs);
    this.#noteUnsteady(isFull, seen.unsteady);
    if (seen.rulesChanged) this.#everything = true;
    const lookedAt = isFull
      ? "all"
      : seen.folders.map(({ id }) => pathOf(trees, "local", id) ?? "");
    await this.#makeDurable(seen);
    const matched = trees.transaction(() =>
      new Matcher(this.#matchWorld(), seen, nowMs, isFull).run(),
    );
    const troubles = [...seen.troubles, ...matched.doubted.map((id) => this.#doubtOf(id))];
    const { problems } = this.#world;
    problems.replaceBelow("look", lookedAt, troubles, nowMs);
    for (const path of matched.restored) problems.report("outage", missingOf(path), nowMs);
    problems.expire("outage", nowMs - OUTAGE_TOLD_MS);
    if (isFull && !seen.unsteady) this.#hasSeenAll = true;
    if (matched.lost) this.#everything = true;
    await this.#follow(matched.folders, matched.gone);
    return matched.verify;
  }

  #doubtOf(id: NodeId): Trouble {
    const detail = "it counts as deleted when it is not found there";
    const message = `It is gone from here, and may be in a folder that cannot be read: ${detail}.`;
    return { path: shownPath(this.#world.trees, id), code: "missing", message };
  }

  /**
   * What the engine put in place before a step failed or the machine stopped may be found now: it
   * counts as agreed on only when a power cut cannot take it away again (SPEC EX7).
   */
  async #makeDurable({ differing }: Look): Promise<void> {
    const { trees, disk, unsynced } = this.#world;
    const isUnderWay =
      unsynced.folders.size > 0 || trees.changed().some(({ placing }) => placing !== null);
    // Not every step is written ahead: of those before a crash the first look tells.
    const due = differing.filter(({ isKnown }) => isUnderWay || (isKnown && !this.#hasSeenAll));
    if (due.length === 0) return;
    await disk.change.syncFolders(due.map(({ path }) => path));
    for (const { path, file } of due) {
      if ((await disk.look.stat(path))?.file !== file) throw raced(path);
    }
  }

  /** When the next look is due by itself (ms since 1970). */
  get dueMs(): number {
    const absentMs = this.#absent(this.#world.clock.nowMs()).dueMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#fullDueMs, absentMs, this.#unsteadyMs ?? Number.POSITIVE_INFINITY);
  }

  #matchWorld(): MatchWorld {
    const { trees, records, fresh, outage } = this.#world;
    const arrivals = this.#arrivals;
    const sent = new Set(Object.keys(readSent(records)?.files ?? {}).map(nodeId));
    return { trees, fresh, arrivals, sent, outage: this.#hasSeenAll ? null : outage() };
  }

  /** Of a look at everything that was not whole only another one can tell what it missed. */
  #noteUnsteady(isFull: boolean, unsteady: boolean): void {
    const { clock } = this.#world;
    this.#isFullUnsteady = isFull ? unsteady : this.#isFullUnsteady;
    if (unsteady) {
      this.#unsteadyMs = clock.nowMs() + Math.max(UNSTEADY_MS, isFull ? this.#fullCostMs : 0);
    } else if (!this.#isFullUnsteady) this.#unsteadyMs = null;
  }

  #isUnsteadyDue(nowMs: number): boolean {
    return this.#unsteadyMs !== null && nowMs >= this.#unsteadyMs;
  }

  #fullDone(costMs: number): void {
    this.#fullCostMs = costMs;
    const { watcher, clock } = this.#world;
    const pauseMs =
      watcher.trouble() === null
        ? Math.max(FULL_LOOK_MS, FULL_LOOK_SHARE * this.#fullCostMs)
        : Math.max(POLL_MS, POLL_SHARE * this.#fullCostMs);
    this.#fullDueMs = clock.nowMs() + pauseMs;
  }

  /** Known folders are watched before the first look, so that nothing falls between. */
  async #start(): Promise<void> {
    const { trees, watcher, seeRoot } = this.#world;
    await seeRoot();
    for (const id of [ROOT_NODE, ...trees.localFolders()]) {
      const path = pathOf(trees, "local", id);
      if (path !== null) watcher.watch(id, path);
    }
    await watcher.ready();
    this.#started = true;
  }

  /**
   * Newly found folders are watched, then looked at once more: what came in between is seen then.
   */
  async #follow(found: readonly NodeId[], gone: readonly NodeId[]): Promise<void> {
    const { trees, watcher } = this.#world;
    for (const id of gone) if (!trees.get(id)?.local) watcher.unwatch(id);
    for (const id of found) {
      const path = pathOf(trees, "local", id);
      if (path === null) continue;
      watcher.watch(id, path);
      this.#again.add(id);
    }
    if (found.length > 0) await watcher.ready();
  }

  /** Folders in which an absence has lasted long enough to be believed, and when the next will. */
  #absent(nowMs: number): { folders: Set<NodeId>; dueMs: number | null } {
    const folders = new Set<NodeId>();
    let nextMs: number | null = null;
    for (const { local } of this.#world.trees.changed()) {
      if (local?.blind !== "absent" || local.missedMs === null) continue;
      // Missed in the future, by a clock that was set back since: it is missed from now on.
      const isAhead = local.missedMs > nowMs;
      const waitMs = isAhead ? 0 : absenceMs(this.#arrivals, local.parent, nowMs);
      const dueMs = Math.min(local.missedMs, nowMs) + waitMs;
      if (dueMs <= nowMs) folders.add(local.parent);
      nextMs = Math.min(nextMs ?? dueMs, dueMs);
    }
    return { folders, dueMs: nextMs };
  }
}
