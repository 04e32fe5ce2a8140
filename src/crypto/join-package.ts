import { concat, fromHex, toHex, utf8 } from "#core/bytes.ts";
import { accountId, deviceId, spaceId } from "#core/ids.ts";
import type { AccountId, DeviceId, SpaceId } from "#core/ids.ts";
import { FieldReader, u16, u64 } from "./fields.ts";
import { accountKey, type AccountKey } from "./keys.ts";
import type { SeenKeyring } from "./keyring.ts";
import { magic } from "./labels.ts";

/**
 * What one device hands to another that has joined: `["LSG2"][account 16][account key 32]
 * [identity 32][keyring version 8][keyring hash 32][space 16][device 16]`, three texts behind their
 * lengths in two bytes (the account's name, the device's, its token), and for each space
 * `[id 16][head 8][chain 32]` after their number in two bytes.
 */
export type JoinPackage = {
  readonly account: AccountId;
  readonly accountKey: AccountKey;
  readonly identity: Uint8Array;
  /** The new device accepts no older keyring, … */
  readonly seen: SeenKeyring;
  /** … and no journal that does not go through these heads. */
  readonly heads: readonly {
    readonly space: SpaceId;
    readonly sequence: number;
    readonly chain: string;
  }[];
  /** The one to sync. */
  readonly space: SpaceId;
  readonly device: DeviceId;
  readonly accountName: string;
  readonly deviceName: string;
  readonly token: string;
};

const textField = (text: string): Uint8Array => {
  const bytes = utf8(text);
  return concat([u16(bytes.length), bytes]);
};

export function writePackage(offer: JoinPackage): Uint8Array {
  const { account, accountKey: key, identity, seen, heads, space: synced, device } = offer;
  return concat([
    magic("G2"),
    fromHex(account),
    key,
    identity,
    u64(seen.version),
    seen.hash,
    fromHex(synced),
    fromHex(device),
    textField(offer.accountName),
    textField(offer.deviceName),
    textField(offer.token),
    u16(heads.length),
    ...heads.flatMap(({ space, sequence, chain }) => [
      fromHex(space),
      u64(sequence),
      fromHex(chain),
    ]),
  ]);
}

/** Throws WorldError `bad-package`. */
export function readPackage(bytes: Uint8Array): JoinPackage {
  const fields = new FieldReader(bytes, "bad-package", "What the join code stands for");
  fields.expect(magic("G2"), "format");
  const text = (): string => fields.text(fields.u16());
  const opened = {
    account: accountId(toHex(fields.bytes(16))),
    accountKey: accountKey(fields.bytes(32).slice()),
    identity: fields.bytes(32).slice(),
    seen: { version: fields.u64(), hash: fields.bytes(32).slice() },
    space: spaceId(toHex(fields.bytes(16))),
    device: deviceId(toHex(fields.bytes(16))),
    accountName: text(),
    deviceName: text(),
    token: text(),
    heads: Array.from({ length: fields.u16() }, () => ({
      space: spaceId(toHex(fields.bytes(16))),
      sequence: fields.u64(),
      chain: toHex(fields.bytes(32)),
    })),
  };
  fields.end();
  return opened;
}
