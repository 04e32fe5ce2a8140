import type { DeviceId } from "#core/ids.ts";
import type { Domain } from "#crypto/chunk.ts";
import type { SigningSeed, SpaceEpochs, SpaceKeys } from "#crypto/keys.ts";

/** What a device has of a sealed space, as its account's keyring says now. */
export type SealedKeys = {
  /** All that was ever closed opens with one of these. */
  readonly epochs: SpaceEpochs;
  /** The newest: what is closed now is closed with them. */
  readonly current: SpaceKeys;
  /** Whom the chunks of this space's files are stored once for. */
  readonly domain: Domain;
  /** The key service's pinned public key; null where there is no such service. */
  readonly service: { readonly epoch: number; readonly publicKey: Uint8Array } | null;
  /** What this device signs its commits with. */
  readonly signingSeed: SigningSeed;
  /** What a device signs with, as long as its word counts in this epoch; undefined else. */
  readonly signingKeyOf: (device: DeviceId, epoch: number) => Uint8Array | undefined;
};
