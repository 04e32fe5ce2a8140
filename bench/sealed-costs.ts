// What sealing costs: the same files from a device to another through a plain space, a sealed one
// that shares chunks with other accounts, and a sealed one that shares them with nobody:
// `node_modules/.bin/node bench/sealed-costs.ts [--mib 64] [--files 1000] [--rounds 3]
// [--folder DIR]`. The kinds take turns in each round; of times and processor seconds the middle
// one is told, with the bytes on both lines and on the server's disk. Linux only.

import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { textSample } from "#chunking/sample-bytes.ts";
import { CountingProxy } from "./counting-proxy.ts";
import { Machine, openScene } from "./machines.ts";

const { values: options } = parseArgs({
  options: {
    mib: { type: "string", default: "64" },
    files: { type: "string", default: "1000" },
    rounds: { type: "string", default: "3" },
    folder: { type: "string", default: tmpdir() },
  },
});
const MIB = 1024 * 1024;
/** Half of the large bytes pack well, half of them not at all. */
const LARGE_BYTES = (Number(options.mib) * MIB) / 2;
const SMALL_BYTES = 12_000;
const KINDS = ["plain", "shared", "private"] as const;

type Kind = (typeof KINDS)[number];
type Cost = Readonly<Record<(typeof COLUMNS)[number], number>>;
const COLUMNS = [
  "up s",
  "up CPU s",
  "down s",
  "down CPU s",
  "up MiB",
  "down MiB",
  "disk MiB",
] as const;

function writeFiles(folder: string): void {
  fs.writeFileSync(join(folder, "noise"), randomFillSync(Buffer.alloc(LARGE_BYTES)));
  const text = textSample(1, MIB);
  const pieces = Array.from({ length: Math.ceil(LARGE_BYTES / MIB) }, (_, at) => {
    return Buffer.concat([Buffer.from(`part ${at}\n`), text]);
  });
  fs.writeFileSync(join(folder, "text"), Buffer.concat(pieces));
  for (let at = 0; at < Number(options.files); at++) {
    const inside = join(folder, `folder ${at % 20}`);
    fs.mkdirSync(inside, { recursive: true });
    fs.writeFileSync(join(inside, `file ${at}`), textSample(at + 2, SMALL_BYTES));
  }
}

function diskBytes(folder: string): number {
  return fs.readdirSync(folder, { recursive: true }).reduce((sum: number, name) => {
    const stat = fs.lstatSync(join(folder, String(name)));
    return stat.isFile() ? sum + stat.blocks * 512 : sum;
  }, 0);
}

/** Seconds until a machine's folder is in sync, and its processor's. */
async function sync(machine: Machine): Promise<{ seconds: number; cpuSeconds: number }> {
  const beganMs = performance.now();
  machine.sync();
  await machine.inSync();
  const seconds = (performance.now() - beganMs) / 1_000;
  const { cpuSeconds } = machine.usage();
  await machine.stop();
  return { seconds, cpuSeconds };
}

async function costOf(outer: string, kind: Kind): Promise<Cost> {
  await using stack = new AsyncDisposableStack();
  const isPlain = kind === "plain";
  const { server, url, link } = await openScene(outer, isPlain, {
    dedup: isPlain ? "shared" : kind,
  });
  stack.use(server);
  const lines = [await CountingProxy.open(url), await CountingProxy.open(url)] as const;
  for (const line of lines) stack.use(line);
  const [from, to] = [new Machine(outer, "A"), new Machine(outer, "B")];
  for (const machine of [from, to]) stack.use(machine);
  writeFiles(from.folder);
  await link(from, "A", lines[0].url);
  const up = await sync(from);
  await link(to, "B", lines[1].url);
  const down = await sync(to);
  for (const name of ["noise", "text", "folder 0/file 0"]) {
    const [one, other] = [from, to].map(({ folder }) => fs.readFileSync(join(folder, name)));
    assert.ok(one !== undefined && other !== undefined && one.equals(other), name);
  }
  return {
    "up s": up.seconds,
    "up CPU s": up.cpuSeconds,
    "down s": down.seconds,
    "down CPU s": down.cpuSeconds,
    "up MiB": lines[0].upBytes / MIB,
    "down MiB": lines[1].downBytes / MIB,
    "disk MiB": diskBytes(join(outer, "data")) / MIB,
  };
}

function middle(costs: readonly Cost[], column: (typeof COLUMNS)[number]): number {
  const sorted = costs.map((cost) => cost[column]).sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const costs = new Map<Kind, Cost[]>(KINDS.map((kind) => [kind, []]));
for (let round = 0; round < Number(options.rounds); round++) {
  for (const kind of KINDS) {
    const outer = fs.mkdtempSync(join(options.folder, "lockstep-costs-"));
    try {
      costs.get(kind)?.push(await costOf(outer, kind));
    } finally {
      fs.rmSync(outer, { recursive: true, force: true });
    }
  }
}
console.log(`| space | ${COLUMNS.join(" | ")} |`);
console.log(`|---|${COLUMNS.map(() => "---|").join("")}`);
for (const [kind, own] of costs) {
  const cells = COLUMNS.map((column) => middle(own, column).toFixed(2));
  console.log(`| ${kind} | ${cells.join(" | ")} |`);
}
