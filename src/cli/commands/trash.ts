import type { Command } from "commander";
import { listTrash } from "../history.ts";
import { impliedLink } from "../links.ts";
import { print, printJson, shown, table, timeText } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = { readonly json?: true };

async function trash(path: string | undefined, { json }: Options): Promise<void> {
  const nodes = await listTrash(impliedLink(thisHome(), path));
  if (json) {
    return printJson(
      nodes.map(({ row, path: at }) => ({
        path: at,
        kind: row.type,
        version: row.sequence,
        time: new Date(row.timeMs).toISOString(),
        device: row.deviceName ?? null,
        kept: row.forgotten !== true,
      })),
    );
  }
  if (nodes.length === 0) return print("Nothing was deleted.");
  const header = [{ title: "Saved" }, { title: "Device" }, { title: "Path", flexible: true }];
  const lines = nodes.map(({ row, path: at }) => [
    timeText(row.timeMs),
    shown(row.deviceName ?? "(program)"),
    shown(at) + (row.type === "folder" ? "/" : "") + (row.forgotten ? " (no longer kept)" : ""),
  ]);
  print(table(header, lines));
  print("\nLatest deletion first; bring a file back with lockstep restore PATH.");
}

export function register(command: Command): void {
  command
    .argument("[path]", "a linked folder, or anything in it (default: the one around here)")
    .addOption(jsonOption())
    .action(trash);
  explain(command, { examples: ["lockstep trash ~/Work"] });
}
