// One large file from a device to another, sealed: `node_modules/.bin/node bench/large-file.ts
// [--mib 5120] [--sparse] [--cuts 3] [--folder DIR]`. All connections of the sender are reset so
// many times while it sends, those of the receiver while it fetches; then one byte in the middle is
// edited. Says the time, the bytes on each line and the memory of each process, and ends with an
// error when the files differ. With --sparse the file is a hole but for some megabytes. Linux only.

import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CountingProxy } from "./counting-proxy.ts";
import { Machine, openScene, secondsUntil } from "./machines.ts";

const { values: options } = parseArgs({
  options: {
    mib: { type: "string", default: "5120" },
    sparse: { type: "boolean", default: false },
    cuts: { type: "string", default: "3" },
    folder: { type: "string", default: tmpdir() },
  },
});
const MIB = 1024 * 1024;
const SIZE = Number(options.mib) * MIB;
const NAME = "large.img";
/** Where a sparse file has a megabyte that is no hole, as parts of its size. */
const ISLANDS = [0, 0.17, 0.34, 0.55, 0.68, 0.99];
const BLOCK_BYTES = 512;
const MEMORY_EVERY_MS = 200;

/** Where the file is edited later: within a hole of a sparse one. */
const EDITED_AT = SIZE / 2 + 12_345;

function islands(): number[] {
  return ISLANDS.map((part) => Math.floor((SIZE / MIB) * part) * MIB);
}

function wholeMibs(): number[] {
  return Array.from({ length: SIZE / MIB }, (_, index) => index * MIB);
}

function writeLarge(path: string): void {
  const file = fs.openSync(path, "w");
  fs.ftruncateSync(file, SIZE);
  const piece = Buffer.alloc(MIB);
  for (const at of options.sparse ? islands() : wholeMibs())
    fs.writeSync(file, randomFillSync(piece), 0, MIB, at);
  fs.closeSync(file);
}

/** Compares what is no hole; of a sparse file, and how much of it there is. */
function assertSame(from: string, to: string): void {
  const [one, other] = [from, to].map((path) => fs.openSync(path, "r")) as [number, number];
  const [left, right] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
  for (const at of options.sparse ? [...islands(), EDITED_AT] : wholeMibs()) {
    fs.readSync(one, left, 0, MIB, at);
    fs.readSync(other, right, 0, MIB, at);
    assert.ok(left.equals(right), `B has other bytes than A within 1 MiB from ${at}`);
  }
  const sizes = [one, other].map((file) => fs.fstatSync(file).blocks * BLOCK_BYTES);
  for (const file of [one, other]) fs.closeSync(file);
  console.log(`the same bytes; on the disk of A ${mib(sizes[0]!)}, of B ${mib(sizes[1]!)}`);
  if (options.sparse)
    assert.ok(sizes[1]! <= sizes[0]! + ISLANDS.length * 16 * MIB, "B has fewer holes");
}

function sizeOf(path: string): number {
  return fs.statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(2)} MiB`;
}

async function main(outer: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { server, url, link } = await openScene(outer, false);
  stack.use(server);
  const machines = ["A", "B"].map((name) => stack.use(new Machine(outer, name)));
  const proxies: CountingProxy[] = [];
  for (const [index, machine] of machines.entries()) {
    const proxy = stack.use(await CountingProxy.open(url));
    proxies.push(proxy);
    await link(machine, "AB"[index]!, proxy.url);
    machine.sync();
    await machine.inSync();
  }
  const [a, b] = machines as [Machine, Machine];
  const [lineA, lineB] = proxies as [CountingProxy, CountingProxy];
  const most = { A: 0, B: 0, server: 0 };
  const watch = setInterval(() => {
    for (const [name, machine] of Object.entries({ A: a, B: b, server })) {
      const is = machine.usage().residentMib;
      most[name as keyof typeof most] = Math.max(most[name as keyof typeof most], is);
    }
  }, MEMORY_EVERY_MS);
  stack.defer(() => clearInterval(watch));
  const tell = (what: string, seconds: number): void => {
    const lines = `A sent ${mib(lineA.upBytes)}, B received ${mib(lineB.downBytes)}`;
    const memory = Object.entries(most).map(([name, is]) => `${name} ${Math.round(is)}`);
    console.log(`${what}: ${seconds.toFixed(1)} s; ${lines}; at most MiB: ${memory.join(", ")}`);
    lineA.upBytes = 0;
    lineB.downBytes = 0;
  };
  for (const line of proxies) [line.upBytes, line.downBytes] = [0, 0];
  const [from, to] = machines.map(({ folder }) => join(folder, NAME)) as [string, string];
  writeLarge(join(outer, NAME));
  fs.renameSync(join(outer, NAME), from);
  const cuts = Number(options.cuts);
  let [cutA, cutB] = [0, 0];
  const isThere = (): boolean => {
    const due = (bytes: number, done: number): boolean =>
      done < cuts && bytes > (SIZE * (done + 1)) / (cuts + 1);
    if (due(lineA.upBytes, cutA)) [cutA] = [cutA + 1, lineA.cut()];
    if (due(lineB.downBytes, cutB)) [cutB] = [cutB + 1, lineB.cut()];
    return sizeOf(to) === SIZE;
  };
  const first = await secondsUntil("B has the file", isThere);
  tell(`${mib(SIZE)}, ${cutA} and ${cutB} cuts`, first);
  for (const machine of machines) await machine.inSync();
  assertSame(from, to);
  // Signatures are made when nothing else is to be done.
  await sleep(5_000);
  tell("at rest", 5);
  const file = fs.openSync(from, "r+");
  fs.writeSync(file, "x", EDITED_AT);
  fs.closeSync(file);
  const read = Buffer.alloc(1);
  const isEdited = (): boolean => {
    if (sizeOf(to) !== SIZE) return false;
    const open = fs.openSync(to, "r");
    fs.readSync(open, read, 0, 1, EDITED_AT);
    fs.closeSync(open);
    return read.toString() === "x";
  };
  tell("one byte edited", await secondsUntil("B has the edit", isEdited));
  for (const machine of machines) await machine.inSync();
  assertSame(from, to);
}

const outer = fs.mkdtempSync(join(options.folder, "lockstep-large-"));
try {
  await main(outer);
} finally {
  fs.rmSync(outer, { recursive: true, force: true });
}
