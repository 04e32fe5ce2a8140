import * as fs from "node:fs";
import { join } from "node:path";
import type { Log } from "#core/world.ts";
import { openLog } from "#server/real-world.ts";
import { wrongUsage } from "./exit.ts";
import { makePrivateFolder, type Home } from "./home.ts";

const MAX_LOG_BYTES = 16 * 1024 * 1024;
const LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

/**
 * What the program notes for whoever looks for a fault: lines of JSON in `log/` of the home, or on
 * stderr when LOCKSTEP_LOG names a level.
 */
export function openEngineLog(home: Home, name: string): Log & Disposable {
  const wanted = process.env["LOCKSTEP_LOG"];
  const level = wanted ? LEVELS.find((known) => known === wanted) : "info";
  if (level === undefined) {
    throw wrongUsage(`LOCKSTEP_LOG is ${wanted}, it must be one of ${LEVELS.join(", ")}.`);
  }
  const log = openLog(level, wanted ? undefined : logFile(home, name));
  return {
    debug: withoutNames((event, fields) => log.debug(event, fields)),
    info: withoutNames((event, fields) => log.info(event, fields)),
    warn: withoutNames((event, fields) => log.warn(event, fields)),
    error: withoutNames((event, fields) => log.error(event, fields)),
    [Symbol.dispose]: () => log.flush(),
  };
}

/**
 * Logs are shown to others, and sentences name files. A code says enough: `status` and
 * `lockstep log` have the sentence. Of what nobody foresaw the sentence stays, without what stands
 * in quotation marks.
 */
function withoutNames(write: Log["info"]): Log["info"] {
  return (event, { message, detail: _, ...fields } = {}) => {
    if (typeof message !== "string" || (fields["code"] ?? "unexpected") !== "unexpected") {
      return write(event, fields);
    }
    write(event, { ...fields, message: message.replaceAll(/(['"]).*\1/g, "$1…$1") });
  };
}

/** One full log is kept beside the present one. */
function logFile(home: Home, name: string): string {
  const folder = join(home.path, "log");
  makePrivateFolder(folder);
  const file = join(folder, `${name}.log`);
  const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > MAX_LOG_BYTES) fs.renameSync(file, `${file}.before`);
  fs.closeSync(fs.openSync(file, "a", 0o600));
  return file;
}
