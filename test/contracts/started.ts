import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

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

type Start = {
  readonly ready: RegExp;
  readonly failed?: RegExp;
  readonly signal?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whom it runs as, where this process may choose. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
};

/** A program that serves a test, from when it says that it is ready. */
export class StartedProgram implements AsyncDisposable {
  readonly #child: ChildProcess;

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
      const late = setTimeout(() => fail("is not up in time"), START_MS);
      const hear = (text: Buffer): void => {
        if (ready.test((said += text.toString()))) resolve();
        else if (failed?.test(said) === true) fail("does not start");
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.once("error", () => fail("cannot be started"));
      child.once("exit", () => fail("ended"));
      child.once("exit", () => clearTimeout(late));
      void started.#up.promise.then(() => clearTimeout(late));
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

  readonly #up = Promise.withResolvers<void>();

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    await ended;
  }
}
