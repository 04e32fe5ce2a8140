// Switches each defence against an attack of SPEC.md off, one after the other, and shows that the
// attack's own test falls then. Tells it as a table, a line each as soon as it is known, and ends
// with 0 when all fall. Usage: scripts/defences.ts [T-XX-01 …]

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { mutated } from "#sim/mutation.ts";
import { DEFENCES, type Defence } from "../test/defences/list.ts";

const root = path.dirname(import.meta.dirname);
const PLANT = pathToFileURL(path.join(root, "scripts", "without-defence.ts")).href;
/** One that hangs without its defence has fallen too. */
const TIMEOUT_MS = 120_000;

type Outcome = "fell" | "stood" | "did not begin";

/** Throws when an edit fits its file no more. */
function checkFits({ edits }: Defence): void {
  for (const edit of edits) {
    mutated(readFileSync(path.join(root, "src", edit.file), "utf8"), [edit]);
  }
}

async function tryWithout({ attack, test, edits }: Defence): Promise<Outcome> {
  const args = [
    "--disable-warning=ExperimentalWarning",
    "--test",
    "--test-force-exit",
    "--test-reporter=spec",
    `--test-timeout=${TIMEOUT_MS}`,
    `--test-name-pattern=${attack}\\b`,
    test,
  ];
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      NODE_OPTIONS: `--import=${PLANT} --disable-warning=ExperimentalWarning`,
      LOCKSTEP_WITHOUT: JSON.stringify(edits),
    },
  });
  let said = "";
  child.stdout.on("data", (piece: Buffer) => (said += piece.toString()));
  child.stderr.on("data", (piece: Buffer) => (said += piece.toString()));
  await new Promise((resolve) => child.once("close", resolve));
  const lines = said.split("\n").filter((line) => line.includes(attack));
  if (lines.some((line) => /^\s*✖/.test(line))) return "fell";
  return lines.some((line) => /^\s*✔/.test(line)) ? "stood" : "did not begin";
}

const wanted = process.argv.slice(2);
const chosen = DEFENCES.filter(({ attack }) => wanted.length === 0 || wanted.includes(attack));
if (chosen.length === 0) throw new RangeError(`There is no defence against ${wanted.join(", ")}.`);
// One that fits its file no more is told before the first test begins.
chosen.forEach(checkFits);

const line = (
  ...[attack, outcome, seconds, test, without]: [string, string, string, string, string]
) =>
  `| ${attack.padEnd(7)} | ${outcome.padEnd(13)} | ${seconds.padStart(5)} | ${test} | ${without} |`;
console.log(line("attack", "outcome", "s", "test", "without"));
console.log("|---|---|---|---|---|");
const stood: string[] = [];
for (const defence of chosen) {
  const { attack, test, without } = defence;
  const startedMs = performance.now();
  const outcome = await tryWithout(defence);
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  if (outcome !== "fell") stood.push(`${attack} (${without}): ${outcome}`);
  console.log(line(attack, outcome, seconds, test, without));
}
const attacks = new Set(chosen.map(({ attack }) => attack)).size;
const fell = chosen.length - stood.length;
console.log(
  `${fell} of ${chosen.length} defences against ${attacks} attacks fell when switched off`,
);
for (const each of stood) console.log(`not: ${each}`);
process.exitCode = stood.length === 0 ? 0 : 1;
