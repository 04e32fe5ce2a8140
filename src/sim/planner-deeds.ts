import { contentHash, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { FOLDER, type Content, type FileContent, type NodeKind, type Place } from "#core/node.ts";
import { PARK_NODE, type LocalSide, type NodeRow } from "#sync/tree.ts";
import type { Draw } from "./chance.ts";
import type { ModelDevice } from "./planner-device.ts";
import { seen } from "./planner-steps.ts";

const FILES: FileContent[] = [];

/** The content of a number; equal numbers are equal bytes. */
function fileOf(number: number): FileContent {
  return (FILES[number] ??= {
    kind: "file",
    sizeBytes: number,
    sha256: contentHash(number.toString(16).padStart(64, "0")),
    executable: false,
  });
}

function numberOf({ sha256 }: FileContent): number {
  return Number.parseInt(sha256, 16);
}

/** How often each content was saved, and how often a person destroyed a copy of it. */
export class Tally {
  readonly #saved: number[] = [];
  readonly #killed: number[] = [];
  #common: FileContent | null = null;

  /** A content that nobody had. */
  next(): FileContent {
    this.#killed.push(0);
    return fileOf(this.#saved.push(1) - 1);
  }

  /** A content that many people have: the files of a downloaded archive, say. */
  common(): FileContent {
    if (this.#common === null) this.#common = this.next();
    else this.saved(this.#common);
    return this.#common;
  }

  saved(content: Content | null): void {
    if (content?.kind === "file") this.#saved[numberOf(content)]!++;
  }

  killed(content: Content | null): void {
    if (content?.kind === "file") this.#killed[numberOf(content)]!++;
  }

  /**
   * A file's bytes become another file's. Where several people do so with one content, each knows
   * of a copy that another one overwrites: it may end in the history.
   */
  passedOn(content: Content | null): void {
    this.saved(content);
    this.killed(content);
  }

  /** Contents that have to be there, and whether their history alone is enough. */
  *owed(): Iterable<{ readonly sha256: string; readonly orPast: boolean }> {
    for (const [number, saved] of this.#saved.entries()) {
      const killed = this.#killed[number] ?? 0;
      if (saved > killed) yield { sha256: fileOf(number).sha256, orPast: killed > 0 };
    }
  }
}

export const DEEDS = [
  "make",
  "edit",
  "move",
  "delete",
  "move-over",
  "swap",
  "turn-inside-out",
  "become",
  "copy",
  "make-executable",
  "save-again",
  "make-common",
  "make-anew",
] as const;
export type Deed = (typeof DEEDS)[number];

type Seen = NodeRow & { readonly local: LocalSide & { readonly content: Content } };

export type Habits = {
  readonly names: readonly string[];
  /** What two names are the same by on this person's disk. */
  readonly diskKey: (name: string) => string;
};

/**
 * A person at a device, working on the rows' local sides: what a look would make of it is known
 * without one. Each deed is possible where it is done, or nothing happens.
 */
export class Hands {
  readonly #device: ModelDevice;
  readonly #draw: Draw;
  readonly #tally: Tally;
  readonly #habits: Habits;
  /** Deeds that were done, in words. */
  readonly done: string[] = [];

  constructor(device: ModelDevice, draw: Draw, tally: Tally, habits: Habits) {
    this.#device = device;
    this.#draw = draw;
    this.#tally = tally;
    this.#habits = habits;
  }

  do(deed: Deed): void {
    const nodes = this.#nodes();
    if (deed === "make-common") return this.#make(this.#place(nodes), "file", this.#tally.common());
    if (deed === "make" || nodes.length === 0) {
      this.#make(this.#place(nodes), this.#draw.pick(["file", "file", "folder", "symlink"]));
      return;
    }
    const row = this.#draw.pick(nodes);
    switch (deed) {
      case "edit":
        return this.#edit(row);
      case "move":
        return this.#move(row, this.#place(nodes));
      case "delete":
        return this.#delete(row);
      case "move-over":
        return this.#moveOver(row, this.#draw.pick(nodes));
      case "swap":
        return this.#swap(row, this.#draw.pick(nodes));
      case "turn-inside-out":
        return this.#turnInsideOut(row, nodes);
      case "become":
        return this.#become(row);
      case "copy":
        return this.#copy(row, this.#place(nodes));
      case "make-executable":
        return this.#makeExecutable(row);
      case "save-again":
        return this.#write(row, row.local.content);
      case "make-anew":
        return this.#makeAnew(row);
    }
  }

  /** What a person can see and reach: nothing parked, unread or out of sight. */
  #nodes(): Seen[] {
    const reachable = new Set<NodeId>([ROOT_NODE]);
    const nodes: Seen[] = [];
    for (let pending: NodeId[] = [ROOT_NODE]; pending.length > 0;) {
      const children = pending.flatMap((id) => this.#device.rows.children("local", id));
      pending = [];
      for (const row of children) {
        const { local } = row;
        if (local === null || local.content === null || local.blind !== null) continue;
        if (reachable.has(row.id)) continue;
        reachable.add(row.id);
        nodes.push({ ...row, local: { ...local, content: local.content } });
        if (row.kind === "folder") pending.push(row.id);
      }
    }
    return nodes;
  }

  #place(nodes: readonly Seen[]): Place {
    const folders = nodes.filter(({ kind }) => kind === "folder");
    const parent =
      this.#draw.chance(0.5) || folders.length === 0 ? ROOT_NODE : this.#draw.pick(folders).id;
    return { parent, name: this.#draw.pick(this.#habits.names) };
  }

  #holder({ parent, name }: Place): NodeRow | undefined {
    const key = this.#habits.diskKey(name);
    return this.#device.rows
      .children("local", parent)
      .find(({ local }) => local !== null && this.#habits.diskKey(local.name) === key);
  }

  #isFree(place: Place): boolean {
    return this.#holder(place) === undefined;
  }

  #isBelow(folder: NodeId, id: NodeId): boolean {
    let at = id;
    while (at !== ROOT_NODE && at !== PARK_NODE && at !== folder) {
      at = this.#device.rows.get(at)?.local?.parent ?? ROOT_NODE;
    }
    return at === folder;
  }

  #tell(...words: string[]): void {
    this.done.push(`${this.#device.name} ${words.join(" ")}`);
  }

  #shown({ parent, name }: Place): string {
    const folder = this.#device.rows.get(parent)?.local;
    return folder ? `${this.#shown(folder)}/${name}` : name;
  }

  #make(place: Place, kind: NodeKind, content = this.#newContent(kind)): void {
    if (!this.#isFree(place)) return this.#forget(content);
    this.#tell("makes", kind, this.#shown(place), shownContent(content));
    this.#device.rows.put({
      id: this.#device.fresh(),
      kind,
      remote: null,
      synced: null,
      local: seen(place, content, this.#device.newFile()),
      displacing: null,
      placing: null,
    });
  }

  /** Drawn and not used. */
  #forget(content: Content): void {
    this.#tally.killed(content);
  }

  #newContent(kind: NodeKind): Content {
    if (kind === "folder") return FOLDER;
    return kind === "file" ? this.#tally.next() : { kind, target: `to ${this.#draw.below(3)}` };
  }

  #edit(row: Seen): void {
    if (row.kind === "folder") return;
    const { content } = row.local;
    this.#tally.killed(content);
    const next = this.#newContent(row.kind);
    const isExecutable = content.kind === "file" && content.executable;
    this.#write(row, next.kind === "file" && isExecutable ? { ...next, executable: true } : next);
  }

  /** In place, or saved beside it and moved over it. */
  #write({ local, ...row }: Seen, content: Content): void {
    if (row.kind === "folder") return;
    this.#tell("writes", this.#shown(local), shownContent(content));
    const file = this.#draw.chance(0.5) ? local.file : this.#device.newFile();
    this.#device.rows.put({ ...row, local: seen(local, content, file) });
  }

  #makeExecutable({ local, ...row }: Seen): void {
    const { content } = local;
    if (content.kind !== "file") return;
    const executable = !content.executable;
    this.#tell("makes executable", this.#shown(local), `${executable}`);
    this.#device.rows.put({ ...row, local: seen(local, { ...content, executable }, local.file) });
  }

  #move(row: Seen, to: Place): void {
    if (row.kind === "folder" && this.#isBelow(row.id, to.parent)) return;
    const holder = this.#holder(to);
    if (holder !== undefined && holder.id !== row.id) return;
    this.#tell("moves", this.#shown(row.local), this.#shown(to));
    this.#put(row, to);
  }

  #put({ local, ...row }: Seen, { parent, name }: Place): void {
    this.#device.rows.put({ ...row, local: { ...local, parent, name } });
  }

  #delete({ id, local }: Pick<Seen, "id" | "local">): void {
    this.#tell("deletes", this.#shown(local));
    this.#drop(id);
  }

  #drop(id: NodeId): void {
    for (const child of this.#device.rows.children("local", id)) this.#drop(child.id);
    const row = this.#device.rows.get(id);
    if (row === undefined) return;
    const unread = this.#device.unread.get(row.local?.file ?? "");
    this.#tally.killed(row.local?.content ?? unread ?? null);
    this.#device.rows.put({ ...row, local: null });
  }

  /** The name keeps its node and gets the other file's bytes and inode (SPEC SC1). */
  #moveOver(from: Seen, onto: Seen): void {
    if (from.kind !== onto.kind || from.kind === "folder" || from.id === onto.id) return;
    this.#tell("moves", this.#shown(from.local), "over", this.#shown(onto.local));
    this.#tally.killed(onto.local.content);
    const { content, file } = from.local;
    this.#tally.passedOn(content);
    this.#device.rows.put({ ...from, local: null });
    this.#device.rows.put({ ...onto, local: seen(onto.local, content, file) });
  }

  /** Two names change hands: by one look two files changed their bytes, by more two nodes moved. */
  #swap(one: Seen, other: Seen): void {
    if (one.id === other.id) return;
    if (this.#isBelow(one.id, other.local.parent) || this.#isBelow(other.id, one.local.parent)) {
      return;
    }
    this.#tell("swaps", this.#shown(one.local), this.#shown(other.local));
    if (one.kind !== "folder" && one.kind === other.kind && this.#draw.chance(0.5)) {
      const [left, right] = [one.local, other.local];
      for (const { content } of [left, right]) this.#tally.passedOn(content);
      this.#device.rows.put({ ...one, local: seen(left, right.content, right.file) });
      this.#device.rows.put({ ...other, local: seen(right, left.content, left.file) });
      return;
    }
    this.#put(one, other.local);
    this.#put(other, one.local);
  }

  /** d/e becomes e/d. */
  #turnInsideOut(outer: Seen, nodes: readonly Seen[]): void {
    const inner = nodes.find(({ kind, local }) => kind === "folder" && local.parent === outer.id);
    if (inner === undefined) return;
    const { parent } = outer.local;
    const place = { parent, name: inner.local.name };
    const holder = this.#holder(place);
    const within = { parent: inner.id, name: outer.local.name };
    if ((holder !== undefined && holder.id !== outer.id) || !this.#isFree(within)) return;
    this.#tell("turns inside out", this.#shown(outer.local), inner.local.name);
    this.#put(inner, place);
    this.#put(outer, within);
  }

  /** Another kind takes the name: another node. */
  #become({ kind, id, local }: Seen): void {
    this.#tell("replaces by another kind", this.#shown(local));
    this.#drop(id);
    const kinds: NodeKind[] = ["file", "folder", "symlink"];
    this.#make(local, this.#draw.pick(kinds.filter((other) => other !== kind)));
  }

  /** A folder that is deleted and made again within one look is the same node (SPEC SC4). */
  #makeAnew({ id, kind, local, ...row }: Seen): void {
    if (kind !== "folder") return;
    this.#tell("makes anew", this.#shown(local));
    for (const child of this.#device.rows.children("local", id)) this.#drop(child.id);
    const anew = seen(local, FOLDER, this.#device.newFile());
    this.#device.rows.put({ ...row, id, kind, local: anew });
  }

  #copy({ kind, local }: Seen, to: Place): void {
    if (kind !== "file" || !this.#isFree(to)) return;
    this.#tally.saved(local.content);
    this.#make(to, kind, local.content);
  }
}

/** "/" for a folder, "->target" for a link, the number of a file's content, "+" when executable. */
export function shownContent(content: Content): string {
  if (content.kind === "folder") return "/";
  if (content.kind === "symlink") return `->${content.target}`;
  return `${numberOf(content)}${content.executable ? "+" : ""}`;
}
