import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { PRIVATE_FOLDER } from "#core/names.ts";
import type { IgnoreRules } from "./ignore.ts";
import { partsOf, type EngineSetup, type EngineWorld, type Parts } from "./parts.ts";
import { prepareRoot } from "./root.ts";
import type { Status } from "./status.ts";
import { Ticking, type TickResult } from "./ticking.ts";
import { beginRewind } from "./rewind.ts";
import { readShared } from "./settings.ts";
import { forgetAgreement } from "./union.ts";

/** Errors after which the engine stops and says why: waiting heals none of them. */
const HALTING = new Set([
  "root-gone",
  "journal-broken",
  "signed-out",
  "device-unknown",
  "signature-bad",
  "epoch-unknown",
  "journal-forked",
  "journal-went-back",
  "server-restored",
]);
/** Errors that mean: what was agreed on is void, unite both sides anew and delete nothing. */
const UNITING = new Set(["reset", "database-old", "diverged"]);
/** Ticks in a row that changed nothing although work was left, before the engine takes a breath. */
const FRUITLESS_TICKS = 3;
const FRUITLESS_PAUSE_MS = 1_000;
const MOST_SLEEP_MS = 3_600_000;
/**
 * What is prepared for later waits as long as the work before it took, within these bounds: others
 * need about as long to take what was sent, and should have disk and processor for it.
 */
const REST_LEAST_MS = 1_000;
const REST_MOST_MS = 10_000;
/** How often what no row names any more is dropped from the records. */
const TIDY_MS = 24 * 3_600_000;
/** A server or disk that fails is tried again at least this often. */
const FAILED_MOST_MS = 60_000;

/**
 * One folder, one space, one loop: look → follow → plan → execute → commit, from observations that
 * are stored, with decisions that never are (SPEC EN1–EN5). Everything heals by the next tick.
 */
export class Engine {
  readonly #world: EngineWorld;
  readonly #setup: EngineSetup;
  readonly #parts: Parts;
  readonly #ticking: Ticking;
  #woken = false;
  #wakeUp: (() => void) | null = null;
  #idle = false;
  #halted: WorldError | null = null;
  /** Why the last tick failed; null when it did not. */
  #trouble: WorldError | null = null;
  #failures = 0;
  #tidyDueMs = 0;
  /** When the first tick began after the last rest. */
  #busySinceMs = 0;
  #settling: { tick: number; resolve: () => void }[] = [];
  #ticks = 0;
  #ended = false;

  constructor(world: EngineWorld, setup: EngineSetup) {
    this.#world = world;
    this.#setup = setup;
    const wake = (): void => this.wake();
    this.#parts = partsOf(world, setup, wake);
    this.#ticking = new Ticking(world, this.#parts);
    world.watcher.onHint(wake);
  }

  /** The ignore rules in force, for `ignore check`. */
  get rules(): IgnoreRules {
    return this.#parts.rules;
  }

  /** Makes the loop look for work at once. */
  wake(): void {
    this.#woken = true;
    this.#wakeUp?.();
  }

  /**
   * Runs until the signal aborts (resolves) or something stops it for good (throws WorldError:
   * `root-gone`, `signed-out`, `journal-broken`, …).
   */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wakeUp?.();
    signal.addEventListener("abort", stop, { once: true });
    const { life, following, reading, downloader, sender } = this.#parts;
    try {
      life.begin(this.#world.clock.nowMs());
      await this.#prepare(signal);
      following.start(signal);
      await this.#loop(signal);
      life.end();
    } catch (error) {
      if (signal.aborted) return;
      this.#halted =
        error instanceof WorldError
          ? error
          : new WorldError("unexpected", messageOf(error), { cause: error });
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      following.stop();
      await Promise.all([reading.settleLarge(), downloader.settleLarge(), sender.settleLarge()]);
      this.#ended = true;
      this.#tellSettled(Number.POSITIVE_INFINITY);
    }
  }

  /** A disk that fails or is full at this moment is no reason to give the folder up. */
  async #prepare(signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#woken = false;
      try {
        await prepareRoot({ ...this.#world, ...this.#setup });
        this.#parts.problems.clear("write", PRIVATE_FOLDER);
        return;
      } catch (error) {
        const code = codeOf(error);
        if (signal.aborted || HALTING.has(code) || !(error instanceof WorldError)) throw error;
        const trouble = { path: PRIVATE_FOLDER, code, message: error.message };
        this.#parts.problems.report("write", trouble, this.#world.clock.nowMs());
        await this.#sleep(FRUITLESS_PAUSE_MS, signal);
      }
    }
  }

