// A server and devices as processes of ./lockstep, and what they use of the machine. Linux only: it
// reads /proc.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TICKS_A_SECOND = 100;
const POLL_MS = 10;
const LOCKSTEP = join(import.meta.dirname, "..", "lockstep");
const PASSWORD = "correct horse battery staple";

/** What a process and those that it started use. */
export type Usage = { readonly cpuSeconds: number; readonly residentMib: number };

function childrenOf(pid: number): number[] {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function memoryMib(pid: number, field: "VmHWM" | "VmRSS"): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

function mostMibOf(pid: number): number[] {
  return [memoryMib(pid, "VmHWM"), ...childrenOf(pid).flatMap(mostMibOf)];
}

function usageOf(pid: number): Usage {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  const own = {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND,
    residentMib: memoryMib(pid, "VmRSS"),
  };
  return childrenOf(pid)
    .map(usageOf)
    .reduce((sum, { cpuSeconds, residentMib }) => {
      return {
        cpuSeconds: sum.cpuSeconds + cpuSeconds,
        residentMib: sum.residentMib + residentMib,
      };
    }, own);
}

/** Polls until it is true; gives the seconds that it took. Throws when that is too long. */
export async function secondsUntil(
  what: string,
  isTrue: () => boolean,
  most = 7_200,
): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    const seconds = (performance.now() - beganMs) / 1_000;
    if (isTrue()) return seconds;
    assert.ok(seconds < most, `it never came true: ${what}`);
    await sleep(POLL_MS);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** One LOCKSTEP_HOME, and at most one process of it that goes on. */
export class Machine implements AsyncDisposable {
  readonly home: string;
  /** The folder that it syncs. */
  readonly folder: string;
  /** Where profiles of what goes on are written; undefined: nowhere. */
  readonly profiles: string | undefined;
  readonly #name: string;
  readonly #log: string;
  #child: ChildProcess | null = null;

  constructor(outer: string, name: string, profiles?: string) {
    this.#name = name;
    this.profiles = profiles;
    this.home = join(outer, `home-${name}`);
    this.#log = join(outer, `${name}.log`);
    this.folder = join(outer, name);
    fs.mkdirSync(this.folder, { recursive: true });
  }

  #spawn(args: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
    const own = { LOCKSTEP_PASSWORD: PASSWORD, LOCKSTEP_HOME: this.home };
    const environment = { ...process.env, ...own, ...more };
    const log = fs.openSync(this.#log, "a");
    try {
      return spawn(LOCKSTEP, args, { env: environment, stdio: ["ignore", log, log] });
    } finally {
      fs.closeSync(log);
    }
  }

  async run(...args: readonly string[]): Promise<void> {
    const [code] = (await once(this.#spawn(args), "exit")) as [number | null];
    assert.equal(code, 0, `lockstep ${args.join(" ")}: see ${this.#log}`);
  }

  /** Starts a command that goes on; its processor profile is written to a folder when it ends. */
  start(...args: readonly string[]): void {
    assert.equal(this.#child, null, `${this.#name} runs already`);
    const { profiles } = this;
    const profiled = `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${profiles}`;
    this.#child = this.#spawn(args, profiles === undefined ? {} : { NODE_OPTIONS: profiled });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  }

  /** Starts to keep its folder in sync. */
  sync(): void {
    this.start("sync", this.folder);
  }

  async inSync(mostSeconds = 7_200): Promise<void> {
    await this.run("wait", this.folder, "--timeout", String(mostSeconds));
  }

  usage(): Usage {
    return usageOf(this.#pid);
  }

  /** The most memory that each of its processes had at once, MiB; its own first. */
  mostMib(): number[] {
    return mostMibOf(this.#pid);
  }

  get #pid(): number {
    assert.ok(this.#child?.pid !== undefined, `${this.#name} does not run`);
    return this.#child.pid;
  }

  get database(): string {
    const folders = join(this.home, "folders");
    const [name] = fs.readdirSync(folders);
    assert.ok(name !== undefined, `${this.#name} has no linked folder`);
    return join(folders, name, "device.sqlite");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export type Scene = {
  readonly server: Machine;
  readonly url: string;
  /**
   * Links a machine's folder to the account's space, which it makes the first time; `by`: where the
   * machine finds the server.
   */
  readonly link: (machine: Machine, name: string, by?: string) => Promise<void>;
};

/**
 * A server that runs, and an account at it; `dedup`: whom a sealed space shares chunks with;
 * `profiles`: where the server's are written.
 */
export async function openScene(
  outer: string,
  isPlain: boolean,
  {
    dedup = "shared",
    profiles,
  }: { readonly dedup?: "shared" | "private"; readonly profiles?: string | undefined } = {},
): Promise<Scene> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = new Machine(outer, "S", profiles);
  server.start("serve", "--data", join(outer, "data"), "--host", "127.0.0.1", "--port", `${port}`);
  while (!(await fetch(`${url}/v1/server`).catch(() => null))) await sleep(POLL_MS);
  const who = ["--account", "anna"];
  const space = isPlain ? ["--space", "plain"] : ["--dedup", dedup];
  await server.run("account", "create", "--server", url, ...who);
  return {
    server,
    url,
    link: async (machine, name, by = url) =>
      machine.run("link", machine.folder, "--server", by, ...who, "--device", name, ...space),
  };
}
