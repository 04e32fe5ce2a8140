import type { NodeId } from "#core/ids.ts";
import type { Clock } from "#core/world.ts";
import { holdsText } from "./holds.ts";
import type { MassGuard } from "./mass-guard.ts";
import type { Fresh } from "./normalise.ts";
import { plan, type Plan } from "./planner.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";
import { isEmpty, type NodeRow } from "./tree.ts";

export type PlanningWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly clock: Clock;
  readonly guard: MassGuard;
  readonly fresh: Fresh;
  readonly nameKey: (name: string) => string;
  readonly deviceName: string;
};

/**
 * All that a plan follows from, beside this device's name and limits: while it is the same, so is
 * the plan. The wait for more deletions, which ends by time, is the guard's to tell.
 */
type Source = {
  /** Of the three trees (see `TreeStore.changes`). */
  readonly changes: number;
  /** How far the server was followed. */
  readonly sequence: number;
  /** Part of conflict copies' names. */
  readonly today: string;
  /** What is held, and what people have said to it. */
  readonly holds: string;
};

/** What a plan leaves to do when its rows are stored: they may be all rows of a folder. */
type Planned = Omit<Plan, "records">;

/** Plans, unless what there is to plan on is what the last plan was made of. */
export class Planning {
  readonly #world: PlanningWorld;
  #last: { readonly planned: Planned; readonly source: Source } | null = null;

  constructor(world: PlanningWorld) {
    this.#world = world;
  }

  /**
   * The plan, after what only the device's own records have to change for was stored. `sequence`:
   * how far the server was followed. `changed`: rows changed for an answer of people: plan again.
   */
  run(sequence: number): { readonly planned: Planned; readonly changed: boolean } {
    const { trees, clock, guard, fresh, nameKey, deviceName: device } = this.#world;
    const last = this.#last;
    if (last !== null && !guard.isWaiting && isSame(last.source, this.#source(sequence))) {
      return { planned: last.planned, changed: false };
    }
    const done = trees.transaction(() => {
      const changed = guard.prepare(sequence);
      const date = clock.today();
      const withhold = guard.withhold;
      const { records, ...planned } = plan(trees, { nameKey, device, date, fresh, withhold });
      for (const row of this.#byFolder(records)) trees.put(row);
      guard.store();
      return { planned, changed };
    });
    // The plan of the rows that it made is the same plan (SPEC PL10). What an answer changed is
    // compared once more: what is in a folder may be back when the folder is.
    const source = this.#source(sequence);
    this.#last = done.changed ? null : { planned: done.planned, source };
    return done;
  }

  /** What stands in one folder lies together in the database: each of its pages is met once. */
  #byFolder(records: readonly NodeRow[]): NodeRow[] {
    const folders = new Map<NodeId | null, NodeRow[]>();
    for (const row of records) {
      const known = isEmpty(row) ? (this.#world.trees.get(row.id) ?? row) : row;
      const folder = (known.local ?? known.remote ?? known.synced)?.parent ?? null;
      const rows = folders.get(folder);
      if (rows === undefined) folders.set(folder, [row]);
      else rows.push(row);
    }
    return [...folders.values()].flat();
  }

  #source(sequence: number): Source {
    const { trees, records, clock } = this.#world;
    return { changes: trees.changes, sequence, today: clock.today(), holds: holdsText(records) };
  }
}

function isSame(left: Source, right: Source): boolean {
  return (
    left.changes === right.changes &&
    left.sequence === right.sequence &&
    left.today === right.today &&
    left.holds === right.holds
  );
}
