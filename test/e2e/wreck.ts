// A server and two devices that are killed and started again while people work in both folders, and
// the ledger of what those people saved. Used by the tests, for some rounds, and by
// scripts/soak.ts, for hundreds.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { leftovers, settled } from "./trees.ts";
import { type Device, type Running, type Server, World } from "./world.ts";

/** Numbers from 0 to 1 that are the same in every run; when a process dies is chance enough. */
export function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

type Kill = "A" | "B" | "both" | "server" | "key service";

/** Whom a number from 0 to 1 kills: the first whose limit it is below. */
const WHOM: readonly (readonly [below: number, Kill])[] = [
  [0.28, "A"],
  [0.56, "B"],
  [0.7, "both"],
  [0.8, "key service"],
  [1, "server"],
];

/** The processes that a process has started itself. */
function childrenOf(pid: number): number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).split("\n");
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.flatMap(([child, parent]) => (parent === pid && child ? [child] : []));
}

function killHard(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH", String(error));
  }
}

/** A server, with its key service, and two devices that are killed and started again. */
export class Wreck {
  readonly devices: readonly Device[];
  readonly kills: Record<Kill, number> = { A: 0, B: 0, both: 0, server: 0, "key service": 0 };
  readonly #world: World;
  readonly #engines = new Map<Device, Running>();
  #server: Server;

  private constructor(world: World, server: Server, devices: readonly Device[]) {
    this.#world = world;
    this.#server = server;
    this.devices = devices;
  }

  /** Nothing syncs before `start`. */
  static async make(world: World): Promise<Wreck> {
    const server = await world.server();
    const devices = ["A", "B"].map((name) => world.device(name));
    const to = ["--server", server.url, "--account", "alice"];
    await devices[0]?.ok("account", "create", ...to);
    for (const device of devices) await device.link(server, "alice");
    return new Wreck(world, server, devices);
  }

  start(): void {
    for (const device of this.devices) {
      const engine = this.#engines.get(device);
      if (engine?.hasEnded === false) continue;
      this.#engines.set(device, device.start("sync", device.dir));
    }
  }

