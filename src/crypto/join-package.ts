import { concat, fromHex, toHex } from "#core/bytes.ts";
import { accountId, spaceId, type AccountId, type SpaceId } from "#core/ids.ts";
import { FieldReader, u16, u64 } from "./fields.ts";
import { accountKey, joinContext, joinKeys, type AccountKey } from "./keys.ts";
import type { SeenKeyring } from "./keyring.ts";
import { magic } from "./labels.ts";
import type { Primitives } from "./primitives.ts";
import { open, seal } from "./sealed.ts";

/**
 * What one device hands to another through a join code: `["LSG1"][account 16][account key 32]
 * [identity 32][keyring version 8][keyring hash 32]`, and for each space `[id 16][head 8]
 * [chain 32]` after their number in two bytes. Sealed with what the code makes: no server reads it.
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
};

export function sealPackage(
  primitives: Primitives,
  secret: string,
  offer: JoinPackage,
): Uint8Array {
  const { account, accountKey: key, identity, seen, heads } = offer;
  const plain = concat([
    magic("G1"),
    fromHex(account),
    key,
    identity,
    u64(seen.version),
    seen.hash,
    u16(heads.length),
    ...heads.flatMap(({ space, sequence, chain }) => [
      fromHex(space),
      u64(sequence),
      fromHex(chain),
    ]),
  ]);
  return seal(primitives, joinKeys(primitives.hashes, secret).key, joinContext(), plain);
}

/** Throws WorldError `bad-seal`, `bad-package`. */
export function openPackage(
  primitives: Primitives,
  secret: string,
  sealed: Uint8Array,
): JoinPackage {
  const { key } = joinKeys(primitives.hashes, secret);
  const plain = open(primitives, key, joinContext(), sealed);
  const fields = new FieldReader(plain, "bad-package", "What the join code stands for");
  fields.expect(magic("G1"), "format");
  const account = accountId(toHex(fields.bytes(16)));
  const opened = {
    account,
    accountKey: accountKey(fields.bytes(32).slice()),
    identity: fields.bytes(32).slice(),
    seen: { version: fields.u64(), hash: fields.bytes(32).slice() },
    heads: Array.from({ length: fields.u16() }, () => ({
      space: spaceId(toHex(fields.bytes(16))),
      sequence: fields.u64(),
      chain: toHex(fields.bytes(32)),
    })),
  };
  fields.end();
  return opened;
}
