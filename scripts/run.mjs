// Runs a program as if this process were it: same terminal, same signals, same exit code.

import { spawn } from "node:child_process";
import * as os from "node:os";
import * as path from "node:path";

const repeatedSignalMs = 1_000;
const parentCheckMs = 1_000;

/** The Node flags and environment of ./lockstep, for those who do not go through it. */
export const nodeFlags = [
  "--disable-warning=ExperimentalWarning",
  "--max-semi-space-size=4",
  "--initial-old-space-size=64",
];
export const nodeEnvironment = {
  UV_THREADPOOL_SIZE: "32",
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "131072",
  ...process.env,
  NODE_COMPILE_CACHE:
    process.env["NODE_COMPILE_CACHE"] ??
    path.join(
      process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache"),
      "lockstep/compiled",
    ),
};

/**
 * Ends this process with the program's exit code.
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<never>}
 */
export async function become(program, args) {
  const child = spawn(program, args, { stdio: "inherit", env: nodeEnvironment });

  /** @type {Map<NodeJS.Signals, number>} */
  const lastSent = new Map();
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to every process itself, and npm once more to this one; the program
      // would take a second one as "stop at once".
      if (signal === "SIGINT" && process.stdin.isTTY) return;
      const now = performance.now();
      if (now - (lastSent.get(signal) ?? -Infinity) < repeatedSignalMs) return;
      lastSent.set(signal, now);
      child.kill(signal);
    });
  }

  // When npm is killed outright nobody is left to pass a signal on, and the program would stay
  // behind.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) child.kill("SIGTERM");
  }, parentCheckMs).unref();

  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      resolve(status ?? 128 + (os.constants.signals[signal ?? "SIGTERM"] ?? 0));
    });
  });
  process.exit(code);
}
