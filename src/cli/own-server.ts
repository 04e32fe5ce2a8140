import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { codeOf } from "#core/errors.ts";
import type { RunningServer } from "#server/main.ts";
import { CommandError } from "./exit.ts";
import { readJsonFile, writePrivateFile, type Home } from "./home.ts";
import { readVersion } from "./version.ts";

/**
 * What `lockstep up` remembers of the server in this home, and of the account that it made there.
 */
export type OwnServer = {
  readonly host: string;
  readonly port: number;
  readonly account: string;
  readonly password: string;
  /** The 24 recovery words, once the account is made. */
  readonly words?: string;
  /** The folder that `up` syncs when none is named. */
  readonly dir: string;
};

function fileOf(home: Home): string {
  return join(home.path, "up.json");
}

export function ownServerFile(home: Home): string {
  return fileOf(home);
}

export function readOwnServer(home: Home): OwnServer | null {
  return readJsonFile(fileOf(home)) as OwnServer | null;
}

export function storeOwnServer(home: Home, own: OwnServer): void {
  writePrivateFile(fileOf(home), `${JSON.stringify(own, null, 2)}\n`);
}

/** The address that devices on this machine use. */
export function localUrl({ host, port }: Pick<OwnServer, "host" | "port">): string {
  const isEverywhere = host === "0.0.0.0" || host === "::";
  const name = isEverywhere ? "127.0.0.1" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

/** The address that other machines use, as far as can be told from here. */
function publicUrl({ host, port }: Pick<OwnServer, "host" | "port">): string {
  if (host !== "0.0.0.0" && host !== "::") return localUrl({ host, port });
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outer = addresses.find(({ internal, family }) => !internal && family === "IPv4");
  return localUrl({ host: outer?.address ?? "127.0.0.1", port });
}

/**
 * A link's server as other machines reach it: our own is known here by a name of this machine's.
 */
export function reachableServer(home: Home, server: string): string {
  const own = readOwnServer(home);
  return own !== null && localUrl(own) === server ? publicUrl(own) : server;
}

/** True when no other machine can reach this address. */
export function isLoopback(server: string): boolean {
  const { hostname } = new URL(server);
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

type Wish = { readonly host: string; readonly port: number | null };

/**
 * Starts the server of this home: on the port it had, else on the standard one, else (only the
 * first time, while no device knows it) on any free one.
 */
export async function startOwnServer(
  home: Home,
  wish: Wish,
  own: OwnServer | null,
): Promise<RunningServer> {
  const { DEFAULT_PORT, readConfig } = await import("#server/config.ts");
  const { startServer } = await import("#server/main.ts");
  const start = (port: number): Promise<RunningServer> => {
    const data = join(home.path, "server");
    const logFile = join(home.path, "log", "server.log");
    // As loud as its device's is asked to be.
    const { LOCKSTEP_LOG: log } = process.env;
    const loud = log ? { log } : {};
    const flags = { data, host: wish.host, port: String(port), ...loud, logFile };
    return startServer(readConfig(flags, {}), readVersion());
  };
  const port = wish.port ?? own?.port ?? DEFAULT_PORT;
  try {
    return await start(port);
  } catch (error) {
    if (codeOf(error) === "folder-in-use") {
      const message = "Lockstep is up already with this LOCKSTEP_HOME; stop it there first.";
      throw new CommandError(message, undefined, error);
    }
    const isFree = codeOf(error) === "cannot-listen" && wish.port === null && own === null;
    if (!isFree) throw error;
    return start(0);
  }
}
