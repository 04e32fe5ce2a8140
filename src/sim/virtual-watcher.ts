import type { NodeId } from "#core/ids.ts";
import type { Watcher } from "#sync/ports.ts";
import type { Draw } from "./chance.ts";
import type { Actor, Scheduler } from "./scheduler.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";

export type WatcherFaults = {
  /** Share of hints that never come. */
  readonly lost: number;
  readonly latestMs: number;
  /** Share of hints that come as "look at everything". */
  readonly overflow: number;
  /** What is touched while a hint of it is under way is hinted once. */
  readonly merges: boolean;
};

/** Hints of touched folders, late, out of order, some lost. */
export class VirtualWatcher implements Watcher {
  readonly #disk: VirtualDisk;
  readonly #scheduler: Scheduler;
  readonly #actor: Actor;
  readonly #lost: (folder: Inode) => void;
  readonly #draw: Draw;
  readonly #faults: () => WatcherFaults;
  readonly #watched = new Map<Inode, NodeId>();
  readonly #folders = new Map<NodeId, Inode>();
  readonly #listeners: (() => void)[] = [];
  #touched = new Set<NodeId>();
  readonly #underWay = new Set<NodeId>();
  #overflow = false;

  constructor(
    world: {
      disk: VirtualDisk;
      scheduler: Scheduler;
      actor: Actor;
      /** Told of each folder of which a hint is lost. */
      lost: (folder: Inode) => void;
    },
    draw: Draw,
    faults: () => WatcherFaults,
  ) {
    this.#disk = world.disk;
    this.#scheduler = world.scheduler;
    this.#actor = world.actor;
    this.#lost = world.lost;
    this.#draw = draw;
    this.#faults = faults;
    world.disk.onTouch = (folder) => this.#touch(folder);
  }

  watch(folder: NodeId, path: string): void {
    const inode = this.#disk.peek(path);
    if (inode?.kind !== "folder") return;
    this.unwatch(folder);
    this.#watched.set(inode, folder);
    this.#folders.set(folder, inode);
  }

  unwatch(folder: NodeId): void {
    const inode = this.#folders.get(folder);
    if (inode === undefined) return;
    this.#folders.delete(folder);
    if (this.#watched.get(inode) === folder) this.#watched.delete(inode);
  }

  ready(): Promise<void> {
    return this.#scheduler.call(this.#actor, "watches", () => undefined);
  }

  take(): { readonly folders: readonly NodeId[]; readonly overflow: boolean } {
    const taken = { folders: [...this.#touched], overflow: this.#overflow };
    this.#touched = new Set();
    this.#overflow = false;
    return taken;
  }

  onHint(listener: () => void): void {
    this.#listeners.push(listener);
  }

  trouble(): string | null {
    return null;
  }

  #touch(inode: Inode): void {
    const folder = this.#watched.get(inode);
    if (folder === undefined) return;
    const { lost, latestMs, overflow, merges } = this.#faults();
    if (merges && this.#underWay.has(folder)) return;
    if (lost > 0 && this.#draw.chance(lost)) {
      this.#lost(inode);
      return;
    }
    const isOverflow = overflow > 0 && this.#draw.chance(overflow);
    this.#underWay.add(folder);
    this.#scheduler.after(this.#draw.below(latestMs + 1), this.#actor, "hint", () => {
      this.#underWay.delete(folder);
      if (isOverflow) this.#overflow = true;
      else this.#touched.add(folder);
      for (const listener of this.#listeners) listener();
    });
  }
}
