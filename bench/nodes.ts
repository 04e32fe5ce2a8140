// How time and memory grow with the number of nodes of a folder: `node_modules/.bin/node
// bench/nodes.ts [--sizes 10000,100000,1000000] [--idle SECONDS] [--plain] [--flat] [--keep]
// [--folder DIR]`. Two devices and a server, real processes on a real disk. Each size: A looks at
// a full folder for the first time (scan) and sends all of it (send); B, whose folder has the same
// files, links (unite); both rest (idle); both start again, after a file was added while they were
// down (restart); a file is edited, then a folder renamed that holds half of all. Linux only.
// Times say little on a machine that has other work, processor seconds say more.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Machine, openScene, secondsUntil, type Usage } from "./machines.ts";

const { values: options } = parseArgs({
  options: {
    sizes: { type: "string", default: "10000,100000" },
    idle: { type: "string", default: "60" },
    plain: { type: "boolean", default: false },
    flat: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    folder: { type: "string", default: tmpdir() },
  },
});
const FILES_A_FOLDER = 50;
const EDITS = 5;

/** What was measured, by its name; seconds, processor seconds or MiB, as the name says. */
type Figures = Map<string, number>;

/** Half of them below `one`, half below `two`; with `--flat` all of a half in one folder. */
function pathOf(file: number): string {
  const half = file % 2 === 0 ? "one" : "two";
  if (options.flat) return join(half, `${file}`);
  const folder = Math.floor(file / 2 / FILES_A_FOLDER);
  return join(half, `g${Math.floor(folder / FILES_A_FOLDER)}`, `d${folder}`, `f${file}`);
}

function writeFiles(folder: string, nodes: number): void {
  const files = options.flat ? nodes : Math.round(nodes / (1 + 1 / FILES_A_FOLDER));
  const made = new Set<string>();
  for (let file = 0; file < files; file++) {
    const path = join(folder, pathOf(file));
    const parent = join(path, "..");
    if (!made.has(parent)) fs.mkdirSync(parent, { recursive: true });
    made.add(parent);
    fs.writeFileSync(path, `file ${file}`);
  }
}

/** Nodes that the device has found on its disk. */
function foundBy(machine: Machine): number {
  try {
    using database = new DatabaseSync(machine.database, { readOnly: true });
    const row = database
      .prepare("SELECT count(*) AS n FROM nodes WHERE local_parent IS NOT NULL")
      .get();
    return Number(row?.["n"]);
  } catch {
    // It is being made, or written to at this moment.
    return 0;
  }
}

