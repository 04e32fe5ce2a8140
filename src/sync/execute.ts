import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { Place } from "#core/node.ts";
import { MAX_DEPTH } from "#protocol/limits.ts";
import { announcedContent, announcedStructure, contentOf } from "./announced.ts";
import type { Draft } from "./draft.ts";
import { shownPath } from "./paths.ts";
import type { LocalOp } from "./planner.ts";
import { Progress, type ProgressWorld } from "./progress.ts";
import type { Staged } from "./stage.ts";
import { Steps, type StepsWorld } from "./steps.ts";
import { PARK_NODE } from "./tree.ts";

export type ExecuteWorld = StepsWorld & ProgressWorld;

/** Rows are stored after so many steps: a crash before costs a look, never a file. */
const FLUSH_STEPS = 256;

/** `waiting`: for something that is being visited; it may be possible when that is done. */
type State = "visiting" | "waiting" | "done" | "blocked";

/**
 * Carries out a plan's steps on the disk in an order that is always possible (SPEC EX1): folders
 * before what goes into them, a name is vacated before it is taken, rings of names go through park.
 * A step that is not possible now is left for the next plan; the others go on.
 */
export class Executor {
  readonly #world: ExecuteWorld;
  readonly #progress: Progress;
  readonly #steps: Steps;
  readonly #ops = new Map<NodeId, LocalOp[]>();
  readonly #state = new Map<NodeId, State>();
  /** Nodes whose folder is being made by somebody who waits for them to leave. */
  readonly #waiting = new Set<NodeId>();
  readonly #failed = new Set<NodeId>();
  readonly #raced = new Set<NodeId>();

  constructor(world: ExecuteWorld, ops: readonly LocalOp[]) {
    this.#world = world;
    this.#progress = new Progress(world);
    this.#steps = new Steps(world, this.#progress);
    for (const op of ops) {
      const own = this.#ops.get(op.id);
      if (own === undefined) this.#ops.set(op.id, [op]);
      else own.push(op);
    }
  }

  /** Steps that succeeded. */
  get steps(): number {
    return this.#progress.steps;
  }

  /** Nodes whose step met a problem that looking again does not heal. */
  get failed(): ReadonlySet<NodeId> {
    return this.#failed;
  }

  /** Nodes whose place was not as planned. */
  get raced(): ReadonlySet<NodeId> {
    return this.#raced;
  }

  /** Where the bytes of removed files still are: others may be built from them. */
  get held(): ReadonlyMap<NodeId, string> {
    return this.#steps.held;
  }

