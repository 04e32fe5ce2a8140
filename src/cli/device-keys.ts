import { createPrivateKey, createPublicKey } from "node:crypto";
import { join } from "node:path";
import { fromHex, toHex, utf8 } from "#core/bytes.ts";
import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { accountId, deviceId, type AccountId, type DeviceId } from "#core/ids.ts";
import { checkHandOver, readBundle, readSecrets } from "#crypto/bundle.ts";
import { accountKey, signingSeed, type AccountKey, type SigningSeed } from "#crypto/keys.ts";
import { openKeyring, sealKeyring, type Keyring, type SeenKeyring } from "#crypto/keyring.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { CommandError } from "./exit.ts";
import { readJsonFile, writePrivateFile } from "./home.ts";

/** Tries to change a keyring that other devices change at the same time. */
const MOST_TRIES = 10;

/** What makes this machine a device of its account; it never leaves it. */
export type OwnKeys = {
  readonly account: AccountId;
  readonly device: DeviceId;
  readonly accountKey: AccountKey;
  /** The account's identity: Ed25519, public. */
  readonly identity: Uint8Array;
  readonly signingSeed: SigningSeed;
  /** Of X25519: what other devices can seal for this one with. */
  readonly exchangeSeed: Uint8Array;
};

/** The public half of an X25519 key. */
export function exchangeKeyOf(seed: Uint8Array): Uint8Array {
  const raw = { key: Buffer.from(seed), format: "raw-private" as const };
  const privateKey = createPrivateKey({ ...raw, asymmetricKeyType: "x25519" });
  return new Uint8Array(createPublicKey(privateKey).export({ format: "raw-public" }));
}

/** What a device's stanza is sealed for. */
export function stanzaContext(account: AccountId, device: DeviceId): Uint8Array {
  return utf8(`lockstep/1/bundle-stanza\0${account}${device}`);
}

/** The keys that the account has now, from the stanza that was left for this device. */
async function renewedBy(own: OwnKeys, bundle: Uint8Array): Promise<OwnKeys> {
  const parts = readBundle(systemPrimitives, bundle);
  const stanza = parts.devices.get(own.device);
  if (stanza === undefined) {
    const message = "The account has new keys, and none for this machine: sign it in again.";
    throw new WorldError("bad-bundle", message);
  }
  const info = stanzaContext(own.account, own.device);
  // Only when keys were renewed: every engine would keep it in memory otherwise.
  const { openWith } = await import("#platform/hpke.ts");
  const secrets = readSecrets(await openWith(own.exchangeSeed, stanza, info));
  checkHandOver(systemPrimitives, own, parts, secrets);
  return { ...own, ...secrets };
}

/** A keyring as a device knows it: what it saw last, and how it is changed. */
export type KnownKeyring = { readonly keyring: Keyring; readonly seen: SeenKeyring };

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

/** Opens what the server keeps. Throws WorldError `bad-keyring`, `keyring-went-back`. */
function openKnown(own: OwnKeys, seen: SeenKeyring | null, sealed: string): KnownKeyring {
  const { account, identity } = own;
  const expected = { account, identity, seen };
  return openKeyring(systemPrimitives, own.accountKey, expected, fromBase64(sealed));
}

/** A keyring as the server keeps it. */
export function closeKeyring(own: Pick<OwnKeys, "accountKey">, keyring: Keyring): string {
  return toBase64(sealKeyring(systemPrimitives, own.accountKey, keyring).sealed);
}

/** The account's keyring as one device has it, remembered in a file of the device's state. */
export class DeviceKeys {
  #own: OwnKeys;
  #path: string | null;
  #known: KnownKeyring;
  #sealed: string;

  private constructor(path: string | null, own: OwnKeys, known: KnownKeyring, sealed: string) {
    this.#path = path;
    this.#own = own;
    this.#known = known;
    this.#sealed = sealed;
  }

  /** Takes what the server keeps for the first time; `seen`: not older than this. */
  static begin(own: OwnKeys, seen: SeenKeyring | null, sealed: string): DeviceKeys {
    return new DeviceKeys(null, own, openKnown(own, seen, sealed), sealed);
  }

  /** Null when this folder's device has none: it is of a plain space from before there were any. */
  static read(path: string): DeviceKeys | null {
    const json = readJsonFile(path) as Record<string, unknown> | null;
    if (json === null) return null;
    try {
      const text = (field: string): string => {
        const value = json[field];
        if (typeof value === "string") return value;
        throw new TypeError(`${field} is no text`);
      };
      const own: OwnKeys = {
        account: accountId(text("account")),
        device: deviceId(text("device")),
        accountKey: accountKey(fromHex(text("accountKey"))),
        identity: fromHex(text("identity")),
        signingSeed: signingSeed(fromHex(text("signingSeed"))),
        exchangeSeed: fromHex(text("exchangeSeed")),
      };
      const sealed = text("keyring");
      return new DeviceKeys(path, own, openKnown(own, null, sealed), sealed);
    } catch (cause) {
      throw new CommandError(
        `${path} is damaged (${messageOf(cause)}): sign this machine in again with lockstep link.`,
        undefined,
        cause,
      );
    }
  }

