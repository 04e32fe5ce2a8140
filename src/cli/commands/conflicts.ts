import type { Command } from "commander";
import { askConflicts } from "../ask-device.ts";
import { impliedLink } from "../links.ts";
import { print, printJson, shown, table } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

async function conflicts(path: string | undefined, { json }: Options): Promise<void> {
  const rows = await askConflicts(impliedLink(thisHome(), path));
  if (json) return printJson(rows);
  if (rows.length === 0) return print("There are no conflict copies.");
  const header = [{ title: "Copy", flexible: true }, { title: "Made by" }, { title: "On" }];
  const lines = rows.map((row) => [shown(row.path), shown(row.device), row.time]);
  print(table(header, lines));
  print("\nEach stands beside the file it is a copy of: take what you need and delete the copy.");
}

export function register(command: Command): void {
  command
    .argument("[path]", "a linked folder, or anything in it (default: the one around here)")
    .addOption(jsonOption())
    .action(conflicts);
  explain(command, {
    examples: ["lockstep conflicts ~/Work"],
    about: "When two machines change a file at once, one keeps its name, the other becomes a copy.",
  });
}
