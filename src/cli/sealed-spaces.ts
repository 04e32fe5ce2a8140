import { fromHex, toHex } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import { spaceId, type SpaceId } from "#core/ids.ts";
import type { Domain } from "#crypto/chunk.ts";
import { rootKey } from "#crypto/keys.ts";
import type { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import type { SpaceRow } from "#protocol/spaces.ts";
import type { DeviceKeys } from "./device-keys.ts";

/**
 * Holds the key service's key to be the one that the server shows now (trust on first use): from
 * then on an answer that was made with another one is refused.
 */
export async function pinKeyService(calls: HttpAccount, keys: DeviceKeys): Promise<void> {
  const { evaluationKeys } = await calls.server();
  const fresh = evaluationKeys
    .map(({ epoch, publicKey }) => [`${KEY_SERVICE_PIN}${epoch}`, fromHex(publicKey)] as const)
    .filter(([name]) => !keys.keyring.pins.has(name));
  if (fresh.length === 0) return;
  await keys.change(calls, (keyring) => {
    const pins = new Map([...fresh, ...keyring.pins]);
    return pins.size === keyring.pins.size ? null : { ...keyring, pins };
  });
}

/** What a pinned key of the key service is called, before its epoch. */
export const KEY_SERVICE_PIN = "key-service/";

/**
 * The account's sealed space of that name, made if there is none. The keyring knows of it before
 * the server does: two devices that make one at once agree on whose it is.
 */
export async function openSealedSpace(
  calls: HttpAccount,
  keys: DeviceKeys,
  { name, domain }: { readonly name: string; readonly domain: Domain },
): Promise<SpaceRow> {
  const drawn = spaceId(toHex(systemChance.bytes(16)));
  await keys.change(calls, (keyring) => {
    if (keyring.spaces.some((space) => space.name === name)) return null;
    const epochs = [
      { epoch: 1, since: keyring.version + 1, root: rootKey(systemChance.bytes(32)) },
    ];
    return { ...keyring, spaces: [...keyring.spaces, { space: drawn, name, domain, epochs }] };
  });
  const space = keys.keyring.spaces.find((one) => one.name === name)?.space ?? drawn;
  return (await findSpace(calls, space)) ?? (await makeSpace(calls, space));
}

async function findSpace(calls: HttpAccount, id: SpaceId): Promise<SpaceRow | undefined> {
  return (await calls.listSpaces()).find(({ space }) => space === id);
}

/** The server calls it by its id: the name is none of its business. */
async function makeSpace(calls: HttpAccount, space: SpaceId): Promise<SpaceRow> {
  try {
    return await calls.createSpace({ space, name: space, kind: "sealed" });
  } catch (error) {
    // Another device was quicker.
    const made = codeOf(error) === "conflict" ? await findSpace(calls, space) : undefined;
    if (made === undefined) throw error;
    return made;
  }
}