  get #draft(): Draft {
    return this.#progress.draft;
  }

  /** Everything but contents: folders, moves, removals, the executable bit. */
  async rearrange(signal: AbortSignal): Promise<void> {
    const rowOf = this.#draft.get.bind(this.#draft);
    this.#progress.announce(announcedStructure(this.#ops, rowOf));
    for (const [id, ops] of this.#ops) {
      signal.throwIfAborted();
      if (ops.some((op) => contentOf(op) === null)) await this.#perform(id);
      if (this.#progress.unstored >= FLUSH_STEPS) await this.#progress.flush();
    }
    await this.#progress.flush();
  }

  /**
   * Puts contents in place, as far as they are staged: of nodes that are created or replaced. Their
   * displacement and their placing are written ahead, all in one transaction.
   */
  async publish(files: ReadonlyMap<NodeId, Staged>, nodes: readonly NodeId[]): Promise<void> {
    const ready: { readonly op: LocalOp; readonly staged: Staged }[] = [];
    for (const id of nodes) {
      const op = this.#ops.get(id)?.find((each) => contentOf(each) !== null);
      if (op === undefined) continue;
      await this.#try(id, async () => {
        const staged = files.get(id) ?? (await this.#steps.stageLink(op));
        if (staged !== null) ready.push({ op, staged });
      });
    }
    this.#progress.announce(
      ready.flatMap(({ op, staged }) => {
        const row = this.#draft.get(op.id);
        return row === undefined ? [] : (announcedContent(row, op, staged) ?? []);
      }),
    );
    for (const { op, staged } of ready) await this.#try(op.id, () => this.#putInPlace(op, staged));
    await this.#progress.flush();
  }

  /**
   * Steps without those of files for which nothing is fetched yet: their folder could not be made,
   * or a folder has their name that could not go.
   */
  async possible(ops: readonly LocalOp[]): Promise<LocalOp[]> {
    const possible: LocalOp[] = [];
    for (const op of ops) {
      const isFetched = op.kind === "create" && contentOf(op) !== null;
      if (isFetched && !this.#isThere(op.target.place.parent)) continue;
      if (!isFetched || !(await this.#isNameKept(op))) possible.push(op);
    }
    return possible;
  }

  async #putInPlace(op: LocalOp, staged: Staged): Promise<void> {
    if (op.kind === "create" && !(await this.#freePlace(op.id, op.target.place))) return;
    await this.#steps.putInPlace(op, staged);
  }

  #isThere(folder: NodeId): boolean {
    return folder === ROOT_NODE || Boolean(this.#draft.get(folder)?.local);
  }

  /** True when a folder that could not go has the name: what is to be there waits for that. */
  async #isNameKept(op: LocalOp): Promise<boolean> {
    if (!this.#world.problems.has("write", "not-empty")) return false;
    const place = op.kind === "create" ? op.target.place : op.kind === "move" ? op.to : null;
    for (const { id } of place === null
      ? []
      : this.#draft.named("local", place.parent, place.name)) {
      const problem = this.#world.problems.at("write", shownPath(this.#draft, id));
      if (problem?.code !== "not-empty" || id === op.id) continue;
      const error = new WorldError(problem.code, problem.message);
      await this.#try(op.id, () => Promise.reject(error));
      return true;
    }
    return false;
  }

  /** Performs a node's structural step and, before it, whatever it needs. */
  async #perform(id: NodeId): Promise<State> {
    const known = this.#state.get(id);
    if (known !== undefined) return known;
    this.#state.set(id, "visiting");
    let state: State = "done";
    for (const op of this.#ops.get(id) ?? []) {
      if (contentOf(op) !== null) continue;
      if (!(await this.#prepare(op))) {
        await this.#isNameKept(op);
        state = "blocked";
        break;
      }
      if (!(await this.#try(id, () => this.#steps.take(op)))) {
        state = "blocked";
        break;
      }
    }
    if (this.#waiting.delete(id) && state === "blocked") {
      this.#state.delete(id);
      return "waiting";
    }
    this.#state.set(id, state);
    return state;
  }

  /** True when nothing stands in the way of a step any more. */
  async #prepare(op: LocalOp): Promise<boolean> {
    switch (op.kind) {
      case "create":
        return this.#freePlace(op.id, op.target.place);
      case "move":
        return (await this.#freePlace(op.id, op.to)) && this.#leaveOwnSubtree(op.id, op.to);
      case "remove":
        return this.#emptyFolder(op.id);
      case "replace":
      case "set-executable":
        return true;
    }
  }

  /** The folder is there and nobody else has the name. */
  async #freePlace(id: NodeId, place: Place): Promise<boolean> {
    if (!this.#isThere(place.parent)) {
      const state = await this.#perform(place.parent);
      if (state === "visiting" || state === "waiting") this.#waiting.add(id);
      if (state !== "done" || !this.#isThere(place.parent)) return false;
    }
    for (const other of this.#draft.named("local", place.parent, place.name)) {
      if (other.id === id || other.local === null) continue;
      if (!(await this.#vacate(other.id))) return false;
    }
    return true;
  }

  /** Makes a node leave its place: by its own step, or into park when that waits for us. */
  async #vacate(id: NodeId): Promise<boolean> {
    const leaves = (this.#ops.get(id) ?? []).some(
      ({ kind }) => kind === "move" || kind === "remove",
    );
    if (!leaves) return false;
    const state = await this.#perform(id);
    if (state === "visiting" || state === "waiting") {
      return this.#try(id, () => this.#steps.park(id));
    }
    return state === "done";
  }

  /** A folder cannot move below itself: what it moves into comes out first. */
  async #leaveOwnSubtree(id: NodeId, to: Place): Promise<boolean> {
    for (let depth = 0; depth <= MAX_DEPTH; depth++) {
      const chain: NodeId[] = [];
      let at = to.parent;
      while (at !== ROOT_NODE && at !== PARK_NODE && at !== id && chain.length <= MAX_DEPTH) {
        chain.push(at);
        at = this.#draft.get(at)?.local?.parent ?? ROOT_NODE;
      }
      if (at !== id) return true;
      const mover = chain.findLast((folder) =>
        (this.#ops.get(folder) ?? []).some(({ kind }) => kind === "move"),
      );
      if (mover === undefined || !(await this.#vacate(mover))) return false;
    }
    return false;
  }

  async #emptyFolder(id: NodeId): Promise<boolean> {
    if (this.#draft.get(id)?.kind !== "folder") return true;
    for (const child of this.#draft.children("local", id)) {
      if (await this.#vacate(child.id)) continue;
      if (this.#steps.kept.has(child.id)) {
        await this.#try(id, () => this.#steps.keep(id, child.local?.name));
      }
      return false;
    }
    return true;
  }

  /** Runs one step; its failure is this path's problem alone. */
  async #try(id: NodeId, step: () => Promise<void>): Promise<boolean> {
    const { problems, clock, lookAgain } = this.#world;
    const path = shownPath(this.#draft, id);
    try {
      await step();
      problems.clear("write", path);
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (code === "unexpected") throw error;
      const row = this.#draft.get(id);
      // A step that ends in its middle has left something in park.
      for (const folder of [row?.local?.parent, row?.remote?.parent, PARK_NODE]) {
        if (folder !== undefined) lookAgain(folder);
      }
      if (code === "raced") this.#raced.add(id);
      else {
        this.#failed.add(id);
        problems.report("write", { path, code, message: messageOf(error) }, clock.nowMs());
      }
      return false;
    }
  }
}