  /**
   * Looks at everything once more, asks how far the server is, and tries again what failed;
   * resolves when nothing is left to do of what there was by then, or when the engine stops or has
   * stopped.
   */
  async settle(): Promise<void> {
    if (this.#ended) return;
    const { looking, pauses, sender, following } = this.#parts;
    looking.lookAtEverything();
    pauses.end();
    sender.endPauses();
    following.refresh();
    const settled = new Promise<void>((resolve) => {
      this.#settling.push({ tick: this.#ticks + 1, resolve });
    });
    this.wake();
    await settled;
  }

  /**
   * Whether the root is there at this moment; the loop, which may be asleep, hears of it. Null when
   * all is well, else why not: an unmounted root gives no hint (SPEC RT2).
   */
  async rootTrouble(): Promise<string | null> {
    return this.#halted === null ? this.#parts.root.trouble() : this.#halted.message;
  }

  status(conflicts: number): Status {
    const { following, guard, problems, sender, downloader } = this.#parts;
    const failure = this.#halted ?? following.failure ?? this.#trouble;
    return {
      state: this.#state(),
      reason: failure?.message ?? guard.question ?? this.#world.watcher.trouble(),
      pending: this.#ticking.pending,
      problems: problems.list(),
      holds: guard.holds.length,
      conflicts,
      sentBytes: sender.progress.sentBytes,
      receivedBytes: downloader.progress.receivedBytes,
    };
  }

  #state(): Status["state"] {
    if (this.#halted !== null) return "halted";
    const isAway = this.#parts.following.failure !== null;
    if (isAway || this.#trouble?.code === "offline") return "offline";
    if (!this.#isInSync()) return "working";
    return this.#parts.guard.holds.length > 0 ? "held" : "in-sync";
  }

  #isInSync(): boolean {
    const { up, down } = this.#ticking.pending;
    return this.#idle && this.#trouble === null && this.#parts.following.isLevel && up + down === 0;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    let fruitless = 0;
    while (!signal.aborted) {
      this.#woken = false;
      const tick = ++this.#ticks;
      if (this.#idle || tick === 1) this.#busySinceMs = this.#parts.clock.nowMs();
      const result = await this.#guardedTick(signal);
      const { progress } = result;
      const more = result.more || this.#parts.looking.wanted;
      this.#idle = !more && !this.#isBusy();
      if (this.#idle && this.#parts.following.isLevel) this.#tellSettled(tick);
      fruitless = more && progress === 0 ? fruitless + 1 : 0;
      if (more && fruitless < FRUITLESS_TICKS) continue;
      if (this.#idle) await this.#rest(signal);
      await this.#sleep(more ? FRUITLESS_PAUSE_MS : null, signal);
    }
  }

  /** Prepares what comes next for as long as nothing comes. */
  async #rest(signal: AbortSignal): Promise<void> {
    const { clock, refill } = this.#parts;
    const busyMs = clock.nowMs() - this.#busySinceMs;
    const restMs = clock.nowMs() + Math.min(REST_MOST_MS, Math.max(REST_LEAST_MS, busyMs));
    while (this.#isInSync() && !this.#woken && !signal.aborted) {
      try {
        if (await refill.run(signal)) return this.wake();
        if (Math.min(...this.#dues()) <= clock.nowMs()) return;
        const pauseMs = restMs - clock.nowMs();
        if (pauseMs > 0) await this.#sleep(pauseMs, signal);
        else if (!(await this.#world.seal.rest(signal))) return;
      } catch (error) {
        if (!(error instanceof WorldError)) throw error;
        // Nothing needs it: what fails here fails again where it matters.
        this.#world.log.warn("rest-failed", { code: error.code, message: error.message });
        return;
      }
    }
  }

  #isBusy(): boolean {
    const { downloader, sender, looking, guard, reading } = this.#parts;
    const transfers = downloader.downloading + sender.uploading;
    const looks = looking.wanted || looking.isDoubtful || guard.isWaiting;
    return this.#woken || transfers > 0 || reading.pending > 0 || looks;
  }

  #tellSettled(tick: number): void {
    const settled = this.#settling.filter((each) => each.tick <= tick);
    this.#settling = this.#settling.filter((each) => each.tick > tick);
    for (const { resolve } of settled) resolve();
  }

  /** When something is due by itself (ms since 1970), for each that may be. */
  #dues(): number[] {
    const { looking, sender, pauses, guard, refill } = this.#parts;
    return [
      looking.dueMs,
      this.#ticking.readingDueMs,
      sender.retryMs ?? Number.POSITIVE_INFINITY,
      pauses.dueMs,
      guard.dueMs,
      refill.dueMs,
    ];
  }

  /** Sleeps until woken or until something is due by itself. */
  async #sleep(atMostMs: number | null, signal: AbortSignal): Promise<void> {
    if (this.#woken || signal.aborted) return;
    const nowMs = this.#parts.clock.nowMs();
    const dues = this.#dues();
    // What is due already was tried in vain by whoever asks for a breath.
    const awaited =
      atMostMs === null ? dues : [...dues.filter((ms) => ms > nowMs), nowMs + atMostMs];
    const dueMs = Math.min(...awaited);
    const delayMs = Math.min(MOST_SLEEP_MS, Math.max(0, dueMs - nowMs));
    await new Promise<void>((resolve) => {
      const callOff = this.#world.clock.after(delayMs, resolve);
      this.#wakeUp = (): void => {
        callOff();
        resolve();
      };
    });
    this.#wakeUp = null;
  }

  /**
   * A tick whose failures are sorted: those that stop the engine, those that unite, those that
   * pass.
   */
  async #guardedTick(signal: AbortSignal): Promise<TickResult> {
    try {
      const result = await this.#ticking.run(signal);
      this.#trouble = null;
      this.#failures = 0;
      return result;
    } catch (caught) {
      if (signal.aborted) return { progress: 0, more: false };
      const error =
        codeOf(caught) === "journal-forked" ? await this.#asked(caught, signal) : caught;
      const code = codeOf(error);
      if (UNITING.has(code)) {
        this.#unite(code, messageOf(error), signal);
        return { progress: 1, more: true };
      }
      // A feed that waiting cannot heal (no such space, no right to it) is the end as well.
      const feeds = this.#parts.following.failure;
      const isFinal = HALTING.has(code) || (error === feeds && feeds?.retryable === false);
      if (isFinal || !(error instanceof WorldError)) throw error;
      this.#world.log.warn("tick-failed", { code, message: error.message });
      this.#trouble = error;
      const pauseMs = Math.min(FAILED_MOST_MS, FRUITLESS_PAUSE_MS * 2 ** this.#failures++);
      await this.#sleep(pauseMs, signal);
      return { progress: 0, more: true };
    }
  }

  /**
   * A page that was read before a backup was put back is of another past than what was answered
   * afterwards: where the server announces that, that is what there is to say (SPEC SL14).
   */
  async #asked(fork: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      await this.#world.remote.changes(this.#parts.following.position.cursor, 0, signal);
    } catch (said) {
      const isAnnounced = codeOf(said) === "server-restored" || codeOf(said) === "reset";
      // Whoever could not be asked has not said no.
      if (isAnnounced || (said instanceof WorldError && said.retryable)) return said;
    }
    return fork;
  }

  /**
   * What was agreed on is void, or is up to where a restored server's journal is the known one:
   * both sides are read anew (SPEC EN3, SL18).
   */
  #unite(code: string, message: string, signal: AbortSignal): void {
    this.#world.log.warn("uniting", { code });
    this.#world.tell?.({ kind: "united", message });
    const { trees, records } = this.#world;
    const shared = code === "reset" ? readShared(records) : null;
    if (shared === null) forgetAgreement(trees, records);
    else beginRewind(trees, records, shared);
    this.#parts.looking.lookAtEverything();
    this.#parts.following.start(signal);
  }

  /** Looks at what was displaced; due at start and now and then. Once a day the records as well. */
  async sweepHold(): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs >= this.#tidyDueMs) {
      this.#world.records.dropUnnamed();
      this.#tidyDueMs = nowMs + TIDY_MS;
    }
    const recovered = await this.#parts.sweeper.sweep(this.#world.clock.nowMs());
    if (recovered > 0) this.#parts.looking.lookAtEverything();
  }
}