/** Null at the moment at which it is replaced. */
function textOf(path: string): string | null {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function since(before: Usage, now: Usage): number {
  return now.cpuSeconds - before.cpuSeconds;
}

async function measureFirst(
  a: Machine,
  b: Machine,
  server: Machine,
  nodes: number,
  figures: Figures,
  link: (machine: Machine, name: string) => Promise<void>,
): Promise<void> {
  await link(a, "A");
  a.sync();
  const least = nodes * 0.9;
  figures.set("scan s", await secondsUntil("A has looked", () => foundBy(a) >= least));
  figures.set("scan cpu s", a.usage().cpuSeconds);
  const began = performance.now();
  const serverBefore = server.usage();
  await a.inSync();
  figures.set("send s", (performance.now() - began) / 1_000);
  figures.set("send cpu s", a.usage().cpuSeconds - figures.get("scan cpu s")!);
  figures.set("send server cpu s", since(serverBefore, server.usage()));
  figures.set("after send A MiB", a.usage().residentMib);
  const unite = performance.now();
  await link(b, "B");
  b.sync();
  await b.inSync();
  figures.set("unite s", (performance.now() - unite) / 1_000);
  figures.set("unite cpu s", b.usage().cpuSeconds);
  figures.set("after unite B MiB", b.usage().residentMib);
}

async function measureIdle(
  machines: Readonly<Record<string, Machine>>,
  when: string,
  figures: Figures,
): Promise<void> {
  const seconds = Number(options.idle);
  // Threads and heaps of the work before are given back after half a minute.
  await sleep((seconds * 1_000) / 2);
  const before = Object.values(machines).map((each) => each.usage());
  await sleep((seconds * 1_000) / 2);
  Object.entries(machines).forEach(([name, machine], index) => {
    const now = machine.usage();
    figures.set(`${when} idle ${name} MiB`, now.residentMib);
    figures.set(`${when} idle ${name} cpu %`, (100 * since(before[index]!, now)) / (seconds / 2));
  });
}

async function measureRestart(a: Machine, b: Machine, figures: Figures): Promise<void> {
  await a.stop();
  await b.stop();
  fs.writeFileSync(join(a.folder, "added"), "while it was down");
  const began = performance.now();
  b.sync();
  a.sync();
  await secondsUntil("B has the added file", () => fs.existsSync(join(b.folder, "added")));
  figures.set("restart s", (performance.now() - began) / 1_000);
  await a.inSync();
  figures.set("restart cpu s", a.usage().cpuSeconds);
}

async function measureEdits(a: Machine, b: Machine, figures: Figures): Promise<void> {
  const seconds: number[] = [];
  const before = a.usage();
  for (let edit = 0; edit < EDITS; edit++) {
    const path = pathOf(edit * 2 + 1);
    const text = `edited ${edit}`;
    fs.writeFileSync(join(a.folder, path), text);
    const isThere = (): boolean => textOf(join(b.folder, path)) === text;
    seconds.push(await secondsUntil("B has the edit", isThere));
    await sleep(500);
  }
  figures.set("edit s", seconds.sort((x, y) => x - y)[Math.floor(EDITS / 2)]!);
  figures.set("edit cpu s", since(before, a.usage()) / EDITS);
}

async function measureRename(a: Machine, b: Machine, figures: Figures): Promise<void> {
  const before = [a, b].map((each) => each.usage());
  fs.renameSync(join(a.folder, "one"), join(a.folder, "renamed"));
  const isThere = (): boolean =>
    fs.existsSync(join(b.folder, pathOf(0).replace(/^one/, "renamed")));
  figures.set("rename s", await secondsUntil("B has the new name", isThere));
  await sleep(2_000);
  [a, b].forEach((machine, index) => {
    figures.set(`rename ${"AB"[index]} cpu s`, since(before[index]!, machine.usage()));
  });
}

async function measure(nodes: number): Promise<Figures> {
  const outer = fs.mkdtempSync(join(options.folder, "lockstep-nodes-"));
  const figures: Figures = new Map();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => {
    if (!options.keep) fs.rmSync(outer, { recursive: true, force: true });
  });
  const { server, link } = await openScene(outer, options.plain);
  stack.use(server);
  const [a, b] = ["A", "B"].map((name) => stack.use(new Machine(outer, name))) as [
    Machine,
    Machine,
  ];
  for (const { folder } of [a, b]) writeFiles(folder, nodes);
  await measureFirst(a, b, server, nodes, figures, link);
  await measureIdle({ A: a, B: b, server }, "first", figures);
  await measureRestart(a, b, figures);
  await measureIdle({ A: a, B: b, server }, "then", figures);
  await measureEdits(a, b, figures);
  await measureRename(a, b, figures);
  return figures;
}

const sizes = options.sizes.split(",").map(Number);
const all: Figures[] = [];
for (const nodes of sizes) {
  const figures = await measure(nodes);
  const smaller = all.at(-1);
  const times = nodes / (sizes[all.length - 1] ?? nodes);
  all.push(figures);
  console.log(`${nodes} nodes`);
  for (const [name, value] of figures) {
    const before = smaller?.get(name);
    const growth = before === undefined ? "" : `; a node: ${(value / before / times).toFixed(2)} x`;
    console.log(`  ${name}: ${value.toFixed(2)}${growth}`);
  }
}
