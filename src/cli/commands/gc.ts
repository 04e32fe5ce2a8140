import type { Command } from "commander";
import { collectOnce } from "#server/collecting.ts";
import type { CollectionReport } from "#server/collector.ts";
import { openLog } from "#server/real-world.ts";
import { CommandError } from "../exit.ts";
import { bytesText, counted, note, print, printJson, table } from "../output.ts";
import { audited } from "../server-audit.ts";
import { serverConfig, withKeeping, withStores, type ServerFlags } from "../server-settings.ts";
import { explain, jsonOption } from "../usage.ts";

type Options = ServerFlags & { readonly dryRun?: true; readonly json?: true };

/** A run says what it is at so often. */
const PROGRESS_MS = 5_000;

async function gc({ dryRun, json, ...flags }: Options): Promise<void> {
  const config = serverConfig(flags);
  const log = openLog("warn", undefined);
  let saidMs = performance.now();
  const onProgress = (what: string): void => {
    if (performance.now() < saidMs + PROGRESS_MS) return;
    saidMs = performance.now();
    note(`at ${what} …`);
  };
  const run = () => collectOnce(config, { isDry: dryRun === true, onProgress, log });
  const report = await (dryRun ? run() : audited("collected", config, { run, fieldsOf: freedBy }));
  if (report === "busy") {
    throw new CommandError("Another collector is at work on this database: try again in a minute.");
  }
  if (json) return printJson(report);
  tell(report);
}

function freedBy(report: CollectionReport | "busy") {
  if (report === "busy") return { busy: true };
  const { chunks, chunkBytes, removed, freedBytes } = report;
  return { chunks, chunkBytes, packs: removed, freedBytes };
}

function tell(report: CollectionReport): void {
  const { isDry, spaces, chunks, chunkBytes, merged, removed, freedBytes, straysRemoved } = report;
  if (spaces.length > 0) {
    const header = [
      { title: "Space" },
      { title: "Versions", right: true },
      { title: "Chunks", right: true },
      { title: "Size", right: true },
      { title: "Over", right: true },
    ];
    const rows = spaces.map(({ space, versions, chunks: condemned, bytes, ended }) => [
      space,
      String(versions),
      String(condemned),
      bytesText(bytes),
      String(ended),
    ]);
    print(table(header, rows));
    const will = isDry ? "would be" : "are";
    print(`Versions ${will} forgotten; their chunks go when the grace is over, and stay if a`);
    print("device names them before that. Over: chunks whose grace, or upload, came to its end.");
  }
  const would = isDry ? "Would remove" : "Removed";
  print(`${would} ${counted(chunks, "chunk")} (${bytesText(chunkBytes)}) that no space holds.`);
  const strays = straysRemoved === 0 ? "" : `, ${counted(straysRemoved, "stray object")}`;
  print(
    `${would} ${counted(removed, "pack")} (${bytesText(freedBytes)})${strays}; ` +
      `${isDry ? "would copy" : "copied"} what is left of ${counted(merged, "pack")} together.`,
  );
}

export function register(command: Command): void {
  withKeeping(withStores(command))
    .option("--dry-run", "change nothing, and say what would go")
    .addOption(jsonOption())
    .action(gc);
  explain(command, {
    examples: ["lockstep gc --data /srv/lockstep --dry-run", "lockstep gc --data /srv/lockstep"],
    about:
      "Forgets versions that are older than the server keeps them, and frees what nobody needs " +
      "any more. A server does that by itself once a day; this does it now, also beside a " +
      "running one. Room comes back in steps: chunks go when the grace is over, packs an hour " +
      "after the last of their chunks.",
  });
}
