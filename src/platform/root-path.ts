import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readlinkSync,
  statSync,
} from "node:fs";
import { WorldError } from "#core/errors.ts";
import { splitPath } from "#core/names.ts";
import { attempt, shownPath } from "./errno.ts";

/**
 * How a path is walked. `descriptors`: each folder is opened from the descriptor of the one before
 * it (Linux, through /proc/self/fd), so that no swap for a link can lead astray and no path is ever
 * longer than one name. `names`: each folder is looked at by name, which leaves a moment between
 * the look and the use.
 */
export type Walk = "descriptors" | "names";

// Not in Node's constants; the same on every architecture that Node runs on. A descriptor that only
// names a folder needs no permission to list it.
const O_PATH = 0x200000;
/** UTF-16 units: with a name of 255 bytes behind it, a path may not pass 4,096 bytes. */
const MAX_PRESENT_NAME = 1_200;
/** For so long after it was seen a folder is taken to stand where it stood. */
const MOMENT_MS = 1;
/** Folders that are open at a time, beside those in use. */
const MAX_WALKED = 64;
const FOLDER_FLAGS = O_PATH | constants.O_DIRECTORY;

/** The walk that this machine allows. */
export function walkOfThisMachine(): Walk {
  return process.platform === "linux" && existsSync("/proc/self/fd") ? "descriptors" : "names";
}

function refuseName(name: string, path: string): void {
  if (name === "." || name === ".." || (name === "" && path.startsWith("/"))) {
    const message = `${shownPath(path)} leads out of the synced folder; use a path inside it.`;
    throw new WorldError("outside-root", message);
  }
  const foreign = process.platform === "win32" && /[\\:]/.test(name);
  if (name === "" || name.includes("\0") || !name.isWellFormed() || foreign) {
    const message = `${shownPath(path)} holds a name that no disk can hold; rename it first.`;
    throw new WorldError("bad-name", message);
  }
}

/** The names of a path; throws WorldError `outside-root` or `bad-name` when one cannot be used. */
export function namesOf(path: string): string[] {
  const names = splitPath(path);
  for (const name of names) refuseName(name, path);
  return names;
}

/** A folder that was walked to: its descriptor, and what the system called it then. */
class WalkedFolder {
  readonly at: string;
  readonly #descriptor: number;
  readonly #name: string | null;
  #seenMs = performance.now();
  #moves: number;
  #users = 0;
  #forgotten = false;

  constructor(descriptor: number, moves: number) {
    this.#descriptor = descriptor;
    this.#moves = moves;
    this.at = `/proc/self/fd/${descriptor}`;
    this.#name = this.presentName();
  }

