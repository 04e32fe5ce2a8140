import { toHex } from "#core/bytes.ts";
import * as exchange from "#crypto/join-exchange.ts";
import { readPackage, type JoinPackage } from "#crypto/join-package.ts";
import { joinKeys, type JoinKeys } from "#crypto/keys.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { openWith } from "#platform/hpke.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import * as protocol from "#protocol/accounts.ts";
import { DeviceKeys, exchangeKeyOf } from "./device-keys.ts";
import { CommandError } from "./exit.ts";
import type { Enrolment } from "./linking.ts";
import { newDeviceOf } from "./owner.ts";
import { wordsAt } from "./recovery-words.ts";
import { callServer } from "./server-calls.ts";

const { hashes } = systemPrimitives;
const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

export type JoinWish = {
  readonly server: string;
  /** The code's 20 characters. */
  readonly secret: string;
  /** What to call this machine. */
  readonly device: string;
  /** Is told the four words that the inviting machine shows too. */
  readonly show: (words: string) => void;
};

/**
 * A new device of the account behind a code, once the machine that made the code has let it in.
 * Throws WorldError `not-found` for a code that is wrong, used, too old or taken back, `bad-join`
 * and `bad-seal` when somebody answers who does not know it, CommandError when it was refused.
 */
export async function enrolByCode(wish: JoinWish, signal?: AbortSignal): Promise<Enrolment> {
  const calls = callServer(wish.server);
  const keys = joinKeys(hashes, wish.secret);
  const locator = toHex(keys.locator);
  const hear = async (number: number): Promise<string> =>
    calls.joinMessage(locator, number, signal);
  const commitment = fromBase64(await hear(protocol.JOIN_COMMITMENT));
  const own = systemChance.bytes(32);
  const asked = { publicKey: exchangeKeyOf(own), name: wish.device };
  const request = exchange.writeRequest(hashes, keys, commitment, asked);
  await calls.requestJoin({ locator, request: toBase64(request) });
  const nonce = fromBase64(await hear(protocol.JOIN_NONCE));
  const transcript = exchange.transcriptOf(hashes, keys, { commitment, request, nonce });
  wish.show(wordsAt(exchange.wordsOf(hashes, keys, transcript)));
  if ((await hear(protocol.JOIN_DECISION)) === protocol.JOIN_REFUSED) {
    throw new CommandError("The other machine did not let this one in; nothing was made.");
  }
  const sealed = fromBase64(await hear(protocol.JOIN_PACKAGE));
  return enrolmentOf(await openPackage(keys, { own, transcript }, sealed));
}

async function openPackage(
  { psk, locator: pskId }: JoinKeys,
  { own, transcript }: { readonly own: Uint8Array; readonly transcript: Uint8Array },
  sealed: Uint8Array,
): Promise<JoinPackage> {
  const info = exchange.packageContext(transcript);
  return readPackage(await openWith(own, sealed, info, { psk, pskId }));
}

function enrolmentOf(opened: JoinPackage): Enrolment {
  const { heads, seen, space, accountName, deviceName, token, device, ...account } = opened;
  const enrolled = protocol.Enrolled.parse({
    accountId: account.account,
    account: accountName,
    device,
    deviceName,
    token,
  });
  const keys = async (own: HttpAccount): Promise<DeviceKeys> => {
    await expectHeads(own, heads);
    const { keyring } = await own.vault();
    return DeviceKeys.begin(newDeviceOf(account, device), seen, keyring);
  };
  return { ...enrolled, space, keys };
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
