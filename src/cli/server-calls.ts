import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { HttpAccount } from "#platform/account-http.ts";
import { wrongUsage } from "./exit.ts";
import type { Link } from "./daemon.ts";

/** A server's address as links keep it. Throws CommandError (wrong usage). */
export function serverUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `http://${text}`);
  } catch {
    throw wrongUsage(`${text} is no server address; write it like http://nas.local:7420.`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw wrongUsage(`${text} is no server address: it begins with http:// or https://.`);
  }
  return url.href.replace(/\/+$/, "");
}

/** Calls to a server; without a token only those that come before one is had. */
export function callServer(url: string, token?: string): HttpAccount {
  return new HttpAccount({ url, token, clock: systemClock, chance: systemChance });
}

/** Calls as the device that a folder is linked as. */
export function callAs({ server, token }: Link): HttpAccount {
  return callServer(server, token);
}
