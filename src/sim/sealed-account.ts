import type { DeviceId, SpaceId } from "#core/ids.ts";
import { WorldError } from "#core/errors.ts";
import type { Domain } from "#crypto/chunk.ts";
import { rootKey, signingSeed, spaceKeys, type SpaceKeys } from "#crypto/keys.ts";
import { evaluate, evaluationKey, readRequest, type EvaluationKey } from "#crypto/oprf.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { SealedKeys } from "#sync/sealed-keys.ts";
import { Draw } from "./chance.ts";
import { quickPrimitives } from "./quick-primitives.ts";
import type { Sealing } from "./sealing.ts";
import type { Swarm } from "./swarm.ts";
import { SealedReader, type SpaceReader } from "./space-reader.ts";
import { virtualPrimitives } from "./virtual-primitives.ts";
import { virtualRistretto } from "./virtual-ristretto.ts";

/** What the devices of a sealed space's account share, and the key service of their server. */
export class SealedAccount {
  readonly space: SpaceId;
  readonly domain: Domain;
  readonly primitives: Primitives;
  readonly reader: SpaceReader;
  readonly #draw: Draw;
  readonly #epochs = new Map<number, SpaceKeys>();
  readonly #members = new Map<number, Set<DeviceId>>();
  readonly #signers = new Map<DeviceId, Uint8Array>();
  readonly #service: EvaluationKey;

  constructor(
    space: SpaceId,
    { domain, primitives }: Pick<Sealing, "domain" | "primitives">,
    draw: Draw,
    devices: readonly DeviceId[],
  ) {
    this.space = space;
    this.domain = domain;
    this.#draw = draw;
    this.primitives = primitives === "real" ? virtualPrimitives(draw) : quickPrimitives(draw);
    this.reader = new SealedReader(this.primitives, this.#epochs);
    const { signatures } = this.primitives;
    for (const device of devices) {
      this.#signers.set(device, signatures.publicKey(seedOf(device)));
    }
    this.#service = evaluationKey(this.#oprf, 1, draw.bytes(32));
    this.begin(new Set(devices));
  }

  /** The account whose space a story's is; null when that is plain. */
  static of(
    { seed, sealed }: Pick<Swarm, "seed" | "sealed">,
    space: SpaceId,
    devices: readonly DeviceId[],
  ): SealedAccount | null {
    if (sealed === null) return null;
    return new SealedAccount(space, sealed, new Draw(seed, "sealed"), devices);
  }

  get #oprf() {
    const { hashes, chance } = this.primitives;
    return { hashes, chance, ristretto: virtualRistretto };
  }

  /** The newest epoch. */
  get epoch(): number {
    return this.#epochs.size;
  }

  /** New keys, for these devices alone. */
  begin(members: ReadonlySet<DeviceId>): void {
    const { hashes } = this.primitives;
    const epoch = this.epoch + 1;
    const root = rootKey(this.#draw.bytes(32));
    this.#epochs.set(epoch, spaceKeys(hashes, this.space, epoch, root));
    this.#members.set(epoch, new Set(members));
  }

  /** What a device knows that has read the keyring when `epoch` was the newest. */
  keysOf(device: DeviceId, epoch: number): SealedKeys {
    const epochs = new Map([...this.#epochs].filter(([number]) => number <= epoch));
    const current = epochs.get(epoch);
    if (current === undefined) throw new RangeError(`no epoch ${epoch}`);
    return {
      epochs,
      current,
      domain: this.domain,
      service: this.#service,
      signingSeed: seedOf(device),
      signingKeyOf: (other, at) =>
        this.#members.get(at)?.has(other) === true ? this.#signers.get(other) : undefined,
    };
  }

  /** The key service's answer. */
  evaluate(request: Uint8Array): Uint8Array {
    return evaluate(this.#oprf, this.#service, readRequest(this.#oprf, request));
  }
}

/** The key service is not there, or was asked too often. */
export function unwilling(draw: Draw): WorldError {
  const code = draw.pick(["key-service-away", "too-many-evaluations"]);
  return new WorldError(code, "The key service answers later.", { retryable: true });
}

/** Known to nobody else in a story. */
function seedOf(device: DeviceId): ReturnType<typeof signingSeed> {
  const bytes = new Uint8Array(32);
  for (let at = 0; at < bytes.length; at++) bytes[at] = device.charCodeAt(at);
  return signingSeed(bytes);
}