  /** From now on the file is this one. */
  keepAt(path: string): void {
    this.#path = path;
    this.#store();
  }

  get own(): OwnKeys {
    return this.#own;
  }

  get keyring(): Keyring {
    return this.#known.keyring;
  }

  get seen(): SeenKeyring {
    return this.#known.seen;
  }

  /**
   * Takes what the server keeps now; false when it is what is known already. After another device
   * has renewed the account's keys, the new ones are taken from the bundle, if the identity that
   * this device knows has handed over to theirs. Throws WorldError `bad-keyring`, `bad-bundle`,
   * `keyring-went-back`.
   */
  async refresh(calls: HttpAccount): Promise<boolean> {
    const { keyring: sealed, keyringVersion, bundle } = await calls.vault();
    if (keyringVersion === this.seen.version && sealed === this.#sealed) return false;
    const { identity } = readBundle(systemPrimitives, fromBase64(bundle));
    const isRenewed = !systemPrimitives.hashes.equal(identity, this.#own.identity);
    const own = isRenewed ? await renewedBy(this.#own, fromBase64(bundle)) : this.#own;
    this.adopt(own, sealed);
    return true;
  }

  /** Takes a keyring, and the keys that open it. */
  adopt(own: OwnKeys, sealed: string): void {
    this.#known = openKnown(own, this.seen, sealed);
    this.#own = own;
    this.#sealed = sealed;
    this.#store();
  }

  /** Changes the account's keyring; `edit` is asked again when another device was quicker. */
  async change(calls: HttpAccount, edit: (keyring: Keyring) => Keyring | null): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.refresh(calls);
      const edited = edit(this.keyring);
      if (edited === null) return;
      const version = this.keyring.version + 1;
      const next: Keyring = { ...edited, version, before: this.seen.hash };
      const keyring = closeKeyring(this.own, next);
      try {
        await calls.putKeyring({ version, keyring });
      } catch (error) {
        if (codeOf(error) !== "conflict" || tries === MOST_TRIES) throw error;
        continue;
      }
      this.adopt(this.#own, keyring);
      return;
    }
  }

  /**
   * After the server was put back to a backup: has it keep the account's keyring as this device
   * knows it, with what others have written there since. A version is left out, so that those who
   * have seen either take it by its signature. Throws WorldError `bad-bundle`, `bad-seal`,
   * `bad-keyring` when the account's keys were renewed after the backup.
   */
  async overtake(calls: HttpAccount): Promise<void> {
    for (let tries = 1; ; tries++) {
      if (await this.#hasFollowed(calls)) return;
      const { keyring: sealed, keyringVersion: replaces } = await calls.vault();
      const { keyring: theirs } = openKnown(this.#own, null, sealed);
      const version = Math.max(theirs.version, this.seen.version) + 2;
      const merged = mergedKeyrings(this.keyring, theirs);
      const keyring = closeKeyring(this.own, { ...merged, version, before: this.seen.hash });
      try {
        await calls.putKeyring({ version, keyring, replaces });
      } catch (error) {
        if (codeOf(error) !== "conflict" || tries === MOST_TRIES) throw error;
        continue;
      }
      this.adopt(this.#own, keyring);
      return;
    }
  }

  /** True when what the server has is what is known here, or follows it. */
  async #hasFollowed(calls: HttpAccount): Promise<boolean> {
    try {
      await this.refresh(calls);
      return true;
    } catch (error) {
      if (codeOf(error) !== "keyring-went-back") throw error;
      return false;
    }
  }

  #store(): void {
    if (this.#path === null) return;
    const { account, device, accountKey: key, identity } = this.#own;
    const { signingSeed: seed, exchangeSeed } = this.#own;
    const json = {
      account,
      device,
      accountKey: toHex(key),
      identity: toHex(identity),
      signingSeed: toHex(seed),
      exchangeSeed: toHex(exchangeSeed),
      keyring: this.#sealed,
    };
    writePrivateFile(this.#path, `${JSON.stringify(json, null, 2)}\n`);
  }
}

/** All that stands in one of two keyrings; what both have is as the first has it. */
function mergedKeyrings(ours: Keyring, theirs: Keyring): Keyring {
  const known = new Set<string>([
    ...ours.devices.map(({ certificate }) => certificate.device),
    ...ours.spaces.map(({ space }) => space),
  ]);
  return {
    ...ours,
    devices: [
      ...ours.devices,
      ...theirs.devices.filter(({ certificate }) => !known.has(certificate.device)),
    ],
    spaces: [...ours.spaces, ...theirs.spaces.filter(({ space }) => !known.has(space))],
    pins: new Map([...theirs.pins, ...ours.pins]),
  };
}

/** Where a linked folder's device keeps its keys. */
export function keysFile(state: string): string {
  return join(state, "keys.json");
}
