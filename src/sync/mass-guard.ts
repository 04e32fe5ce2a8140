import { toHex } from "#core/bytes.ts";
import type { NodeId } from "#core/ids.ts";
import { sameBody } from "#core/node.ts";
import type { Chance, Clock, Log } from "#core/world.ts";
import { Draft } from "./draft.ts";
import type { Tell } from "./events.ts";
import {
  isGoing,
  readDone,
  readHolds,
  writeDone,
  writeHolds,
  type Hold,
  type Holds,
} from "./holds.ts";
import {
  BURST_MS,
  DIRECTIONS,
  judge,
  waitMs,
  type Burst,
  type Direction,
  type HoldLimits,
} from "./mass.ts";
import { rebind, type Fresh } from "./normalise.ts";
import type { Going } from "./withheld.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";

export type GuardWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly log: Log;
  readonly fresh: Fresh;
  readonly nameKey: (name: string) => string;
  readonly tell?: Tell;
};

/** What is known of one direction's deletions only while the engine runs. */
type Watched = {
  /** Let go by the last plan. */
  readonly released: ReadonlySet<NodeId>;
  /** Planned by the last plan, and neither held nor approved. */
  readonly planned: ReadonlySet<NodeId>;
  /** When the first and the last of those came. */
  readonly firstMs: number;
  readonly grownMs: number;
};

const NOBODY: ReadonlySet<NodeId> = new Set();
const UNWATCHED: Watched = { released: NOBODY, planned: NOBODY, firstMs: 0, grownMs: 0 };
const MINUTE_MS = 60_000;
const ID_BYTES = 4;

/**
 * Holds mass deletions back, in both directions, until a person has decided (SPEC MD1–MD7). A plan
 * asks it with `withhold`; what it found is stored with the plan, by `store`.
 */
export class MassGuard {
  readonly #world: GuardWorld;
  readonly #limits: HoldLimits | null;
  readonly #watched: Record<Direction, Watched> = { up: UNWATCHED, down: UNWATCHED };
  #holds: Holds;
  #dueMs = Number.POSITIVE_INFINITY;
  /** How far the server was followed when nothing held was found there again. */
  #comparedAt = -1;

  /** Without limits nothing more is held; what is held stays so (SPEC MD7). */
  constructor(world: GuardWorld, limits: HoldLimits | null) {
    this.#world = world;
    this.#limits = limits;
    this.#holds = readHolds(world.records);
  }

  /** When deletions that wait for more of them are judged anew (ms since 1970). */
  get dueMs(): number {
    return this.#dueMs;
  }

  get isWaiting(): boolean {
    return this.#dueMs !== Number.POSITIVE_INFINITY;
  }

  /** What is held as of the last plan. */
  get holds(): readonly Hold[] {
    return this.#holds.holds;
  }

  /** What a person is asked, as a sentence; null when nothing is held. */
  get question(): string | null {
    const { holds } = this.#holds;
    const deletes = holds.reduce((sum, { nodes }) => sum + nodes.length, 0);
    if (deletes === 0) return null;
    return `${deletes} deletions wait for your yes or no: see lockstep holds.`;
  }

  /**
   * Before a plan, in its transaction: undoes what was rejected here, and what others have undone
   * (SPEC MD6). `sequence`: how far the server was followed. True when a row changed.
   */
  prepare(sequence: number): boolean {
    const { trees, records, nameKey } = this.#world;
    this.#holds = readHolds(records);
    const { holds, rejected } = this.#holds;
    const draft = new Draft(trees, nameKey);
    for (const id of rejected.up) bringBack(draft, id);
    for (const id of rejected.down) this.#keep(draft, id);
    this.#holds = { ...this.#holds, rejected: { up: [], down: [] } };
    if (sequence !== this.#comparedAt) {
      const compared = draft.records().length;
      for (const { direction, nodes } of holds) {
        for (const id of direction === "down" ? nodes : []) this.#joinReturned(draft, id);
      }
      if (draft.records().length === compared) this.#comparedAt = sequence;
    }
    const changed = draft.records();
    for (const row of changed) trees.put(row);
    return changed.length > 0;
  }

