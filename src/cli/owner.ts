import { accountId, type AccountId } from "#core/ids.ts";
import { toHex } from "#core/bytes.ts";
import { openBundle, sealStanza, writeBundle, type Bundle } from "#crypto/bundle.ts";
import { certify } from "#crypto/certificate.ts";
import {
  accountKey,
  ownerKey,
  recoverySeed,
  signingSeed,
  type OwnerKey,
  type OwnerMethod,
} from "#crypto/keys.ts";
import type { Keyring } from "#crypto/keyring.ts";
import type { DeviceId } from "#core/ids.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { provePassword, proveWords, registerPassword } from "#platform/sign-in.ts";
import type { Proof } from "#protocol/accounts.ts";
import { closeKeyring, exchangeKeyOf, type DeviceKeys, type OwnKeys } from "./device-keys.ts";
import { wrongUsage } from "./exit.ts";
import { readWords, writeWords } from "./recovery-words.ts";

const { hashes, signatures } = systemPrimitives;

/** Shorter ones are not worth what they cost to guess. */
const SHORTEST_PASSWORD = 8;

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

export type Credentials = { readonly account: string } & (
  | { readonly password: string }
  | { readonly words: string }
);

/** Throws CommandError (wrong usage) for a password that is too short. */
export function checkPassword(password: string): void {
  if (password.length >= SHORTEST_PASSWORD) return;
  throw wrongUsage(`A password has at least ${SHORTEST_PASSWORD} characters.`);
}

/**
 * Makes an account: its keys are drawn here, and what the server keeps of them opens with the
 * password or with the 24 words that are returned. Throws WorldError `account-taken`.
 */
export async function signUp(
  calls: HttpAccount,
  { account: name, password }: { readonly account: string; readonly password: string },
): Promise<{ readonly words: string }> {
  checkPassword(password);
  const wish = { account: name, password };
  const { registrationRecord, exportKey } = await registerPassword(calls, wish);
  const entropy = systemChance.bytes(32);
  const identitySeed = signingSeed(systemChance.bytes(32));
  const bundle: Bundle = {
    account: accountId(toHex(systemChance.bytes(16))),
    version: 1,
    accountKey: accountKey(systemChance.bytes(32)),
    identity: signatures.publicKey(identitySeed),
  };
  const owners = {
    password: ownerKey(hashes, "password", exportKey),
    words: ownerKey(hashes, "words", entropy),
  };
  const stanza = (method: OwnerMethod): Uint8Array =>
    sealStanza(systemPrimitives, { method, key: owners[method] }, bundle);
  const stanzas = { password: stanza("password"), words: stanza("words") };
  const keyring: Keyring = {
    account: bundle.account,
    version: 1,
    before: new Uint8Array(32),
    identitySeed,
    spaces: [],
    devices: [],
    pins: new Map(),
  };
  await calls.signUp({
    accountId: bundle.account,
    account: name,
    registrationRecord,
    recoveryKey: toHex(signatures.publicKey(recoverySeed(hashes, owners.words))),
    bundle: toBase64(
      writeBundle(systemPrimitives, identitySeed, {
        ...bundle,
        handOver: null,
        owners: stanzas,
        devices: new Map(),
      }),
    ),
    keyring: closeKeyring(bundle, keyring),
  });
  return { words: writeWords(entropy) };
}

/** A sign-in: what the server wants to see, and what opens the account's bundle. */
export type SignedIn = {
  readonly proof: Proof;
  readonly owner: { readonly method: OwnerMethod; readonly key: OwnerKey };
};

/** Throws WorldError `bad-credentials`, `too-many-requests`, CommandError for words of no list. */
export async function signIn(calls: HttpAccount, credentials: Credentials): Promise<SignedIn> {
  const { account } = credentials;
  if ("password" in credentials) {
    const { password } = credentials;
    const { proof, exportKey } = await provePassword(calls, { account, password });
    return { proof, owner: { method: "password", key: ownerKey(hashes, "password", exportKey) } };
  }
  const key = ownerKey(hashes, "words", readWords(credentials.words));
  const proof = await proveWords(calls, { account, seed: recoverySeed(hashes, key) });
  return { proof, owner: { method: "words", key } };
}

/** Opens the account with what the sign-in gave; the keys of a new device are drawn. */
export function openAccount(
  { owner }: SignedIn,
  { account, device }: { readonly account: AccountId; readonly device: DeviceId },
  bundle: string,
): OwnKeys {
  const opened = openBundle(systemPrimitives, owner, account, fromBase64(bundle));
  return newDeviceOf(opened, device);
}

/** The keys of a device that is about to join this account. */
export function newDeviceOf(
  { account, accountKey: key, identity }: Omit<Bundle, "version">,
  device: DeviceId,
): OwnKeys {
  return {
    account,
    device,
    accountKey: key,
    identity,
    signingSeed: signingSeed(systemChance.bytes(32)),
    exchangeSeed: systemChance.bytes(32),
  };
}

/** Writes the device's certificate into the account's keyring: others believe it from then on. */
export async function vouchFor(calls: HttpAccount, keys: DeviceKeys): Promise<void> {
  const { account, device, signingSeed: seed, exchangeSeed } = keys.own;
  await keys.change(calls, (keyring) => {
    if (keyring.devices.some(({ certificate }) => certificate.device === device)) return null;
    const certificate = certify(systemPrimitives, keyring.identitySeed, {
      account,
      device,
      signingKey: signatures.publicKey(seed),
      exchangeKey: exchangeKeyOf(exchangeSeed),
    });
    return { ...keyring, devices: [...keyring.devices, { certificate, revokedIn: 0 }] };
  });
}
