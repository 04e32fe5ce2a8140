import { WorldError } from "#core/errors.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { MAX_DEPTH } from "#protocol/limits.ts";
import { shownPath } from "./paths.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";

type JudgingWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
};

/**
 * Judges a journal's entries as an honest server has (SPEC SL13, JN6 to JN9, JN13, JN15):
 * where the server's word is not enough, one that lands what its device did not plan on this state
 * of the tree would make its readers undo what others did. Throws WorldError `journal-broken`.
 */
export class Judging {
  readonly #world: JudgingWorld;

  constructor(world: JudgingWorld) {
    this.#world = world;
  }

  /** Before an entry is applied: each of its changes is of the revision that is there. */
  before({ sequence, changes }: Entry): void {
    for (const change of changes) {
      const fault = this.#isUnread(change.node) ? null : this.#staleness(change);
      if (fault !== null) throw this.#broken(sequence, change.node, fault);
    }
  }

  /** A node of which a change could not be read: nobody here knows its revisions any more. */
  noteUnread(node: NodeId): void {
    this.#world.records.setSetting(UNREAD + node, "");
  }

  /** Once it is applied: the tree is one, and no two nodes in a folder have one name. */
  after({ sequence, changes }: Entry): void {
    for (const { node } of changes) {
      const fault = this.#isUnread(node) ? null : this.#misplacement(node);
      if (fault !== null) throw this.#broken(sequence, node, fault);
    }
  }

  #isUnread(node: NodeId): boolean {
    return this.#world.records.setting(UNREAD + node) !== undefined;
  }

  #staleness(change: Change): string | null {
    const remote = this.#world.trees.get(change.node)?.remote ?? null;
    if (change.kind === "create") return remote === null ? null : "makes a node that is there";
    if (remote === null) return `has a ${change.kind} of a node that is not there`;
    const isCurrent =
      (change.kind === "move" || change.crev === remote.crev) &&
      (change.kind === "update" || change.lrev === remote.lrev);
    return isCurrent ? null : `has a ${change.kind} of another revision`;
  }

  #misplacement(node: NodeId): string | null {
    const { trees } = this.#world;
    const remote = trees.get(node)?.remote ?? null;
    if (remote === null) {
      return trees.children("remote", node).length === 0
        ? null
        : "deletes a folder that is not empty";
    }
    const { parent, name } = remote;
    if (trees.named("remote", parent, name).length > 1) return "gives a name that is taken";
    let at = parent;
    for (let depth = 0; at !== ROOT_NODE; depth++) {
      const folder = trees.get(at);
      if (this.#isUnread(at)) return null;
      if (!folder?.remote || folder.kind !== "folder") return "puts something in no folder";
      if (at === node || depth > MAX_DEPTH) return "puts a folder below itself";
      at = folder.remote.parent;
    }
    return null;
  }

  #broken(sequence: number, node: NodeId, fault: string): WorldError {
    const where = `entry ${sequence} ${fault} (${shownPath(this.#world.trees, node)})`;
    return new WorldError(
      "journal-broken",
      `The server's journal is not to be believed: ${where}.`,
    );
  }
}

const UNREAD = "unread:";
