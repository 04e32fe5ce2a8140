// Makes a checkout ready: the packages of package-lock.json, a Node that is new enough, and the
// cutter that is compiled.
// Runs on Node 20, because that may be all the machine has. Safe to run at any time, any number at
// once.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildVgear, vgearBuilt, vgearSource } from "./vgear-build.mjs";

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

const oldestNodeMajor = 26;
const nodeFile = process.platform === "win32" ? "node.exe" : "node";
const packageLock = path.join(root, "package-lock.json");
const installedLock = path.join(root, "node_modules", ".package-lock.json");
/**
 * Line 1: the Node to run, relative to the root when it is ours. Line 2: the hash of the sources of
 * all this.
 */
const stamp = path.join(root, "node_modules", ".set-up");
const mutex = path.join(root, ".set-up.lock");
const mutexBeatMs = 2_000;
const mutexStaleMs = 20_000;
const mutexSettleMs = 300;

/**
 * Does what is missing and gives the path of the Node to run. Says what it does on stderr, and
 * nothing when there is nothing to do.
 * @returns {Promise<string>}
 */
export async function setUp() {
  const ready = readStamp();
  if (ready !== undefined) return ready;
  const release = await takeMutex();
  try {
    // Another process may have done it while this one waited.
    return readStamp() ?? (await install());
  } finally {
    release();
  }
}

/** @returns {string | undefined} */
function readStamp() {
  const [node, sourcesHash] = readText(stamp)?.split("\n") ?? [];
  if (node === undefined || sourcesHash !== hashOfSources()) return undefined;
  const absolute = path.resolve(root, node);
  if (!fs.existsSync(absolute)) return undefined;
  const sourceMs = [packageLock, vgearSource].map((file) => fs.statSync(file).mtimeMs);
  if (fs.statSync(stamp).mtimeMs < Math.max(...sourceMs)) {
    // The same, only touched (a branch switch): ./lockstep compares times, so tell it that all is
    // well.
    const now = new Date();
    fs.utimesSync(stamp, now, now);
  }
  return absolute;
}

/** @returns {Promise<string>} */
async function install() {
  // Somebody's own "npm ci" may have left out the optional packages, and so our Node.
  if (!installedIsCurrent() || findNode() === undefined) {
    console.error("set-up: fetching packages and Node 26 (once)");
    await npmCi();
  }
  const node = findNode();
  if (node === undefined) throw new Error(whyNoNode());
  compile();
  const draft = `${stamp}.${process.pid}`;
  fs.writeFileSync(draft, `${node}\n${hashOfSources()}\n`);
  fs.renameSync(draft, stamp);
  return path.resolve(root, node);
}

/** Without the compiled cutter files are cut by a slower one, and the log says so. */
function compile() {
  fs.rmSync(vgearBuilt, { force: true });
  try {
    buildVgear();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    console.error(`set-up: the fast cutter is not built, the slow one is used (${why})`);
  }
}

/** npm writes its copy of the lock last, so a copy newer than the lock is a whole installation. */
function installedIsCurrent() {
  const stat = fs.statSync(installedLock, { throwIfNoEntry: false });
  return stat !== undefined && stat.mtimeMs >= fs.statSync(packageLock).mtimeMs;
}

/** @returns {Promise<void>} */
async function npmCi() {
  // Development packages and the optional Node are wanted whatever NODE_ENV or the user's npm says.
  const args = ["ci", "--include=dev", "--include=optional", "--ignore-scripts"];
  args.push("--no-audit", "--no-fund", "--loglevel=error");
  const child = spawn("npm", args, {
    cwd: root,
    // npm's own words go to stderr: stdout belongs to whatever runs after the set-up.
    stdio: ["ignore", 2, 2],
    env: { ...process.env, PATH: pathWithoutOurs() },
    // On Windows npm is a .cmd, which only a shell can start.
    shell: process.platform === "win32",
  });
  const code = await new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new Error(`npm does not start (${cause.message}); put npm on the PATH`, { cause }));
    });
    child.once("close", resolve);
  });
  if (code !== 0) {
    throw new Error(
      `"npm ci" failed with exit code ${code}; what it said is above (is there a network?)`,
    );
  }
}

