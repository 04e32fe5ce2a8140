import { toHex } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import type { ChunkId, NodeId } from "#core/ids.ts";
import type { Digest } from "#core/world.ts";
import { pathOf } from "./paths.ts";
import type { DeviceRecords, DiskLook, TreeStore } from "./ports.ts";

export type LocalChunksWorld = {
  readonly trees: Pick<TreeStore, "get">;
  readonly records: Pick<DeviceRecords, "sources">;
  readonly disk: { readonly look: Pick<DiskLook, "read"> };
  readonly digest: Digest;
};

/**
 * The chunk's bytes out of a file of this disk, verified; null when none has it any more (SPEC
 * DL2). `held`: paths of files that were taken away just now.
 */
export async function readLocalChunk(
  { trees, records, disk, digest }: LocalChunksWorld,
  chunk: ChunkId,
  held?: ReadonlyMap<NodeId, string>,
): Promise<Uint8Array | null> {
  for (const { node, offsetBytes, lengthBytes } of records.sources(chunk)) {
    const path = pathOf(trees, "local", node) ?? held?.get(node) ?? null;
    if (path === null) continue;
    try {
      const bytes = await disk.look.read(path, offsetBytes, lengthBytes);
      if (toHex(digest.sha256(bytes)) === chunk) return bytes;
    } catch (error) {
      if (codeOf(error) === "unexpected") throw error;
    }
  }
  return null;
}
