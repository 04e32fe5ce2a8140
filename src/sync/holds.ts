import { WorldError } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import type { TreeView } from "./draft.ts";
import type { Direction } from "./mass.ts";
import { shownPath } from "./paths.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";
import type { NodeRow } from "./tree.ts";

/**
 * Mass deletions that wait for a person, and what was said to them, as the device's database has
 * it: the engine reads it anew for every plan, so that an answer may come from anywhere (SPEC MD4).
 */
export type Hold = {
  readonly id: string;
  readonly direction: Direction;
  readonly nodes: readonly NodeId[];
  /** Nodes of the tree when the last of them was held. */
  readonly of: number;
  readonly sinceMs: number;
  /** When the last of them was held. */
  readonly grownMs: number;
};

export type Decision = "approve" | "reject";

type ByDirection = Readonly<Record<Direction, readonly NodeId[]>>;

export type Holds = {
  readonly holds: readonly Hold[];
  /** Deletions that a person wants, until they are done. */
  readonly approved: ByDirection;
  /** Deletions that are to be undone by the next plan. */
  readonly rejected: ByDirection;
  /** What people have decided and nobody has told of yet. */
  readonly answers: readonly {
    readonly id: string;
    readonly decision: Decision;
    readonly direction: Direction;
    readonly deletes: number;
  }[];
};

/** What `lockstep holds` shows of one. */
export type HoldReport = {
  readonly id: string;
  readonly direction: Direction;
  readonly deletes: number;
  readonly of: number;
  /** Paths of some of the nodes, in order; those before others that stand in none of them. */
  readonly sample: readonly string[];
};

const HOLDS = "holds";
const MAX_SAMPLE = 10;
const NOBODY: ByDirection = { up: [], down: [] };
const NO_HOLDS: Holds = { holds: [], approved: NOBODY, rejected: NOBODY, answers: [] };

/** As stored: as long as it is the same, so are the holds and the answers to them. */
export function holdsText(records: DeviceRecords): string {
  return records.setting(HOLDS) ?? "";
}

export function readHolds(records: DeviceRecords): Holds {
  const text = holdsText(records);
  return text === "" ? NO_HOLDS : (JSON.parse(text) as Holds);
}

export function writeHolds(records: DeviceRecords, holds: Holds): void {
  const { approved, rejected } = holds;
  const lists = [approved.up, approved.down, rejected.up, rejected.down];
  const isEmpty = [holds.holds, holds.answers, ...lists].every((list) => list.length === 0);
  const text = isEmpty ? undefined : JSON.stringify(holds);
  if (text !== records.setting(HOLDS)) records.setSetting(HOLDS, text ?? null);
}

const DONE = "deletions:";

/** Deletions that were done lately without anybody's yes: minutes since 1970, and how many. */
export type Done = readonly (readonly [minute: number, count: number])[];

export function readDone(records: DeviceRecords, direction: Direction): Done {
  const text = records.setting(DONE + direction);
  return text === undefined ? [] : (JSON.parse(text) as Done);
}

export function writeDone(records: DeviceRecords, direction: Direction, done: Done): void {
  records.setSetting(DONE + direction, done.length === 0 ? null : JSON.stringify(done));
}

/** True as long as a row stands for a deletion of that direction that is not done. */
export function isGoing(row: NodeRow | undefined, direction: Direction): row is NodeRow {
  if (row === undefined || row.synced === null) return false;
  const { local, remote } = row;
  return direction === "up" ? local === null && remote !== null : local !== null && remote === null;
}

/** Adds deletions that came with a person's yes from another device (SPEC MD5). */
export function approveRemotely(records: DeviceRecords, nodes: readonly NodeId[]): void {
  if (nodes.length === 0) return;
  const before = readHolds(records);
  const approved = { ...before.approved, down: [...before.approved.down, ...nodes] };
  // What was held here as well is not asked about any more.
  const given = new Set(nodes);
  const holds = before.holds.map((hold) => without(hold, "down", given));
  writeHolds(records, { ...before, holds: holds.filter(isLeft), approved });
}

function without(hold: Hold, direction: Direction, nodes: ReadonlySet<NodeId>): Hold {
  if (hold.direction !== direction) return hold;
  return { ...hold, nodes: hold.nodes.filter((id) => !nodes.has(id)) };
}

function isLeft({ nodes }: Hold): boolean {
  return nodes.length > 0;
}

/**
 * A person's answer to one hold, for exactly what it holds at this moment; carried out by the next
 * plan. Returns how many deletions that are. Throws WorldError `not-found`.
 */
export function decideHold(
  { trees, records }: { readonly trees: TreeStore; readonly records: DeviceRecords },
  id: string,
  decision: Decision,
): number {
  return trees.transaction(() => {
    const before = readHolds(records);
    const hold = before.holds.find((each) => each.id === id);
    if (hold === undefined) {
      throw new WorldError("not-found", `There is no hold ${id}: see lockstep holds.`);
    }
    const { direction, nodes } = hold;
    const holds = before.holds.filter((each) => each !== hold);
    const answer = { id, decision, direction, deletes: nodes.length };
    const answers = [...before.answers, answer];
    const list = decision === "approve" ? "approved" : "rejected";
    const decided = { ...before[list], [direction]: [...before[list][direction], ...nodes] };
    writeHolds(records, { ...before, holds, answers, [list]: decided });
    // What a person has looked at is counted no more.
    writeDone(records, direction, []);
    return nodes.length;
  });
}

/** Which hold a node's deletion waits in. */
export function holdOf(records: DeviceRecords, node: NodeId): string | null {
  const found = readHolds(records).holds.find(({ nodes }) => nodes.includes(node));
  return found?.id ?? null;
}

/** All holds for people, oldest first. */
export function listHolds(view: Pick<TreeView, "get">, records: DeviceRecords): HoldReport[] {
  return readHolds(records).holds.map(({ id, direction, nodes, of }) => {
    return { id, direction, deletes: nodes.length, of, sample: sampleOf(view, nodes) };
  });
}

function sampleOf(view: Pick<TreeView, "get">, nodes: readonly NodeId[]): string[] {
  const held = new Set(nodes);
  const tops: NodeId[] = [];
  const others: NodeId[] = [];
  for (const id of nodes) {
    if (tops.length >= MAX_SAMPLE) break;
    const row = view.get(id);
    const parent = (row?.remote ?? row?.local)?.parent;
    if (parent === undefined || !held.has(parent)) tops.push(id);
    else if (others.length < MAX_SAMPLE) others.push(id);
  }
  const paths = [...tops, ...others].slice(0, MAX_SAMPLE).map((id) => shownPath(view, id));
  return paths.sort((a, b) => (a < b ? -1 : 1));
}
