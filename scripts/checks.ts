// Runs every check of the project, one after the other, and ends with a line "N passed, N failed"
// that counts tests one by one and each other step as one. With --quick: without the whole-program
// tests.

import { spawn, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };
type Step = { readonly name: string; readonly slow?: true } & (
  | { readonly kind: "command"; readonly args: readonly string[] }
  | { readonly kind: "tests"; readonly files: readonly string[]; readonly concurrency: number }
);
type Outcome = Counts & { readonly output: string };

const root = path.dirname(import.meta.dirname);
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "lockstep-checks-"));

/** No honest test takes so long; one that hangs must fail, not stop the whole run. */
const testTimeoutMs = 120_000;
/** A test file that leaks a timer or a socket never ends by itself; node:test would wait on. */
const silenceMs = testTimeoutMs + 30_000;
/** Stories the simulator plays in a full run; a release plays far more. */
const sweepStories = 1_000;

const allTests = fs.globSync(["src/**/*.test.ts", "test/**/*.test.ts"], { cwd: root }).sort();
const isIn = (folder: string) => (file: string) =>
  file.startsWith(path.join("test", folder) + path.sep);
const wholeProgram = isIn("e2e");
/** They start database servers and object stores of their own. */
const withStores = isIn("stores");
const quick = process.argv.includes("--quick");

const steps: readonly Step[] = [
  {
    name: "types, pure rooms",
    kind: "command",
    args: [tool("typescript/bin/tsc"), "-p", "tsconfig.pure.json"],
  },
  {
    name: "types, the rest",
    kind: "command",
    args: [tool("typescript/bin/tsc"), "-p", "tsconfig.json"],
  },
  { name: "lint", kind: "command", args: [tool("oxlint/bin/oxlint")] },
  { name: "format", kind: "command", args: [tool("oxfmt/bin/oxfmt"), "--check"] },
  {
    name: "dead code",
    kind: "command",
    args: [tool("knip/bin/knip.js"), "--no-progress", "--no-config-hints"],
  },
  {
    name: "unit tests",
    kind: "tests",
    files: allTests.filter((file) => !wholeProgram(file) && !(quick && withStores(file))),
    // More than there are cores: many wait, for a clock or for another process.
    concurrency: os.availableParallelism() + 2,
  },
  {
    name: "whole-program tests",
    kind: "tests",
    // Each starts servers and devices, and waits for them by the clock.
    files: allTests.filter(wholeProgram),
    concurrency: os.availableParallelism(),
    slow: true,
  },
  ...simulator(),
];

let running: ChildProcess | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    running?.kill(signal);
    process.exit(130);
  });
}
process.once("exit", () => fs.rmSync(scratch, { recursive: true, force: true }));

await main();

async function main(): Promise<void> {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const step of steps) {
    if (quick && step.slow === true) continue;
    if (step.kind === "tests" && step.files.length === 0) continue;
    const startedMs = performance.now();
    const outcome = await (step.kind === "tests" ? runTests(step) : runCommand(step.args));
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
    const ended = outcome.failed > 0 ? `FAILED ${outcome.failed}` : "ok";
    const tests = step.kind === "tests" ? `, ${outcome.passed} tests` : "";
    console.log(`${step.name.padEnd(20)} ${seconds.padStart(6)} s  ${ended}${tests}`);
    if (outcome.failed > 0) console.log(outcome.output);
    total.passed += outcome.passed;
    total.failed += outcome.failed;
    total.skipped += outcome.skipped;
  }
  if (total.skipped > 0) console.log(`${total.skipped} skipped, each with its reason in the test`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

function simulator(): Step[] {
  const file = path.join("src", "sim", "main.ts");
  if (!fs.existsSync(path.join(root, file))) return [];
  const args = [file, "--sweep", String(sweepStories)];
  return [{ name: "simulator", kind: "command", args, slow: true }];
}

function tool(inside: string): string {
  return path.join("node_modules", inside);
}

async function runCommand(args: readonly string[]): Promise<Outcome> {
  const { code, output } = await runNode(args);
  return code === 0
    ? { passed: 1, failed: 0, skipped: 0, output }
    : { passed: 0, failed: 1, skipped: 0, output };
}

async function runTests(step: Step & { readonly kind: "tests" }): Promise<Outcome> {
  const countsFile = path.join(scratch, "counts.json");
  fs.rmSync(countsFile, { force: true });
  const { code, output } = await runNode([
    "--test",
    `--test-concurrency=${step.concurrency}`,
    `--test-timeout=${testTimeoutMs}`,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    `--test-reporter=${path.join(root, "scripts", "count-reporter.ts")}`,
    `--test-reporter-destination=${countsFile}`,
    ...step.files,
  ]);
  const counts = readCounts(countsFile);
  // A run that broke off, or says nothing about what went wrong, is a failure of its own.
  const failed = code !== 0 && counts.failed === 0 ? 1 : counts.failed;
  return { ...counts, failed, output };
}

function readCounts(file: string): Counts {
  const line = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  return line === "" ? { passed: 0, failed: 0, skipped: 0 } : (JSON.parse(line) as Counts);
}

async function runNode(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    // What the tools start as "node" has to be this Node too.
    env: {
      ...process.env,
      PATH: path.dirname(process.execPath) + path.delimiter + (process.env["PATH"] ?? ""),
    },
  });
  running = child;
  const chunks: Buffer[] = [];
  // Told to stop, node:test names the files it was waiting for.
  const giveUp = setTimeout(() => child.kill("SIGTERM"), silenceMs);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      giveUp.refresh();
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearTimeout(giveUp);
  return { code, output: Buffer.concat(chunks).toString() };
}
