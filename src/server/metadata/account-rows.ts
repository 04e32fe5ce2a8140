import { accountId, deviceId } from "#core/ids.ts";
import type { AccountRow, DeviceRow, JoinRow, TokenRow, VaultRow } from "./port.ts";
import { hexOf, integerOf, orNull, textOf, type Row } from "./rows.ts";

/**
 * What `accountOf` reads. A bundle and a keyring are long: reading them along would tell by the
 * time of a sign-in which accounts there are.
 */
export const ACCOUNT_COLUMNS = "id, name, key, opaque_record, recovery_key, created_ms";

export function accountOf(row: Row): AccountRow {
  return {
    id: accountId(hexOf(row, "id")),
    name: textOf(row, "name"),
    key: textOf(row, "key"),
    opaqueRecord: textOf(row, "opaque_record"),
    recoveryKey: textOf(row, "recovery_key"),
    createdMs: integerOf(row, "created_ms"),
  };
}

export function deviceOf(row: Row): DeviceRow {
  return {
    id: deviceId(hexOf(row, "id")),
    account: accountId(hexOf(row, "account")),
    name: textOf(row, "name"),
    createdMs: integerOf(row, "created_ms"),
    lastSeenMs: orNull(integerOf, row, "last_seen_ms"),
    revoked: integerOf(row, "revoked") !== 0,
  };
}

export function tokenOf(row: Row): TokenRow {
  const device = orNull(hexOf, row, "device");
  return {
    hash: hexOf(row, "hash"),
    account: accountId(hexOf(row, "account")),
    device: device === null ? null : deviceId(device),
    label: textOf(row, "label"),
    createdMs: integerOf(row, "created_ms"),
    expiresMs: orNull(integerOf, row, "expires_ms"),
  };
}

export function joinOf(row: Row): JoinRow {
  return {
    hash: hexOf(row, "hash"),
    account: accountId(hexOf(row, "account")),
    expiresMs: integerOf(row, "expires_ms"),
    // Written by the databases of this room alone.
    messages: JSON.parse(textOf(row, "messages")) as string[],
  };
}

export function vaultOf(row: Row): VaultRow {
  return {
    bundle: textOf(row, "bundle"),
    bundleVersion: integerOf(row, "bundle_version"),
    keyring: textOf(row, "keyring"),
    keyringVersion: integerOf(row, "keyring_version"),
  };
}
