import type { LocalOp, RemoteOp } from "./planner.ts";
import { Executor } from "./execute.ts";
import { matchByContent } from "./match-content.ts";
import type { EngineWorld, Parts } from "./parts.ts";
import { shownPath } from "./paths.ts";
import { clearStage } from "./root.ts";
import { hasSent } from "./settings.ts";
import { countDoable } from "./waiting.ts";

export type TickResult = {
  /** Steps done or changes committed. */
  readonly progress: number;
  /** Work is left that can go on at once. */
  readonly more: boolean;
};

/** What is done in one turn of the engine's loop: look, follow, plan, execute, commit. */
export class Ticking {
  readonly #world: EngineWorld;
  readonly #parts: Parts;
  #hasStaged = true;
  #pending = { up: 0, down: 0 };
  #readingDueMs = Number.POSITIVE_INFINITY;

  constructor(world: EngineWorld, parts: Parts) {
    this.#world = world;
    this.#parts = parts;
  }

  /** Changes to send and steps to do on this disk, as the last plan had them. */
  get pending(): { readonly up: number; readonly down: number } {
    return this.#pending;
  }

  /** When a file is to be read that was left to rest. */
  get readingDueMs(): number {
    return this.#readingDueMs;
  }

  async run(signal: AbortSignal): Promise<TickResult> {
    const { trees } = this.#world;
    const { root, looking, reading, following, planning, pauses, problems, life } = this.#parts;
    const { refill, sender } = this.#parts;
    await root.beginTick();
    reading.verify(await looking.run(signal));
    if (!(await this.#isDurable())) return { progress: 0, more: true };
    this.#readingDueMs = (await reading.run(signal)) ?? Number.POSITIVE_INFINITY;
    // What was sent and not read back is new no more, though no row says so yet.
    if (!hasSent(this.#world.records)) matchByContent(trees);
    following.apply();
    // The feeder wakes the loop with the next page, or when the server answers again.
    if (!following.isCaughtUp()) return { progress: 0, more: false };
    const resent = await following.follow(await this.#parts.sender.resend(signal), signal);
    if (resent === "plan-again") return { progress: 1, more: true };
    const { planned, changed } = planning.run(following.position.sequence);
    const local = planned.local.filter(({ id }) => !pauses.isPaused(id));
    problems.retain("write", () => planned.local.map(({ id }) => shownPath(trees, id)));
    problems.retain("send", () => planned.remote.map(({ id }) => shownPath(trees, id)));
    const left = (): number => countDoable(trees, problems, planned.local);
    this.#pending = { up: planned.remote.length, down: left() };
    // Nothing is done to a root, or told of it, that is not the one that was linked.
    if (local.length + planned.remote.length > 0) await root.see();
    const steps = await this.#execute(local, signal);
    if (steps === 0) this.#pending = { ...this.#pending, down: left() };
    if (!(await this.#isDurable())) return { progress: steps, more: true };
    const relisted = refill.take();
    sender.nameInFull(relisted.map(({ id }) => id));
    const sent = await this.#send([...planned.remote, ...relisted], signal);
    const progress = steps + sent.progress;
    if (progress > 0) life.note(this.#world.clock.nowMs());
    return { progress, more: progress > 0 || sent.more || changed };
  }

  /** Nothing is agreed on, with the server or by a plan, that a power cut may still take back. */
  async #isDurable(): Promise<boolean> {
    const lost = await this.#parts.unsynced.sync(this.#world.trees);
    if (lost.length > 0) this.#parts.looking.lookAtEverything();
    return lost.length === 0;
  }

  async #execute(ops: readonly LocalOp[], signal: AbortSignal): Promise<number> {
    if (ops.length === 0) {
      await this.#clearStage();
      return 0;
    }
    const { watcher } = this.#world;
    const { problems, rules, nameKey, unsynced, looking, follower, pauses } = this.#parts;
    this.#hasStaged = true;
    const executor = new Executor(
      {
        ...this.#world,
        problems,
        rules,
        nameKey,
        unsynced,
        lookAgain: (folder) => looking.lookAgain(folder),
        folderMade: (folder, path) => {
          watcher.watch(folder, path);
          looking.lookAgain(folder);
        },
        folderRemoved: (folder) => watcher.unwatch(folder),
        isCommanded: (node) => follower.isCommanded(node),
      },
      ops,
    );
    await executor.rearrange(signal);
    const possible = await executor.possible(ops);
    const failed = await this.#parts.downloader.run(executor, possible, signal);
    for (const { id } of ops) {
      if (failed.has(id) || executor.failed.has(id)) pauses.failed(id);
      else if (executor.raced.has(id)) pauses.raced(id);
      else pauses.succeeded(id);
    }
    return executor.steps;
  }

  /** What was staged and is wanted no more, because others went on meanwhile, goes. */
  async #clearStage(): Promise<void> {
    const { downloader } = this.#parts;
    if (!this.#hasStaged || downloader.downloading > 0) return;
    downloader.forgetStaged();
    this.#hasStaged = await clearStage(this.#world);
  }

  async #send(ops: readonly RemoteOp[], signal: AbortSignal): Promise<TickResult> {
    const { sender, following } = this.#parts;
    let progress = 0;
    for (let at = 0; at < ops.length;) {
      const { outcome, done } = await sender.send(ops.slice(at), following.position, signal);
      at += done;
      if (outcome.kind === "nothing") continue;
      const followed = await following.follow(outcome, signal);
      if (followed === "plan-again") return { progress, more: true };
      progress++;
      this.#pending = { ...this.#pending, up: Math.max(0, ops.length - at) };
      if (followed === "foreign") return { progress, more: true };
    }
    return { progress, more: false };
  }
}
