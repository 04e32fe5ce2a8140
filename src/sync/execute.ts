import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { ROOT_NODE, type ContentHash, type NodeId } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import { samePlace, type Place } from "#core/node.ts";
import { MAX_DEPTH } from "#protocol/limits.ts";
import { Draft } from "./draft.ts";
import type { Tell, Where } from "./events.ts";
import { sameBytesStamp } from "./hold.ts";
import type { IgnoreRules } from "./ignore.ts";
import { pathOf, shownPath } from "./paths.ts";
import type { LocalOp } from "./planner.ts";
import type { DeviceRecords, Entry, TreeStore } from "./ports.ts";
import type { Problems } from "./problems.ts";
import * as publish from "./publish.ts";
import type { Staged } from "./stage.ts";
import { PARK_NODE, type LocalSide, type NodeRow } from "./tree.ts";
import type { Unsynced } from "./unsynced.ts";

export type ExecuteWorld = publish.PublishWorld & {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly problems: Problems;
  readonly rules: IgnoreRules;
  readonly nameKey: (name: string) => string;
  readonly unsynced: Unsynced;
  /** Asks for another look at a folder whose contents were not as planned. */
  readonly lookAgain: (folder: NodeId) => void;
  /** Tells of a folder that the engine made (to be watched) or removed. */
  readonly folderMade: (folder: NodeId, path: string) => void;
  readonly folderRemoved: (folder: NodeId) => void;
  readonly tell?: Tell;
  /** True when what is brought to the disk is the doing of a command on this device. */
  readonly isCommanded?: (node: NodeId) => boolean;
};

