import type { Tell } from "./events.ts";
import type { Trouble } from "./look.ts";

export type Problem = Trouble & { readonly sinceMs: number };

/** Which part of the engine a problem comes from: each replaces only its own. */
export type ProblemSource = "look" | "read" | "write" | "send" | "follow" | "outage";

const MAX_PROBLEMS = 10_000;

/** Trouble per path, each with its reason, until it is gone (SPEC ST2). */
export class Problems {
  readonly #bySource = new Map<ProblemSource, Map<string, Problem>>();
  readonly #tell: Tell | undefined;

  constructor(tell?: Tell) {
    this.#tell = tell;
  }

  report(source: ProblemSource, trouble: Trouble, nowMs: number): void {
    const own = this.#own(source);
    const known = own.get(trouble.path);
    if (known?.code === trouble.code && known.message === trouble.message) return;
    if (own.size >= MAX_PROBLEMS && known === undefined) return;
    own.set(trouble.path, { ...trouble, sinceMs: nowMs });
    this.#tell?.({ kind: "problem", ...trouble });
  }

  has(source: ProblemSource, code: string): boolean {
    for (const problem of this.#own(source).values()) if (problem.code === code) return true;
    return false;
  }

  at(source: ProblemSource, path: string): Problem | undefined {
    return this.#own(source).get(path);
  }

  clear(source: ProblemSource, path: string): void {
    this.#bySource.get(source)?.delete(path);
  }

  /** What stands at and below a path stands elsewhere now, with what is in its way. */
  moved(from: string, to: string): void {
    for (const own of this.#bySource.values()) {
      for (const [path, problem] of own) {
        if (path !== from && !path.startsWith(`${from}/`)) continue;
        const there = to + path.slice(from.length);
        own.delete(path);
        const message = problem.message.replaceAll(path, there);
        own.set(there, { ...problem, path: there, message });
      }
    }
  }

  /** Drops a source's problems of paths that have nothing left to do. */
  retain(source: ProblemSource, stillDue: () => Iterable<string>): void {
    const own = this.#own(source);
    if (own.size === 0) return;
    const due = new Set(stillDue());
    for (const path of own.keys()) if (!due.has(path)) own.delete(path);
  }

  /** Drops what a source only had to tell, a while after it did. */
  expire(source: ProblemSource, beforeMs: number): void {
    const own = this.#own(source);
    for (const [path, { sinceMs }] of own) if (sinceMs < beforeMs) own.delete(path);
  }

  /** Replaces all problems of a source at and below a folder ("": everywhere). */
  replaceBelow(
    source: ProblemSource,
    folders: readonly string[] | "all",
    troubles: readonly Trouble[],
    nowMs: number,
  ): void {
    const own = this.#own(source);
    const still = new Set(troubles.map(({ path }) => path));
    for (const path of own.keys()) {
      const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
      const covered = folders === "all" || folders.includes(parent) || folders.includes(path);
      if (covered && !still.has(path)) own.delete(path);
    }
    for (const trouble of troubles) this.report(source, trouble, nowMs);
  }

  list(): Problem[] {
    return [...this.#bySource.values()]
      .flatMap((own) => [...own.values()])
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #own(source: ProblemSource): Map<string, Problem> {
    let own = this.#bySource.get(source);
    if (own === undefined) {
      own = new Map();
      this.#bySource.set(source, own);
    }
    return own;
  }
}
