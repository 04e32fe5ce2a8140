import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { homedir, platform } from "node:os";
import { dirname, join, resolve } from "node:path";

/**
 * Where this machine's Lockstep keeps its state: one home is one device, or several links of it.
 */
export type Home = { readonly path: string };

type Environment = Readonly<Record<string, string | undefined>>;

/** `$LOCKSTEP_HOME`, or a folder of our own where this platform keeps programs' data. */
export function homeOf(environment: Environment): Home {
  const chosen = environment["LOCKSTEP_HOME"];
  if (chosen !== undefined && chosen !== "") return { path: resolve(chosen) };
  return { path: join(platformFolder(environment), "lockstep") };
}

function platformFolder(environment: Environment): string {
  switch (platform()) {
    case "darwin":
      return join(homedir(), "Library", "Application Support");
    case "win32":
      return environment["LOCALAPPDATA"] ?? join(homedir(), "AppData", "Local");
    default:
      return environment["XDG_DATA_HOME"] || join(homedir(), ".local", "share");
  }
}

/** Makes a folder (and those above it) that only this user can enter. */
export function makePrivateFolder(path: string): void {
  fs.mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** What a file is written as before it takes its name, by a process of that id. */
const DRAFT = /\.(?<pid>\d+)\.new$/;

/** Replaces a file as a whole: after a power cut it holds what it held or what it shall hold. */
export function writePrivateFile(path: string, text: string): void {
  const folder = dirname(path);
  makePrivateFolder(folder);
  removeDrafts(folder);
  const temporary = `${path}.${process.pid}.new`;
  const file = fs.openSync(temporary, "w", 0o600);
  try {
    fs.writeSync(file, text);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
  fs.renameSync(temporary, path);
  if (platform() !== "win32") syncFolder(folder);
}

/** Drafts of processes that did not live to give them their names. */
function removeDrafts(folder: string): void {
  for (const name of fs.readdirSync(folder)) {
    const pid = DRAFT.exec(name)?.groups?.["pid"];
    if (pid !== undefined && !isAlive(Number(pid))) fs.rmSync(join(folder, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process may not be signalled, but it is there.
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

function syncFolder(path: string): void {
  const folder = fs.openSync(path, "r");
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}

/** The JSON of a file, or null when there is none. */
export function readJsonFile(path: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(path, "utf8"));
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** A short name for a path, the same in every process. */
export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
