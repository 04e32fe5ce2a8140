import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";

/** A port that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Ends the program when its stdin does: it outlives no test, however that ends. */
const WITH_PARENT = `"$@" </dev/null & program=$!; cat >/dev/null; kill -$SIGNAL $program; wait`;

/** Longer than any server takes to start on a machine that is busy. */
const START_MS = 60_000;

/** Between two questions whether a program is up that does not say so. */
const ASK_EVERY_MS = 50;

type Start = {
  /** What it says when it is up, or who finds out; throwing is no. */
  readonly ready: RegExp | (() => Promise<boolean>);
  readonly failed?: RegExp;
  readonly signal?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whom it runs as, where this process may choose. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
};

/** A program that serves a test, from when it says that it is ready. */
export class StartedProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #up = Promise.withResolvers<void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(program: readonly string[], start: Start): Promise<StartedProgram> {
    const { ready, failed, signal = "TERM", env = {}, user = {} } = start;
    const child = spawn("/bin/sh", ["-c", WITH_PARENT, "sh", ...program], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env, SIGNAL: signal },
      ...user,
    });
    const started = new StartedProgram(child);
    let said = "";
    const up = new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => {
        reject(new Error(`${program[0]} ${why}: ${said.slice(-2_000)}`));
      };
      const late = globalThis.setTimeout(() => fail("is not up in time"), START_MS);
      const hear = (text: Buffer): void => {
        said += text.toString();
        if (ready instanceof RegExp && ready.test(said)) resolve();
        else if (failed?.test(said) === true) fail("does not start");
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.once("error", () => fail("cannot be started"));
      child.once("exit", () => fail("ended"));
      child.once("exit", () => clearTimeout(late));
      void started.#up.promise.then(() => clearTimeout(late));
      if (ready instanceof Function) void started.#ask(ready).then(resolve);
    });
    try {
      await up;
      started.#up.resolve();
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Resolves when it is up, or has ended. */
  async #ask(isUp: () => Promise<boolean>): Promise<void> {
    while (this.#child.exitCode === null && !(await isUp().catch(() => false))) {
      await setTimeout(ASK_EVERY_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    await ended;
  }
}
