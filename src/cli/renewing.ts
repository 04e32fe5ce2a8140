import { toHex } from "#core/bytes.ts";
import type { DeviceId } from "#core/ids.ts";
import {
  handOver,
  openBundle,
  readBundle,
  sealStanza,
  writeBundle,
  writeSecrets,
  type BundleParts,
} from "#crypto/bundle.ts";
import { certify } from "#crypto/certificate.ts";
import { accountKey, ownerKey, recoverySeed, rootKey, signingSeed } from "#crypto/keys.ts";
import type { Keyring } from "#crypto/keyring.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { sealFor } from "#platform/hpke.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { registerPassword } from "#platform/sign-in.ts";
import { closeKeyring, stanzaContext, type DeviceKeys, type OwnKeys } from "./device-keys.ts";
import { beginEpochs } from "./key-epochs.ts";
import { checkPassword, type SignedIn } from "./owner.ts";
import { writeWords } from "./recovery-words.ts";

const { hashes, signatures } = systemPrimitives;
const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

/**
 * Renews all that a device knew which shall know nothing from now on: the account's key and
 * identity, and the keys of every sealed space. The other devices find the new ones in the bundle;
 * the owner gets at them with the same password and with new recovery words, which are returned:
 * the old words open nothing any more. `signedIn` is by password.
 */
export async function shutOut(
  calls: HttpAccount,
  keys: DeviceKeys,
  device: DeviceId,
  { owner }: SignedIn,
): Promise<string> {
  // Nothing more for it, whatever becomes of the rest.
  await calls.revokeDevice(device);
  await keys.refresh(calls);
  const { bundle } = await calls.vault();
  const before = openBundle(systemPrimitives, owner, keys.own.account, fromBase64(bundle));
  const identitySeed = signingSeed(systemChance.bytes(32));
  const own: OwnKeys = {
    ...keys.own,
    accountKey: accountKey(systemChance.bytes(32)),
    identity: signatures.publicKey(identitySeed),
  };
  const keyring = renewed(keys, identitySeed, device);
  const entropy = systemChance.bytes(32);
  const words = ownerKey(hashes, "words", entropy);
  const parts: BundleParts = {
    account: own.account,
    version: before.version + 1,
    identity: own.identity,
    handOver: handOver(systemPrimitives, keys.keyring.identitySeed, own.account, own.identity),
    owners: {
      password: sealStanza(systemPrimitives, owner, own),
      words: sealStanza(systemPrimitives, { method: "words", key: words }, own),
    },
    devices: await stanzasFor(own, keyring),
  };
  const sealed = closeKeyring(own, keyring);
  await calls.putKeyring({
    version: keyring.version,
    keyring: sealed,
    renewal: {
      version: parts.version,
      bundle: toBase64(writeBundle(systemPrimitives, identitySeed, parts)),
      recoveryKey: toHex(signatures.publicKey(recoverySeed(hashes, words))),
    },
  });
  keys.adopt(own, sealed);
  await beginEpochs(calls, keyring);
  return writeWords(entropy);
}

/** The keyring with another identity, new keys for every space, and the device shut out. */
function renewed(
  { keyring, seen, own: { account } }: DeviceKeys,
  identitySeed: OwnKeys["signingSeed"],
  device: DeviceId,
): Keyring {
  const version = keyring.version + 1;
  return {
    ...keyring,
    version,
    before: seen.hash,
    identitySeed,
    spaces: keyring.spaces.map((space) => {
      const epoch = Math.max(...space.epochs.map((one) => one.epoch)) + 1;
      const next = { epoch, since: version, root: rootKey(systemChance.bytes(32)) };
      return { ...space, epochs: [...space.epochs, next] };
    }),
    devices: keyring.devices.map(({ certificate, revokedIn }) => {
      const { signingKey, exchangeKey, device: id } = certificate;
      const facts = { account, device: id, signingKey, exchangeKey };
      const isShutOut = revokedIn === 0 && id === device;
      const again = certify(systemPrimitives, identitySeed, facts);
      return { certificate: again, revokedIn: isShutOut ? version : revokedIn };
    }),
  };
}

async function stanzasFor(own: OwnKeys, { devices }: Keyring): Promise<Map<DeviceId, Uint8Array>> {
  const stanzas = new Map<DeviceId, Uint8Array>();
  for (const { certificate, revokedIn } of devices) {
    if (revokedIn !== 0) continue;
    const { device, exchangeKey } = certificate;
    const info = stanzaContext(own.account, device);
    stanzas.set(device, await sealFor(exchangeKey, writeSecrets(own), info));
  }
  return stanzas;
}

/** Another password for the account: one small upload, and nothing else changes. */
export async function changePassword(
  calls: HttpAccount,
  keys: DeviceKeys,
  { proof, owner }: SignedIn,
  wish: { readonly account: string; readonly password: string },
): Promise<void> {
  checkPassword(wish.password);
  await keys.refresh(calls);
  const bundle = fromBase64((await calls.vault()).bundle);
  openBundle(systemPrimitives, owner, keys.own.account, bundle);
  const before = readBundle(systemPrimitives, bundle);
  const { registrationRecord, exportKey } = await registerPassword(calls, wish);
  const key = ownerKey(hashes, "password", exportKey);
  const password = sealStanza(systemPrimitives, { method: "password", key }, keys.own);
  const owners = { ...before.owners, password };
  const next: BundleParts = { ...before, version: before.version + 1, owners };
  await calls.changePassword({
    proof,
    registrationRecord,
    version: next.version,
    bundle: toBase64(writeBundle(systemPrimitives, keys.keyring.identitySeed, next)),
  });
}