  /** Kills one process or two, and starts again whatever is dead. */
  async kill(chance: () => number): Promise<void> {
    const [a, b] = this.devices.map((device) => this.#engines.get(device));
    assert.ok(a && b);
    const draw = chance();
    const what = WHOM.find(([below]) => draw < below)?.[1] ?? "server";
    this.kills[what]++;
    if (what === "key service") {
      // The server starts it again; it may be dead at this moment.
      for (const child of childrenOf(this.#server.process.pid)) killHard(child);
      return;
    }
    const killed = { A: [a], B: [b], both: [a, b], server: [this.#server.process] }[what];
    for (const each of killed) assert.ok(!each.hasEnded, `it ended by itself:\n${each.said}`);
    await Promise.all(killed.map((each) => each.stop("SIGKILL")));
    if (what === "server") {
      const { data, url } = this.#server;
      this.#server = await this.#world.server({ data, port: Number(new URL(url).port) });
    }
    this.start();
  }

  /** What must hold when all is over; gives the tree. */
  async assertWhole(): Promise<Record<string, string>> {
    const tree = await assertDevicesWhole(this.devices);
    const unfinished = path.join(this.#server.data, "packs", "unfinished");
    assert.deepEqual(fs.readdirSync(unfinished), []);
    return tree;
  }
}

/** What must hold of devices when all is over; gives the tree. */
export async function assertDevicesWhole(
  devices: readonly Device[],
): Promise<Record<string, string>> {
  const tree = await settled(devices);
  for (const device of devices) {
    const { state, problems, holds, conflicts } = await device.json("status", device.dir);
    const expected = { state: "in-sync", problems: [], holds: 0, conflicts: 0 };
    assert.deepEqual({ state, problems, holds, conflicts }, expected);
    assert.deepEqual(leftovers(device), [], `${device.name} is tidy`);
    assert.deepEqual(drafts(device.home), [], `the home of ${device.name} is tidy`);
    assert.deepEqual(unions(device), [], `${device.name} knows its own commits`);
  }
  return tree;
}

/** Files that were being written beside those that they were to replace. */
function drafts(folder: string): string[] {
  const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.filter((name) => /\.new$|\.tmp$/.test(name));
}

/** What a device wrote of having lost what was agreed on. */
function unions(device: Device): string[] {
  const lines = device.logged.split("\n");
  assert.ok(
    lines.some((line) => line.includes('"engine-started"')),
    "it has a log",
  );
  return lines.filter((line) => line.includes('"uniting"'));
}

/** Living files of one person: more are not made. So few are deleted that nobody is asked. */
const MOST_FILES = 60;

/** Of some ten letters each. */
const MOST_WORDS = 20_000;

/**
 * Makes, saves, appends to, moves and deletes files of their own, and moves folders of their own,
 * whoever has put something in them: two of them never touch the same file.
 */
export class Person {
  readonly #device: Device;
  readonly #chance: () => number;
  /** What each living file of theirs holds; every text begins with the file's own number. */
  readonly #texts = new Map<string, string>();
  #count = 0;
  deeds = 0;

  constructor(device: Device, chance: () => number) {
    this.#device = device;
    this.#chance = chance;
  }

  get texts(): Iterable<string> {
    return this.#texts.values();
  }

  /** Goes on until the signal, with pauses of up to so long. */
  async work(mostPauseMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.act();
      await pause(mostPauseMs * this.#chance());
    }
  }

  act(): void {
    try {
      this.#act();
      this.deeds++;
    } catch (error) {
      // The folder was moved by the other one at this moment, or is not empty after all.
      const { code = "" } = error as NodeJS.ErrnoException;
      assert.ok(["ENOENT", "EINVAL", "ENOTEMPTY", "EEXIST"].includes(code), String(error));
    }
  }

  #pick<T>(all: readonly T[]): T {
    const one = all[Math.floor(this.#chance() * all.length)];
    assert.ok(one !== undefined);
    return one;
  }

  #act(): void {
    const { name: me } = this.#device;
    const all = this.#device.list();
    const folders = ["", ...all.filter((name) => name.endsWith("/") && name.split("/").length < 6)];
    const own = all.filter((name) => !name.endsWith("/") && this.#isOwn(name));
    const draw = this.#chance();
    const fresh = `${this.#pick(folders)}${me}-${++this.#count}`;
    const isFull = own.length >= MOST_FILES;
    if (own.length < 5 || (draw < 0.25 && !isFull))
      return this.#save(fresh, `${me}${this.#count}`, 0);
    const name = this.#pick(own);
    const [id = "", version] = (this.#device.read(name) ?? "").split(":");
    if (draw < 0.52) this.#save(name, id, Number(version) + 1);
    else if (draw < 0.66) this.#append(name, id);
    else if (draw < 0.85) fs.renameSync(this.#device.at(name), this.#device.at(fresh));
    else if (draw < 0.89) fs.mkdirSync(this.#device.at(fresh));
    else if (draw < 0.94) this.#withFolder(all, (at) => fs.renameSync(at, this.#device.at(fresh)));
    else if (draw < 0.96) this.#withFolder(all, (at) => fs.rmdirSync(at));
    else {
      fs.unlinkSync(this.#device.at(name));
      this.#texts.delete(id);
    }
  }

  #isOwn(name: string): boolean {
    const text = this.#device.read(name);
    return text !== null && this.#texts.get(text.split(":")[0] ?? "") === text;
  }

  #withFolder(all: readonly string[], deed: (at: string) => void): void {
    const mine = all.filter((name) => path.basename(name).startsWith(this.#device.name));
    const folders = mine.filter((name) => name.endsWith("/"));
    if (folders.length > 0) deed(this.#device.at(this.#pick(folders)));
  }

  #append(name: string, id: string): void {
    const more = ` more${this.#count}`;
    const before = this.#texts.get(id) ?? "";
    fs.appendFileSync(this.#device.at(name), more);
    this.#texts.set(id, before + more);
  }

  /** So little that it travels with the file's name. */
  #few(): string {
    return "text ".repeat(Math.floor(this.#chance() * 50));
  }

  /** So much, and so unlike anything else, that it is chunks of its own. */
  #many(): string {
    const words = Math.floor(this.#chance() * MOST_WORDS);
    return Array.from({ length: words }, () => this.#chance().toString(36).slice(2)).join(" ");
  }

  #save(name: string, id: string, version: number): void {
    const text = `${id}:${version}:${this.#chance() < 0.8 ? this.#few() : this.#many()}`;
    const at = this.#device.at(name);
    if (this.#chance() < 0.5) fs.writeFileSync(at, text);
    else {
      fs.writeFileSync(`${at}.tmp`, text);
      fs.renameSync(`${at}.tmp`, at);
    }
    this.#texts.set(id, text);
  }
}

export type Wreckage = {
  readonly kills: Wreck["kills"];
  readonly deeds: number;
  readonly files: number;
};

/**
 * Kills at random moments, for so many rounds, while two people go on working; then holds that all
 * folders are the same and hold exactly what was last saved, each text once.
 */
export async function wreckFor(
  rounds: number,
  seed: number,
  told: (round: number) => void,
): Promise<Wreckage> {
  await using world = await World.open();
  const scene = await Wreck.make(world);
  const people = scene.devices.map(
    (device, index) => new Person(device, chances(seed + index + 1)),
  );
  const chance = chances(seed);
  const over = new AbortController();
  scene.start();
  const working = people.map((person) => person.work(120, over.signal));
  for (let round = 1; round <= rounds; round++) {
    // Now and then within the start of what was killed just before.
    await pause(chance() < 0.2 ? 250 * chance() : 300 + 900 * chance());
    await scene.kill(chance);
    told(round);
  }
  over.abort();
  await Promise.all(working);
  const tree = await scene.assertWhole();
  for (const device of scene.devices) assertLedger(device, people);
  const deeds = people.reduce((sum, person) => sum + person.deeds, 0);
  return { kills: scene.kills, deeds, files: Object.keys(tree).length };
}

/** Every text that was saved last is in the folder once, and nothing else; says where it is not. */
export function assertLedger(device: Device, people: readonly Person[]): void {
  const files = device.list().filter((name) => !name.endsWith("/"));
  const found = files.map((name) => [device.read(name) ?? "", name] as const);
  const wanted = people.flatMap((person) => [...person.texts]);
  const texts = new Set(wanted);
  const odd = found.filter(([text]) => !texts.has(text));
  const twice = found.filter(([text, name]) =>
    found.some(([also, at]) => also === text && at !== name),
  );
  const seen = new Set(found.map(([text]) => text));
  const lost = wanted.filter((text) => !seen.has(text));
  const none = { lost: [], odd: [], twice: [] };
  assert.deepEqual({ lost, odd, twice }, none, `the ledger of ${device.name}`);
}
