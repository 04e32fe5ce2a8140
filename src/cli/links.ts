import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { basename, join, resolve, sep } from "node:path";
import { messageOf } from "#core/errors.ts";
import { deviceId, spaceId } from "#core/ids.ts";
import type { Link } from "./daemon.ts";
import { CommandError, wrongUsage } from "./exit.ts";
import { isMissing, makePrivateFolder, readJsonFile, writePrivateFile, type Home } from "./home.ts";

/** Where the state of one linked folder lies: `link.json`, `device.sqlite`, what it tells. */
export type LinkedFolder = { readonly link: Link; readonly state: string };

export function databaseOf(folder: LinkedFolder): string {
  return join(folder.state, "device.sqlite");
}

function foldersOf(home: Home): string {
  return join(home.path, "folders");
}

function parseLink(json: unknown): Link {
  const row = json as Record<string, unknown>;
  const text = (field: string): string => {
    const value = row[field];
    if (typeof value === "string") return value;
    throw new TypeError(`${field} is no text`);
  };
  return {
    dir: text("dir"),
    server: text("server"),
    account: text("account"),
    device: deviceId(text("device")),
    deviceName: text("deviceName"),
    token: text("token"),
    space: spaceId(text("space")),
    spaceName: text("spaceName"),
    kind: row["kind"] === "sealed" ? "sealed" : "plain",
    folding: row["folding"] === true,
    cutKey: text("cutKey"),
    startCursor: text("startCursor"),
  };
}

/** All folders that this home links, by their path. */
export function listLinks(home: Home): LinkedFolder[] {
  let names: string[];
  try {
    names = fs.readdirSync(foldersOf(home));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const linked = names.flatMap((name): LinkedFolder[] => {
    const state = join(foldersOf(home), name);
    const file = join(state, "link.json");
    try {
      const json = readJsonFile(file);
      return json === null ? [] : [{ link: parseLink(json), state }];
    } catch (error) {
      const next = "move its folder away and link the folder again, nothing in it is lost";
      throw new CommandError(`${file} is damaged (${messageOf(error)}): ${next}.`);
    }
  });
  return linked.sort((a, b) => (a.link.dir < b.link.dir ? -1 : 1));
}

/** The path without symlinks, also of what is not there (any more): its parent decides then. */
export function realPath(path: string): string {
  const absolute = resolve(path);
  try {
    return fs.realpathSync.native(absolute);
  } catch (error) {
    const parent = resolve(absolute, "..");
    if (!isMissing(error) || parent === absolute) return absolute;
    const folder = realPath(parent);
    return folder.endsWith(sep) ? folder + basename(absolute) : folder + sep + basename(absolute);
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** The linked folder that holds this path, and the path relative to it, `/` between names. */
export function linkHolding(
  home: Home,
  path: string,
): { readonly folder: LinkedFolder; readonly inside: string } | null {
  // The last name may itself be a symlink that is synced as one: only what is above it is resolved.
  const absolute = resolve(path);
  const named = resolve(realPath(resolve(absolute, "..")), basename(absolute));
  for (const candidate of [realPath(path), named]) {
    const folder = listLinks(home).find(({ link }) => isWithin(candidate, link.dir));
    if (folder === undefined) continue;
    const at = isWithin(named, folder.link.dir) ? named : candidate;
    return {
      folder,
      inside: at
        .slice(folder.link.dir.length + 1)
        .split(sep)
        .join("/"),
    };
  }
  return null;
}

/** The linked folder at (or around) this path. Throws CommandError when there is none. */
export function requireLink(home: Home, path: string): LinkedFolder {
  return requirePath(home, path).folder;
}

export function requirePath(
  home: Home,
  path: string,
): { readonly folder: LinkedFolder; readonly inside: string } {
  const found = linkHolding(home, path);
  if (found !== null) return found;
  const known = listLinks(home).map(({ link }) => link.dir);
  const next =
    known.length === 0
      ? "link one with lockstep link, join or up"
      : `linked are ${known.slice(0, 5).join(", ")}`;
  throw wrongUsage(`${resolve(path)} is in no linked folder of ${home.path}: ${next}.`);
}

/** The folder meant when none is named: the one around here, or the only one. */
export function impliedLink(home: Home, path: string | undefined): LinkedFolder {
  if (path !== undefined) return requireLink(home, path);
  const here = linkHolding(home, ".");
  if (here !== null) return here.folder;
  const all = listLinks(home);
  const [only] = all;
  if (only !== undefined && all.length === 1) return only;
  if (only === undefined) return requireLink(home, ".");
  const known = all.map(({ link }) => link.dir).join(", ");
  throw wrongUsage(`There are ${all.length} linked folders; name one of ${known}.`);
}

/** The link of exactly this folder, if there is one. */
export function linkAt(home: Home, dir: string): LinkedFolder | null {
  const found = linkHolding(home, dir);
  return found?.inside === "" ? found.folder : null;
}

/** What is said to somebody who would link a folder to another space than it has. */
export function linkedAlready({ dir, spaceName, account, server }: Link): CommandError {
  return wrongUsage(
    `${dir} is linked already, to the space ${spaceName} of ${account} at ${server}: keep it in ` +
      `sync with lockstep sync ${quoted(dir)}, or forget that link first with lockstep unlink.`,
  );
}

/** Throws CommandError unless this folder can be linked: one link a folder, none in another. */
export function checkLinkable(home: Home, dir: string): void {
  for (const { link } of listLinks(home)) {
    if (link.dir === dir) throw linkedAlready(link);
    const [inner, outer] = isWithin(dir, link.dir) ? [dir, link.dir] : [link.dir, dir];
    if (!isWithin(inner, outer)) continue;
    throw wrongUsage(
      `${dir} cannot be linked: ${inner} lies inside ${outer}, and one of them is linked ` +
        "already; link a folder beside it.",
    );
  }
  if (isWithin(home.path, dir)) {
    throw wrongUsage(
      `${dir} cannot be linked: it holds ${home.path}, where Lockstep keeps its own state; ` +
        "link another folder or move LOCKSTEP_HOME.",
    );
  }
}

/** Puts another link in the place of a folder's; what its device knows stays. */
export function replaceLink({ state }: LinkedFolder, link: Link): LinkedFolder {
  writeLink(state, link);
  return { link, state };
}

/** A path as it can be pasted into a shell. */
export function quoted(path: string): string {
  return /^[\w@%+=:,./~-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

export function storeLink(home: Home, link: Link): LinkedFolder {
  const state = join(foldersOf(home), randomBytes(8).toString("hex"));
  makePrivateFolder(state);
  writeLink(state, link);
  return { link, state };
}

function writeLink(state: string, link: Link): void {
  writePrivateFile(join(state, "link.json"), `${JSON.stringify(link, null, 2)}\n`);
}
