import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { suite, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { assertSameTrees, leftovers, settled, treeOf } from "./trees.ts";
import { type Device, type Running, type Server, World } from "./world.ts";

/** Numbers from 0 to 1 that are the same in every run; when a process dies is chance enough. */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** A server and two devices that are killed and started again. */
class Wreck {
  readonly devices: Device[];
  readonly #world: World;
  readonly #engines = new Map<Device, Running>();
  #server: Server;

  constructor(world: World, server: Server, devices: Device[]) {
    this.#world = world;
    this.#server = server;
    this.devices = devices;
  }

  get data(): string {
    return this.#server.data;
  }

  start(): void {
    for (const device of this.devices) {
      if (this.#engines.get(device)?.hasEnded === false) continue;
      this.#engines.set(device, device.start("sync", device.dir));
    }
  }

  /** Kills one process or two, and starts again whatever is dead. */
  async kill(chance: () => number): Promise<void> {
    const [a, b] = this.devices.map((device) => this.#engines.get(device));
    assert.ok(a && b);
    const draw = chance();
    const killed = draw < 0.35 ? [a] : draw < 0.7 ? [b] : draw < 0.85 ? [a, b] : [];
    await Promise.all(killed.map((each) => each.stop("SIGKILL")));
    if (killed.length === 0) {
      const { data, url } = this.#server;
      await this.#server.process.stop("SIGKILL");
      this.#server = await this.#world.server({ data, port: Number(new URL(url).port) });
    }
    this.start();
  }

  /** What must hold when all is over. */
  async assertWhole(): Promise<Record<string, string>> {
    const tree = await settled(this.devices);
    for (const device of this.devices) {
      assert.deepEqual(leftovers(device), [], `${device.name} is tidy`);
      const { state, problems, conflicts } = await device.json("status", device.dir);
      const expected = { state: "in-sync", problems: [], conflicts: 0 };
      assert.deepEqual({ state, problems, conflicts }, expected);
    }
    const unfinished = path.join(this.data, "packs", "unfinished");
    assert.deepEqual(fs.readdirSync(unfinished), []);
    return tree;
  }
}

async function wreck(world: World): Promise<Wreck> {
  const server = await world.server();
  const devices = ["A", "B"].map((name) => world.device(name));
  const to = ["--server", server.url, "--account", "alice"];
  await devices[0]?.ok("account", "create", ...to);
  for (const device of devices) await device.link(server, "alice");
  return new Wreck(world, server, devices);
}

const FILES = 2_000;
const MOST_KILLS = 60;

suite("killed at any moment", { concurrency: 2 }, () => {
  test("EX7: a first sync of 2,000 files ends whole, each file once, with one version", async () => {
    await using world = await World.open();
    const scene = await wreck(world);
    const [a, b] = scene.devices;
    assert.ok(a && b);
    for (let n = 0; n < FILES; n++) {
      const text = n % 100 === 0 ? `${n} `.repeat(50_000) : `file ${n}`;
      a.write(`d${n % 23}/e${n % 5}/f${n}`, text);
    }
    const wanted = treeOf(a.dir);
    const chance = chances(5);
    scene.start();
    const isThere = (): boolean => b.list().length === Object.keys(wanted).length;
    for (let kill = 0; kill < MOST_KILLS && !isThere(); kill++) {
      await pause(300 + 700 * chance());
      await scene.kill(chance);
    }
    assertSameTrees(await scene.assertWhole(), wanted);
    const files = b.list().filter((name) => !name.endsWith("/"));
    for (const name of [files[0], files[999], files[1_999]]) {
      assert.ok(name !== undefined);
      const history = await b.json("history", b.at(name));
      assert.equal(history.length, 1, name);
    }
    assert.deepEqual(await b.json("trash", b.dir), []);
  });

  test("EX7: edits, moves and deletions meanwhile are all there, none twice and none in conflict", async () => {
    await using world = await World.open();
    const scene = await wreck(world);
    const people = scene.devices.map((device, index) => new Person(device, chances(index + 1)));
    const chance = chances(6);
    scene.start();
    for (let round = 0; round < 25; round++) {
      for (let deed = 0; deed < 8; deed++) {
        for (const person of people) person.act();
        await pause(60 * chance());
      }
      await scene.kill(chance);
    }
    await scene.assertWhole();
    const kept = people.flatMap((person) => [...person.texts]).toSorted();
    for (const device of scene.devices) {
      const files = device.list().filter((name) => !name.endsWith("/"));
      const texts = files.map((name) => device.read(name) ?? "");
      assert.deepEqual(texts.toSorted(), kept);
    }
  });
});

/** Makes, saves, moves and deletes files of their own; two of them never touch the same file. */
class Person {
  readonly #device: Device;
  readonly #chance: () => number;
  /** What each living file of theirs holds; every text begins with the file's own number. */
  readonly #texts = new Map<string, string>();
  #count = 0;

  constructor(device: Device, chance: () => number) {
    this.#device = device;
    this.#chance = chance;
  }

  get texts(): Iterable<string> {
    return this.#texts.values();
  }

  act(): void {
    try {
      this.#act();
    } catch (error) {
      // The folder was moved by the other one at this moment.
      const { code } = error as NodeJS.ErrnoException;
      assert.ok(code === "ENOENT" || code === "EINVAL", String(error));
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
    const own = all.filter((name) => {
      const text = name.endsWith("/") ? null : this.#device.read(name);
      return text !== null && this.#texts.get(text.split(":")[0] ?? "") === text;
    });
    const draw = this.#chance();
    const fresh = `${this.#pick(folders)}${me}-${++this.#count}`;
    if (own.length < 5 || draw < 0.3) return this.#save(fresh, `${me}${this.#count}`, 0);
    const name = this.#pick(own);
    const [id = "", version] = (this.#device.read(name) ?? "").split(":");
    if (draw < 0.65) this.#save(name, id, Number(version) + 1);
    else if (draw < 0.8) fs.renameSync(this.#device.at(name), this.#device.at(fresh));
    else if (draw < 0.88) fs.mkdirSync(this.#device.at(fresh));
    else if (draw < 0.92) this.#moveFolder(all, fresh);
    else {
      fs.unlinkSync(this.#device.at(name));
      this.#texts.delete(id);
    }
  }

  #moveFolder(all: readonly string[], fresh: string): void {
    const mine = all.filter((name) => path.basename(name).startsWith(this.#device.name));
    const folders = mine.filter((name) => name.endsWith("/"));
    if (folders.length === 0) return;
    fs.renameSync(this.#device.at(this.#pick(folders)), this.#device.at(fresh));
  }

  #save(name: string, id: string, version: number): void {
    const text = `${id}:${version}:${"text ".repeat(Math.floor(this.#chance() * 50))}`;
    const at = this.#device.at(name);
    if (this.#chance() < 0.5) fs.writeFileSync(at, text);
    else {
      fs.writeFileSync(`${at}.tmp`, text);
      fs.renameSync(`${at}.tmp`, at);
    }
    this.#texts.set(id, text);
  }
}
