import { join } from "node:path";
import type { Command } from "commander";
import { collectOnce } from "#server/collecting.ts";
import type { CollectionReport } from "#server/collector.ts";
import { readConfig, SETTINGS, type Settings } from "#server/config.ts";
import { openLog } from "#server/real-world.ts";
import { CommandError } from "../exit.ts";
import { bytesText, counted, note, print, printJson, table } from "../output.ts";
import { explain, jsonOption, thisHome } from "../usage.ts";

type Options = Settings & { readonly dryRun?: true; readonly json?: true };

/** A run says what it is at so often. */
const PROGRESS_MS = 5_000;

async function gc({ dryRun, json, ...options }: Options): Promise<void> {
  const standard = process.env["LOCKSTEP_DATA"] ? {} : { data: join(thisHome().path, "server") };
  const given = Object.entries(options).filter(
    ([name, value]) => value && SETTINGS.some((setting) => setting === name),
  );
  const config = readConfig({ ...standard, ...Object.fromEntries(given) }, process.env);
  const log = openLog("warn", undefined);
  let saidMs = performance.now();
  const onProgress = (what: string): void => {
    if (performance.now() < saidMs + PROGRESS_MS) return;
    saidMs = performance.now();
    note(`at ${what} …`);
  };
  const report = await collectOnce(config, { isDry: dryRun === true, onProgress, log });
  if (report === "busy") {
    throw new CommandError("Another collector is at work on this database: try again in a minute.");
  }
  if (json) return printJson(report);
  tell(report);
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
  command
    .option("--data <dir>", "the server's data folder (default: in LOCKSTEP_HOME)")
    .option("--database <url>", "sqlite:PATH, postgres://… (default: inside --data)")
    .option("--chunks <url>", "file:PATH or s3://BUCKET?endpoint=… (default: inside --data)")
    .option("--key-file <path>", "what contents are closed with (default: inside --data)")
    .option("--keep-all <time>", "keep every version so long: 30d, 12h, forever (default: 30d)")
    .option("--keep-daily <time>", "and of each day the last so long (default: 365d)")
    .option("--collect-grace <time>", "how long chunks stay after that (default: 72h)")
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
