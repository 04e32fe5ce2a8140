import { codeOf, WorldError } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import { samePlace, type Place } from "#core/node.ts";
import { contentOf } from "./announced.ts";
import type { Draft } from "./draft.ts";
import type { Tell, Where } from "./events.ts";
import { sameBytesStamp } from "./hold.ts";
import type { IgnoreRules } from "./ignore.ts";
import { pathOf, shownPath } from "./paths.ts";
import type { LocalOp } from "./planner.ts";
import type { Entry } from "./ports.ts";
import type { Progress } from "./progress.ts";
import type { Problems } from "./problems.ts";
import * as publish from "./publish.ts";
import type { Staged } from "./stage.ts";
import { PARK_NODE, type NodeRow } from "./tree.ts";
import type { Unsynced } from "./unsynced.ts";

export type StepsWorld = publish.PublishWorld & {
  readonly rules: IgnoreRules;
  readonly unsynced: Unsynced;
  readonly problems: Problems;
  /** Tells of a folder that the engine made (to be watched) or removed. */
  readonly folderMade: (folder: NodeId, path: string) => void;
  readonly folderRemoved: (folder: NodeId) => void;
  readonly tell?: Tell;
  /** True when what is brought to the disk is the doing of a command on this device. */
  readonly isCommanded?: (node: NodeId) => boolean;
};

/**
 * The steps of a plan, each with what it makes of its node's row and what people are told of it.
 * Throws WorldError `raced` when the disk was not as planned.
 */
export class Steps {
  readonly #world: StepsWorld;
  readonly #progress: Progress;
  /** Where the files are that were removed. */
  readonly #held = new Map<NodeId, string>();
  /** Folders that only what is ignored keeps from being removed. */
  readonly #kept = new Set<NodeId>();

  constructor(world: StepsWorld, progress: Progress) {
    this.#world = world;
    this.#progress = progress;
  }

  get held(): ReadonlyMap<NodeId, string> {
    return this.#held;
  }

  get kept(): ReadonlySet<NodeId> {
    return this.#kept;
  }

  get #draft(): Draft {
    return this.#progress.draft;
  }

  /** Any step but those that need a content. */
  async take(op: LocalOp): Promise<void> {
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

  async park(id: NodeId): Promise<void> {
    const row = this.#draft.get(id);
    if (!row?.local || row.local.parent === PARK_NODE) return;
    this.#world.unsynced.note(row.local.parent, PARK_NODE);
    this.#progress.done(row, await publish.park(this.#world, row, this.#path(id), row.local));
  }

  /** Links need no bytes from anywhere: they are staged here. Null for what is no link. */
  async stageLink(op: LocalOp): Promise<Staged | null> {
    const content = contentOf(op);
    if (content?.kind !== "symlink") return null;
    const place = op.kind === "create" ? op.target.place : this.#draft.get(op.id)?.local;
    // Its folder could not be made: it waits for the next plan.
    if (!place || pathOf(this.#draft, "local", place.parent) === null) return null;
    return publish.stageLink(this.#world, op.id, this.#childPath(place), content.target);
  }

  /** Puts a staged content at a free name, or in the place of what the node holds. */
  async putInPlace(op: LocalOp, staged: Staged): Promise<void> {
    const row = this.#draft.get(op.id);
    if (row === undefined) return;
    if (op.kind === "create") {
      const { place, content } = op.target;
      const path = this.#childPath(place);
      this.#world.unsynced.note(place.parent);
      const after = await publish.create(this.#world, path, place, content, staged);
      this.#progress.done(row, after, content);
      this.#progress.wrote(row.id, content);
      this.#tellOf(row, "created", path);
    } else if (op.kind === "replace" && row.local !== null) {
      const { local } = row;
      const path = this.#path(row.id);
      this.#world.unsynced.note(local.parent);
      const after = await publish.replace(this.#world, row, path, local, op.content, staged);
      this.#progress.done(row, after, op.content);
      this.#progress.wrote(row.id, op.content);
      this.#tellOf(row, "changed", path);
    }
  }

  /** A folder that cannot go stays for what is ignored in it, and so do those above it. */
  async keep(id: NodeId, name: string | undefined): Promise<void> {
    if (name === undefined) return;
    this.#kept.add(id);
    const detail = `${name} in it is ignored, or holds what is, and keeps it here`;
    const next = "delete the folder, or move that out";
    const path = shownPath(this.#draft, id);
    throw new WorldError("not-empty", `${path} was deleted elsewhere: ${detail}; ${next}.`);
  }

  async #makeFolder(row: NodeRow, place: Place): Promise<void> {
    const path = this.#childPath(place);
    this.#world.unsynced.note(place.parent);
    this.#progress.done(row, await publish.createFolder(this.#world, path, place));
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
    this.#progress.done(row, moved);
    this.#world.problems.moved(shownFrom, paths.to);
    const event = { kind: "moved", where: this.#whereOf(row.id), node: row.kind } as const;
    this.#world.tell?.({ ...event, from: shownFrom, path: paths.to });
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
    this.#progress.gone(row);
    if (row.kind === "folder") this.#world.folderRemoved(row.id);
    this.#tellOf(row, "deleted", path);
  }

  /** Throws when looking again finds nothing new in a folder: only what is ignored keeps it. */
  async #expectToGo(id: NodeId, path: string): Promise<void> {
    const { disk, rules } = this.#world;
    const { entries } = await disk.look.list(path);
    const isIgnored = ({ name, kind }: Entry): boolean =>
      rules.ignoresEntry(joinPath(path, name), kind === "folder");
    if (entries.every(isIgnored)) await this.keep(id, entries[0]?.name);
  }

  async #setExecutable(row: NodeRow, executable: boolean): Promise<void> {
    const { local } = row;
    if (local === null) return;
    const path = this.#path(row.id);
    const stat = await this.#world.disk.look.stat(path);
    if (stat?.file !== local.file || stat.stamp.ctimeNs !== local.stamp.ctimeNs) {
      throw publish.raced(path);
    }
    if (stat.links > 1) return this.#setExecutableAlone(row.id, executable);
    const after = await this.#world.disk.change.setExecutable(path, executable);
    // A file that was saved over it in this moment has the bit now, and bytes that nobody read.
    if (after.file !== local.file || !sameBytesStamp(after.stamp, local.stamp)) {
      throw publish.raced(path);
    }
    const content = local.content?.kind === "file" ? { ...local.content, executable } : null;
    this.#progress.done(row, publish.touched(local, after, content));
    this.#tellOf(row, "changed", path);
  }

  /** The bit is the inode's: a file with other names gets one of its own (SPEC SC5). */
  async #setExecutableAlone(id: NodeId, executable: boolean): Promise<void> {
    // It may have been moved just now: what is on record by the announcement is durable (SPEC EX7).
    await this.#progress.flush();
    const path = this.#path(id);
    const row = this.#draft.get(id);
    const local = row?.local;
    if (row === undefined || local?.content?.kind !== "file") throw publish.raced(path);
    const content = { ...local.content, executable };
    const staged = await publish.stageCopy(this.#world, id, path, local.stamp, executable);
    const { parent, name } = local;
    const placing = { parent, name, content, file: staged.stat.file };
    this.#progress.announce([{ ...row, displacing: local.file, placing }]);
    this.#world.unsynced.note(parent);
    const after = await publish.replace(this.#world, row, path, local, content, staged);
    this.#progress.done(row, after, content);
    this.#tellOf(row, "changed", path);
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
}
