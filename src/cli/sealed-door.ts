import { assert } from "#core/assert.ts";
import type { Log } from "#core/world.ts";
import { epochsOf, signingKeyOf, type Keyring } from "#crypto/keyring.ts";
import type { Ristretto } from "#crypto/ristretto.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { HttpKeyService } from "#platform/key-service-http.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import type { SealedKeys } from "#sync/sealed-keys.ts";
import type { Link, SealedDoor } from "./daemon.ts";
import { DeviceKeys, keysFile } from "./device-keys.ts";
import { beginEpochs } from "./key-epochs.ts";
import type { LinkedFolder } from "./links.ts";
import { KEY_SERVICE_PIN } from "./sealed-spaces.ts";
import { callAs } from "./server-calls.ts";
import { noKeys } from "./space-door.ts";

/** A large library: most runs of an engine never need it. */
async function loadRistretto(): Promise<Ristretto> {
  const { openRistretto } = await import("#platform/ristretto.ts");
  return openRistretto();
}

const shared = { clock: systemClock, chance: systemChance };

/** What an engine needs of a sealed space: undefined for a plain one. Throws CommandError. */
export async function openSealedDoor(
  { link, state }: LinkedFolder,
  log: Log,
): Promise<SealedDoor | undefined> {
  if (link.kind === "plain") return undefined;
  const keys = DeviceKeys.read(keysFile(state));
  if (keys === null) throw noKeys(link);
  let known = sealedKeys(link, keys);
  return {
    keys: () => known,
    refreshKeys: async () => {
      const calls = callAs(link);
      if (await keys.refresh(calls)) known = sealedKeys(link, keys);
      // Whoever renewed the keys may have been stopped before the server heard of it.
      await beginEpochs(calls, { spaces: ownSpace(link, keys) });
    },
    keyService: new HttpKeyService({ ...link, url: link.server, ...shared }),
    ristretto: loadRistretto,
    onFallBack: (code, chunks) => log.warn("sealed-privately", { code, chunks }),
  };
}

function ownSpace({ space }: Link, { keyring }: DeviceKeys): Keyring["spaces"] {
  return keyring.spaces.filter((one) => one.space === space);
}

function sealedKeys({ space }: Link, { own, keyring }: DeviceKeys): SealedKeys {
  const epochs = epochsOf(systemPrimitives.hashes, keyring, space);
  const current = epochs.get(Math.max(...epochs.keys()));
  assert(current !== undefined, "the keyring has the space that is linked");
  return {
    epochs,
    current,
    domain: keyring.spaces.find((one) => one.space === space)?.domain ?? "private",
    service: serviceOf(keyring),
    signingSeed: own.signingSeed,
    signingKeyOf: (device, epoch) => signingKeyOf(keyring, device, { space, epoch }),
  };
}

/** The key service's public key that the account has pinned, newest epoch first. */
function serviceOf(keyring: Keyring): SealedKeys["service"] {
  let service: SealedKeys["service"] = null;
  for (const [name, publicKey] of keyring.pins) {
    const epoch = name.startsWith(KEY_SERVICE_PIN) ? Number(name.slice(KEY_SERVICE_PIN.length)) : 0;
    if (epoch > (service?.epoch ?? 0)) service = { epoch, publicKey };
  }
  return service;
}
