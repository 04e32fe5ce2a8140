import { accountId, deviceId, type AccountId, type DeviceId } from "#core/ids.ts";
import { assert } from "#core/assert.ts";
import type { MongoDatabase, Stored } from "./mongo-database.ts";
import type {
  AccountRow,
  AccountStore,
  DeviceRow,
  JoinRow,
  KeyringChange,
  TokenRow,
  VaultRow,
} from "./port.ts";
import { integerOf, orNull, textOf } from "./rows.ts";

function accountOf(found: Stored): AccountRow {
  return {
    id: accountId(found._id),
    name: textOf(found, "name"),
    key: textOf(found, "key"),
    opaqueRecord: textOf(found, "opaqueRecord"),
    recoveryKey: textOf(found, "recoveryKey"),
    createdMs: integerOf(found, "createdMs"),
  };
}

function deviceOf(found: Stored): DeviceRow {
  return {
    id: deviceId(found._id),
    account: accountId(textOf(found, "account")),
    name: textOf(found, "name"),
    createdMs: integerOf(found, "createdMs"),
    lastSeenMs: orNull(integerOf, found, "lastSeenMs"),
    revoked: found["revoked"] === true,
  };
}

/**
 * Accounts, devices, tokens and join codes in a MongoDB database. A device's token stands in the
 * device, so that both come and go as one document.
 */
export class MongoAccounts implements AccountStore {
  readonly #database: MongoDatabase;

  constructor(database: MongoDatabase) {
    this.#database = database;
  }

  async createAccount(
    { id, ...row }: AccountRow,
    { bundle, keyring }: Pick<VaultRow, "bundle" | "keyring">,
  ): Promise<boolean> {
    const vault = { bundle, bundleVersion: 1, keyring, keyringVersion: 1 };
    return this.#database.insert("accounts", { _id: id, ...row, ...vault });
  }

  async vault(account: AccountId): Promise<VaultRow | undefined> {
    const found = await this.#database.one("accounts", { _id: account });
    if (found === undefined) return undefined;
    return {
      bundle: textOf(found, "bundle"),
      bundleVersion: integerOf(found, "bundleVersion"),
      keyring: textOf(found, "keyring"),
      keyringVersion: integerOf(found, "keyringVersion"),
    };
  }

  async putBundle(
    account: AccountId,
    update: { readonly version: number; readonly bundle: string; readonly opaqueRecord?: string },
  ): Promise<boolean> {
    const { version, bundle, opaqueRecord } = update;
    const record = opaqueRecord === undefined ? {} : { opaqueRecord };
    return this.#database.change(
      "accounts",
      { _id: account, bundleVersion: version - 1 },
      { $set: { bundle, bundleVersion: version, ...record } },
    );
  }

  async putKeyring(
    account: AccountId,
    { version, keyring, renewal, replaces = version - 1 }: KeyringChange,
  ): Promise<boolean> {
    if (version <= replaces) return false;
    const at = { _id: account, keyringVersion: replaces };
    const next = { keyring, keyringVersion: version };
    if (renewal === undefined) return this.#database.change("accounts", at, { $set: next });
    const { bundle, recoveryKey } = renewal;
    return this.#database.change(
      "accounts",
      { ...at, bundleVersion: renewal.version - 1 },
      { $set: { ...next, bundle, bundleVersion: renewal.version, recoveryKey } },
    );
  }

  async accountByKey(key: string): Promise<AccountRow | undefined> {
    const found = await this.#database.one("accounts", { key });
    return found && accountOf(found);
  }

  async account(id: AccountId): Promise<AccountRow | undefined> {
    const found = await this.#database.one("accounts", { _id: id });
    return found && accountOf(found);
  }

  async createDevice({ id, ...row }: DeviceRow, token: TokenRow): Promise<void> {
    const { hash: tokenHash, label, createdMs: tokenCreatedMs, expiresMs } = token;
    const own = { tokenHash, label, tokenCreatedMs, expiresMs };
    const isNew = await this.#database.insert("devices", { _id: id, ...row, ...own });
    assert(isNew, `the device ${id} or its token is there already`);
  }

  async devices(account: AccountId): Promise<DeviceRow[]> {
    const sort = { createdMs: 1, _id: 1 } as const;
    return (await this.#database.many("devices", { account }, { sort })).map(deviceOf);
  }

  async revokeDevice(account: AccountId, device: DeviceId): Promise<boolean> {
    const gone = { revoked: true, tokenHash: `revoked ${device}` };
    return this.#database.change("devices", { _id: device, account }, { $set: gone });
  }

  async seeDevice(device: DeviceId, nowMs: number): Promise<void> {
    await this.#database.change("devices", { _id: device }, { $set: { lastSeenMs: nowMs } });
  }

  async createToken({ hash, ...row }: TokenRow): Promise<void> {
    const isNew = await this.#database.insert("tokens", { _id: hash, ...row });
    assert(isNew, "no two tokens are the same");
  }

  async tokenByHash(hash: string): Promise<TokenRow | undefined> {
    const device = await this.#database.one("devices", { tokenHash: hash });
    const found = device ?? (await this.#database.one("tokens", { _id: hash }));
    if (found === undefined) return undefined;
    return {
      hash,
      account: accountId(textOf(found, "account")),
      device: device === undefined ? null : deviceId(device._id),
      label: textOf(found, "label"),
      createdMs: integerOf(found, device === undefined ? "createdMs" : "tokenCreatedMs"),
      expiresMs: orNull(integerOf, found, "expiresMs"),
    };
  }

  async createJoin({ hash, ...row }: JoinRow): Promise<void> {
    const isNew = await this.#database.insert("joins", { _id: hash, ...row });
    assert(isNew, "no two join codes are the same");
  }

  async join(hash: string): Promise<JoinRow | undefined> {
    const found = await this.#database.one("joins", { _id: hash });
    if (found === undefined) return undefined;
    return {
      hash,
      account: accountId(textOf(found, "account")),
      expiresMs: integerOf(found, "expiresMs"),
      // Written by this file alone.
      messages: found["messages"] as string[],
    };
  }

  async addToJoin(hash: string, at: number, message: string): Promise<boolean> {
    const filter = { _id: hash, messages: { $size: at } };
    return this.#database.change("joins", filter, { $push: { messages: message } });
  }

  async removeJoin(hash: string): Promise<void> {
    await this.#database.ask(() => this.#database.collection("joins").deleteOne({ _id: hash }));
  }

  async removeExpiredJoins(nowMs: number): Promise<void> {
    const expired = { expiresMs: { $lte: nowMs } };
    await this.#database.ask(() => this.#database.collection("joins").deleteMany(expired));
  }
}
