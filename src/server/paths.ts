import { utf8Length } from "#core/bytes.ts";
import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import {
  foldName,
  joinPath,
  MAX_PATH_BYTES,
  nameProblem,
  plainNameKey,
  splitPath,
  type NameProblem,
} from "#core/names.ts";
import type { JournalStore, NodeRow, SpaceRow } from "./metadata/port.ts";
import { ProblemError } from "./problem-error.ts";

/** Folders that a REST path may go through; all that are missing are made in one commit. */
const MAX_PATH_NAMES = 512;

const WHY: Readonly<Record<NameProblem, string>> = {
  empty: "an empty name (two slashes, or one at an end)",
  dot: "the name . or ..",
  slash: "a slash within a name",
  control: "a control character",
  "too-long": "a name of more than 255 bytes",
  "not-unicode": "half a surrogate pair",
  private: "the name .lockstep, which belongs to the devices",
};

/** The names of a `file_path`, outermost first. Throws ProblemError `bad-request`. */
export function parsePath(path: string): string[] {
  const refuse = (why: string): ProblemError =>
    new ProblemError("bad-request", `The file_path holds ${why}; give another path.`);
  if (utf8Length(path) > MAX_PATH_BYTES) throw refuse(`more than ${MAX_PATH_BYTES} bytes`);
  const names = path === "" ? [""] : splitPath(path);
  for (const name of names) {
    const problem = nameProblem(name);
    if (problem !== null) throw refuse(WHY[problem]);
  }
  if (names.length > MAX_PATH_NAMES) throw refuse(`more than ${MAX_PATH_NAMES} names`);
  return names;
}

/** What a path leads to. */
export type Found =
  | { readonly outcome: "found"; readonly node: NodeRow }
  /** Nothing there: `rest` are the names that are missing below `parent`, the file's last. */
  | { readonly outcome: "missing"; readonly parent: NodeId; readonly rest: readonly string[] }
  /** A file or link stands where a folder should. */
  | { readonly outcome: "blocked"; readonly node: NodeRow };

/** Walks a path down from the root, level by level; names are compared as the space says. */
export async function resolvePath(
  journals: JournalStore,
  { id, folding }: SpaceRow,
  names: readonly string[],
): Promise<Found> {
  let parent: NodeId = ROOT_NODE;
  let node: NodeRow | undefined;
  for (const [depth, name] of names.entries()) {
    if (node !== undefined && node.type !== "folder") return { outcome: "blocked", node };
    const key = folding ? foldName(name) : plainNameKey(name);
    const [holder]: NodeRow[] = await journals.holders(id, [{ parent, key }]);
    if (holder === undefined) return { outcome: "missing", parent, rest: names.slice(depth) };
    node = holder;
    parent = holder.id;
  }
  if (node === undefined) throw new ProblemError("bad-request", "The file_path is empty.");
  return { outcome: "found", node };
}

/** Writes nodes' paths, each folder looked up once. */
export class Paths {
  readonly #read: (id: NodeId) => Promise<NodeRow | undefined>;
  readonly #known = new Map<NodeId, string | undefined>([[ROOT_NODE, ""]]);

  constructor(read: (id: NodeId) => Promise<NodeRow | undefined>) {
    this.#read = read;
  }

  /** Undefined when the node, or a folder above it, is not there. */
  async of(id: NodeId): Promise<string | undefined> {
    const below: NodeRow[] = [];
    const onWay = new Set<NodeId>();
    let at = id;
    while (!this.#known.has(at)) {
      const row = onWay.has(at) ? undefined : await this.#read(at);
      if (row === undefined) {
        this.#known.set(at, undefined);
        break;
      }
      onWay.add(at);
      below.push(row);
      at = row.parent;
    }
    let path = this.#known.get(at);
    for (const row of below.reverse()) {
      if (path !== undefined) path = joinPath(path, row.name);
      this.#known.set(row.id, path);
    }
    return path;
  }
}
