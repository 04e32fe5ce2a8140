import { rmSync } from "node:fs";
import { join } from "node:path";
import type { WorldError } from "#core/errors.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import { readJsonFile, writePrivateFile } from "./home.ts";
import type { LinkedFolder } from "./links.ts";

/**
 * Why the last engine of a folder stopped for good, kept for those who ask when it runs no more.
 */
export type Halt = { readonly code: string; readonly message: string; readonly timeMs: number };

function fileOf(folder: LinkedFolder): string {
  return join(folder.state, "halted.json");
}

/** Keeps what a person has to see; a failure that the next start may heal is not kept. */
export function storeHalt(folder: LinkedFolder, error: WorldError): void {
  if (exitCodeOf(error) !== EXIT.needsPerson) return;
  const halt: Halt = { code: error.code, message: error.message, timeMs: Date.now() };
  writePrivateFile(fileOf(folder), JSON.stringify(halt));
}

export function clearHalt(folder: LinkedFolder): void {
  rmSync(fileOf(folder), { force: true });
}

export function readHalt(folder: LinkedFolder): Halt | null {
  return readJsonFile(fileOf(folder)) as Halt | null;
}
