import { concat, toHex } from "#core/bytes.ts";
import type { Digest } from "#core/world.ts";
import type { Disk, FileReader } from "./ports.ts";
import { LARGE_BYTES } from "./reading.ts";
import type { FileKey, Stamp } from "./tree.ts";

export type HashWorld = {
  readonly disk: Disk;
  readonly reader: FileReader;
  readonly digest: Digest;
};

/**
 * The SHA-256 of a file's bytes, in hex: of a small one here, of a large one by the reader. Null
 * when a large one is not as expected. Whoever needs to know that a small one kept still looks
 * again.
 */
export async function hashFile(
  { disk, reader, digest }: HashWorld,
  path: string,
  expected: { readonly file: FileKey; readonly stamp: Stamp },
  signal?: AbortSignal,
): Promise<string | null> {
  const { sizeBytes } = expected.stamp;
  if (sizeBytes > LARGE_BYTES) return reader.hash(path, expected, signal);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < sizeBytes;) {
    const bytes = await disk.look.read(path, at, sizeBytes - at);
    if (bytes.length === 0) break;
    parts.push(bytes);
    at += bytes.length;
  }
  return toHex(digest.sha256(concat(parts)));
}
