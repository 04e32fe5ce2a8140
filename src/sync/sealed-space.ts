import type { ChunkId, DeviceId, SpaceId } from "#core/ids.ts";
import type { Digest } from "#core/world.ts";
import type { ChunkWork } from "#crypto/chunk-work.ts";
import type { Primitives } from "#crypto/primitives.ts";
import type { Ristretto } from "#crypto/ristretto.ts";
import { ChunkSealer } from "./chunk-sealer.ts";
import { Deltas } from "./deltas.ts";
import { readLocalChunk, type LocalChunksWorld } from "./local-chunks.ts";
import type {
  DeviceRecords,
  KeptBytes,
  KeyService,
  Remote,
  Seal,
  SealedRecords,
  TreeStore,
} from "./ports.ts";
import type { SealedKeys } from "./sealed-keys.ts";
import { SealedRemote } from "./sealed-remote.ts";
import { SealedSeal } from "./sealed-seal.ts";

export type SealedSpaceWorld = {
  readonly space: SpaceId;
  readonly device: DeviceId;
  /** Whether names that differ only in case are one name in this space. */
  readonly folding: boolean;
  readonly primitives: Primitives;
  readonly work: ChunkWork;
  readonly ristretto: () => Promise<Ristretto>;
  readonly digest: Digest;
  readonly keys: () => SealedKeys;
  /** Reads the account's keyring again. */
  readonly refreshKeys: () => Promise<void>;
  readonly keyService: KeyService;
  readonly onFallBack: (code: string, chunks: number) => void;
  readonly trees: TreeStore;
  readonly disk: LocalChunksWorld["disk"];
  readonly records: DeviceRecords;
  readonly sealedRecords: SealedRecords;
  readonly kept: KeptBytes;
  /** The server, which knows stored chunks only. */
  readonly remote: Remote;
};

/** The two doors that an engine of a sealed space has in the place of a plain one's. */
export function openSealedSpace(world: SealedSpaceWorld): { seal: Seal; remote: Remote } {
  const { sealedRecords: records } = world;
  const sealer = new ChunkSealer(world);
  const deltas = new Deltas(world);
  const local = (raw: ChunkId): Promise<Uint8Array | null> => readLocalChunk(world, raw);
  const sealed = new SealedRemote({
    ...world,
    records,
    settings: world.records,
    sealer,
    deltas,
    local,
  });
  return { seal: new SealedSeal({ ...world, sealed, deltas }), remote: sealed };
}
