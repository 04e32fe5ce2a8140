import { assert } from "#core/assert.ts";
import { toHex } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import type { Digest } from "#core/world.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import { MAX_CHUNK_BYTES } from "#protocol/limits.ts";
import type { PackStore } from "./chunks/port.ts";
import type { ChunkPlace } from "./metadata/port.ts";

/** Neighbours in a pack are read at once up to this. */
const MAX_READ_BYTES = MAX_CHUNK_BYTES;

type World = { readonly packs: Pick<PackStore, "read">; readonly digest: Digest };

/** Whether an error of a pack store's says that the bytes are gone: asking again does not help. */
function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code === "pack-missing" || code === "pack-short";
}

/**
 * Reads chunks one by one, and again where one is not what its id says, and returns those that are
 * damaged or gone. Throws what the store throws when it cannot be reached: unknown is not damaged.
 */
export async function findDamaged(
  world: World,
  places: readonly ChunkPlace[],
): Promise<ChunkPlace[]> {
  const damaged: ChunkPlace[] = [];
  for (const place of places) {
    if (!(await isSound(world, place)) && !(await isSound(world, place))) damaged.push(place);
  }
  return damaged;
}

async function isSound(
  { packs, digest }: World,
  { id, pack, offsetBytes, lengthBytes }: ChunkPlace,
): Promise<boolean> {
  try {
    return toHex(digest.sha256(await packs.read(pack, offsetBytes, lengthBytes))) === id;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

/** Chunks that lie one behind the other in a pack. */
export type Run = {
  readonly pack: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly places: readonly ChunkPlace[];
};

export function* runsOf(places: readonly ChunkPlace[]): Generator<Run, void, undefined> {
  for (let start = 0; start < places.length;) {
    const first = places[start];
    assert(first !== undefined, "the start of a run is a place");
    let { lengthBytes } = first;
    let end = start + 1;
    for (let next = places[end]; next !== undefined; next = places[end]) {
      const adjacent =
        next.pack === first.pack && next.offsetBytes === first.offsetBytes + lengthBytes;
      if (!adjacent || lengthBytes + next.lengthBytes > MAX_READ_BYTES) break;
      lengthBytes += next.lengthBytes;
      end++;
    }
    const { pack, offsetBytes } = first;
    yield { pack, offsetBytes, lengthBytes, places: places.slice(start, end) };
    start = end;
  }
}

/** The chunks of a run; null when one of them is not what its id says, or gone. */
export async function readRun(
  { packs, digest }: World,
  { pack, offsetBytes, lengthBytes, places }: Run,
): Promise<ChunkFrame[] | null> {
  let bytes: Uint8Array;
  try {
    bytes = await packs.read(pack, offsetBytes, lengthBytes);
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
  const frames = places.map(({ id, offsetBytes: at, lengthBytes: length }) => {
    const from = at - offsetBytes;
    return { id, bytes: bytes.subarray(from, from + length) };
  });
  return frames.every((frame) => toHex(digest.sha256(frame.bytes)) === frame.id) ? frames : null;
}
