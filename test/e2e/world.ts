// Servers and devices as real processes of ./lockstep, in a folder of their own below the system's
// temporary one. `await using world = await World.open()` ends all of them and removes everything.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { IS_TRACED, LogFilter, searchLogs } from "./log-search.ts";

export const PROJECT = path.resolve(import.meta.dirname, "../..");
export const PASSWORD = "correct horse battery staple";

/** Whatever has not happened by then does not happen; longer for machines that are busy. */
const PATIENCE_MS = Number(process.env["LOCKSTEP_TEST_PATIENCE_S"] ?? 30) * 1_000;
const LOOK_MS = 10;

const living = new Set<ChildProcess>();
// A run that is broken off leaves no server behind.
process.once("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/** Waits for a condition, looking again and again; fails with `what` when it never holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!(await condition())) {
    const text = typeof what === "string" ? what : what();
    assert.ok(performance.now() < endMs, `it never came true: ${text}`);
    await pause(LOOK_MS);
  }
}

export type Ended = {
  /** 128 + the signal's number is never used: a process that a signal ended has null. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** One sentence on stderr, nothing on stdout, no stack. */
export function assertSentence({ stdout, stderr }: Ended, pattern: RegExp): void {
  assert.equal(stdout, "");
  assert.match(stderr, pattern);
  assert.match(stderr, /^lockstep: .+\n$/);
  assert.doesNotMatch(stderr, /\n\s+at /);
}

type RunOptions = {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Whose process it is; only root may choose. */
  readonly uid?: number;
  /** A program that runs it, with that program's arguments. */
  readonly within?: readonly string[];
  /** Logs what it would not by itself. */
  readonly isTraced?: boolean;
};

/** A process of ./lockstep that is running, or was. */
export class Running {
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly ended: Promise<Ended>;
  stdout = "";
  /** Without the log, where only LOCKSTEP_TEST_TRACE has it there. */
  stderr = "";
  /** All that it wrote to stderr. */
  printed = "";

  constructor(
    args: readonly string[],
    { env, cwd = PROJECT, uid, within = [], isTraced = false }: RunOptions,
  ) {
    this.#command = `lockstep ${args.join(" ")}`;
    const [program = "", ...rest] = [...within, path.join(PROJECT, "lockstep"), ...args];
    this.#child = spawn(program, rest, {
      cwd,
      env: { ...process.env, ...env },
      ...(uid === undefined ? {} : { uid }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    living.add(this.#child);
    this.#child.stdout?.on("data", (piece: Buffer) => (this.stdout += piece.toString()));
    const filter = isTraced ? new LogFilter() : null;
    this.#child.stderr?.on("data", (piece: Buffer) => {
      const text = piece.toString();
      this.printed += text;
      this.stderr += filter === null ? text : filter.take(text);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code) => {
        living.delete(this.#child);
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return !living.has(this.#child);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks it to stop and gives how it ended; what does not listen is killed. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    this.signal(signal);
    const late = setTimeout(() => this.signal("SIGKILL"), PATIENCE_MS / 2);
    const ended = await this.ended;
    clearTimeout(late);
    return ended;
  }

  /** Waits until stdout or stderr has it, and gives the match. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null;
    const look = (): boolean => {
      match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      return match !== null || this.hasEnded;
    };
    await until(look, () => `${this.#command} says ${pattern}\n${this.said}`);
    assert.ok(match !== null, `${this.#command} ended without saying ${pattern}\n${this.said}`);
    return match;
  }

  get said(): string {
    return `stdout: ${this.stdout}\nstderr: ${this.stderr}`;
  }
}

/** One machine: a LOCKSTEP_HOME, a folder, and commands that run with them. */
export class Device {
  readonly name: string;
  readonly home: string;
  /** The folder that it syncs. */
  readonly dir: string;
  readonly #world: World;
  readonly #started: Running[] = [];
  #engine: Running | null = null;

  constructor(world: World, name: string, home: string) {
    this.#world = world;
    this.name = name;
    this.home = home;
    this.dir = path.join(world.folder, name);
  }

  /** Starts a command that goes on. */
  start(...args: string[]): Running {
    const running = this.#world.start(args, { env: { LOCKSTEP_HOME: this.home } });
    this.#started.push(running);
    return running;
  }

  /** Runs a command to its end, whatever that is. */
  async run(...args: string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  /** Runs a command that must succeed, and gives its stdout. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    assert.equal(code, 0, `lockstep ${args.join(" ")} failed:\n${stderr}${stdout}`);
    return stdout;
  }

  /** Runs a command with --json that must succeed, and gives what it says. */
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as a script would
  async json(...args: string[]): Promise<any> {
    return JSON.parse(await this.ok(...args, "--json"));
  }

  async link(server: Server, account: string, ...more: string[]): Promise<void> {
    const to = ["--server", server.url, "--account", account];
    await this.ok("link", this.dir, ...to, "--device", this.name, ...more);
  }

  /** A join code of a folder of its; whoever comes with it is let in. */
  async invite(folder = this.dir): Promise<{ readonly code: string; readonly waiting: Running }> {
    const waiting = this.start("devices", "add", "--folder", folder, "--yes");
    const [, code = ""] = await waiting.says(/lockstep join (\S+)\n/);
    return { code, waiting };
  }

  /** Starts the engine of its folder and waits until the folder is in sync. */
  async sync(): Promise<Running> {
    this.#engine = this.start("sync", this.dir);
    await this.settle();
    return this.#engine;
  }

  get engine(): Running {
    assert.ok(this.#engine !== null, `${this.name} has no engine`);
    return this.#engine;
  }

  async settle(): Promise<void> {
    await this.ok("wait", this.dir, "--timeout", String(PATIENCE_MS / 1_000));
  }

  /** All that its programs have logged. */
  get logged(): string {
    const folder = path.join(this.home, "log");
    const files = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    const texts = files.map((name) => fs.readFileSync(path.join(folder, name), "utf8"));
    return [...texts, ...this.#started.map(({ printed }) => printed)].join("\n");
  }

  at(name: string): string {
    return path.join(this.dir, name);
  }

  write(name: string, content: string | Uint8Array): void {
    this.#world.names.add(name);
    fs.mkdirSync(path.dirname(this.at(name)), { recursive: true });
    fs.writeFileSync(this.at(name), content);
  }

  /** The text of a file; null when it is not there. */
  read(name: string): string | null {
    return fs.existsSync(this.at(name)) ? fs.readFileSync(this.at(name), "utf8") : null;
  }

  /** Paths of all files and folders but the engine's own, sorted; folders end with a slash. */
  list(): string[] {
    const entries = fs.readdirSync(this.dir, { recursive: true, withFileTypes: true });
    return entries
      .map((entry) => {
        const whole = path.relative(this.dir, path.join(entry.parentPath, entry.name));
        return entry.isDirectory() ? `${whole}/` : whole;
      })
      .filter((name) => !name.startsWith(".lockstep/"))
      .sort();
  }
}

export type Server = { readonly url: string; readonly process: Running; readonly data: string };

type ServerOptions = {
  readonly data?: string;
  readonly port?: number;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export class World implements AsyncDisposable {
  readonly folder: string;
  /** What the test calls files and machines, and its passwords. */
  readonly names = new Set<string>();
  readonly #passwords = new Set<string>([PASSWORD]);
  readonly #devices: Device[] = [];
  readonly #processes: Running[] = [];
  #count = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<World> {
    const made = await fs.promises.mkdtemp(path.join(tmpdir(), "lockstep-e2e-"));
    return new World(await fs.promises.realpath(made));
  }

  start(args: readonly string[], { env, ...more }: RunOptions = {}): Running {
    const clean = {
      LOCKSTEP_PASSWORD: PASSWORD,
      LOCKSTEP_LOG: undefined,
      LOCKSTEP_DATA: undefined,
      LOCKSTEP_HOLD: undefined,
      // Nothing of a test ends up where this machine's own Lockstep keeps its state.
      LOCKSTEP_HOME: path.join(this.folder, "no-home"),
      // Sockets of homes with long names too are gone with the folder.
      TMPDIR: this.folder,
      NO_COLOR: undefined,
      FORCE_COLOR: undefined,
      ...env,
    };
    for (const name of ["LOCKSTEP_PASSWORD", "LOCKSTEP_NEW_PASSWORD"] as const) {
      this.#passwords.add((env as Record<string, string> | undefined)?.[name] ?? PASSWORD);
    }
    const isTraced = IS_TRACED && env?.["LOCKSTEP_LOG"] === undefined;
    // A server's log is on its stderr anyway.
    const how = { cwd: this.folder, ...more, isTraced: isTraced && args[0] !== "serve" };
    const trace = isTraced ? { LOCKSTEP_LOG: "trace" } : {};
    const running = new Running(args, { ...how, env: { ...clean, ...trace } });
    this.#processes.push(running);
    return running;
  }

  /** A server on a free port, ready; give `data` and `port` to start one again. */
  async server(options: ServerOptions = {}): Promise<Server> {
    const { data = path.join(this.folder, `data-${++this.#count}`), port = 0, args = [] } = options;
    const { env = {} } = options;
    const on = ["--data", data, "--host", "127.0.0.1", "--port", String(port)];
    const running = this.start(["serve", ...on, ...args], { env });
    const [, url = ""] = await running.says(/^listening on (http:\/\/\S+)\n/);
    return { url, process: running, data };
  }

  device(name: string, home = path.join(this.folder, `home-${name}`)): Device {
    const device = new Device(this, name, home);
    this.#devices.push(device);
    this.names.add(name);
    return device;
  }

  /** A server, an account `alice`, and devices of it whose engines run and have settled. */
  async synced(...names: string[]): Promise<{ server: Server; devices: Device[] }> {
    return this.#synced("sealed", names);
  }

  /** The same in a plain space, the one that the REST calls speak of. */
  async plainSynced(...names: string[]): Promise<{ server: Server; devices: Device[] }> {
    return this.#synced("plain", names);
  }

  async #synced(
    space: "sealed" | "plain",
    names: readonly string[],
  ): Promise<{ server: Server; devices: Device[] }> {
    const server = await this.server();
    const devices = names.map((name) => this.device(name));
    const to = ["--server", server.url, "--account", "alice"];
    await devices[0]?.ok("account", "create", ...to);
    for (const device of devices) await device.link(server, "alice", "--space", space);
    await Promise.all(devices.map((device) => device.sync()));
    return { server, devices };
  }

  /** Waits until all folders hold the same and nobody has anything left to do. */
  async agree(...devices: Device[]): Promise<string[]> {
    // Two rounds: what one device sends in the first may come to another that was done already.
    for (let round = 0; round < 2; round++) {
      for (const device of devices) await device.settle();
    }
    const [first, ...others] = devices.map((device) => device.list());
    for (const other of others) assert.deepEqual(other, first);
    return first ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#processes.filter((each) => !each.hasEnded);
    for (const each of running) each.signal("SIGKILL");
    await Promise.all(running.map((each) => each.ended));
    try {
      if (IS_TRACED) this.#searchLogs();
    } finally {
      await this.#remove();
    }
  }

  #searchLogs(): void {
    const { folder, names } = this;
    const homes = this.#devices.map(({ home }) => home);
    const dirs = this.#devices.map(({ dir }) => dir);
    const [passwords, processes] = [this.#passwords, this.#processes];
    searchLogs({ folder, homes, dirs, names, passwords, processes });
  }

  async #remove(): Promise<void> {
    await fs.promises.rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
