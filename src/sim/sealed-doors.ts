import type { DeviceId } from "#core/ids.ts";
import { chunkWorkHere } from "#crypto/chunk-work.ts";
import { nodeDigest } from "#server/digest.ts";
import type { Disk, KeptBytes, Remote, Seal } from "#sync/ports.ts";
import type { SealedKeys } from "#sync/sealed-keys.ts";
import { openSealedSpace } from "#sync/sealed-space.ts";
import type { MemoryStore } from "./memory-store.ts";
import { unwilling, type SealedAccount } from "./sealed-account.ts";
import type { Sealing } from "./sealing.ts";
import { VirtualLine, type LineWorld } from "./virtual-line.ts";
import { virtualRistretto } from "./virtual-ristretto.ts";

/** How long the key service and the keyring are waited for. */
const PATIENCE_MS = 20_000;

/** What a device has read of its account's keyring; it outlives the process. */
export class Keyring {
  readonly #account: SealedAccount;
  readonly #device: DeviceId;
  #keys: SealedKeys;

  constructor(account: SealedAccount, device: DeviceId) {
    this.#account = account;
    this.#device = device;
    this.#keys = account.keysOf(device, account.epoch);
  }

  get keys(): SealedKeys {
    return this.#keys;
  }

  read(): void {
    this.#keys = this.#account.keysOf(this.#device, this.#account.epoch);
  }
}

type DoorsWorld = {
  readonly account: SealedAccount;
  readonly keyring: Keyring;
  readonly sealing: Sealing;
  readonly device: DeviceId;
  readonly folding: boolean;
  readonly store: MemoryStore;
  readonly kept: KeptBytes;
  readonly disk: Pick<Disk, "look">;
  /** To the server that knows stored chunks only. */
  readonly remote: Remote;
  readonly line: LineWorld;
  readonly happened: Set<string>;
};

/** A device's two doors to its sealed space; key service and keyring are behind the same line. */
export function sealedDoors(world: DoorsWorld): { seal: Seal; remote: Remote } {
  const { account, keyring, sealing, store, disk, happened, device, folding, remote } = world;
  const { kept } = world;
  const line = new VirtualLine(world.line);
  return openSealedSpace({
    space: account.space,
    device,
    folding,
    primitives: account.primitives,
    work: chunkWorkHere(account.primitives),
    ristretto: async () => virtualRistretto,
    digest: nodeDigest,
    keys: () => keyring.keys,
    refreshKeys: () => line.ask("keyring", PATIENCE_MS, async () => keyring.read()),
    keyService: {
      evaluate: (request, signal) =>
        line.ask(
          "evaluate",
          PATIENCE_MS,
          async () => {
            if (line.draw.chance(sealing.away)) throw unwilling(line.draw);
            happened.add("sealed: shared chunks");
            return account.evaluate(request);
          },
          signal,
        ),
    },
    onFallBack: () => void happened.add("sealed: fell back"),
    trees: store,
    records: store,
    sealedRecords: store.sealed,
    kept,
    disk,
    remote,
  });
}
