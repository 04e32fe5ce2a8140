// Three servers over one PostgreSQL database and one bucket, two devices at each, and people who
// work in all six folders while one server after the other is killed and started again. All three
// collect what nobody needs, after seconds, and so does `lockstep gc` beside them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { statSync, unlinkSync } from "node:fs";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { CephGateway } from "./ceph.ts";
import { PostgresServer } from "./postgres-server.ts";
import { arrives } from "../e2e/trees.ts";
import { type Device, PASSWORD, type Running, type Server, until, World } from "../e2e/world.ts";
import { assertDevicesWhole, assertLedger, chances, Person } from "../e2e/wreck.ts";

const BUCKET = "lockstep";

/** Servers that keep versions for seconds, and look once a second what may go. */
const FORGETFUL = {
  LOCKSTEP_COLLECT_EVERY: "1s",
  LOCKSTEP_KEEP_ALL: "1s",
  LOCKSTEP_KEEP_DAILY: "0s",
  LOCKSTEP_COLLECT_GRACE: "2s",
};

/** A database server and an object store, for several fleets one after the other. */
export class Backs implements AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly #bucket: URL;
  readonly #credentials: Readonly<Record<string, string>>;
  readonly #own: AsyncDisposableStack;
  /** The object store, where it is one of our own. */
  readonly gateway: CephGateway | null;

  private constructor(
    postgres: PostgresServer,
    {
      bucket,
      credentials,
      gateway = null,
    }: { bucket: URL; credentials: Record<string, string>; gateway?: CephGateway | null },
    own: AsyncDisposableStack,
  ) {
    this.postgres = postgres;
    this.#bucket = bucket;
    this.#credentials = credentials;
    this.gateway = gateway;
    this.#own = own;
  }

  static async start(): Promise<Backs> {
    await using own = new AsyncDisposableStack();
    const postgres = own.use(await PostgresServer.start());
    const given = process.env["LOCKSTEP_TEST_S3"];
    if (given !== undefined) {
      const bucket = new URL(given);
      return new Backs(postgres, { bucket, credentials: {} }, own.move());
    }
    const gateway = own.use(await CephGateway.start());
    const credentials = { accessKeyId: gateway.key, secretAccessKey: gateway.secret };
    const to = { endpoint: gateway.endpoint, region: "us-east-1", forcePathStyle: true };
    const client = new S3Client({ ...to, credentials });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    client.destroy();
    const names = { AWS_ACCESS_KEY_ID: gateway.key, AWS_SECRET_ACCESS_KEY: gateway.secret };
    const bucket = new URL(`s3://${BUCKET}?endpoint=${gateway.endpoint}`);
    return new Backs(postgres, { bucket, credentials: names, gateway }, own.move());
  }

  /** The settings of a fleet that shares nothing with any other. */
  async fresh(): Promise<Readonly<Record<string, string>>> {
    const { url } = this.#own.use(await this.postgres.database());
    const chunks = new URL(this.#bucket);
    chunks.pathname = path.posix.join("/", chunks.pathname, `fleet-${randomUUID()}`);
    return { LOCKSTEP_DATABASE: url, LOCKSTEP_CHUNKS: chunks.href, ...this.#credentials };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}

/** Servers that share everything but their data folders. */
class Fleet {
  readonly servers: Server[] = [];
  /** What nobody is to read in a log. */
  get secrets(): string[] {
    const { LOCKSTEP_DATABASE = "", AWS_SECRET_ACCESS_KEY = "" } = this.#env;
    return [LOCKSTEP_DATABASE, AWS_SECRET_ACCESS_KEY].filter((secret) => secret !== "");
  }

  readonly #world: World;
  readonly #env: Readonly<Record<string, string>>;
  #collections = 0;

  private constructor(world: World, env: Readonly<Record<string, string>>) {
    this.#world = world;
    this.#env = env;
  }

  /** The first draws the keys that the others have to have too. */
  static async start(world: World, backs: Backs, count: number): Promise<Fleet> {
    const fleet = new Fleet(world, { ...(await backs.fresh()), ...FORGETFUL });
    for (let at = 0; at < count; at++) fleet.servers.push(await fleet.#start({}));
    return fleet;
  }

  at(index: number): Server {
    const server = this.servers[index];
    assert.ok(server !== undefined);
    return server;
  }

  /** Kills a server and starts it again where it was. */
  async kill(index: number): Promise<void> {
    const { data, url, process } = this.at(index);
    assert.ok(!process.hasEnded, `it ended by itself:\n${process.said}`);
    await process.stop("SIGKILL");
    this.#collections += collectionsIn(process);
    this.servers[index] = await this.#start({ data, port: Number(new URL(url).port) });
  }

  /** How many collections its servers have brought to an end. */
  get collections(): number {
    return this.servers.reduce(
      (sum, { process }) => sum + collectionsIn(process),
      this.#collections,
    );
  }

  /** Runs a command beside the servers; null where one of them is at the same work. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as a script would
  async beside(command: "gc" | "scrub"): Promise<any> {
    const { data } = this.at(0);
    const args = [command, "--json", "--data", data, ...this.#masterKey];
    const { code, stdout, stderr } = await this.#world.start(args, { env: this.#env }).ended;
    if (code === 0) return JSON.parse(stdout);
    assert.match(stderr, /Another collector is at work/, stdout);
    return null;
  }

  get #masterKey(): string[] {
    return ["--key-file", path.join(this.#world.folder, "master.key")];
  }

  #start(where: { data?: string; port?: number }): Promise<Server> {
    const shared = ["--key-service", path.join(this.#world.folder, "key-service.key")];
    return this.#world.server({ ...where, args: [...this.#masterKey, ...shared], env: this.#env });
  }
}

function collectionsIn({ printed }: Running): number {
  return printed.split('"event":"collected"').length - 1;
}

/** All that is stored can be read, and is no more than an edited file's chunks may need. */
async function assertCollected(fleet: Fleet, [device]: readonly Device[]): Promise<void> {
  assert.ok(device !== undefined);
  const files = device.list().filter((name) => !name.endsWith("/"));
  const liveBytes = files.reduce((sum, name) => sum + statSync(device.at(name)).size, 0);
  let bytes = Infinity;
  await until(
    async () => {
      await fleet.beside("gc");
      const read = await fleet.beside("scrub");
      assert.equal(read.damaged, 0);
      bytes = read.bytes;
      return bytes < 3 * liveBytes;
    },
    () => `the room comes back: ${bytes} bytes are stored for ${liveBytes}`,
    CROSSING_PATIENCE_MS,
  );
}

export type Voyage = {
  readonly kills: number;
  readonly deeds: number;
  /** Runs of the servers' collectors that came to their end. */
  readonly collections: number;
  readonly paths: number;
  /** How long edits took from one server's device to another server's, sorted. */
  readonly crossingsMs: readonly number[];
};

/** How often an edit is timed on its way across servers. */
const CROSS_EVERY_MS = 500;
const CROSSING = "crossing.txt";
/** Long enough for servers that are killed again and again on a machine that is busy. */
const CROSSING_PATIENCE_MS = 180_000;

/** How long a person waits at most between two deeds, and how long servers are left alone. */
const PERSON_PAUSE_MS = 500;
const KILL_PAUSE_MS = { least: 500, more: 2_500 };

/** On a machine that is busy a server takes long to start. */
const LEAST_KILLS = 3;

/** Saves one file again and again, and times when each version is on the other device. */
async function cross(from: Device, to: Device, signal: AbortSignal): Promise<number[]> {
  const timesMs: number[] = [];
  for (let count = 0; !signal.aborted; count++) {
    const beganMs = performance.now();
    from.write(CROSSING, `${count}`);
    await arrives(to, CROSSING, `${count}`, CROSSING_PATIENCE_MS);
    timesMs.push(performance.now() - beganMs);
    await pause(CROSS_EVERY_MS);
  }
  return timesMs.toSorted((a, b) => a - b);
}

/** Has people work at three servers for so long, one of which is always being killed. */
export async function sail(backs: Backs, forMs: number, seed: number): Promise<Voyage> {
  await using world = await World.open();
  const fleet = await Fleet.start(world, backs, 3);
  const devices: Device[] = [];
  for (const [at, name] of ["A", "B", "C", "D", "E", "F"].entries()) {
    const device = world.device(name);
    const to = ["--server", fleet.at(at % 3).url, "--account", "alice"];
    if (at === 0) await device.ok("account", "create", ...to);
    await device.link(fleet.at(at % 3), "alice");
    devices.push(device);
  }
  const engines = devices.map((device) => device.start("sync", device.dir));
  const people = devices.map((device, at) => new Person(device, chances(seed + at + 1)));
  const chance = chances(seed);
  const over = new AbortController();
  const working = people.map((person) => person.work(PERSON_PAUSE_MS, over.signal));
  const [a, b] = devices;
  assert.ok(a !== undefined && b !== undefined);
  const crossing = cross(a, b, over.signal);
  const endMs = performance.now() + forMs;
  let kills = 0;
  try {
    while (performance.now() < endMs || kills < LEAST_KILLS) {
      await pause(KILL_PAUSE_MS.least + KILL_PAUSE_MS.more * chance());
      await fleet.kill(Math.floor(chance() * 3));
      kills++;
    }
  } finally {
    over.abort();
  }
  await Promise.all(working);
  const crossingsMs = await crossing;
  // No person's: it would be odd in their ledgers.
  unlinkSync(a.at(CROSSING));
  for (const engine of engines) assert.ok(!engine.hasEnded, `an engine ended:\n${engine.said}`);
  const tree = await assertDevicesWhole(devices);
  for (const device of devices) assertLedger(device, people);
  // A device's question waits half a minute at its server: that of A hears of B's save at once.
  b.write("last.txt", "from B");
  await arrives(a, "last.txt", "from B");
  for (const { process } of fleet.servers) {
    for (const secret of [PASSWORD, ...fleet.secrets]) assert.ok(!process.said.includes(secret));
  }
  await assertCollected(fleet, devices);
  const { collections } = fleet;
  const deeds = people.reduce((sum, person) => sum + person.deeds, 0);
  return { kills, deeds, collections, paths: Object.keys(tree).length, crossingsMs };
}
