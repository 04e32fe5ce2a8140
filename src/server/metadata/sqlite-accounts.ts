import type { AccountId, DeviceId } from "#core/ids.ts";
import { ACCOUNT_COLUMNS, accountOf, deviceOf, joinOf, tokenOf, vaultOf } from "./account-rows.ts";
import type {
  AccountRow,
  AccountStore,
  DeviceRow,
  JoinRow,
  KeyringChange,
  TokenRow,
  VaultRow,
} from "./port.ts";
import type { SqliteFile } from "./sqlite-file.ts";
import { raw } from "./rows.ts";

function statements(file: SqliteFile) {
  return {
    addAccount: file.prepare(
      `INSERT INTO accounts
       (id, name, key, opaque_record, recovery_key, created_ms, bundle, bundle_version, keyring,
        keyring_version)
       VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, 1) ON CONFLICT DO NOTHING`,
    ),
    vault: file.prepare(
      "SELECT bundle, bundle_version, keyring, keyring_version FROM accounts WHERE id = ?",
    ),
    putBundle: file.prepare(
      `UPDATE accounts SET bundle = $bundle, bundle_version = $version,
       opaque_record = coalesce($record, opaque_record)
       WHERE id = $id AND bundle_version = $version - 1`,
    ),
    renew: file.prepare(
      `UPDATE accounts SET keyring = $keyring, keyring_version = $version, bundle = $bundle,
       bundle_version = $renewed, recovery_key = $recoveryKey
       WHERE id = $id AND keyring_version = $replaces AND $version > $replaces
       AND bundle_version = $renewed - 1`,
    ),
    putKeyring: file.prepare(
      `UPDATE accounts SET keyring = $keyring, keyring_version = $version
       WHERE id = $id AND keyring_version = $replaces AND $version > $replaces`,
    ),
    accountByKey: file.prepare(`SELECT ${ACCOUNT_COLUMNS} FROM accounts WHERE key = ?`),
    account: file.prepare(`SELECT ${ACCOUNT_COLUMNS} FROM accounts WHERE id = ?`),
    addDevice: file.prepare(
      `INSERT INTO devices (id, account, name, created_ms, last_seen_ms, revoked)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    devices: file.prepare("SELECT * FROM devices WHERE account = ? ORDER BY created_ms, id"),
    revoke: file.prepare("UPDATE devices SET revoked = 1 WHERE id = ? AND account = ?"),
    see: file.prepare("UPDATE devices SET last_seen_ms = ? WHERE id = ?"),
    addToken: file.prepare(
      `INSERT INTO tokens (hash, account, device, label, created_ms, expires_ms)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    token: file.prepare("SELECT * FROM tokens WHERE hash = ?"),
    removeTokens: file.prepare("DELETE FROM tokens WHERE device = ?"),
    addJoin: file.prepare(
      "INSERT INTO joins (hash, account, expires_ms, messages) VALUES (?, ?, ?, ?)",
    ),
    join: file.prepare("SELECT * FROM joins WHERE hash = ?"),
    addToJoin: file.prepare(
      `UPDATE joins SET messages = json_insert(messages, '$[#]', $message)
       WHERE hash = $hash AND json_array_length(messages) = $at`,
    ),
    removeJoin: file.prepare("DELETE FROM joins WHERE hash = ?"),
    removeExpiredJoins: file.prepare("DELETE FROM joins WHERE expires_ms <= ?"),
  };
}

/** Accounts, devices, tokens and join codes in a SQLite file. */
export class SqliteAccounts implements AccountStore {
  readonly #file: SqliteFile;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile) {
    this.#file = file;
    this.#sql = statements(file);
  }

  async createAccount(
    row: AccountRow,
    { bundle, keyring }: Pick<VaultRow, "bundle" | "keyring">,
  ): Promise<boolean> {
    const { id, name, key, opaqueRecord, recoveryKey, createdMs } = row;
    const values = [name, key, opaqueRecord, recoveryKey, createdMs, bundle, keyring] as const;
    return this.#file.write(() => this.#sql.addAccount.run(raw(id), ...values).changes === 1);
  }

  async vault(account: AccountId): Promise<VaultRow | undefined> {
    const row = this.#file.read(() => this.#sql.vault.get(raw(account)));
    return row && vaultOf(row);
  }

  async putBundle(
    account: AccountId,
    update: { readonly version: number; readonly bundle: string; readonly opaqueRecord?: string },
  ): Promise<boolean> {
    const { version, bundle, opaqueRecord: record = null } = update;
    const id = raw(account);
    return this.#file.write(
      () => this.#sql.putBundle.run({ id, version, bundle, record }).changes === 1,
    );
  }

  async putKeyring(
    account: AccountId,
    { version, keyring, renewal, replaces = version - 1 }: KeyringChange,
  ): Promise<boolean> {
    const id = raw(account);
    return this.#file.write(() => {
      if (renewal !== undefined) {
        const { bundle, recoveryKey } = renewal;
        const { version: renewed } = renewal;
        const values = { id, bundle, recoveryKey, keyring, version, renewed, replaces };
        return this.#sql.renew.run(values).changes === 1;
      }
      return this.#sql.putKeyring.run({ id, version, keyring, replaces }).changes === 1;
    });
  }

  async accountByKey(key: string): Promise<AccountRow | undefined> {
    const row = this.#file.read(() => this.#sql.accountByKey.get(key));
    return row && accountOf(row);
  }

  async account(id: AccountId): Promise<AccountRow | undefined> {
    const row = this.#file.read(() => this.#sql.account.get(raw(id)));
    return row && accountOf(row);
  }

  async createDevice(row: DeviceRow, token: TokenRow): Promise<void> {
    const { id, account, name, createdMs, lastSeenMs, revoked } = row;
    this.#file.write(() => {
      const { addDevice } = this.#sql;
      addDevice.run(raw(id), raw(account), name, createdMs, lastSeenMs, revoked ? 1 : 0);
      this.#addToken(token);
    });
  }

  async devices(account: AccountId): Promise<DeviceRow[]> {
    return this.#file.read(() => this.#sql.devices.all(raw(account)).map(deviceOf));
  }

  async revokeDevice(account: AccountId, device: DeviceId): Promise<boolean> {
    return this.#file.write(() => {
      if (this.#sql.revoke.run(raw(device), raw(account)).changes === 0) return false;
      this.#sql.removeTokens.run(raw(device));
      return true;
    });
  }

  async seeDevice(device: DeviceId, nowMs: number): Promise<void> {
    this.#file.write(() => this.#sql.see.run(nowMs, raw(device)));
  }

  async createToken(row: TokenRow): Promise<void> {
    this.#file.write(() => this.#addToken(row));
  }

  async tokenByHash(hash: string): Promise<TokenRow | undefined> {
    const row = this.#file.read(() => this.#sql.token.get(raw(hash)));
    return row && tokenOf(row);
  }

  async createJoin({ hash, account, expiresMs, messages }: JoinRow): Promise<void> {
    const values = [raw(hash), raw(account), expiresMs, JSON.stringify(messages)] as const;
    this.#file.write(() => this.#sql.addJoin.run(...values));
  }

  async join(hash: string): Promise<JoinRow | undefined> {
    const row = this.#file.read(() => this.#sql.join.get(raw(hash)));
    return row && joinOf(row);
  }

  async addToJoin(hash: string, at: number, message: string): Promise<boolean> {
    const values = { hash: raw(hash), at, message };
    return this.#file.write(() => this.#sql.addToJoin.run(values).changes === 1);
  }

  async removeJoin(hash: string): Promise<void> {
    this.#file.write(() => this.#sql.removeJoin.run(raw(hash)));
  }

  async removeExpiredJoins(nowMs: number): Promise<void> {
    this.#file.write(() => this.#sql.removeExpiredJoins.run(nowMs));
  }

  #addToken({ hash, account, device, label, createdMs, expiresMs }: TokenRow): void {
    const owner = device === null ? null : raw(device);
    this.#sql.addToken.run(raw(hash), raw(account), owner, label, createdMs, expiresMs);
  }
}
