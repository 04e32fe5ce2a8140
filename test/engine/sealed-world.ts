import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { chunkId, deviceId, type ChunkId, type DeviceId } from "#core/ids.ts";
import type { Domain } from "#crypto/chunk.ts";
import { chunkWorkHere } from "#crypto/chunk-work.ts";
import { rootKey, signingSeed, type SpaceKeys } from "#crypto/keys.ts";
import { evaluate, evaluationKey, readRequest, type EvaluationRequest } from "#crypto/oprf.ts";
import { systemDigest } from "#platform/digest.ts";
import { openDeviceStore, type DeviceStore } from "#platform/device-store.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Commit, CommitAnswer } from "#protocol/commit.ts";
import type { Entry, Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MemoryKeptBytes } from "#sim/memory-kept-bytes.ts";
import { virtualRistretto as ristretto } from "#sim/virtual-ristretto.ts";
import type { KeyService, Remote, Seal } from "#sync/ports.ts";
import type { SealedKeys } from "#sync/sealed-keys.ts";
import { openSealedSpace } from "#sync/sealed-space.ts";
import { DEVICE, keysOf, OTHER_DEVICE, primitives, SPACE } from "../contracts/sealing-world.ts";

// A sealed space's device over a real database, and a server that can be told to lie to it.

export const STRANGER: DeviceId = deviceId("d3".repeat(16));
const oprf = { hashes: primitives.hashes, chance: primitives.chance, ristretto };
const SERVICE = evaluationKey(oprf, 1, new Uint8Array(32).fill(3));
export const OTHER_KEY = evaluationKey(oprf, 1, new Uint8Array(32).fill(4));

export function answerOf(request: EvaluationRequest, key = SERVICE): Uint8Array {
  return evaluate(oprf, key, request);
}

/** A key service that counts its questions. */
export class CountingEvaluator implements KeyService {
  readonly batches: number[] = [];
  /** Called before each question is answered; what it throws or returns is the answer. */
  meet: (asked: EvaluationRequest) => Uint8Array | null = () => null;

  async evaluate(request: Uint8Array): Promise<Uint8Array> {
    const asked = readRequest(oprf, request);
    this.batches.push(asked.blinded.length);
    return this.meet(asked) ?? answerOf(asked);
  }
}

export function seedOf(device: DeviceId): ReturnType<typeof signingSeed> {
  return signingSeed(primitives.hashes.sha256([new TextEncoder().encode(device)]));
}

export function keyring(domain: Domain = "shared", epochs = 1, device = DEVICE): SealedKeys {
  const known = new Map<number, SpaceKeys>();
  for (let epoch = 1; epoch <= epochs; epoch++) {
    known.set(epoch, keysOf(SPACE, epoch, rootKey(new Uint8Array(32).fill(epoch))));
  }
  const members = [DEVICE, OTHER_DEVICE];
  const { signatures } = primitives;
  return {
    epochs: known,
    current: known.get(epochs) ?? keysOf(SPACE, epochs),
    domain,
    service: SERVICE,
    signingSeed: seedOf(device),
    signingKeyOf: (other) =>
      members.includes(other) ? signatures.publicKey(seedOf(other)) : undefined,
  };
}

/** A server that keeps chunks and hands out what a test tells it to. */
export class Shelf implements Remote {
  readonly chunks = new Map<ChunkId, Uint8Array>();
  readonly puts: number[] = [];
  feed: () => Feed = () => ({ entries: [], cursor: "0", head: 0 });
  answer: (commit: Commit) => CommitAnswer = () => {
    throw new WorldError("offline", "Not now.");
  };
  /** What is made of the frames that answer a question. */
  twist: (frames: ChunkFrame[]) => ChunkFrame[] = (frames) => frames;
  fetches = 0;

  async changes(_cursor: string): Promise<Feed> {
    return this.feed();
  }

  async commit(commit: Commit): Promise<CommitAnswer> {
    return this.answer(commit);
  }

  async missing(chunks: readonly ChunkId[]): Promise<ChunkId[]> {
    return chunks.filter((id) => !this.chunks.has(id));
  }

  async lacking(): Promise<ChunkId[]> {
    return [];
  }

  async put(chunks: readonly ChunkFrame[]): Promise<void> {
    this.puts.push(chunks.length);
    for (const { id, bytes } of chunks) this.chunks.set(id, bytes);
  }

  async *fetch(chunks: readonly ChunkId[]): AsyncGenerator<ChunkFrame> {
    this.fetches++;
    const frames = chunks.map((id) => ({ id, bytes: this.chunks.get(id) ?? new Uint8Array(0) }));
    yield* this.twist(frames);
  }
}

export type SealedDevice = Disposable & {
  readonly store: DeviceStore;
  readonly disk: FewFiles;
  readonly kept: MemoryKeptBytes;
  readonly shelf: Shelf;
  readonly service: CountingEvaluator;
  readonly seal: Seal;
  readonly remote: Remote;
  readonly fallBacks: [code: string, chunks: number][];
  keys: SealedKeys;
  refreshed: number;
};

/** What lies on a device's disk: whole files by their paths. */
export class FewFiles {
  readonly files = new Map<string, Uint8Array>();

  async read(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const bytes = this.files.get(path);
    if (bytes === undefined) throw new WorldError("not-found", `There is no ${path}.`);
    return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  }
}

/** One device of the sealed space; several may share a shelf. */
export function sealedDevice(
  keys = keyring(),
  shelf = new Shelf(),
  id = DEVICE,
  keptBytes = 0,
): SealedDevice {
  const store = openDeviceStore(":memory:", { folding: true });
  const service = new CountingEvaluator();
  const fallBacks: [string, number][] = [];
  const disk = new FewFiles();
  const kept = new MemoryKeptBytes(keptBytes);
  const device = { store, disk, kept, shelf, service, fallBacks, keys, refreshed: 0 };
  const doors = openSealedSpace({
    ...store,
    kept,
    space: SPACE,
    device: id,
    folding: true,
    primitives,
    work: chunkWorkHere(primitives),
    ristretto: async () => ristretto,
    digest: systemDigest,
    keys: () => device.keys,
    refreshKeys: async () => void device.refreshed++,
    keyService: service,
    onFallBack: (code, chunks) => fallBacks.push([code, chunks]),
    disk: { look: disk },
    remote: shelf,
  });
  return Object.assign(device, doors, { [Symbol.dispose]: () => store.close() });
}

export function frameOf(bytes: Uint8Array): ChunkFrame {
  return { id: chunkId(toHex(systemDigest.sha256(bytes))), bytes };
}

/** Commits of a device, chained as a server does. */
export class SealedJournal {
  readonly entries: Entry[] = [];

  get head(): { sequence: number; chain: string } {
    const { sequence, chain } = this.entries.at(-1) ?? { sequence: 0, chain: CHAIN_START };
    return { sequence, chain };
  }

  /** Appends what was signed; `twist` changes it on its way. */
  land(commit: Commit, device = DEVICE, twist: (entry: Entry) => Entry = (entry) => entry): Entry {
    const before = this.head;
    const sequence = before.sequence + 1;
    const plain = { ...commit, device, timeMs: 0, sequence, chain: "" };
    const { chain: _chain, ...rest } = twist(plain);
    const entry = { ...rest, chain: nextChain(systemDigest, before.chain, rest) };
    this.entries.push(entry);
    return entry;
  }
}
