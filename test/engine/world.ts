import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signIn, signUp } from "#cli/owner.ts";
import { openFolder, type Link, type OpenFolder, type SealedDoor } from "#cli/daemon.ts";
import type { LogFields } from "#core/world.ts";
import { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { HOLD_LIMITS, type HoldLimits } from "#sync/mass.ts";
import { readConfig } from "#server/config.ts";
import { Proxy } from "./proxy.ts";
import { startServer, type RunningServer } from "#server/main.ts";

const PASSWORD = "correct horse battery";
const shared = { clock: systemClock, chance: systemChance };

/** How long a condition may take before the test says what it waited for. */
const PATIENCE_MS = 30_000;

export type Event = { readonly level: string; readonly event: string; readonly fields?: LogFields };

/** One device: a real folder, a real database, and its engine in this process while it is `up`. */
export class Device {
  readonly name: string;
  readonly dir: string;
  readonly events: Event[] = [];
  readonly #link: Link;
  readonly #database: string;
  readonly #sealed: SealedDoor | undefined;
  #open: OpenFolder | null = null;
  #stop = new AbortController();
  #run: Promise<unknown> = Promise.resolve();

  constructor(name: string, link: Link, database: string, sealed?: SealedDoor) {
    this.name = name;
    this.dir = link.dir;
    this.#link = link;
    this.#database = database;
    this.#sealed = sealed;
  }

  get link(): Link {
    return this.#link;
  }

  get isUp(): boolean {
    return this.#open !== null;
  }

  get engine(): OpenFolder["engine"] {
    assert(this.#open !== null, `${this.name} is down`);
    return this.#open.engine;
  }

  get store(): OpenFolder["store"] {
    assert(this.#open !== null, `${this.name} is down`);
    return this.#open.store;
  }

  path(...names: string[]): string {
    return join(this.dir, ...names);
  }

  /** `holdLimits`: null for one that deletes without asking. */
  up(holdLimits: HoldLimits | null = HOLD_LIMITS): void {
    const note =
      (level: string) =>
      (event: string, fields?: LogFields): void => {
        this.events.push(fields === undefined ? { level, event } : { level, event, fields });
      };
    const log = {
      debug: note("debug"),
      info: note("info"),
      warn: note("warn"),
      error: note("error"),
    };
    this.#open = openFolder(this.#link, this.#database, {
      log,
      holdLimits,
      sealed: this.#sealed,
    });
    this.#stop = new AbortController();
    // What stops an engine for good is read from its status.
    this.#run = this.#open.engine.run(this.#stop.signal).catch(() => undefined);
  }

  async down(): Promise<void> {
    this.#stop.abort();
    await this.#run;
    await this.#open?.[Symbol.asyncDispose]();
    this.#open = null;
  }

  /** Resolves when the engine has nothing left to do. */
  async settle(): Promise<void> {
    await this.engine.settle();
  }
}

/** A sealed space of this name, and how a device gets into it. */
export type SealedWish = { readonly name: string; readonly door: (link: Link) => SealedDoor };

/** A server and the devices of one account, all real, all in this process. */
export class World {
  readonly root: string;
  readonly url: string;
  readonly #server: RunningServer;
  readonly proxy: Proxy;
  readonly devices: Device[] = [];

  private constructor(root: string, server: RunningServer, proxy: Proxy) {
    this.root = root;
    this.#server = server;
    this.proxy = proxy;
    this.url = proxy.url;
  }

  static async start(): Promise<World> {
    const root = mkdtempSync(join(tmpdir(), "lockstep-engine-"));
    const settings = { data: join(root, "data"), port: "0", log: "warn" };
    const config = readConfig({ ...settings, logFile: join(root, "server.log") }, {});
    const server = await startServer(config, "test");
    const world = new World(root, server, await Proxy.before(server.address.url));
    await world.signUp("alice");
    return world;
  }

  async signUp(account: string): Promise<void> {
    await signUp(this.account(), { account, password: PASSWORD });
  }

  /** The server itself, past the proxy. */
  get direct(): string {
    return this.#server.address.url;
  }

  /** The account's calls, as a device makes them. */
  account(token?: string): HttpAccount {
    return new HttpAccount({ ...shared, url: this.direct, token });
  }

  /** One more device with an empty folder, running. */
  async device(name: string, owner = "alice"): Promise<Device> {
    const device = await this.linked(name, owner);
    device.up();
    await device.settle();
    return device;
  }

  /** One more device whose folder is not synced yet; in the owner's plain space unless told. */
  async linked(name: string, owner = "alice", sealed?: SealedWish): Promise<Device> {
    const { proof } = await signIn(this.account(), { account: owner, password: PASSWORD });
    const enrolled = await this.account().enrol({ proof, device: name });
    const account = this.account(enrolled.token);
    const spaces = await account.listSpaces();
    const space =
      spaces.find((each) => each.name === (sealed?.name ?? "files")) ??
      (await account.createSpace(
        sealed === undefined
          ? { name: "files", kind: "plain" }
          : { name: sealed.name, kind: "sealed" },
      ));
    const dir = join(this.root, name);
    mkdirSync(dir, { recursive: true });
    const link: Link = {
      dir,
      server: this.url,
      account: owner,
      device: enrolled.device,
      deviceName: name,
      token: enrolled.token,
      space: space.space,
      spaceName: space.name,
      kind: space.kind,
      folding: space.folding,
      cutKey: space.cutKey,
      startCursor: space.start,
    };
    const door = sealed?.door(link);
    const device = new Device(name, link, join(this.root, `${name}.sqlite`), door);
    this.devices.push(device);
    return device;
  }

  /** Sequence of the journal's newest entry. */
  async head(): Promise<number> {
    const { token, space } = this.devices[0]?.link ?? assert.fail("no device");
    return (await this.account(token).space(space)).head;
  }

  /** Resolves when no device has anything left to do. */
  async settle(): Promise<void> {
    const running = this.devices.filter(({ isUp }) => isUp);
    // Twice, because what one device sends is work for the others.
    for (let round = 0; round < 2; round++) {
      for (const device of running) await device.settle();
    }
    let before = -1;
    for (let head = await this.head(); head !== before; head = await this.head()) {
      before = head;
      for (const device of running) await device.settle();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.devices) await device.down();
    await this.proxy[Symbol.asyncDispose]();
    await this.#server.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/**
 * Every entry below a folder: content of files (hashless, so that a failure can be read), links,
 * `/`.
 */
export function treeOf(dir: string, below = ""): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const entry of readdirSync(join(dir, below), { withFileTypes: true })) {
    if (below === "" && entry.name === ".lockstep") continue;
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    const full = join(dir, path);
    if (entry.isDirectory()) {
      tree[`${path}/`] = "";
      Object.assign(tree, treeOf(dir, path));
    } else if (entry.isSymbolicLink()) tree[path] = `-> ${readlinkSync(full)}`;
    else tree[path] = describeFile(full);
  }
  return tree;
}

function describeFile(path: string): string {
  const { mode } = statSync(path);
  const executable = (mode & 0o100) !== 0 ? " +x" : "";
  const text = readFileSync(path, "utf8");
  return (text.length > 60 ? `${text.slice(0, 40)}…${text.length}` : text) + executable;
}

/** Waits for a condition; a failure says what was waited for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = systemClock.monotonicMs() + PATIENCE_MS;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > endMs) assert.fail(`waited in vain until ${what}`);
    await systemClock.sleep(5);
  }
}
