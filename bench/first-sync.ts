// How long a folder's first way to a second device takes, with what time and memory of which
// process: `node_modules/.bin/node bench/first-sync.ts [--files N] [--bytes N] [--text]
// [--plain] [--folder DIR] [--profile DIR]`. Without --bytes the sizes of files vary around 4 KiB.
// Linux only: it reads /proc. Times say little on a machine that has other work; processor seconds
// say more.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { randomSample, textSample } from "#chunking/sample-bytes.ts";

const { values: options } = parseArgs({
  options: {
    files: { type: "string", default: "2000" },
    bytes: { type: "string" },
    text: { type: "boolean", default: false },
    plain: { type: "boolean", default: false },
    folder: { type: "string", default: tmpdir() },
    profile: { type: "string" },
  },
});
const FILES = Number(options.files);
const TICKS_A_SECOND = 100;
const POLL_MS = 20;

const outer = fs.mkdtempSync(join(options.folder, "lockstep-first-sync-"));
const lockstep = join(import.meta.dirname, "..", "lockstep");
const password = "correct horse battery staple";
const profiling =
  options.profile === undefined
    ? {}
    : { NODE_OPTIONS: `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${options.profile}` };

/** A process, what it is called, and what it had used when the measuring began. */
type Running = { readonly name: string; readonly child: ChildProcess; before: number };
const running: Running[] = [];

function start(name: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
  const environment = { ...process.env, LOCKSTEP_PASSWORD: password, ...more };
  const home = { LOCKSTEP_HOME: join(outer, name) };
  return spawn(lockstep, args, { env: { ...environment, ...home }, stdio: ["ignore", 2, 2] });
}

async function run(name: string, ...args: readonly string[]): Promise<void> {
  const [code] = (await once(start(name, args), "exit")) as [number | null];
  assert.equal(code, 0, `lockstep ${args.join(" ")}`);
}

function keepRunning(name: string, ...args: readonly string[]): void {
  running.push({ name, child: start(name, args, profiling), before: 0 });
}

/** Processor seconds of a process and of those that it started. */
function cpuSeconds(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const own = (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child), own);
}

function childrenOf(pid: number): number[] {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function memoryMib(pid: number, field: "VmHWM" | "VmRSS"): string {
  const own = new RegExp(`${field}:\\s+(\\d+)`).exec(
    fs.readFileSync(`/proc/${pid}/status`, "utf8"),
  );
  const others = childrenOf(pid).map((child) => ` + ${memoryMib(child, field)}`);
  return `${Math.round(Number(own?.[1]) / 1024)}${others.join("")}`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** Log-normal around 4 KiB, as small files are. */
function sizeOf(file: number): number {
  if (options.bytes !== undefined) return Number(options.bytes);
  const [one, two] = new Uint32Array(randomSample(file, 8).buffer);
  const normal =
    Math.sqrt(-2 * Math.log((one! + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * two!) / 2 ** 32);
  return Math.min(2 ** 20, Math.round(4096 * Math.exp(normal)));
}

function writeFiles(folder: string): number {
  let sum = 0;
  for (let file = 0; file < FILES; file++) {
    const inside = join(folder, `folder-${file % Math.ceil(FILES / 20)}`);
    fs.mkdirSync(inside, { recursive: true });
    const size = sizeOf(file);
    sum += size;
    const bytes = (options.text ? textSample : randomSample)(file, size);
    fs.writeFileSync(join(inside, `file-${file}`), bytes);
  }
  return sum;
}

function countFiles(folder: string): number {
  if (!fs.existsSync(folder)) return 0;
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

const port = await freePort();
const server = `http://127.0.0.1:${port}`;
const folders = { A: join(outer, "folder-A"), B: join(outer, "folder-B") };
for (const folder of Object.values(folders)) fs.mkdirSync(folder);
try {
  keepRunning("S", "serve", "--data", join(outer, "data"), "--port", String(port));
  while (!(await fetch(`${server}/v1/server`).catch(() => null))) await sleep(POLL_MS);
  await run("A", "account", "create", "--server", server, "--account", "anna");
  const space = options.plain ? ["--space", "plain"] : [];
  for (const name of ["A", "B"] as const) {
    const who = ["--server", server, "--account", "anna", "--device", name];
    await run(name, "link", folders[name], ...who, ...space);
    keepRunning(name, "sync", folders[name]);
  }
  for (const name of ["A", "B"] as const) await run(name, "wait", folders[name]);
  for (const one of running) {
    one.before = cpuSeconds(one.child.pid!);
    console.log(`${one.name} idle: ${memoryMib(one.child.pid!, "VmRSS")} MiB`);
  }
  const bytes = writeFiles(join(outer, "new"));
  const beganMs = performance.now();
  fs.renameSync(join(outer, "new"), join(folders.A, "new"));
  while (countFiles(join(folders.B, "new")) < FILES) await sleep(5 * POLL_MS);
  const seconds = (performance.now() - beganMs) / 1_000;
  for (const name of ["A", "B"] as const) await run(name, "wait", folders[name]);
  const rate = `${Math.round(FILES / seconds)} files/s, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
  console.log(`${FILES} files, ${(bytes / 1e6).toFixed(1)} MB: ${seconds.toFixed(2)} s, ${rate}`);
  let sum = 0;
  for (const { name, child, before } of running) {
    const pid = child.pid!;
    const used = cpuSeconds(pid) - before;
    sum += used;
    const memory = `at most ${memoryMib(pid, "VmHWM")} MiB, now ${memoryMib(pid, "VmRSS")} MiB`;
    console.log(`${name}: ${used.toFixed(2)} processor s; ${memory}`);
  }
  console.log(`together ${sum.toFixed(2)} processor s`);
} finally {
  for (const { child } of running.toReversed()) {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
  fs.rmSync(outer, { recursive: true, force: true });
}
