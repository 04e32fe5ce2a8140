import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import type { FileContent } from "#core/node.ts";
import type { Clock } from "#core/world.ts";
import type { Executor } from "./execute.ts";
import { shownPath } from "./paths.ts";
import type { LocalOp } from "./planner.ts";
import type { Problems } from "./problems.ts";
import { LARGE_BYTES } from "./reading.ts";
import {
  stage,
  stagePath,
  type Staged,
  type StageProgress,
  type StageWorld,
  type Wanted,
} from "./stage.ts";

/** One batch of small files: one request, one round of fsyncs, two transactions. */
const BATCH_FILES = 500;
const BATCH_BYTES = 24 * 1024 * 1024;
const CONCURRENT_LARGE = 2;

export type DownloadWorld = StageWorld & {
  readonly clock: Clock;
  readonly problems: Problems;
};

/** Where files are that were taken away, by node. */
type Held = ReadonlyMap<NodeId, string>;

type Due = { readonly op: LocalOp; readonly wanted: Wanted | null };

/**
 * Brings contents to the disk: small files in batches within the tick, large ones beside it,
 * resumed where they stopped (SPEC DL1–DL6).
 */
export class Downloader {
  readonly #world: DownloadWorld;
  readonly #wake: () => void;
  readonly #large = new Map<string, Promise<void>>();
  readonly #ready = new Map<string, Staged>();
  readonly #failed = new Map<NodeId, unknown>();
  readonly progress: StageProgress = { receivedBytes: 0 };

  constructor(world: DownloadWorld, wake: () => void) {
    this.#world = world;
    this.#wake = wake;
  }

  /** Large files on their way. */
  get downloading(): number {
    return this.#large.size;
  }

  /**
   * Puts the contents of these steps in place; returns nodes that failed for reasons of their own.
   */
  async run(
    executor: Executor,
    ops: readonly LocalOp[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<NodeId>> {
    const failed = new Set<NodeId>();
    for (const [node, error] of this.#failed) {
      this.#report(node, error);
      failed.add(node);
    }
    this.#failed.clear();
    let batch: Due[] = [];
    let bytes = 0;
    for (const op of byFolder(ops)) {
      const due = this.#due(op);
      if (due === null) continue;
      const size = due.wanted?.content.sizeBytes ?? 0;
      if (size > LARGE_BYTES && due.wanted !== null) {
        const staged = this.#ready.get(stagePath(due.wanted));
        if (staged !== undefined) await this.#publishLarge(executor, due.wanted, staged);
        // What has just failed pauses first: begun again here, its outcome would come too late.
        else if (!failed.has(op.id)) this.#startLarge(due.wanted, executor.held, signal);
        continue;
      }
      batch.push(due);
      bytes += size;
      if (batch.length < BATCH_FILES && bytes < BATCH_BYTES) continue;
      for (const node of await this.#runBatch(executor, batch, signal)) failed.add(node);
      batch = [];
      bytes = 0;
    }
    if (batch.length > 0) {
      for (const node of await this.#runBatch(executor, batch, signal)) failed.add(node);
    }
    return failed;
  }

  /**
   * Large files that were staged and not yet put in place are staged again when they are wanted.
   */
  forgetStaged(): void {
    this.#ready.clear();
  }

  async settleLarge(): Promise<void> {
    await Promise.allSettled(this.#large.values());
  }

  /** The content that a step needs; null for steps without one. */
  #due(op: LocalOp): Due | null {
    if (op.kind !== "create" && op.kind !== "replace") return null;
    const content = op.kind === "create" ? op.target.content : op.content;
    if (content.kind === "folder") return null;
    if (content.kind === "symlink") return { op, wanted: null };
    return { op, wanted: this.#wanted(op.id, content) };
  }

  #wanted(node: NodeId, content: FileContent): Wanted {
    const mtimeMs = this.#world.trees.get(node)?.remote?.mtimeMs ?? this.#world.clock.nowMs();
    return { node, content, mtimeMs };
  }

  async #runBatch(
    executor: Executor,
    batch: readonly Due[],
    signal: AbortSignal,
  ): Promise<NodeId[]> {
    const wanted = batch.flatMap((due) => (due.wanted === null ? [] : [due.wanted]));
    const world = { ...this.#world, held: executor.held };
    const { staged, failed } = await stage(world, wanted, this.progress, signal);
    for (const [node, error] of failed) await this.#giveUp(node, error, wanted);
    const nodes = batch.map(({ op }) => op.id).filter((id) => !failed.has(id));
    await executor.publish(staged, nodes);
    return [...failed.keys()];
  }

  async #giveUp(node: NodeId, error: unknown, wanted: readonly Wanted[]): Promise<void> {
    this.#report(node, error);
    const own = wanted.find((each) => each.node === node);
    const code = codeOf(error);
    // After a failed fsync the pages are gone: the file is written anew, never synced again.
    if (own && (code === "io" || code === "content-damaged")) {
      await this.#world.disk.change.remove(stagePath(own)).catch(() => undefined);
    }
  }

  #report(node: NodeId, error: unknown): void {
    const { problems, trees, clock } = this.#world;
    const trouble = {
      path: shownPath(trees, node),
      code: codeOf(error),
      message: messageOf(error),
    };
    problems.report("write", trouble, clock.nowMs());
  }

  async #publishLarge(executor: Executor, wanted: Wanted, staged: Staged): Promise<void> {
    this.#ready.delete(stagePath(wanted));
    await executor.publish(new Map([[wanted.node, staged]]), [wanted.node]);
  }

  #startLarge(wanted: Wanted, held: Held, signal: AbortSignal): void {
    const path = stagePath(wanted);
    if (this.#large.has(path) || this.#large.size >= CONCURRENT_LARGE) return;
    const download = this.#stageLarge(wanted, held, signal).finally(() => {
      this.#large.delete(path);
      this.#wake();
    });
    this.#large.set(path, download);
  }

  async #stageLarge(wanted: Wanted, held: Held, signal: AbortSignal): Promise<void> {
    try {
      const world = { ...this.#world, held };
      const { staged, failed } = await stage(world, [wanted], this.progress, signal);
      const done = staged.get(wanted.node);
      if (done !== undefined) this.#ready.set(stagePath(wanted), done);
      for (const [node, error] of failed) {
        await this.#giveUp(node, error, [wanted]);
        this.#failed.set(node, error);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof WorldError)) throw error;
      this.#failed.set(wanted.node, error);
    }
  }
}

/** What goes into one folder stays together: a batch makes few folders durable. */
function byFolder(ops: readonly LocalOp[]): LocalOp[] {
  const folders = new Map<NodeId | null, LocalOp[]>();
  for (const op of ops) {
    const folder = op.kind === "create" ? op.target.place.parent : null;
    const own = folders.get(folder);
    if (own === undefined) folders.set(folder, [op]);
    else own.push(op);
  }
  return [...folders.values()].flat();
}
