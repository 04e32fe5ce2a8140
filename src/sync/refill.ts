import { ROOT_NODE, type ChunkId, type NodeId } from "#core/ids.ts";
import type { FileContent } from "#core/node.ts";
import type { Clock } from "#core/world.ts";
import type { RemoteOp } from "./planner.ts";
import type { Seal } from "./ports.ts";
import { agrees } from "./tree.ts";
import { upload, type UploadProgress, type UploadWorld } from "./upload.ts";

/** What could not be sent again is looked for again after this: the files may be here by then. */
const AGAIN_MS = 60 * 60_000;

export type RefillWorld = Omit<UploadWorld, "isDoubtful"> & {
  readonly seal: Seal;
  readonly clock: Clock;
};

type Needing = { readonly node: NodeId; readonly content: FileContent };

/**
 * Sends again what the server has damaged or lost, out of files of this disk that are in sync (SPEC
 * SC4). Most chunks become what they were. One that was a delta to bytes that are here no more
 * becomes another one, and its file's list a new revision, with the same content.
 */
export class Refill {
  readonly #world: RefillWorld;
  readonly #isLacking: () => boolean;
  readonly #relisted = new Set<NodeId>();
  readonly #progress: UploadProgress;
  #dueMs = 0;

  constructor(world: RefillWorld, progress: UploadProgress, isLacking: () => boolean) {
    this.#world = world;
    this.#progress = progress;
    this.#isLacking = isLacking;
  }

  /** When to try (again), in ms since 1970; never while the server lacks nothing. */
  get dueMs(): number {
    return this.#isLacking() ? this.#dueMs : Number.POSITIVE_INFINITY;
  }

  /** Sends what is due; true when revisions are to be committed for it. Throws WorldError. */
  async run(signal: AbortSignal): Promise<boolean> {
    const nowMs = this.#world.clock.nowMs();
    if (nowMs < this.dueMs) return false;
    this.#dueMs = nowMs + AGAIN_MS;
    const lacking = new Set(await this.#world.remote.lacking(signal));
    for (const file of this.#needing(lacking)) await this.#send(file, signal);
    return this.#relisted.size > 0;
  }

  /** Takes the changes to commit; each is of a file that is still as it was. */
  take(): RemoteOp[] {
    const { trees } = this.#world;
    const nodes = [...this.#relisted];
    this.#relisted.clear();
    const still = nodes.filter((id) => {
      const row = trees.get(id);
      return row !== undefined && agrees(row);
    });
    return still.map((id) => ({ kind: "update", id, cut: true }));
  }

  /** Files of this disk that need one of these chunks at the server. */
  *#needing(lacking: ReadonlySet<ChunkId>): Iterable<Needing> {
    const { trees, seal } = this.#world;
    if (lacking.size === 0) return;
    for (const folder of [ROOT_NODE, ...trees.localFolders()]) {
      for (const row of trees.children("local", folder)) {
        const content = row.local?.content;
        if (content?.kind !== "file" || content.sizeBytes <= seal.inlineBytes) continue;
        if (!agrees(row) || !seal.named(content).some((chunk) => lacking.has(chunk))) continue;
        yield { node: row.id, content };
      }
    }
  }

  async #send(file: Needing, signal: AbortSignal): Promise<void> {
    const { seal } = this.#world;
    const before = seal.named(file.content);
    const world = { ...this.#world, isDoubtful: true };
    const moved = await upload(world, [file], this.#progress, signal);
    const after = seal.named(file.content);
    const isSame = before.length === after.length && before.every((id, at) => id === after[at]);
    if (moved.length === 0 && !isSame) this.#relisted.add(file.node);
  }
}