/** Records are stored after so many steps: a crash before costs a look, never a file. */
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
  #draft: Draft;
  readonly #ops = new Map<NodeId, LocalOp[]>();
  readonly #state = new Map<NodeId, State>();
  /** Nodes whose folder is being made by somebody who waits for them to leave. */
  readonly #waiting = new Set<NodeId>();
  /** Files whose bytes the engine put in place: others may be built from their chunks. */
  readonly #written = new Map<NodeId, ContentHash>();
  readonly #failed = new Set<NodeId>();
  readonly #raced = new Set<NodeId>();
  /** Where the files are that were removed. */
  readonly #held = new Map<NodeId, string>();
  /** Folders that only what is ignored keeps from being removed. */
  readonly #kept = new Set<NodeId>();
  #unstored = 0;
  #steps = 0;

  constructor(world: ExecuteWorld, ops: readonly LocalOp[]) {
    this.#world = world;
    this.#draft = new Draft(world.trees, world.nameKey);
    for (const op of ops) {
      const own = this.#ops.get(op.id);
      if (own === undefined) this.#ops.set(op.id, [op]);
      else own.push(op);
    }
  }

  /** Steps that succeeded. */
  get steps(): number {
    return this.#steps;
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
    return this.#held;
  }

  /** Everything but contents: folders, moves, removals, the executable bit. */
  async rearrange(signal: AbortSignal): Promise<void> {
    this.#announceStructure();
    for (const id of this.#ops.keys()) {
      signal.throwIfAborted();
      if (this.#isStructural(id)) await this.#perform(id);
      if (this.#unstored >= FLUSH_STEPS) await this.flush();
    }
    await this.flush();
  }

  /**
   * Puts contents in place, as far as they are staged: of nodes that are created or replaced. Their
   * displacement and their placing are written ahead, all in one transaction.
   */
  async publish(files: ReadonlyMap<NodeId, Staged>, nodes: readonly NodeId[]): Promise<void> {
    const staged = new Map(files);
    for (const id of nodes) await this.#try(id, () => this.#stageLink(id, staged));
    const ready = nodes.filter((id) => staged.has(id));
    this.#store(ready.flatMap((id) => this.#announced(id, staged.get(id) ?? null)));
    for (const id of ready) await this.#try(id, () => this.#publishOne(id, staged.get(id) ?? null));
    await this.flush();
  }

  /**
   * Steps without those of files for which nothing is fetched yet: their folder could not be made,
   * or a folder has their name that could not go.
   */
  async possible(ops: readonly LocalOp[]): Promise<LocalOp[]> {
    const possible: LocalOp[] = [];
    for (const op of ops) {
      const isFetched = op.kind === "create" && this.#isContentCreate(op);
      if (isFetched && !this.#isThere(op.target.place.parent)) continue;
      if (!isFetched || !(await this.#isNameKept(op))) possible.push(op);
    }
    return possible;
  }

  #isThere(folder: NodeId): boolean {
    return folder === ROOT_NODE || Boolean(this.#draft.get(folder)?.local);
  }

  /** True when a folder that could not go has the name: what is to be there waits for that. */
  async #isNameKept(op: LocalOp): Promise<boolean> {
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

  /** Links need no bytes from anywhere: they are staged here. */
  async #stageLink(id: NodeId, staged: Map<NodeId, Staged>): Promise<void> {
    const op = this.#contentOp(id);
    if (op === undefined) return;
    const content = op.kind === "create" ? op.target.content : op.kind === "replace" && op.content;
    if (!content || content.kind !== "symlink") return;
    const place = op.kind === "create" ? op.target.place : this.#draft.get(id)?.local;
    // Its folder could not be made: it waits for the next plan.
    if (!place || pathOf(this.#draft, "local", place.parent) === null) return;
    const path = this.#childPath(place);
    staged.set(id, await publish.stageLink(this.#world, id, path, content.target));
  }

  /** Makes the folders touched so far durable, then stores what was done in them. */
  async flush(): Promise<void> {
    const { unsynced, lookAgain } = this.#world;
    for (const folder of await unsynced.sync(this.#draft)) lookAgain(folder);
    this.#unstored = 0;
    // What lies in a folder that was not where it should be is found by the next look.
    const isDurable = ({ local }: NodeRow): boolean =>
      local === null || !unsynced.folders.has(local.parent);
    const records = this.#draft.records().filter(isDurable);
    if (records.length === 0) return;
    this.#world.trees.transaction(() => {
      for (const row of records) this.#world.trees.put(row);
      for (const [id, content] of this.#written) {
        this.#world.records.setSources(id, this.#world.records.manifest(content) ?? null);
      }
    });
    this.#written.clear();
    this.#draft = new Draft(this.#world.trees, this.#world.nameKey);
  }

  /** The row of a node that is about to be created or replaced, with what is about to happen. */
  #announced(id: NodeId, staged: Staged | null): NodeRow[] {
    const op = this.#contentOp(id);
    const row = this.#draft.get(id);
    if (op === undefined || row === undefined) return [];
    const content = op.kind === "create" ? op.target.content : op.kind === "replace" && op.content;
    const place = op.kind === "create" ? op.target.place : row.local;
    if (!content || place === null) return [];
    const { parent, name } = place;
    const placing = staged === null ? null : { parent, name, content, file: staged.stat.file };
    return [{ ...row, displacing: row.local?.file ?? null, placing }];
  }

  /**
   * Files are deleted only after their deletion is on record, bound to the inode; folders are made,
   * and things moved to where the server has them, after it is on record that this is the engine's
   * doing and no person's (SPEC EX4).
   */
  #announceStructure(): void {
    const rows: NodeRow[] = [];
    for (const [id, ops] of this.#ops) {
      const row = this.#draft.get(id);
      for (const op of row === undefined ? [] : ops) {
        if (op.kind === "remove" && row?.local && row.kind !== "folder") {
          rows.push({ ...row, displacing: row.local.file });
        } else if (op.kind === "create" && row?.kind === "folder") {
          const { place, content } = op.target;
          const { parent, name } = place;
          rows.push({ ...row, placing: { parent, name, content, file: null } });
        } else if (op.kind === "move" && row?.local && row.synced && row.remote) {
          if (!samePlace(op.to, row.remote)) continue;
          const { parent, name } = op.to;
          const { content } = row.synced;
          rows.push({ ...row, placing: { parent, name, content, file: row.local.file } });
        }
      }
    }
    this.#store(rows);
  }

  #store(rows: readonly NodeRow[]): void {
    if (rows.length === 0) return;
    this.#world.trees.transaction(() => {
      for (const row of rows) this.#world.trees.put(row);
    });
    for (const row of rows) this.#draft.put(row);
  }

  #isStructural(id: NodeId): boolean {
    const ops = this.#ops.get(id) ?? [];
    return ops.some((op) => op.kind !== "replace" && !this.#isContentCreate(op));
  }

  #isContentCreate(op: LocalOp): boolean {
    return op.kind === "create" && op.target.content.kind !== "folder";
  }

  #contentOp(id: NodeId): LocalOp | undefined {
    const ops = this.#ops.get(id) ?? [];
    return ops.find((op) => op.kind === "replace" || this.#isContentCreate(op));
  }

  /** Performs a node's structural step and, before it, whatever it needs. */
  async #perform(id: NodeId): Promise<State> {
    const known = this.#state.get(id);
    if (known !== undefined) return known;
    this.#state.set(id, "visiting");
    let state: State = "done";
    for (const op of this.#ops.get(id) ?? []) {
      if (op.kind === "replace" || this.#isContentCreate(op)) continue;
      if (!(await this.#prepare(op))) {
        await this.#isNameKept(op);
        state = "blocked";
        break;
      }
      if (!(await this.#try(id, () => this.#step(op)))) {
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
    if (state === "visiting" || state === "waiting") return this.#try(id, () => this.#park(id));
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
      if (this.#kept.has(child.id)) await this.#try(id, () => this.#keep(id, child.local?.name));
      return false;
    }
    return true;
  }

  async #step(op: LocalOp): Promise<void> {
    const row = this.#draft.get(op.id);
    if (row === undefined) return;
    switch (op.kind) {
      case "create":
        return this.#makeFolder(row, op.target.place);
      case "move":
        return this.#move(row, op.to);
      case "remove":
        return this.#remove(row);
      case "set-executable":
        return this.#setExecutable(row, op.executable);
      case "replace":
        return undefined;
    }
  }

  async #makeFolder(row: NodeRow, place: Place): Promise<void> {
    const path = this.#childPath(place);
    this.#world.unsynced.note(place.parent);
    this.#done(row, await publish.createFolder(this.#world, path, place));
    this.#world.folderMade(row.id, path);
    this.#tellOf(row, "created", path);
  }

  async #move(row: NodeRow, to: Place): Promise<void> {
    const { local } = row;
    if (local === null || samePlace(local, to)) return;
    const from = this.#path(row.id);
    const paths = { from, to: this.#childPath(to) };
    const shownFrom = shownPath(this.#draft, row.id);
    this.#world.unsynced.note(local.parent, to.parent);
    const moved = await publish.move(this.#world, row, paths, local, to);
    this.#done(row, moved);
    const event = { kind: "moved", where: this.#whereOf(row.id), node: row.kind } as const;
    this.#world.tell?.({ ...event, from: shownFrom, path: paths.to });
  }

  async #park(id: NodeId): Promise<void> {
    const row = this.#draft.get(id);
    if (!row?.local || row.local.parent === PARK_NODE) return;
    this.#world.unsynced.note(row.local.parent, PARK_NODE);
    this.#done(row, await publish.park(this.#world, row, this.#path(id), row.local));
  }

  async #remove(row: NodeRow): Promise<void> {
    const { local } = row;
    if (local === null) return;
    const path = this.#path(row.id);
    this.#world.unsynced.note(local.parent);
    try {
      const held = await publish.remove(this.#world, row, path, local);
      if (held !== null) this.#held.set(row.id, held);
    } catch (error) {
      if (row.kind === "folder" && codeOf(error) === "raced") await this.#expectToGo(row.id, path);
      throw error;
    }
    const synced = row.remote === null ? null : row.synced;
    this.#draft.put({ ...row, local: null, synced, displacing: null, placing: null });
    if (row.kind === "folder") this.#world.folderRemoved(row.id);
    this.#tellOf(row, "deleted", path);
    this.#count();
  }

  /** Throws when looking again finds nothing new in a folder: only what is ignored keeps it. */
  async #expectToGo(id: NodeId, path: string): Promise<void> {
    const { disk, rules } = this.#world;
    const { entries } = await disk.look.list(path);
    const isIgnored = ({ name, kind }: Entry): boolean =>
      rules.ignoresEntry(joinPath(path, name), kind === "folder");
    if (entries.every(isIgnored)) await this.#keep(id, entries[0]?.name);
  }

  /** A folder that cannot go stays for what is ignored in it, and so do those above it. */
  async #keep(id: NodeId, name: string | undefined): Promise<void> {
    if (name === undefined) return;
    this.#kept.add(id);
    const detail = `${name} in it is ignored, or holds what is, and keeps it here`;
    const next = "delete the folder, or move that out";
    const path = shownPath(this.#draft, id);
    throw new WorldError("not-empty", `${path} was deleted elsewhere: ${detail}; ${next}.`);
  }

  async #setExecutable(row: NodeRow, executable: boolean): Promise<void> {
    const { local } = row;
    if (local === null) return;
    const path = this.#path(row.id);
    const stat = await this.#world.disk.look.stat(path);
    if (stat?.file !== local.file || stat.stamp.ctimeNs !== local.stamp.ctimeNs) {
      throw publish.raced(path);
    }
    if (stat.links > 1) return this.#setExecutableAlone(row, local, path, executable);
    const after = await this.#world.disk.change.setExecutable(path, executable);
    // A file that was saved over it in this moment has the bit now, and bytes that nobody read.
    if (after.file !== local.file || !sameBytesStamp(after.stamp, local.stamp)) {
      throw publish.raced(path);
    }
    const content = local.content?.kind === "file" ? { ...local.content, executable } : null;
    this.#done(row, publish.touched(local, after, content));
    this.#tellOf(row, "changed", path);
  }

  /** The bit is the inode's: a file with other names gets one of its own (SPEC SC5). */
  async #setExecutableAlone(
    row: NodeRow,
    local: LocalSide,
    path: string,
    executable: boolean,
  ): Promise<void> {
    if (local.content?.kind !== "file") throw publish.raced(path);
    const content = { ...local.content, executable };
    const staged = await publish.stageCopy(this.#world, row.id, path, local.stamp, executable);
    const { parent, name } = local;
    const placing = { parent, name, content, file: staged.stat.file };
    this.#store([{ ...row, displacing: local.file, placing }]);
    this.#world.unsynced.note(parent);
    const after = await publish.replace(this.#world, row, path, local, content, staged);
    this.#done(row, after, content);
    this.#tellOf(row, "changed", path);
  }

  async #publishOne(id: NodeId, staged: Staged | null): Promise<void> {
    const op = this.#contentOp(id);
    const row = this.#draft.get(id);
    if (op === undefined || row === undefined) return;
    if (op.kind === "create") {
      const { place, content } = op.target;
      if (!(await this.#freePlace(id, place))) return;
      const path = this.#childPath(place);
      this.#world.unsynced.note(place.parent);
      const after = await publish.create(this.#world, path, place, content, staged);
      this.#done(row, after, content);
      if (content.kind === "file") this.#written.set(id, content.sha256);
      this.#tellOf(row, "created", path);
    } else if (op.kind === "replace" && row.local !== null) {
      const { local } = row;
      const path = this.#path(id);
      this.#world.unsynced.note(local.parent);
      const after = await publish.replace(this.#world, row, path, local, op.content, staged);
      this.#done(row, after, op.content);
      if (op.content.kind === "file") this.#written.set(id, op.content.sha256);
      this.#tellOf(row, "changed", path);
    }
  }

  #done(row: NodeRow, local: LocalSide, written = local.content): void {
    const synced = publish.agreedSide(row, local, written);
    this.#draft.put({ ...row, local, synced, displacing: null, placing: null });
    this.#count();
  }

  #tellOf(
    { id, kind: node }: NodeRow,
    kind: "created" | "changed" | "deleted",
    path: string,
  ): void {
    this.#world.tell?.({ kind, where: this.#whereOf(id), node, path });
  }

  #whereOf(id: NodeId): Where {
    return this.#world.isCommanded?.(id) === true ? "here" : "elsewhere";
  }

  #count(): void {
    this.#steps++;
    this.#unstored++;
  }

  #path(id: NodeId): string {
    const path = pathOf(this.#draft, "local", id);
    if (path === null) throw publish.raced(shownPath(this.#draft, id));
    return path;
  }

  #childPath(place: Place): string {
    const folder = pathOf(this.#draft, "local", place.parent);
    if (folder === null) throw publish.raced(place.name);
    return joinPath(folder, place.name);
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
