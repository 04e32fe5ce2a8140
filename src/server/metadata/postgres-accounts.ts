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
import type { PostgresDatabase, Run } from "./postgres-database.ts";
import { raw } from "./rows.ts";

/** Accounts, devices, tokens and join codes in a PostgreSQL database. */
export class PostgresAccounts implements AccountStore {
  readonly #database: PostgresDatabase;

  constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  async createAccount(
    row: AccountRow,
    { bundle, keyring }: Pick<VaultRow, "bundle" | "keyring">,
  ): Promise<boolean> {
    const { id, name, key, opaqueRecord, recoveryKey, createdMs } = row;
    const added = await this.#database.run(
      `INSERT INTO accounts
       (id, name, key, opaque_record, recovery_key, created_ms, bundle, bundle_version, keyring,
        keyring_version)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, 1) ON CONFLICT DO NOTHING`,
      [raw(id), name, key, opaqueRecord, recoveryKey, createdMs, bundle, keyring],
    );
    return added === 1;
  }

  async vault(account: AccountId): Promise<VaultRow | undefined> {
    const [row] = await this.#database.read(
      "SELECT bundle, bundle_version, keyring, keyring_version FROM accounts WHERE id = $1",
      [raw(account)],
    );
    return row && vaultOf(row);
  }

  async putBundle(
    account: AccountId,
    update: { readonly version: number; readonly bundle: string; readonly opaqueRecord?: string },
  ): Promise<boolean> {
    const { version, bundle, opaqueRecord } = update;
    const put = await this.#database.run(
      `UPDATE accounts SET bundle = $2, bundle_version = $3,
       opaque_record = coalesce($4, opaque_record)
       WHERE id = $1 AND bundle_version = $3::bigint - 1`,
      [raw(account), bundle, version, opaqueRecord],
    );
    return put === 1;
  }

  async putKeyring(
    account: AccountId,
    { version, keyring, renewal, replaces = version - 1 }: KeyringChange,
  ): Promise<boolean> {
    const values = [raw(account), keyring, version, replaces];
    if (renewal === undefined) {
      const put = await this.#database.run(
        `UPDATE accounts SET keyring = $2, keyring_version = $3
         WHERE id = $1 AND keyring_version = $4::bigint AND $3::bigint > $4::bigint`,
        values,
      );
      return put === 1;
    }
    const { bundle, recoveryKey } = renewal;
    const renewed = await this.#database.run(
      `UPDATE accounts SET keyring = $2, keyring_version = $3, bundle = $5, bundle_version = $6,
       recovery_key = $7
       WHERE id = $1 AND keyring_version = $4::bigint AND $3::bigint > $4::bigint
       AND bundle_version = $6::bigint - 1`,
      [...values, bundle, renewal.version, recoveryKey],
    );
    return renewed === 1;
  }

  async accountByKey(key: string): Promise<AccountRow | undefined> {
    const sql = `SELECT ${ACCOUNT_COLUMNS} FROM accounts WHERE key = $1`;
    const [row] = await this.#database.read(sql, [key]);
    return row && accountOf(row);
  }

  async account(id: AccountId): Promise<AccountRow | undefined> {
    const sql = `SELECT ${ACCOUNT_COLUMNS} FROM accounts WHERE id = $1`;
    const [row] = await this.#database.read(sql, [raw(id)]);
    return row && accountOf(row);
  }

  async createDevice(row: DeviceRow, token: TokenRow): Promise<void> {
    const { id, account, name, createdMs, lastSeenMs, revoked } = row;
    await this.#database.write(async (run) => {
      await run(
        `INSERT INTO devices (id, account, name, created_ms, last_seen_ms, revoked)
         VALUES ($1, $2, $3, $4, $5, $6)`,
        [raw(id), raw(account), name, createdMs, lastSeenMs, revoked ? 1 : 0],
      );
      await addToken(run, token);
    });
  }

  async devices(account: AccountId): Promise<DeviceRow[]> {
    const rows = await this.#database.read(
      "SELECT * FROM devices WHERE account = $1 ORDER BY created_ms, id",
      [raw(account)],
    );
    return rows.map(deviceOf);
  }

  async revokeDevice(account: AccountId, device: DeviceId): Promise<boolean> {
    return this.#database.write(async (run) => {
      const { changes } = await run(
        "UPDATE devices SET revoked = 1 WHERE id = $1 AND account = $2",
        [raw(device), raw(account)],
      );
      if (changes === 0) return false;
      await run("DELETE FROM tokens WHERE device = $1", [raw(device)]);
      return true;
    });
  }

  async seeDevice(device: DeviceId, nowMs: number): Promise<void> {
    const sql = "UPDATE devices SET last_seen_ms = $2 WHERE id = $1";
    await this.#database.run(sql, [raw(device), nowMs]);
  }

  async createToken(row: TokenRow): Promise<void> {
    await this.#database.write((run) => addToken(run, row));
  }

  async tokenByHash(hash: string): Promise<TokenRow | undefined> {
    const [row] = await this.#database.read("SELECT * FROM tokens WHERE hash = $1", [raw(hash)]);
    return row && tokenOf(row);
  }

  async createJoin({ hash, account, expiresMs, messages }: JoinRow): Promise<void> {
    await this.#database.run(
      "INSERT INTO joins (hash, account, expires_ms, messages) VALUES ($1, $2, $3, $4)",
      [raw(hash), raw(account), expiresMs, JSON.stringify(messages)],
    );
  }

  async join(hash: string): Promise<JoinRow | undefined> {
    const [row] = await this.#database.read("SELECT * FROM joins WHERE hash = $1", [raw(hash)]);
    return row && joinOf(row);
  }

  async addToJoin(hash: string, at: number, message: string): Promise<boolean> {
    const added = await this.#database.run(
      `UPDATE joins SET messages = (messages::jsonb || to_jsonb($3::text))::text
       WHERE hash = $1 AND jsonb_array_length(messages::jsonb) = $2`,
      [raw(hash), at, message],
    );
    return added === 1;
  }

  async removeJoin(hash: string): Promise<void> {
    await this.#database.run("DELETE FROM joins WHERE hash = $1", [raw(hash)]);
  }

  async removeExpiredJoins(nowMs: number): Promise<void> {
    await this.#database.run("DELETE FROM joins WHERE expires_ms <= $1", [nowMs]);
  }
}

async function addToken(run: Run, token: TokenRow): Promise<void> {
  const { hash, account, device, label, createdMs, expiresMs } = token;
  const owner = device === null ? null : raw(device);
  await run(
    `INSERT INTO tokens (hash, account, device, label, created_ms, expires_ms)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [raw(hash), raw(account), owner, label, createdMs, expiresMs],
  );
}
