import { join } from "node:path";
import type { LogFields } from "#core/world.ts";
import type { ServerConfig } from "#server/config.ts";
import { openLog } from "#server/real-world.ts";
import { makePrivateFolder } from "./home.ts";
import { thisHome } from "./usage.ts";

/** What somebody does to a server's stores from outside it, as its audit log calls it. */
type Act = "backup-made" | "backup-restored" | "collected" | "scrubbed";

/**
 * Does what an operator has asked for, with a line in the server's audit log: what, how it ended,
 * and what `fieldsOf` says of it, no name. Where the server has no file for that and none for its
 * log, the line goes to `log/audit.log` of this home.
 */
export async function audited<T>(
  what: Act,
  { auditFile, logFile }: Pick<ServerConfig, "auditFile" | "logFile">,
  act: { readonly run: () => Promise<T>; readonly fieldsOf: (done: T) => LogFields },
): Promise<T> {
  const log = openLog("info", auditFile ?? logFile ?? ownFile());
  try {
    const done = await act.run();
    log.info("audit", { what, outcome: "done", ...act.fieldsOf(done) });
    return done;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unexpected";
    log.info("audit", { what, outcome: "failed", code });
    throw error;
  } finally {
    log.flush();
  }
}

function ownFile(): string {
  const folder = join(thisHome().path, "log");
  makePrivateFolder(folder);
  return join(folder, "audit.log");
}
