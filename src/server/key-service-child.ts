import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock, Log } from "#core/world.ts";

const PROGRAM = fileURLToPath(new URL("../key-service/main.ts", import.meta.url));
/** It is up in a third of a second. */
const READY_MS = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

type World = { readonly keyFile: string; readonly clock: Clock; readonly log: Log };

/**
 * The key service as a process of its own beside the server: with its own key file, reached by a
 * socket that only this user's processes can open, and started again whenever it ends.
 */
export class KeyServiceChild implements AsyncDisposable {
  readonly socketPath: string;
  readonly #folder: string;
  readonly #world: World;
  readonly #stopping = new AbortController();
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();

  private constructor(folder: string, world: World) {
    this.#folder = folder;
    // Short: a socket's path has at most 107 bytes, and a data folder may lie deep.
    this.socketPath = join(folder, "keys.sock");
    this.#world = world;
  }

  /** Resolves when it answers, or has failed to for once: the server goes on without it then. */
  static async start(world: World): Promise<KeyServiceChild> {
    const folder = await mkdtemp(join(tmpdir(), "lockstep-keys-"));
    const service = new KeyServiceChild(folder, world);
    const up = service.#run();
    service.#ended = service.#keepUp();
    await up;
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#child?.kill("SIGTERM");
    await this.#ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Starts it; resolves when it says that it is ready, or ends, or takes too long. */
  async #run(): Promise<void> {
    const { keyFile, log, clock } = this.#world;
    const program = ["--disable-warning=ExperimentalWarning", PROGRAM];
    const options = ["--socket", this.socketPath, "--key-file", keyFile];
    const child = spawn(process.execPath, [...program, ...options, "--make-key", "--with-parent"], {
      stdio: ["pipe", "pipe", "pipe"],
      env: {},
    });
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    const give = new AbortController();
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString().slice(0, 1_000)));
    child.stdout.once("data", () => ready.resolve());
    child.once("error", () => ready.resolve());
    child.once("close", (code) => {
      this.#child = null;
      if (!this.#stopping.signal.aborted) {
        log.error("key-service-ended", { code, said: said.trim() });
      }
      ready.resolve();
    });
    const late = clock.sleep(READY_MS, give.signal).catch(() => undefined);
    await Promise.race([ready.promise, late]);
    give.abort();
  }

  async #keepUp(): Promise<void> {
    const { clock } = this.#world;
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#stopping.signal.aborted) {
      const child = this.#child;
      if (child !== null) {
        const startedMs = clock.monotonicMs();
        await new Promise<void>((resolve) => child.once("close", () => resolve()));
        if (clock.monotonicMs() - startedMs > LONGEST_PAUSE_MS) pauseMs = FIRST_PAUSE_MS;
      }
      await clock.sleep(pauseMs, this.#stopping.signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      if (!this.#stopping.signal.aborted) await this.#run();
    }
  }
}