  /** What a plan has to leave alone; called once a plan. */
  readonly withhold = (going: Going): ReadonlySet<NodeId> => {
    this.#dueMs = Number.POSITIVE_INFINITY;
    const kept = new Set<NodeId>();
    for (const direction of DIRECTIONS) {
      this.#forgetDone(direction, new Set(going[direction]));
      for (const id of this.#withheld(direction, going)) kept.add(id);
    }
    return kept;
  };

  /** After a plan, in its transaction: stores what is held, and tells of it. */
  store(): void {
    const { records, log, tell } = this.#world;
    for (const { id, decision, direction, deletes } of this.#holds.answers) {
      log.info("hold-decided", { id, decision, direction, deletes });
      tell?.({ kind: decision === "approve" ? "approved" : "rejected", id, direction, deletes });
    }
    this.#holds = { ...this.#holds, answers: [] };
    writeHolds(records, this.#holds);
  }

  /** Nodes that are gone, or stay for reasons of their own, are neither held nor approved. */
  #forgetDone(direction: Direction, going: ReadonlySet<NodeId>): void {
    const { trees } = this.#world;
    const isLeft = (id: NodeId): boolean => going.has(id) || isGoing(trees.get(id), direction);
    const { approved } = this.#holds;
    const holds = this.#holds.holds.flatMap((hold) => {
      if (hold.direction !== direction) return [hold];
      const nodes = hold.nodes.filter(isLeft);
      return nodes.length === 0 ? [] : [{ ...hold, nodes }];
    });
    const left = { ...approved, [direction]: approved[direction].filter(isLeft) };
    this.#holds = { ...this.#holds, holds, approved: left };
    const { released } = this.#watched[direction];
    this.#countDone(direction, [...released].filter((id) => !going.has(id)).length);
  }

  #countDone(direction: Direction, count: number): void {
    const { records, clock } = this.#world;
    const minute = Math.floor(clock.nowMs() / MINUTE_MS);
    const before = readDone(records, direction);
    const recent = before.filter(([at]) => at > minute - BURST_MS / MINUTE_MS && at <= minute);
    if (count === 0 && recent.length === before.length) return;
    const [last, others] = [recent.at(-1), recent.slice(0, -1)];
    const isSame = last?.[0] === minute;
    const done = isSame ? [...others, [minute, last[1] + count] as const] : recent;
    const isNew = !isSame && count > 0;
    writeDone(records, direction, isNew ? [...done, [minute, count]] : done);
  }

  #withheld(direction: Direction, going: Going): readonly NodeId[] {
    const own = this.#holds.holds.filter((hold) => hold.direction === direction);
    const held = own.flatMap(({ nodes }) => nodes);
    const decided = new Set([...held, ...this.#holds.approved[direction]]);
    const planned = going[direction].filter((id) => !decided.has(id));
    const { watched, burst } = this.#measure(direction, going, planned, held.length);
    let released: readonly NodeId[] = [];
    const verdict = this.#limits === null ? "go" : this.#judge(burst, this.#limits, own);
    if (verdict === "go") released = planned;
    else if (verdict === "wait") {
      this.#dueMs = Math.min(this.#dueMs, this.#world.clock.nowMs() + waitMs(burst));
    } else this.#hold(direction, planned, burst, verdict);
    this.#watched[direction] = { ...watched, released: new Set(released) };
    return released === planned ? held : [...held, ...planned];
  }

  /** What follows a hold soon belongs to it. */
  #judge(burst: Burst, limits: HoldLimits, own: readonly Hold[]): "go" | "wait" | "hold" | Hold {
    const nowMs = this.#world.clock.nowMs();
    const open = own.find(({ grownMs }) => nowMs >= grownMs && nowMs - grownMs < BURST_MS);
    return open !== undefined && burst.planned > 0 ? open : judge(burst, limits);
  }

  #measure(
    direction: Direction,
    going: Going,
    planned: readonly NodeId[],
    held: number,
  ): { watched: Watched; burst: Burst } {
    const { records, clock } = this.#world;
    const nowMs = clock.nowMs();
    const before = this.#watched[direction];
    const isFirst = before.planned.size === 0;
    const isGrown = planned.some((id) => !before.planned.has(id));
    const watched = {
      ...before,
      planned: new Set(planned),
      firstMs: isFirst ? nowMs : before.firstMs,
      grownMs: isGrown ? nowMs : before.grownMs,
    };
    const done = readDone(records, direction).reduce((sum, [, count]) => sum + count, 0);
    const isEmpty = planned.length === 0;
    const present = isEmpty ? 0 : records.count(direction === "up" ? "remote" : "local");
    const agreed = isEmpty ? 0 : records.count("synced");
    const burst: Burst = {
      planned: planned.length,
      done,
      doubtful: direction === "up" ? going.doubtful : 0,
      of: present - held + done,
      staying: Math.max(0, agreed - going.up.length - going.down.length),
      // Its own two looks are what tells that a person here has done.
      quietMs: direction === "up" ? Number.POSITIVE_INFINITY : nowMs - watched.grownMs,
      waitingMs: nowMs - watched.firstMs,
    };
    return { watched, burst };
  }

  #hold(direction: Direction, nodes: readonly NodeId[], { of }: Burst, joins: Hold | "hold"): void {
    const { clock, chance, log, tell } = this.#world;
    const nowMs = clock.nowMs();
    const { holds } = this.#holds;
    if (joins !== "hold") {
      const grown = { ...joins, nodes: [...joins.nodes, ...nodes], grownMs: nowMs };
      const all = holds.map((hold) => (hold === joins ? grown : hold));
      this.#holds = { ...this.#holds, holds: all };
      return;
    }
    const id = toHex(chance.bytes(ID_BYTES));
    const hold: Hold = { id, direction, nodes, of, sinceMs: nowMs, grownMs: nowMs };
    this.#holds = { ...this.#holds, holds: [...holds, hold] };
    log.warn("deletions-held", { id, direction, deletes: nodes.length, of });
    tell?.({ kind: "held", id, direction, deletes: nodes.length });
  }

  /** Deleted at the server and to stay: it is created there again (SPEC PL4's way). */
  #keep(draft: Draft, id: NodeId): void {
    const row = draft.get(id);
    if (isGoing(row, "down")) rebind(draft, row, this.#world.fresh);
  }

  /** The server has the same again under that name: there is nothing left to ask. */
  #joinReturned(draft: Draft, id: NodeId): void {
    const row = draft.get(id);
    if (!isGoing(row, "down") || !row.local?.content) return;
    const { parent, name, content } = row.local;
    const isBack = draft.named("remote", parent, name).some((other) => {
      if (other.local !== null || other.remote === null || other.kind !== row.kind) return false;
      return sameBody(other.remote.content, content);
    });
    if (isBack) rebind(draft, row, this.#world.fresh);
  }
}

/** Deleted on the disk and to stay: it is brought from the server again. */
function bringBack(draft: Draft, id: NodeId): void {
  const row = draft.get(id);
  if (isGoing(row, "up")) draft.put({ ...row, synced: null });
}
