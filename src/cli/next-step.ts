import { codeOf, WorldError } from "#core/errors.ts";
import type { Home } from "./home.ts";
import { quoted, type LinkedFolder } from "./links.ts";
import { localUrl, readOwnServer } from "./own-server.ts";

/** The command that keeps a folder in sync, and starts its server where that is this home's. */
export function startCommand(home: Home, { link }: LinkedFolder): string {
  const own = readOwnServer(home);
  if (own === null || localUrl(own) !== link.server) return `lockstep sync ${quoted(link.dir)}`;
  return own.dir === link.dir ? "lockstep up" : `lockstep up ${quoted(link.dir)}`;
}

/** The command that makes this machine a device of its account once more, and goes on as it was. */
export function linkAgain({ link: { dir, server, account } }: LinkedFolder): string {
  return `lockstep link ${quoted(dir)} --server ${server} --account ${account}`;
}

function signInCommand(home: Home, folder: LinkedFolder): string {
  const { dir } = folder.link;
  const start = startCommand(home, folder);
  if (start.startsWith("lockstep up")) return `lockstep unlink ${quoted(dir)}, then ${start}`;
  return `${linkAgain(folder)}, or lockstep join with a new code`;
}

/** An engine's failure, with the next step as a person of this home can take it. */
export function withNextStep(error: unknown, home: Home, folder: LinkedFolder): unknown {
  if (codeOf(error) !== "signed-out") return error;
  const message =
    `${folder.link.server} does not know this device any more: sign in again with ` +
    `${signInCommand(home, folder)}; if nobody revoked it, another server listens there now.`;
  return new WorldError("signed-out", message, { cause: error });
}
