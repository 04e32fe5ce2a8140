import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { WorldError } from "#core/errors.ts";

/**
 * Takes a folder for this process alone. The lock is SQLite's own on a file in it: the operating
 * system drops it with the process, however that ends. Throws WorldError `folder-in-use`.
 */
export function lockFolder(folder: string): Disposable {
  const path = join(folder, "lock.sqlite");
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    throw new WorldError(
      "folder-in-use",
      `Another server has the data folder ${folder} open; stop it or choose another folder.`,
      { cause },
    );
  }
  return { [Symbol.dispose]: () => database.close() };
}
