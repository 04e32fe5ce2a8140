import { constants } from "node:fs";
import { access, chmod, copyFile, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { packPath } from "./chunks/disk.ts";
import { lockFolder } from "./lock.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";
import { realChance } from "./real-world.ts";

/** Where a server's database and packs lie; in a backup they are these two, side by side. */
type Places = { readonly metadata: string; readonly packs: string };

const METADATA = "metadata.sqlite";
const PACKS = "packs";
/** What is being written has this behind its name. */
const UNFINISHED = ".unfinished";

/** A backup in this folder. */
function placesIn(folder: string): Places {
  return { metadata: join(folder, METADATA), packs: join(folder, PACKS) };
}

export type BackupCount = { readonly packs: number; readonly copied: number };

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function syncPath(path: string): Promise<void> {
  await using handle = await open(path, constants.O_RDONLY);
  await handle.sync();
}

/** Makes a file appear whole and durable under its name. */
async function place(path: string, write: (unfinished: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const unfinished = path + UNFINISHED;
  await rm(unfinished, { force: true });
  await write(unfinished);
  await syncPath(unfinished);
  await rename(unfinished, path);
  await syncPath(dirname(path));
}

/** The packs that a database names, with how long each has to be at least. */
function packsNamedIn(metadata: string): Map<string, number> {
  using database = new DatabaseSync(metadata, { readOnly: true });
  const rows = database
    .prepare(
      `SELECT p.name AS name, max(c.offset_bytes + c.length_bytes) AS ends
       FROM packs p JOIN chunks c ON c.pack = p.number GROUP BY p.number`,
    )
    .all();
  return new Map(rows.map(({ name, ends }) => [String(name), Number(ends)]));
}

/** How often a copy begins again because a collector has removed packs meanwhile. */
const MAX_BEGINNINGS = 10;

/** Copies packs that are not there yet. A pack is never written again, so one that is, is whole. */
async function copyPacks(from: Places, to: Places): Promise<BackupCount> {
  const named = packsNamedIn(to.metadata + UNFINISHED);
  let copied = 0;
  for (const [name, endsAt] of named) {
    const [source, target] = [packPath(from.packs, name), packPath(to.packs, name)];
    const found = await stat(target).catch(() => null);
    if (found === null) {
      copied++;
      await place(target, (unfinished) => copyFile(source, unfinished, constants.COPYFILE_FICLONE));
    }
    const { size } = found ?? (await stat(target));
    if (size >= endsAt) continue;
    const message = `The pack ${target} is cut short (${size} bytes of ${endsAt}): remove it.`;
    throw new WorldError("pack-short", message);
  }
  return { packs: named.size, copied };
}

/**
 * Copies a server's data into a folder, also while it runs, and only what is not there yet. The
 * database comes first, as of one moment, and then the packs that it names: a pack is durable
 * before any database names it, so the pair is whole. Where a collector has removed one meanwhile,
 * what lay in it lies elsewhere by now: it begins again with the database of then, and has less to
 * copy. The database gets its name last; until then the folder holds the backup before. Keys are no
 * part of it. Throws WorldError `pack-short`, and the system's errors.
 */
export async function backUp(from: Places, folder: string): Promise<BackupCount> {
  const to = placesIn(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const unfinished = to.metadata + UNFINISHED;
  if (!(await isThere(from.metadata))) {
    throw new WorldError("no-data", `There is no server's database ${from.metadata}.`);
  }
  for (let beginning = 1; ; beginning++) {
    await removeDatabase(unfinished);
    {
      using database = new DatabaseSync(from.metadata, { readOnly: true });
      database.prepare("VACUUM INTO ?").run(unfinished);
    }
    try {
      const count = await copyPacks(from, to);
      await takeName(unfinished, to.metadata);
      return count;
    } catch (error) {
      if (!isMissing(error) || beginning === MAX_BEGINNINGS) throw error;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

export type Restore = {
  /** Whether devices of sealed spaces are told, so that they can go on by a person's word. */
  readonly isAnnounced: boolean;
};

/**
 * Puts a backup into a data folder that has no database, and begins its journals anew. What is
 * there is never written over. Throws WorldError `data-in-the-way`, `no-data`, `folder-in-use`.
 */
export async function putBack(
  folder: string,
  { data, ...to }: Places & { readonly data: string },
  restore: Restore,
): Promise<BackupCount> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  using _ = lockFolder(data);
  const from = placesIn(folder);
  if (!(await isThere(from.metadata))) {
    throw new WorldError("no-data", `There is no backup in ${folder}.`);
  }
  for (const path of [to.metadata, `${to.metadata}-wal`]) {
    if (!(await isThere(path))) continue;
    const message = `${path} is in the way: move it elsewhere first, nothing is written over it.`;
    throw new WorldError("data-in-the-way", message);
  }
  await mkdir(dirname(to.metadata), { recursive: true, mode: 0o700 });
  const unfinished = to.metadata + UNFINISHED;
  await removeDatabase(unfinished);
  await copyFile(from.metadata, unfinished, constants.COPYFILE_FICLONE);
  const count = await copyPacks(from, to);
  await restartIn(unfinished, restore);
  await takeName(unfinished, to.metadata);
  return count;
}

/**
 * Begins the journals of a data folder anew into which an older copy was put by hand. Returns how
 * many spaces there are. Throws WorldError `folder-in-use`, `no-data`.
 */
export async function beginAnew(
  { data, metadata }: Places & { readonly data: string },
  restore: Restore,
): Promise<number> {
  if (!(await isThere(metadata))) {
    throw new WorldError("no-data", `There is no server's database ${metadata}.`);
  }
  using _ = lockFolder(data);
  return await restartIn(metadata, restore);
}

/**
 * Every journal gets a new epoch, so that no position of before is taken for one of now (SPEC JN21,
 * SL14).
 */
async function restartIn(path: string, { isAnnounced }: Restore): Promise<number> {
  await using metadata = await openSqliteMetadata(path);
  return await metadata.journals.restart(() => toHex(realChance.bytes(16)), isAnnounced);
}

async function removeDatabase(path: string): Promise<void> {
  for (const end of ["", "-wal", "-shm"]) await rm(path + end, { force: true });
}

async function takeName(unfinished: string, path: string): Promise<void> {
  await chmod(unfinished, 0o600);
  await syncPath(unfinished);
  await rename(unfinished, path);
  await syncPath(dirname(path));
}
