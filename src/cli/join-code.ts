import { toHex } from "#core/bytes.ts";
import { openPackage, sealPackage, type JoinPackage } from "#crypto/join-package.ts";
import { joinKeys } from "#crypto/keys.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { JoinSecret } from "#protocol/accounts.ts";
import { CommandError, wrongUsage } from "./exit.ts";
import { DeviceKeys, keysFile } from "./device-keys.ts";
import type { LinkedFolder } from "./links.ts";
import type { Enrolment } from "./linking.ts";
import { newDeviceOf } from "./owner.ts";
import { callAs, callServer } from "./server-calls.ts";
import { noKeys } from "./space-door.ts";

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

/**
 * Makes a code that lets one more machine sync this folder's space, once, for 10 minutes. What it
 * stands for is left at the server, sealed with the code, which the server never sees.
 */
export async function offerJoin(
  { link, state }: LinkedFolder,
  server = link.server,
): Promise<string> {
  const keys = DeviceKeys.read(keysFile(state));
  if (keys === null) throw noKeys(link);
  const calls = callAs(link);
  await keys.refresh(calls);
  const { account, accountKey, identity } = keys.own;
  const heads = (await calls.listSpaces()).map(({ space, head: sequence, chain }) => {
    return { space, sequence, chain };
  });
  const secret = drawSecret();
  const offer = { account, accountKey, identity, seen: keys.seen, heads };
  await calls.offerJoin({
    locator: toHex(joinKeys(systemPrimitives.hashes, secret).locator),
    package: Buffer.from(sealPackage(systemPrimitives, secret, offer)).toString("base64url"),
    space: link.space,
  });
  return writeJoinCode(server, secret);
}

/** A new device of the account behind a code. */
export async function enrolByCode(
  server: string,
  secret: string,
  device: string,
): Promise<Enrolment> {
  const { hashes } = systemPrimitives;
  const locator = toHex(joinKeys(hashes, secret).locator);
  const { package: closed, ...enrolled } = await callServer(server).join({ locator, device });
  const sealed = new Uint8Array(Buffer.from(closed, "base64url"));
  const keys = async (own: HttpAccount): Promise<DeviceKeys> => {
    const { heads, seen, ...account } = openPackage(systemPrimitives, secret, sealed);
    await expectHeads(own, heads);
    return DeviceKeys.begin(
      newDeviceOf(account, enrolled.device),
      seen,
      (await own.vault()).keyring,
    );
  };
  return { ...enrolled, keys };
}

/** A server that shows a new device less than the old one saw has lost something, or hides it. */
async function expectHeads(calls: HttpAccount, heads: JoinPackage["heads"]): Promise<void> {
  const rows = new Map((await calls.listSpaces()).map((row) => [row.space, row]));
  for (const { space, sequence, chain } of heads) {
    const row = rows.get(space);
    const isBehind = row === undefined || row.head < sequence;
    if (!isBehind && (row.head > sequence || row.chain === chain)) continue;
    throw new CommandError(
      `The server shows this machine an older state than the one that invited it saw ` +
        `(${row?.head ?? 0} instead of ${sequence} changes): do not trust it before you know why.`,
    );
  }
}

/** Crockford's base32: no I, L, O, U, so that a code can be read aloud and typed. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SECRET_LENGTH = 20;

function drawSecret(): string {
  // 256 is a multiple of 32: the lower five bits of a random byte are unbiased.
  return Array.from(systemChance.bytes(SECRET_LENGTH), (byte) => ALPHABET[byte & 31]).join("");
}
