import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { messageOf, WorldError } from "#core/errors.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import type { Clock } from "#core/world.ts";
import { attempt, diskError, errnoOf } from "./errno.ts";

const Holder = z.object({ pid: z.int(), sinceMs: z.int() });

const SQLITE_BUSY = 5;

/**
 * Takes a synced folder for this process alone. The lock is SQLite's own on a file in `.lockstep`:
 * the operating system drops it with the process, however that ends. Throws WorldError
 * `folder-in-use` (saying who has it, and since when), `not-found` when the folder is not there,
 * `no-permission`.
 */
export function lockFolder(root: string, clock: Clock): Disposable {
  const folder = join(root, PRIVATE_FOLDER);
  makePrivateFolder(folder);
  const holder = join(folder, "lock.json");
  const database = takeLock(root, folder, holder);
  try {
    writeFileSync(holder, JSON.stringify({ pid: process.pid, sinceMs: clock.nowMs() }));
  } catch (error) {
    database.close();
    throw diskError(error, "lock", PRIVATE_FOLDER);
  }
  return {
    [Symbol.dispose]() {
      if (!database.isOpen) return;
      rmSync(holder, { force: true });
      database.close();
    },
  };
}

function takeLock(root: string, folder: string, holder: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(folder, "lock.sqlite"), { timeout: 0 });
    // Nothing is ever written, so no journal lies about.
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database?.close();
    if (errcodeOf(error) === SQLITE_BUSY) throw inUse(root, holder, error);
    const message = `Cannot lock ${root} (${messageOf(error)}): give this account access to it.`;
    throw new WorldError("no-permission", message, { cause: error });
  }
}

function makePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw diskError(error, "make", folder);
  }
  if (attempt("look at", folder, () => lstatSync(folder)).isDirectory()) return;
  const message = `${folder} is no folder: move it away, Lockstep keeps its own files there.`;
  throw new WorldError("not-a-folder", message);
}

function errcodeOf(error: unknown): number {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : 0;
}

function inUse(root: string, holder: string, cause: unknown): WorldError {
  const message = `Another Lockstep syncs ${root}${whoHas(holder)}: stop it, or use that one.`;
  return new WorldError("folder-in-use", message, { cause });
}

/** Who has it, as far as they have written it down by now. */
function whoHas(holder: string): string {
  try {
    const { pid, sinceMs } = Holder.parse(JSON.parse(readFileSync(holder, "utf8")));
    return ` (process ${pid}, since ${new Date(sinceMs).toISOString()})`;
  } catch {
    return "";
  }
}
