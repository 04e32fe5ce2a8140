// The same work by Lockstep and by whichever of its peers are installed (syncthing, unison, rsync),
// one after the other: `node_modules/.bin/node bench/peers.ts [--scale 0.1] [--folder DIR]
// [--only lockstep,rsync]`. Lockstep with a sealed space, as it is; Syncthing with its watcher at
// its fastest; Unison over a socket; rsync one way from its daemon. Bytes are those of A's line
// both ways. Linux only. On a machine that has other work only the bytes mean something.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { secondsUntil } from "./machines.ts";
import { PEERS, type Peer, type Side } from "./peer-programs.ts";

const { values: options } = parseArgs({
  options: {
    scale: { type: "string", default: "0.1" },
    folder: { type: "string", default: tmpdir() },
    only: { type: "string" },
  },
});
const SCALE = Number(options.scale);
const FILES = Math.round(10_000 * SCALE);
const FILE_BYTES = 4_096;
const MIB = 1024 * 1024;
const LARGE_BYTES = Math.round(1_024 * SCALE) * MIB;
const EDITS = 8;
/** Two saves of one size within a second are missed by who compares whole seconds. */
const APART_MS = 1_100;
const QUIET_MS = 1_500;
const MOST_SECONDS = 900;

type Result = { readonly seconds: number; readonly bytes: number };
type Results = Map<string, Result>;

/** People's files, not what a program puts beside them. */
function filesOf(folder: string): fs.Dirent[] {
  if (!fs.existsSync(folder)) return [];
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter(({ name, parentPath }) => !`${parentPath}/${name}`.includes("/."));
}

function countFiles(folder: string): number {
  return filesOf(folder).filter((entry) => entry.isFile()).length;
}

function hashesOf(folder: string): string[] {
  const files = filesOf(folder).filter((entry) => entry.isFile());
  return files
    .map(({ name, parentPath }) => {
      const bytes = fs.readFileSync(join(parentPath, name));
      return `${name} ${createHash("sha256").update(bytes).digest("hex")}`;
    })
    .toSorted();
}

/** How long a file is, and its ends; null when it is not there. */
function endsOf(path: string): string | null {
  try {
    const file = fs.openSync(path, "r");
    const { size } = fs.fstatSync(file);
    const ends = Buffer.alloc(64);
    fs.readSync(file, ends, 0, 32, 0);
    fs.readSync(file, ends, 32, 32, Math.max(0, size - 32));
    fs.closeSync(file);
    return `${size} ${ends.toString("hex")}`;
  } catch {
    return null;
  }
}

async function untilQuiet({ line }: Side): Promise<void> {
  for (let last = -1; last !== line.upBytes + line.downBytes;) {
    last = line.upBytes + line.downBytes;
    await sleep(QUIET_MS);
  }
}

/** Does something to A's folder and waits until B's shows it. */
async function measure(side: Side, edit: () => void, isThere: () => boolean): Promise<Result> {
  await untilQuiet(side);
  const before = side.line.upBytes + side.line.downBytes;
  const beganMs = performance.now();
  edit();
  await side.run?.();
  await secondsUntil("B has what A has", isThere, MOST_SECONDS);
  const seconds = (performance.now() - beganMs) / 1_000;
  await untilQuiet(side);
  return { seconds, bytes: side.line.upBytes + side.line.downBytes - before };
}

function writeMany(folder: string): void {
  const bytes = Buffer.alloc(FILE_BYTES);
  for (let file = 0; file < FILES; file++) {
    const inside = join(folder, `folder-${Math.floor(file / 20)}`);
    fs.mkdirSync(inside, { recursive: true });
    fs.writeFileSync(join(inside, `file-${file}`), randomFillSync(bytes));
  }
}

function writeLarge(path: string): void {
  const file = fs.openSync(path, "w");
  const piece = Buffer.alloc(MIB);
  for (let at = 0; at < LARGE_BYTES; at += MIB) fs.writeSync(file, randomFillSync(piece), 0, MIB);
  fs.closeSync(file);
}

async function measureAll(side: Side, outer: string): Promise<Results> {
  const results: Results = new Map();
  writeMany(join(outer, "many"));
  const many = await measure(
    side,
    () => fs.renameSync(join(outer, "many"), join(side.a, "many")),
    () => countFiles(join(side.b, "many")) === FILES,
  );
  results.set(`${FILES} files of 4 KiB`, many);
  const [made, large] = [join(outer, "large"), join(side.a, "large")];
  const isSame = (): boolean => endsOf(join(side.b, "large")) === endsOf(large);
  writeLarge(made);
  const renamed = (): void => fs.renameSync(made, large);
  results.set(`${LARGE_BYTES / MIB} MiB of noise`, await measure(side, renamed, isSame));
  await sleep(APART_MS);
  fs.writeFileSync(made, "x");
  fs.appendFileSync(made, fs.readFileSync(large));
  results.set("one byte put before it", await measure(side, renamed, isSame));
  const [small, there] = [side.a, side.b].map((root) => join(root, "many/folder-0/file-0"));
  assert.ok(small !== undefined && there !== undefined);
  const times: Result[] = [];
  for (let edit = 0; edit < EDITS; edit++) {
    await sleep(side.run === undefined ? 0 : APART_MS);
    const write = (): void => fs.writeFileSync(small, randomFillSync(Buffer.alloc(1_024)));
    times.push(await measure(side, write, () => endsOf(there) === endsOf(small)));
  }
  times.sort((one, other) => one.seconds - other.seconds);
  results.set("1 KiB saved, median", times[EDITS / 2]!);
  assert.deepEqual(hashesOf(side.b), hashesOf(side.a), "both folders hold the same");
  return results;
}

async function measurePeer(peer: Peer): Promise<Results> {
  const outer = fs.mkdtempSync(join(options.folder, "lockstep-peers-"));
  try {
    await using side = await peer.start(outer);
    return await measureAll(side, outer);
  } finally {
    fs.rmSync(outer, { recursive: true, force: true, maxRetries: 5 });
  }
}

function isInstalled({ program }: Peer): boolean {
  return program === null || spawnSync(program, ["--version"]).error === undefined;
}

function sizeText(bytes: number): string {
  return bytes < MIB / 10 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`;
}

function print(all: ReadonlyMap<string, Results>): void {
  const ours = all.get("lockstep");
  for (const work of [...all.values()][0]?.keys() ?? []) {
    console.log(`\n${work}`);
    for (const [name, results] of all) {
      const { seconds, bytes } = results.get(work)!;
      const own = name === "lockstep" ? undefined : ours?.get(work);
      const [time, wire] = [`${seconds.toFixed(3)} s`, sizeText(bytes)];
      const ratios =
        own === undefined
          ? ""
          : `ours: ${(own.seconds / seconds).toFixed(2)} x time, ` +
            `${(own.bytes / bytes).toFixed(3)} x bytes`;
      console.log(`  ${name.padEnd(10)}${time.padStart(10)}${wire.padStart(12)}  ${ratios}`);
    }
  }
}

const wanted = options.only?.split(",");
const all = new Map<string, Results>();
for (const peer of PEERS) {
  if (wanted !== undefined && !wanted.includes(peer.name)) continue;
  if (isInstalled(peer)) all.set(peer.name, await measurePeer(peer));
  else console.log(`${peer.name} is not installed`);
}
print(all);
