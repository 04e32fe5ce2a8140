import type { Command } from "commander";
import { damagedFiles, type DamagedFile } from "#server/damaged-files.ts";
import { nodeDigest } from "#server/digest.ts";
import { openLog, realChance, realClock } from "#server/real-world.ts";
import { scrubChunks, type ScrubCount } from "#server/scrub.ts";
import { openBeside } from "#server/stores.ts";
import { EXIT, wrongUsage } from "../exit.ts";
import { bytesText, counted, print, printJson, shown, table } from "../output.ts";
import { ProgressBar } from "../progress-bar.ts";
import { audited } from "../server-audit.ts";
import { serverConfig, storeFlags, withStores, type StoreFlags } from "../server-settings.ts";
import { explain, jsonOption } from "../usage.ts";

type Options = StoreFlags & { readonly rate?: string; readonly json?: true };

const MEGABYTE = 1_000_000;

function rateOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const rate = Number(text);
  if (Number.isFinite(rate) && rate > 0) return rate * MEGABYTE;
  throw wrongUsage(`--rate ${text} is no number of megabytes a second above 0.`);
}

async function scrub(options: Options): Promise<void> {
  const config = serverConfig(storeFlags(options));
  const bytesPerSecond = rateOf(options.rate);
  const log = openLog("warn", undefined);
  await using stores = await openBeside(config, { clock: realClock, chance: realChance, log });
  const { scrub: index, journals, collection } = stores.metadata;
  const whole = await index.storedBytes();
  using bar = new ProgressBar();
  const beganMs = performance.now();
  const onProgress = ({ bytes }: ScrubCount): void =>
    bar.show(bytes, whole, (performance.now() - beganMs) / 1_000);
  const world = { packs: stores.packs, scrub: index, digest: nodeDigest, clock: realClock };
  const count = await audited("scrubbed", config, {
    run: () => scrubChunks(world, { bytesPerSecond, onProgress }),
    fieldsOf: ({ chunks, damaged, quarantined, released }) => {
      return { chunks, damaged, quarantined, released };
    },
  });
  bar.end();
  const files: DamagedFile[] = [];
  if (count.damaged > 0) {
    const { links } = collection;
    for await (const file of damagedFiles({ journals, links, scrub: index })) files.push(file);
  }
  if (options.json) printJson({ ...count, files });
  else say(count, files);
  if (count.damaged > 0) process.exitCode = EXIT.failed;
}

/** Files that are listed; all of them are in the answer to --json. */
const MOST_LINES = 50;

function versionsText({ isCurrent, isDeleted, versions }: DamagedFile): string {
  const last = isDeleted ? "as it was deleted" : "as it is";
  const earlier = versions === 0 ? [] : [counted(versions, "earlier version")];
  return [...(isCurrent ? [last] : []), ...earlier].join(", ");
}

function sayFiles(files: readonly DamagedFile[]): void {
  if (files.length === 0) return;
  const header = [{ title: "Space" }, { title: "Damaged" }, { title: "File", flexible: true }];
  const rows = files.slice(0, MOST_LINES).map((file) => {
    const name = file.path === null ? `sealed, node ${file.node}` : shown(file.path);
    return [`${shown(file.spaceName)} ${file.space.slice(0, 8)}`, versionsText(file), name];
  });
  print(table(header, rows));
  if (files.length > MOST_LINES) print(`and ${files.length - MOST_LINES} more`);
}

function say(count: ScrubCount, files: readonly DamagedFile[]): void {
  const { packs, chunks, bytes, damaged, quarantined, released } = count;
  print(`${counted(packs, "pack")}, ${counted(chunks, "chunk")}, ${bytesText(bytes)} read.`);
  if (released > 0) print(`${counted(released, "chunk")} can be read again.`);
  if (damaged === 0) return print("Everything is as it was stored.");
  print(`${counted(damaged, "chunk")} damaged or gone, ${quarantined} of them found now.`);
  sayFiles(files);
  print("Devices that have the files send them again by themselves.");
}

export function register(command: Command): void {
  withStores(command)
    .option("--rate <mb>", "read at most so many megabytes a second (default: all that goes)")
    .addOption(jsonOption())
    .action(scrub);
  explain(command, {
    examples: ["lockstep scrub --data /srv/lockstep", "lockstep scrub --rate 20"],
    exits: [1, 2],
    about:
      "Reads all that a server has stored and compares it with what was sent, also while servers " +
      "run. What is damaged or gone is no longer given out, and nothing of it is removed; " +
      "devices that have the files send them again. Exits with 1 when anything is damaged.",
  });
}
