import type { ChunkId, NodeId } from "#core/ids.ts";
import type { Manifest } from "#core/node.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";

/** Old chunks that one new chunk is held against, at most. */
const WINDOW_CHUNKS = 256;
/** Chunks near one another share a window: it is searched once. */
const STEP_CHUNKS = 128;

const NOTHING: readonly ChunkId[] = [];

/**
 * What a file had that it has no more: where its new chunks come from, most likely. An edit leaves
 * chunks on both sides of it as they are, so that few are left to compare.
 */
export class Before {
  /** Chunks of the server's revision that the file still has: the server needs none of them. */
  readonly kept: ReadonlySet<ChunkId>;
  readonly #chunks: readonly ChunkId[];
  readonly #ends: readonly number[];
  readonly #windows = new Map<number, readonly ChunkId[]>();

  constructor(
    world: { readonly trees: Pick<TreeStore, "get">; readonly records: DeviceRecords },
    node: NodeId,
    present: Manifest,
  ) {
    const row = world.trees.get(node);
    const content = row?.remote?.content;
    const old = content?.kind === "file" ? (world.records.manifest(content.sha256) ?? []) : [];
    const has = new Set(present.map(({ chunk }) => chunk));
    const chunks: ChunkId[] = [];
    const ends: number[] = [];
    const kept = new Set<ChunkId>();
    let end = 0;
    for (const { chunk, lengthBytes } of old) {
      end += lengthBytes;
      if (has.has(chunk)) {
        kept.add(chunk);
        continue;
      }
      chunks.push(chunk);
      ends.push(end);
    }
    this.kept = kept;
    this.#chunks = chunks;
    this.#ends = ends;
  }

  /** The old chunk that stood at this offset, or nearest behind it. */
  nearest(offsetBytes: number): ChunkId | undefined {
    return this.#chunks[Math.min(this.#placeOf(offsetBytes), this.#chunks.length - 1)];
  }

  #placeOf(offsetBytes: number): number {
    const place = this.#ends.findIndex((end) => end > offsetBytes);
    return place < 0 ? this.#chunks.length : place;
  }

  /** Old chunks that stood near this offset; equal lists are one and the same. */
  near(offsetBytes: number): readonly ChunkId[] {
    const count = this.#chunks.length;
    if (count === 0) return NOTHING;
    const middle = count <= WINDOW_CHUNKS ? 0 : this.#placeOf(offsetBytes);
    const step = Math.floor(middle / STEP_CHUNKS);
    const known = this.#windows.get(step);
    if (known !== undefined) return known;
    const last = Math.max(0, count - WINDOW_CHUNKS);
    const from = Math.min(last, Math.max(0, step * STEP_CHUNKS - STEP_CHUNKS / 2));
    const window = this.#chunks.slice(from, from + WINDOW_CHUNKS);
    this.#windows.set(step, window);
    return window;
  }
}
