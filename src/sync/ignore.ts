import ignore, { type Ignore } from "ignore";
import { joinPath, splitPath } from "#core/names.ts";

/** The file that holds a folder's ignore rules, in exact gitignore syntax; itself synced. */
export const IGNORE_FILE = ".lockstepignore";

/** Litter of desktops and editors that nobody wants on another machine (SPEC IG1). */
const DEFAULT_PATTERNS = [
  ".DS_Store",
  "Thumbs.db",
  "desktop.ini",
  "~$*",
  ".~lock.*#",
  "*.tmp",
  ".#*",
] as const;

export type IgnoreVerdict = {
  readonly ignored: boolean;
  /** The deciding rule: its file ("" for the built-in ones), its line from 1, its text. */
  readonly rule: { readonly file: string; readonly line: number; readonly pattern: string } | null;
};

/** The matcher remembers its verdict on each path for good: after so many paths it begins anew. */
const MAX_REMEMBERED_PATHS = 8_192;

/** The rules of one file. */
class Rules {
  readonly file: string;
  readonly #lines: readonly string[];
  #matcher: Ignore;
  #asked = 0;

  constructor(file: string, lines: readonly string[]) {
    this.file = file;
    this.#lines = lines;
    this.#matcher = compile(lines);
  }

  test(path: string): ReturnType<Ignore["test"]> {
    if (this.#asked++ >= MAX_REMEMBERED_PATHS) {
      this.#matcher = compile(this.#lines);
      this.#asked = 1;
    }
    return this.#matcher.test(path);
  }
}

function compile(lines: readonly string[]): Ignore {
  const matcher = ignore({ ignorecase: false });
  lines.forEach((pattern, index) => {
    matcher.add({ pattern, mark: String(index + 1) });
  });
  return matcher;
}

const BUILT_IN = new Rules("", DEFAULT_PATTERNS);

/** The ignore rules of a tree: built-in ones, then each folder's own, the deepest last. */
export class IgnoreRules {
  readonly #byFolder = new Map<string, { text: string; rules: Rules }>();

  /** Sets (or with null removes) the rules of one folder; true when they changed. */
  set(folder: string, text: string | null): boolean {
    if (text === null) return this.#byFolder.delete(folder);
    if (this.#byFolder.get(folder)?.text === text) return false;
    const file = joinPath(folder, IGNORE_FILE);
    this.#byFolder.set(folder, { text, rules: new Rules(file, text.split(/\r?\n/)) });
    return true;
  }

  /** True when the folder has rules of its own. */
  has(folder: string): boolean {
    return this.#byFolder.has(folder);
  }

  /** The verdict on a path and the rule that decided; a folder's verdict covers all below it. */
  decide(path: string, isFolder: boolean): IgnoreVerdict {
    const names = splitPath(path);
    for (let depth = 1; depth < names.length; depth++) {
      const above = this.#decideOne(names.slice(0, depth), true);
      if (above.ignored) return above;
    }
    return this.#decideOne(names, isFolder);
  }

  /** The verdict on an entry of a folder that is itself known not to be ignored. */
  ignoresEntry(path: string, isFolder: boolean): boolean {
    // No built-in rule says where a name stands: the matcher remembers names better than paths.
    if (this.#byFolder.size === 0) return isBuiltIn(path.slice(path.lastIndexOf("/") + 1));
    return this.#decideOne(splitPath(path), isFolder).ignored;
  }

  #decideOne(names: readonly string[], isFolder: boolean): IgnoreVerdict {
    let verdict: IgnoreVerdict = { ignored: false, rule: null };
    const apply = (rules: Rules, relative: string): void => {
      const result = rules.test(isFolder ? `${relative}/` : relative);
      if (result.ignored && result.rule !== undefined) {
        const { pattern, mark } = result.rule;
        verdict = { ignored: true, rule: { file: rules.file, line: Number(mark), pattern } };
      } else if (result.unignored) verdict = { ignored: false, rule: null };
    };
    apply(BUILT_IN, names.join("/"));
    let folder = "";
    for (let depth = 0; this.#byFolder.size > 0 && depth < names.length; depth++) {
      const own = this.#byFolder.get(folder);
      if (own !== undefined) apply(own.rules, names.slice(depth).join("/"));
      folder = joinPath(folder, names[depth] ?? "");
    }
    return verdict;
  }
}

function isBuiltIn(name: string): boolean {
  return BUILT_IN.test(name).ignored;
}
