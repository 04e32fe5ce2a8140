import { JoinSecret } from "#protocol/accounts.ts";
import { wrongUsage } from "./exit.ts";
import type { LinkedFolder } from "./links.ts";
import { callAs } from "./server-calls.ts";

const EXAMPLE = "HOST:PORT/XXXXX-XXXXX-XXXXX-XXXXX";

/**
 * `HOST:PORT/SECRET` as people paste it; the secret's characters as Crockford's base32 reads them.
 */
export function parseJoinCode(text: string): { readonly server: string; readonly secret: string } {
  const trimmed = text.trim().replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  const typed = trimmed
    .slice(slash + 1)
    .replaceAll(/[-\s]/g, "")
    .toUpperCase();
  const secret = JoinSecret.safeParse(typed.replaceAll("O", "0").replaceAll(/[IL]/g, "1"));
  const server = trimmed.slice(0, Math.max(slash, 0));
  if (!secret.success || server === "" || /^https?:\/*$/.test(server)) {
    throw wrongUsage(`${text} is no join code: it looks like ${EXAMPLE}.`);
  }
  return { server, secret: secret.data };
}

/** A server's address as a join code has it: `http://` goes without saying. */
export function writeJoinCode(server: string, secret: string): string {
  const groups = secret.match(/.{1,5}/g) ?? [];
  return `${server.replace(/^http:\/\//, "")}/${groups.join("-")}`;
}

/** Makes a code that lets one more machine sync this folder's space, once, for 10 minutes. */
export async function offerJoin({ link }: LinkedFolder, server = link.server): Promise<string> {
  const { secret } = await callAs(link).createJoinCode(link.space);
  return writeJoinCode(server, secret);
}
