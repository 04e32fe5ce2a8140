import type { Command } from "commander";
import { join } from "node:path";
import {
  readConfig,
  SETTINGS,
  type ServerConfig,
  type Setting,
  type Settings,
} from "#server/config.ts";
import { thisHome } from "./usage.ts";

/** Settings of a server as flags give them; absent or empty ones are not set. */
export type ServerFlags = { readonly [setting in keyof Settings]?: string | undefined };

/** The flags of programs that forget and free. */
export function withKeeping(command: Command): Command {
  return command
    .option("--keep-all <time>", "keep every version so long: 30d, 12h, forever (default: 30d)")
    .option("--keep-daily <time>", "and of each day the last so long (default: 365d)")
    .option("--collect-grace <time>", "how long chunks stay after that (default: 72h)");
}

/**
 * By its own settings, whatever else the flags say; its data folder is this home's unless something
 * else is said.
 */
export function serverConfig(flags: ServerFlags): ServerConfig {
  const standard = process.env["LOCKSTEP_DATA"] ? {} : { data: join(thisHome().path, "server") };
  const given: Partial<Record<Setting, string>> = {};
  for (const setting of SETTINGS) {
    const value = flags[setting];
    if (value) given[setting] = value;
  }
  return readConfig({ ...standard, ...given }, process.env);
}

/** The flags of programs that work beside a server on what it has stored. */
export function withStores(command: Command): Command {
  return command
    .option("--data <dir>", "the server's data folder (default: in LOCKSTEP_HOME)")
    .option("--database <url>", "sqlite:PATH, postgres://…, mongodb://… (default: in --data)")
    .option("--chunks <url>", "file:PATH or s3://BUCKET?endpoint=… (default: inside --data)")
    .option("--key-file <path>", "what contents are closed with (default: inside --data)");
}

export type StoreFlags = Pick<ServerFlags, "data" | "database" | "chunks" | "keyFile">;

/** What `withStores` took, without what else the command was given. */
export function storeFlags({ data, database, chunks, keyFile }: StoreFlags): StoreFlags {
  return { data, database, chunks, keyFile };
}
