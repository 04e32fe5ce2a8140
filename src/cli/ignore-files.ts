import * as fs from "node:fs";
import { join } from "node:path";
import { joinPath, splitPath } from "#core/names.ts";
import { IGNORE_FILE, IgnoreRules } from "#sync/ignore.ts";

/**
 * The rules that can decide on a path: those of the folders above it, as they are on the disk now.
 */
export function readRulesFor(dir: string, path: string): IgnoreRules {
  const rules = new IgnoreRules();
  let folder = "";
  for (const name of ["", ...splitPath(path)]) {
    folder = joinPath(folder, name);
    const file = join(dir, folder, IGNORE_FILE);
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
      rules.set(folder, fs.readFileSync(file, "utf8"));
    }
  }
  return rules;
}

/** Whether the path is a folder on this disk (a link to one is none). */
export function isFolderAt(dir: string, path: string): boolean {
  return fs.lstatSync(join(dir, path), { throwIfNoEntry: false })?.isDirectory() ?? false;
}