/**
 * Under `npm start` the PATH begins with node_modules/.bin, whose node is the one npm is about to
 * replace.
 */
function pathWithoutOurs() {
  const ours = path.join(root, "node_modules");
  const parts = (process.env["PATH"] ?? "").split(path.delimiter);
  return parts.filter((part) => !part.startsWith(ours)).join(path.delimiter);
}

/** The Node that comes with the packages, relative to the root. */
function fetchedNode() {
  const platform = process.platform === "win32" ? "win" : process.platform;
  return path.join("node_modules", `node-${platform}-${process.arch}`, "bin", nodeFile);
}

/**
 * The first that really runs: a Node for another C library is there but cannot.
 * @returns {string | undefined}
 */
function findNode() {
  const ours = fetchedNode();
  if (nodeMajor(path.join(root, ours)) >= oldestNodeMajor) return ours;
  for (const folder of pathWithoutOurs().split(path.delimiter)) {
    const found = path.join(folder, nodeFile);
    if (path.isAbsolute(found) && nodeMajor(found) >= oldestNodeMajor) return found;
  }
  return undefined;
}

/** Bare systems lack libatomic, which Node 26 is linked to; its loader names it and no remedy. */
function whyNoNode() {
  const fetched = path.join(root, fetchedNode());
  const said = fs.existsSync(fetched)
    ? spawnSync(fetched, ["--version"], { encoding: "utf8" }).stderr?.trim()
    : undefined;
  if (said?.includes("libatomic")) {
    return (
      `the Node that was fetched does not start (${said}); install libatomic ` +
      `(Debian, Ubuntu: apt-get install libatomic1), then run this again`
    );
  }
  return (
    `no Node ${oldestNodeMajor} runs on this machine (${process.platform}-${process.arch}` +
    `${said ? `: ${said}` : ""}); install Node ${oldestNodeMajor} so that "node" on the PATH is ` +
    `it, then run this again`
  );
}

/** @param {string} node */
function nodeMajor(node) {
  if (!fs.existsSync(node)) return 0;
  const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
  return Number(/^v(\d+)\./.exec(stdout ?? "")?.[1] ?? 0);
}

/**
 * A lock file that its holder touches while it works, so that one left by a dead process is taken
 * over after {@link mutexStaleMs}.
 * @returns {Promise<() => void>} gives it back
 */
async function takeMutex() {
  const mine = `${process.pid} ${Math.random()}`;
  let said = false;
  while (!(await tryTakeMutex(mine))) {
    if (!said) console.error("set-up: waiting for another set-up of this folder");
    said = true;
    await sleep(200);
  }
  const beat = setInterval(() => {
    const now = new Date();
    fs.utimesSync(mutex, now, now);
  }, mutexBeatMs);
  const release = () => {
    clearInterval(beat);
    if (readText(mutex) === mine) fs.rmSync(mutex, { force: true });
  };
  process.once("exit", release);
  return release;
}

/** @param {string} mine */
async function tryTakeMutex(mine) {
  try {
    fs.writeFileSync(mutex, mine, { flag: "wx" });
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  const stat = fs.statSync(mutex, { throwIfNoEntry: false });
  if (stat === undefined || Date.now() - stat.mtimeMs < mutexStaleMs) return false;
  // Several may see the same dead lock: the last to write over it has it, once the dust has
  // settled.
  const draft = `${mutex}.${process.pid}`;
  fs.writeFileSync(draft, mine);
  fs.renameSync(draft, mutex);
  await sleep(mutexSettleMs);
  return readText(mutex) === mine;
}

function hashOfSources() {
  const hash = createHash("sha256");
  for (const file of [packageLock, vgearSource]) hash.update(fs.readFileSync(file));
  return hash.digest("hex");
}

/**
 * @param {string} file
 * @returns {string | undefined}
 */
function readText(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * {@link setUp} for a program's first line: says in one sentence what went wrong.
 * @returns {Promise<string>}
 */
export async function setUpOrExit() {
  // A signal ends the process through "exit", which gives the lock file back.
  const stop = () => process.exit(1);
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await setUp();
  } catch (error) {
    console.error(`set-up: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === import.meta.filename) {
  await setUpOrExit();
}
