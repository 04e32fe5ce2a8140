import { systemChance } from "#platform/chance.ts";
import { JoinSecret } from "#protocol/accounts.ts";
import { wrongUsage } from "./exit.ts";

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

/** Crockford's base32: no I, L, O, U, so that a code can be read aloud and typed. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SECRET_LENGTH = 20;

export function drawSecret(): string {
  // 256 is a multiple of 32: the lower five bits of a random byte are unbiased.
  return Array.from(systemChance.bytes(SECRET_LENGTH), (byte) => ALPHABET[byte & 31]).join("");
}
