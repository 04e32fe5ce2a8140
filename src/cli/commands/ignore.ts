import type { Command } from "commander";
import { EXIT } from "../exit.ts";
import { isFolderAt, readRulesFor } from "../ignore-files.ts";
import { requirePath } from "../links.ts";
import { print, printJson, shown } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

function check(path: string, { json }: Options): void {
  const { folder, inside } = requirePath(thisHome(), path);
  const { dir } = folder.link;
  const isFolder = path.endsWith("/") || isFolderAt(dir, inside);
  const { ignored, rule } = readRulesFor(dir, inside).decide(inside, isFolder);
  if (json) return printJson({ path: inside, ignored, rule });
  if (!ignored || rule === null) return print(`${shown(inside)} is not ignored.`);
  const { file, line, pattern } = rule;
  const where = file === "" ? "a built-in rule" : `line ${line} of ${shown(file)}`;
  print(`${shown(inside)} is ignored by ${where}: ${shown(pattern)}`);
}

export function register(command: Command): void {
  const made = command
    .command("check")
    .description("which line of which ignore file decides on a path")
    .argument("<path>", "a path in a linked folder; it need not exist (end a folder's with /)")
    .addOption(jsonOption())
    .action(check);
  explain(command, { examples: ["lockstep ignore check ~/Work/build/out.tmp"] });
  explain(made, {
    examples: ["lockstep ignore check ~/Work/build/out.tmp"],
    exits: [EXIT.failed],
    about:
      "Rules stand in .lockstepignore files, in the syntax of .gitignore; they hold for their " +
      "folder and all below it, and are synced themselves. What is ignored stays on every " +
      "disk as it is.",
  });
}
