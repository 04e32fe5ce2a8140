import { nodeId, type NodeId } from "#core/ids.ts";
import type { TreeView } from "#sync/draft.ts";
import { plan, type Plan } from "#sync/planner.ts";
import { agrees } from "#sync/tree.ts";
import type { MemoryStore } from "./memory-store.ts";

/** One transaction in so many has its rows planned. */
const JUDGED_EVERY = 40;

type Judged = {
  readonly name: string;
  readonly store: MemoryStore;
  readonly nameKey: (name: string) => string;
  readonly accuse: (crime: string) => void;
};

/**
 * A plan over the rows that do not agree is the plan over all rows (I15): what agrees may be read,
 * and changes nothing by being looked at; and planning what a plan made of the rows is the same
 * plan (PL10). Counts transactions, so that a story's course does not depend on it.
 */
export class PlanOracle {
  readonly #judged: Judged;
  #count = 0;

  constructor(judged: Judged) {
    this.#judged = judged;
  }

  judge(): void {
    if (++this.#count % JUDGED_EVERY !== 0) return;
    const { name, store, accuse } = this.#judged;
    const partial = textOf(this.#planned(store));
    const all: TreeView = {
      get: (id) => store.get(id),
      children: (side, parent) => store.children(side, parent),
      named: (side, parent, wanted) => store.named(side, parent, wanted),
      changed: () => [...store.everything()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    };
    const full = textOf(this.#planned(all));
    if (full !== partial) accuse(`${name} plans otherwise over all rows: ${partial} | ${full}`);
    if (textOf(this.#planned(store)) !== partial) accuse(`${name} plans otherwise the second time`);
  }

  #planned(view: TreeView): Plan {
    let drawn = 0;
    const fresh = (): NodeId => nodeId((++drawn).toString(16).padStart(32, "e"));
    const { name: device, nameKey } = this.#judged;
    return plan(view, { nameKey, device, date: "2026-11-22", fresh });
  }
}

function textOf({ records, local, remote }: Plan): string {
  const kept = records.filter((row) => !agrees(row)).map(({ id }) => id);
  return JSON.stringify([kept.sort(), local, remote]);
}
