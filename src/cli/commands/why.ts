import type { Command } from "commander";
import { explainPath } from "../explain-path.ts";
import { requirePath } from "../links.ts";
import { print, printJson, shown } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

async function why(path: string, { json }: Options): Promise<void> {
  const home = thisHome();
  const { folder, inside } = requirePath(home, path);
  const { inSync, sentences } = await explainPath(home, folder, inside);
  if (json) return printJson({ path: inside, inSync, why: sentences });
  print(shown(inside || folder.link.dir));
  for (const sentence of sentences) print(`  ${sentence}`);
}

export function register(command: Command): void {
  command
    .argument("<path>", "a path in a linked folder; it need not exist")
    .addOption(jsonOption())
    .action(why);
  explain(command, { examples: ["lockstep why ~/Work/report.odt"] });
}
