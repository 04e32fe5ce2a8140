import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { FOLDER, samePlace, type Content, type Place } from "#core/node.ts";
import type { LocalOp } from "#sync/planner.ts";
import { agreedSide } from "#sync/publish.ts";
import { PARK_NODE, type FileKey, type LocalSide, type NodeRow, type Placing } from "#sync/tree.ts";
import type { Draw } from "./chance.ts";
import type { FewRows } from "./planner-rows.ts";

export type StepFaults = {
  /** Share of steps that fail for reasons of the disk. */
  readonly failing: number;
  /** Share of steps in which the process ends, before or after the act and before its record. */
  readonly crashing: number;
};

export const NO_STEP_FAULTS: StepFaults = { failing: 0, crashing: 0 };

const STAMP = { sizeBytes: 0, mtimeNs: 0n, ctimeNs: 0n };

/** A local side as a look would write it. */
export function seen(place: Place, content: Content, file: FileKey): LocalSide {
  return {
    parent: place.parent,
    name: place.name,
    content,
    file,
    stamp: STAMP,
    executable: content.kind === "file" && content.executable,
    racy: false,
    blind: null,
    missedMs: null,
    parkedFrom: null,
  };
}

/**
 * A plan's steps on a disk that is nothing but the local sides: in any order in which they are
 * possible, what waits in a ring by way of park, contents last. What the executor would leave for
 * the next plan (SPEC EX1) is left here.
 */
export class Steps {
  readonly #rows: FewRows;
  readonly #draw: Draw;
  readonly #faults: StepFaults;
  readonly #newFile: () => FileKey;
  #waiting: LocalOp[] = [];
  #crashed = false;
  /** Steps that were done, by kind. */
  readonly done: LocalOp["kind"][] = [];

  constructor(rows: FewRows, draw: Draw, faults: StepFaults, newFile: () => FileKey) {
    this.#rows = rows;
    this.#draw = draw;
    this.#faults = faults;
    this.#newFile = newFile;
  }

  /** False when the process ended on the way. */
  run(ops: readonly LocalOp[]): boolean {
    const shuffled = this.#draw.shuffle([...ops]);
    this.#waiting = shuffled.filter((op) => !isOfContent(op));
    this.#runWaiting();
    this.#waiting.push(...shuffled.filter(isOfContent));
    this.#runWaiting();
    return !this.#crashed;
  }

  #runWaiting(): void {
    for (let again = true; again && !this.#crashed;) {
      again = this.#runPossible();
      if (!again) again = this.#parkOne();
    }
  }

  #runPossible(): boolean {
    let any = false;
    const left: LocalOp[] = [];
    for (const op of this.#waiting) {
      if (this.#crashed) return false;
      if (!this.#isPossible(op)) left.push(op);
      else if (!this.#draw.chance(this.#faults.failing)) {
        any = true;
        this.#do(op);
      }
    }
    this.#waiting = left;
    return any;
  }

  /** Somebody in a ring has to leave first. */
  #parkOne(): boolean {
    for (const op of this.#waiting) {
      const row = this.#rows.get(op.id);
      if (op.kind !== "move" || !row?.local || row.local.parent === PARK_NODE) continue;
      const { parent, name } = row.local;
      const local = { ...row.local, parent: PARK_NODE, name: op.id, parkedFrom: { parent, name } };
      this.#rows.put({ ...row, local });
      return true;
    }
    return false;
  }

  #isPossible(op: LocalOp): boolean {
    if (op.kind === "create") return this.#isFree(op.id, op.target.place);
    if (op.kind === "move") return this.#isFree(op.id, op.to) && !this.#isBelow(op.id, op.to);
    return op.kind !== "remove" || this.#rows.children("local", op.id).length === 0;
  }

  #isFree(id: NodeId, { parent, name }: Place): boolean {
    if (parent !== ROOT_NODE && !this.#rows.get(parent)?.local) return false;
    return this.#rows.named("local", parent, name).every((other) => other.id === id);
  }

  #isBelow(id: NodeId, { parent }: Place): boolean {
    let at = parent;
    while (at !== ROOT_NODE && at !== PARK_NODE && at !== id) {
      at = this.#rows.get(at)?.local?.parent ?? ROOT_NODE;
    }
    return at === id;
  }

  #do(op: LocalOp): void {
    const row = this.#rows.get(op.id);
    if (row === undefined) return;
    if (this.#draw.chance(this.#faults.crashing)) {
      this.#crashed = true;
      this.#halfDone(op, row);
      return;
    }
    this.done.push(op.kind);
    if (op.kind === "remove") {
      const synced = row.remote === null ? null : row.synced;
      this.#rows.put({ ...row, local: null, synced, displacing: null, placing: null });
      return;
    }
    const local = this.#after(op, row);
    if (local === null) return;
    const synced = agreedSide(row, local);
    this.#rows.put({ ...row, local, synced, displacing: null, placing: null });
  }

  /** What the next look finds of a step that was announced and, perhaps, half done (SPEC EX4). */
  #halfDone(op: LocalOp, row: NodeRow): void {
    const { local } = row;
    const isGone = this.#draw.chance(0.5);
    if (op.kind === "remove" && row.kind === "folder") {
      if (isGone) this.#rows.put({ ...row, local: null });
    } else if (op.kind === "remove" || op.kind === "replace") {
      const displacing = local?.file ?? null;
      this.#rows.put({
        ...row,
        local: isGone ? null : local,
        displacing,
        placing: this.#placing(op, row),
      });
    } else if (op.kind === "create") {
      const { place, content } = op.target;
      const { parent, name } = place;
      this.#rows.put({ ...row, placing: { parent, name, content, file: null } });
    } else if (op.kind === "move" && isGone && local !== null) {
      // Done and not recorded: the look finds it where the engine had said that it belongs.
      const { parent, name } = op.to;
      const isThere = row.remote !== null && samePlace(op.to, row.remote);
      const lrev = row.remote?.lrev ?? 0;
      const synced =
        isThere && row.synced !== null ? { ...row.synced, parent, name, lrev } : row.synced;
      const moved = { ...local, parent, name, parkedFrom: null };
      this.#rows.put({ ...row, local: moved, synced });
    }
  }

  #placing(op: LocalOp, { kind, local }: NodeRow): Placing | null {
    if (op.kind !== "replace" || kind !== "file" || local === null) return null;
    const { parent, name } = local;
    return { parent, name, content: op.content, file: this.#newFile() };
  }

  #after(op: Exclude<LocalOp, { kind: "remove" }>, { local }: NodeRow): LocalSide | null {
    if (op.kind === "create") return seen(op.target.place, op.target.content, this.#newFile());
    if (local === null) return null;
    const content = local.content ?? FOLDER;
    if (op.kind === "move") return seen(op.to, content, local.file);
    const { parkedFrom } = local;
    if (op.kind === "replace") return { ...seen(local, op.content, this.#newFile()), parkedFrom };
    if (content.kind !== "file") return null;
    return { ...seen(local, { ...content, executable: op.executable }, local.file), parkedFrom };
  }
}

function isOfContent(op: LocalOp): boolean {
  return op.kind === "replace" || (op.kind === "create" && op.target.content.kind !== "folder");
}
