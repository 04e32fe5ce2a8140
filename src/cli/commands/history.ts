import type { Command } from "commander";
import { findNode, listVersions, type Version } from "../history.ts";
import { requirePath } from "../links.ts";
import { bytesText, print, printJson, shown, table, timeText } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

function line({ version, time, device, size, deleted, kept, path }: Version): string[] {
  const bytes = size === null ? "" : bytesText(size);
  const amount = deleted ? "deleted" : kept ? bytes : `${bytes}, no longer kept`;
  const when = timeText(Date.parse(time), true);
  return [String(version), when, amount, shown(device ?? "(program)"), shown(path)];
}

async function history(path: string, { json }: Options): Promise<void> {
  const { folder, inside } = requirePath(thisHome(), path);
  const versions = await listVersions(folder, await findNode(folder, inside));
  if (json) return printJson(versions.map(({ node: _, ...version }) => version));
  const header = [
    { title: "Version", right: true },
    { title: "Saved" },
    { title: "Size", right: true },
    { title: "Device" },
    { title: "Path", flexible: true },
  ];
  print(table(header, versions.map(line)));
}

export function register(command: Command): void {
  command
    .argument("<path>", "a file in a linked folder, also one that was deleted")
    .addOption(jsonOption())
    .action(history);
  explain(command, {
    examples: [
      "lockstep history ~/Work/report.odt",
      "lockstep restore ~/Work/report.odt --version 17",
    ],
    about: "Newest first. Versions follow a file through renames and moves.",
  });
}