  /**
   * True when it still stands where it was walked to: the system names each folder above it. What
   * is done within a moment of that is as if it had been done just then: a folder that leaves
   * meanwhile takes it along. `moves`: how often this program itself has moved something.
   */
  stands(moves: number): boolean {
    const nowMs = performance.now();
    if (moves === this.#moves && nowMs - this.#seenMs < MOMENT_MS) return true;
    if (this.#name === null || this.presentName() !== this.#name) return false;
    this.#seenMs = nowMs;
    this.#moves = moves;
    return true;
  }

  presentName(): string | null {
    try {
      const name = readlinkSync(this.at);
      // What Linux says of a folder that has no name left could be the name of another one.
      if (name.endsWith(" (deleted)") || name.length > MAX_PRESENT_NAME) return null;
      return name;
    } catch {
      return null;
    }
  }

  hold(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    this.#closeUnused();
  }

  forget(): void {
    this.#forgotten = true;
    this.#closeUnused();
  }

  #closeUnused(): void {
    if (this.#forgotten && this.#users === 0) closeSync(this.#descriptor);
  }
}

/** A folder that was reached without following a link; `at` is what the system knows it by now. */
export class ReachedFolder {
  readonly at: string;
  readonly #walked: WalkedFolder | null;

  constructor(at: string, walked: WalkedFolder | null) {
    this.at = at;
    this.#walked = walked;
    walked?.hold();
  }

  /** The name that the system gives this folder at this moment; null where there is none to use. */
  presentName(): string | null {
    return this.#walked?.presentName() ?? null;
  }

  [Symbol.dispose](): void {
    this.#walked?.release();
  }
}

/** A name in a folder that was reached without following a link. */
export type ReachedName = Disposable & { readonly at: string };

/** Turns paths below a root into something that can be opened without following a link. */
export class RootPath {
  readonly root: string;
  readonly #walk: Walk;
  /** By path; open for no longer than a turn of the event loop: an open folder holds its disk. */
  readonly #walked = new Map<string, WalkedFolder>();
  #moves = 0;

  constructor(root: string, walk: Walk = walkOfThisMachine()) {
    this.root = root;
    this.#walk = walk;
  }

  /**
   * Reaches a folder; dispose of what it gives. Throws WorldError `not-found`, `not-a-folder` (also
   * for a link in the way), `no-permission`, `outside-root`, `bad-name`.
   */
  folder(path: string): ReachedFolder {
    return this.#reach(namesOf(path));
  }

  /** Reaches the folder that `path` lies in; the root itself lies in none: `outside-root`. */
  name(path: string): ReachedName {
    const names = namesOf(path);
    const last = names.pop();
    if (last === undefined) {
      const message = "The synced folder itself is not changed from inside; name something in it.";
      throw new WorldError("outside-root", message);
    }
    const folder = this.#reach(names);
    return { at: `${folder.at}/${last}`, [Symbol.dispose]: () => folder[Symbol.dispose]() };
  }

  /** Something is about to be moved or to go: folders may stand elsewhere from now on. */
  noteMove(): void {
    this.#moves++;
  }

  /** Gives `use` what the last name of `path` is known by; errors are said to be `doing` it. */
  within<T>(doing: string, path: string, use: (at: string) => T): T {
    using reached = this.name(path);
    return attempt(doing, path, () => use(reached.at));
  }

  #reach(names: readonly string[]): ReachedFolder {
    return this.#walk === "descriptors" ? this.#byDescriptors(names) : this.#byNames(names);
  }

  #byDescriptors(names: readonly string[]): ReachedFolder {
    const walked = this.#walkTo(names);
    return new ReachedFolder(walked.at, walked);
  }

  /** Folders that stand where they were walked to in this turn are not walked to again. */
  #walkTo(names: readonly string[]): WalkedFolder {
    const path = names.join("/");
    const known = this.#walked.get(path);
    if (known?.stands(this.#moves) === true) return known;
    const descriptor = names.length === 0 ? this.#openRoot() : this.#enter(names);
    const walked = new WalkedFolder(descriptor, this.#moves);
    known?.forget();
    if (this.#walked.size === 0) setImmediate(() => this.#forgetAll());
    this.#walked.set(path, walked);
    if (this.#walked.size > MAX_WALKED) this.#forgetAll(path);
    return walked;
  }

  #enter(names: readonly string[]): number {
    const outer = this.#walkTo(names.slice(0, -1));
    const at = `${outer.at}/${names.at(-1)}`;
    const flags = FOLDER_FLAGS | constants.O_NOFOLLOW;
    return attempt("enter", names.join("/"), () => openSync(at, flags));
  }

  #forgetAll(but?: string): void {
    for (const [path, walked] of this.#walked) {
      if (path === but) continue;
      this.#walked.delete(path);
      walked.forget();
    }
  }

  // The root may itself be reached through links: a person chose that path.
  #openRoot(): number {
    return attempt("enter", this.root, () => openSync(this.root, FOLDER_FLAGS));
  }

  #byNames(names: readonly string[]): ReachedFolder {
    let at = this.root;
    this.#mustBeFolder(this.root, this.root, statSync);
    let path = "";
    for (const name of names) {
      at += `/${name}`;
      path += path === "" ? name : `/${name}`;
      this.#mustBeFolder(at, path, lstatSync);
    }
    return new ReachedFolder(at, null);
  }

  #mustBeFolder(at: string, path: string, look: (at: string) => { isDirectory(): boolean }): void {
    if (attempt("enter", path, () => look(at)).isDirectory()) return;
    const message = `Cannot enter ${shownPath(path)}: what stands there is no folder; look again.`;
    throw new WorldError("not-a-folder", message);
  }
}
