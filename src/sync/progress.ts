import type { ContentHash, NodeId } from "#core/ids.ts";
import type { Content } from "#core/node.ts";
import { Draft } from "./draft.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";
import { agreedSide } from "./publish.ts";
import type { LocalSide, NodeRow } from "./tree.ts";
import type { Unsynced } from "./unsynced.ts";

export type ProgressWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly nameKey: (name: string) => string;
  readonly unsynced: Unsynced;
  /** Asks for another look at a folder whose contents were not as planned. */
  readonly lookAgain: (folder: NodeId) => void;
};

/** What steps on the disk have made of the rows, until that is durable and stored (SPEC EX7). */
export class Progress {
  readonly #world: ProgressWorld;
  #draft: Draft;
  /** Files whose bytes the engine put in place: others may be built from their chunks. */
  readonly #written = new Map<NodeId, ContentHash>();
  #unstored = 0;
  #steps = 0;

  constructor(world: ProgressWorld) {
    this.#world = world;
    this.#draft = new Draft(world.trees, world.nameKey);
  }

  /** The rows as they are after all steps so far. */
  get draft(): Draft {
    return this.#draft;
  }

  /** Steps that succeeded. */
  get steps(): number {
    return this.#steps;
  }

  /** Steps that are not stored. */
  get unstored(): number {
    return this.#unstored;
  }

  /** Stores what is about to happen, before it does (SPEC EX4). */
  announce(rows: readonly NodeRow[]): void {
    if (rows.length === 0) return;
    this.#world.trees.transaction(() => {
      for (const row of rows) this.#world.trees.put(row);
    });
    for (const row of rows) this.#draft.put(row);
  }

  /** A step gave the node this local side; `written` is what was put in place. */
  done(row: NodeRow, local: LocalSide, written: Content | null = local.content): void {
    const synced = agreedSide(row, local, written);
    this.#draft.put({ ...row, local, synced, displacing: null, placing: null });
    this.#count();
  }

  /** A step took the node from the disk. */
  gone(row: NodeRow): void {
    const synced = row.remote === null ? null : row.synced;
    this.#draft.put({ ...row, local: null, synced, displacing: null, placing: null });
    this.#count();
  }

  wrote(id: NodeId, content: Content): void {
    if (content.kind === "file") this.#written.set(id, content.sha256);
  }

  /** Makes the folders touched so far durable, then stores what was done in them. */
  async flush(): Promise<void> {
    const { unsynced, lookAgain, trees, records } = this.#world;
    try {
      for (const folder of await unsynced.sync(this.#draft)) lookAgain(folder);
    } catch (error) {
      // What was done there is on no record: nothing is planned before it was found.
      for (const folder of unsynced.folders) lookAgain(folder);
      throw error;
    }
    this.#unstored = 0;
    // What lies in a folder that was not where it should be is found by the next look: until then
    // nothing is done on the strength of it.
    const isDurable = ({ local }: NodeRow): boolean =>
      local === null || !unsynced.folders.has(local.parent);
    const all = this.#draft.records();
    if (all.length === 0) return;
    const rows = all.filter(isDurable);
    trees.transaction(() => {
      for (const row of rows) trees.put(row);
      for (const [id, content] of this.#written) {
        records.setSources(id, records.manifest(content) ?? null);
      }
    });
    this.#written.clear();
    this.#draft = new Draft(trees, this.#world.nameKey);
  }

  #count(): void {
    this.#steps++;
    this.#unstored++;
  }
}
