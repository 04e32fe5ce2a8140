// How long a folder's first way to a second device takes, with what time and memory of which
// process: `node_modules/.bin/node bench/first-sync.ts [--files N] [--bytes N] [--text]
// [--plain] [--folder DIR] [--profile DIR]`. Without --bytes the sizes of files vary around 4 KiB.
// Linux only: it reads /proc. Times say little on a machine that has other work; processor seconds
// say more.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { randomSample, textSample } from "#chunking/sample-bytes.ts";
import { Machine, openScene } from "./machines.ts";

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
const COUNT_EVERY_MS = 100;

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

async function measure(outer: string): Promise<void> {
  const { plain, profile: profiles } = options;
  await using stack = new AsyncDisposableStack();
  const { server, link } = await openScene(outer, plain, { profiles });
  stack.use(server);
  const [a, b] = ["A", "B"].map((name) => stack.use(new Machine(outer, name, profiles))) as [
    Machine,
    Machine,
  ];
  for (const [name, machine] of Object.entries({ A: a, B: b })) {
    await link(machine, name);
    machine.sync();
  }
  for (const machine of [a, b]) await machine.inSync();
  const all = Object.entries({ S: server, A: a, B: b });
  const before = all.map(([name, machine]) => {
    const { cpuSeconds, residentMib } = machine.usage();
    console.log(`${name} idle: ${Math.round(residentMib)} MiB`);
    return cpuSeconds;
  });
  const bytes = writeFiles(join(outer, "new"));
  const beganMs = performance.now();
  fs.renameSync(join(outer, "new"), join(a.folder, "new"));
  while (countFiles(join(b.folder, "new")) < FILES) await sleep(COUNT_EVERY_MS);
  const seconds = (performance.now() - beganMs) / 1_000;
  for (const machine of [a, b]) await machine.inSync();
  const rate = `${Math.round(FILES / seconds)} files/s, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
  console.log(`${FILES} files, ${(bytes / 1e6).toFixed(1)} MB: ${seconds.toFixed(2)} s, ${rate}`);
  let sum = 0;
  for (const [index, [name, machine]] of all.entries()) {
    const { cpuSeconds, residentMib } = machine.usage();
    const used = cpuSeconds - before[index]!;
    sum += used;
    const most = machine.mostMib().map(Math.round).join(" + ");
    const memory = `at most ${most} MiB, now ${Math.round(residentMib)} MiB`;
    console.log(`${name}: ${used.toFixed(2)} processor s; ${memory}`);
  }
  console.log(`together ${sum.toFixed(2)} processor s`);
}

const outer = fs.mkdtempSync(join(options.folder, "lockstep-first-sync-"));
try {
  await measure(outer);
} finally {
  fs.rmSync(outer, { recursive: true, force: true });
}
