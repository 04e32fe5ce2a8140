import type { Draw } from "./chance.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";
import { SETTLED_NS, type Deed, type Person, type Surprise } from "./people.ts";

/** How people are in the engine's way in a story. */
export type Ambushes = {
  /** Share of the engine's steps at which a person acts on the very thing. */
  readonly share: number;
  readonly ways: readonly Surprise[];
  /** The same of its looks at a single file that has been at rest. */
  readonly looks?: number;
  /** So many surprises are for one person, where that is not as in most stories. */
  readonly most?: number;
};

/** Of one person in a story. */
const MOST_SURPRISES = 8;
/** Of the times at which an engine reads so many count. */
const READ_SHARE = 0.2;
/** Of surprises this share happens to some other file. */
const ELSEWHERE = 0.25;

type Ambushed = {
  readonly person: Person;
  readonly disk: VirtualDisk;
  readonly draw: Draw;
  /** Begins the names of contents. */
  readonly tag: string;
  readonly note: (said: string) => void;
};

/**
 * A person who acts right before or after a step of the engine on a path, so that what has to
 * happen between two of its steps does not wait for chance to bring both together.
 */
export class Ambush {
  readonly #ambushed: Ambushed;
  readonly #options: Ambushes | null;
  #count = 0;
  /** What the engine last acted on, and where that was then. */
  #last: { readonly path: string; readonly inode: Inode | null } | null = null;

  constructor(ambushed: Ambushed, options: Ambushes | null) {
    this.#ambushed = ambushed;
    this.#options = options;
  }

  /** The engine reads what stands at a path, as it does more often than anything else. */
  nearRead(path: string): void {
    if (this.#options !== null && this.#ambushed.draw.chance(READ_SHARE)) this.near(path);
  }

  /** The engine looks at a path once more, as before it acts on it. */
  nearLook(path: string): void {
    const { looks = 0 } = this.#options ?? {};
    if (looks === 0) return;
    const { disk } = this.#ambushed;
    const inode = disk.peek(path);
    // What was just changed is looked at again anyway.
    if (inode?.kind !== "file" || disk.tickNs() - inode.ctimeNs < SETTLED_NS) return;
    this.#last = { path, inode };
    this.#perhaps(looks);
  }

  /** The engine acts on a path that people see. */
  near(path: string): void {
    const { disk } = this.#ambushed;
    const inode = disk.peek(path);
    if (inode !== null || this.#last?.path !== path) this.#last = { path, inode };
    this.#perhaps(this.#options?.share ?? 0);
  }

  #perhaps(share: number): void {
    const { ways = [], most = MOST_SURPRISES } = this.#options ?? {};
    const { draw } = this.#ambushed;
    if (share > 0 && this.#count < most && draw.chance(share)) this.#surprise(draw.pick(ways));
  }

  /** A person comes to what an engine left that was stopped in the middle. */
  find(ways: readonly Surprise[]): void {
    if (this.#last !== null) this.#surprise(this.#ambushed.draw.pick(ways));
  }

  #surprise(way: Surprise): void {
    const { person, disk, draw, tag, note } = this.#ambushed;
    const files = [...disk.tree()].filter(({ inode }) => inode.kind === "file");
    const isElsewhere = files.length > 0 && draw.chance(ELSEWHERE);
    const at = isElsewhere ? draw.pick(files) : this.#last;
    if (at === null) return;
    const deed: Deed = person.surprises(way, at, draw, `${tag}${this.#count++}`);
    for (const said of deed) if (typeof said === "string") note(said);
  }
}
