import { toHex } from "#core/bytes.ts";
import { codeOf, messageOf, WorldError } from "#core/errors.ts";
import { nodeId, type DeviceId, type NodeId, type SpaceId } from "#core/ids.ts";
import { foldName, plainNameKey, PRIVATE_FOLDER } from "#core/names.ts";
import type { Chance, Clock, Digest, Log } from "#core/world.ts";
import { Downloader } from "./download.ts";
import type { Tell } from "./events.ts";
import { Executor } from "./execute.ts";
import { Feeder } from "./feeder.ts";
import { Follower } from "./follow.ts";
import { IgnoreRules } from "./ignore.ts";
import { Looking } from "./looking.ts";
import type { HoldLimits } from "./mass.ts";
import { MassGuard } from "./mass-guard.ts";
import { matchByContent } from "./match.ts";
import { Life, type Boot, type Outage } from "./outage.ts";
import { shownPath } from "./paths.ts";
import type { LocalOp, RemoteOp } from "./planner.ts";
import { Planning } from "./planning.ts";
import type { DeviceRecords, Disk, FileReader, Remote, Seal, TreeStore, Watcher } from "./ports.ts";
import { Pauses } from "./pauses.ts";
import { Problems } from "./problems.ts";
import { Reading } from "./reading.ts";
import { checkRoot, clearStage, prepareRoot } from "./root.ts";
import { Sender, type SendOutcome } from "./send.ts";
import { steadyClock } from "./steady.ts";
import { hasSent } from "./settings.ts";
import type { Status } from "./status.ts";
import { Sweeper } from "./sweep.ts";
import { forgetAgreement } from "./union.ts";
import { Unsynced } from "./unsynced.ts";

export type EngineWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly disk: Disk;
  readonly reader: FileReader;
  readonly watcher: Watcher;
  readonly remote: Remote;
  readonly seal: Seal;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly digest: Digest;
  readonly log: Log;
  /** Hears what was done, for people to read. */
  readonly tell?: Tell;
};

export type EngineSetup = {
  readonly space: SpaceId;
  readonly folding: boolean;
  readonly device: DeviceId;
  readonly deviceName: string;
  /** The cursor before the space's first entry. */
  readonly startCursor: string;
  /** The machine's present boot; null where it is not known. */
  readonly boot: Boot | null;
  /** When deletions are so many that a person is asked first; null: never (SPEC MD1, MD7). */
  readonly holdLimits: HoldLimits | null;
};

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
]);
/** Errors that mean: what was agreed on is void, unite both sides anew and delete nothing. */
const UNITING = new Set(["reset", "database-old", "diverged"]);
/** Ticks in a row that changed nothing although work was left, before the engine takes a breath. */
const FRUITLESS_TICKS = 3;
const FRUITLESS_PAUSE_MS = 1_000;
const MOST_SLEEP_MS = 3_600_000;
/** How often what no row names any more is dropped from the records. */
const TIDY_MS = 24 * 3_600_000;
/** A server or disk that fails is tried again at least this often. */
const FAILED_MOST_MS = 60_000;

/** Ends a sleep; one for all, because each tick ends one. */
const WOKEN = new Error("woken");

type TickResult = {
  /** Steps done or changes committed. */
  readonly progress: number;
  /** Work is left that can go on at once. */
  readonly more: boolean;
};

/**
 * One folder, one space, one loop: look → follow → plan → execute → commit, from observations that
 * are stored, with decisions that never are (SPEC EN1–EN5). Everything heals by the next tick.
 */
export class Engine {
  readonly #world: EngineWorld;
  readonly #setup: EngineSetup;
  readonly #clock: Clock;
  readonly #problems: Problems;
  readonly #rules = new IgnoreRules();
  readonly #pauses: Pauses;
  readonly #looking: Looking;
  readonly #reading: Reading;
  readonly #follower: Follower;
  readonly #downloader: Downloader;
  readonly #sender: Sender;
  readonly #guard: MassGuard;
  readonly #planning: Planning;
  readonly #sweeper: Sweeper;
  readonly #life: Life;
  readonly #unsynced: Unsynced;
  readonly #nameKey: (name: string) => string;
  #feeder: Feeder | null = null;
  #feeding: AbortController | null = null;
  #woken = false;
  #wakeUp: (() => void) | null = null;
  #idle = false;
  #hasStaged = true;
  #halted: WorldError | null = null;
  /** Why the last tick failed; null when it did not. */
  #trouble: WorldError | null = null;
  #failures = 0;
  #tidyDueMs = 0;
  #pending = { up: 0, down: 0 };
  #settling: { tick: number; resolve: () => void }[] = [];
  #ticks = 0;
  #ended = false;
  /** Somebody found the root missing or unreadable since a tick found it in order. */
  #isRootDoubtful = false;
  /** The present tick found it in order. */
  #isRootSeen = false;

  constructor(world: EngineWorld, setup: EngineSetup) {
    this.#world = world;
    this.#setup = setup;
    this.#problems = new Problems(world.tell);
    this.#nameKey = setup.folding ? foldName : plainNameKey;
    const wake = (): void => this.wake();
    this.#clock = steadyClock(world.clock);
    this.#life = new Life(world.records, setup.boot);
    const outage = (): Outage | null => this.#life.outage;
    this.#unsynced = new Unsynced(world.disk);
    const own = { problems: this.#problems, rules: this.#rules, fresh: this.#fresh, outage };
    const shared = { ...world, ...own, clock: this.#clock, unsynced: this.#unsynced };
    this.#pauses = new Pauses(this.#clock);
    this.#looking = new Looking({ ...shared, seeRoot: this.#seeRoot });
    const lookAgain = (folder: NodeId): void => this.#looking.lookAgain(folder);
    this.#reading = new Reading({ ...shared, wall: world.clock }, { wake, lookAgain });
    this.#follower = new Follower({ ...shared, ...setup });
    this.#downloader = new Downloader(shared, wake);
    this.#sender = new Sender({ ...shared, nameKey: this.#nameKey }, wake);
    const naming = { ...setup, nameKey: this.#nameKey };
    this.#guard = new MassGuard({ ...shared, ...naming }, setup.holdLimits);
    this.#planning = new Planning({ ...shared, ...naming, guard: this.#guard });
    this.#sweeper = new Sweeper(world);
    world.watcher.onHint(wake);
  }

  /** The ignore rules in force, for `ignore check`. */
  get rules(): IgnoreRules {
    return this.#rules;
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
    try {
      this.#life.begin(this.#world.clock.nowMs());
      await this.#prepare(signal);
      this.#startFeeding(signal);
      await this.#loop(signal);
      this.#life.end();
    } catch (error) {
      if (signal.aborted) return;
      this.#halted =
        error instanceof WorldError
          ? error
          : new WorldError("unexpected", messageOf(error), { cause: error });
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#feeding?.abort();
      await Promise.all([
        this.#reading.settleLarge(),
        this.#downloader.settleLarge(),
        this.#sender.settleLarge(),
      ]);
      this.#ended = true;
      this.#tellSettled(Number.POSITIVE_INFINITY);
    }
  }

  /** A disk that fails or is full at this moment is no reason to give the folder up. */
  async #prepare(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await prepareRoot({ ...this.#world, ...this.#setup });
        this.#problems.clear("write", PRIVATE_FOLDER);
        return;
      } catch (error) {
        const code = codeOf(error);
        if (signal.aborted || HALTING.has(code) || !(error instanceof WorldError)) throw error;
        const trouble = { path: PRIVATE_FOLDER, code, message: error.message };
        this.#problems.report("write", trouble, this.#world.clock.nowMs());
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
    this.#looking.lookAtEverything();
    this.#pauses.end();
    this.#sender.endPauses();
    this.#feeder?.refresh();
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
    if (this.#halted !== null) return this.#halted.message;
    try {
      await checkRoot({ ...this.#world, ...this.#setup });
      return null;
    } catch (error) {
      this.#isRootDoubtful = true;
      this.wake();
      // What passes by itself is met by the next tick.
      return codeOf(error) === "root-gone" ? messageOf(error) : null;
    }
  }

  status(conflicts: number): Status {
    const failure = this.#halted ?? this.#feeder?.failure ?? this.#trouble;
    return {
      state: this.#state(),
      reason: failure?.message ?? this.#guard.question ?? this.#world.watcher.trouble(),
      pending: this.#pending,
      problems: this.#problems.list(),
      holds: this.#guard.holds.length,
      conflicts,
      sentBytes: this.#sender.progress.sentBytes,
      receivedBytes: this.#downloader.progress.receivedBytes,
    };
  }

  #state(): Status["state"] {
    if (this.#halted !== null) return "halted";
    const isAway = this.#feeder !== null && this.#feeder.failure !== null;
    if (isAway || this.#trouble?.code === "offline") return "offline";
    if (!this.#isInSync()) return "working";
    return this.#guard.holds.length > 0 ? "held" : "in-sync";
  }

  readonly #fresh = (): NodeId => nodeId(toHex(this.#world.chance.bytes(16)));

  /** Level with the server, as far as it is known. */
  #isLevel(): boolean {
    const feeder = this.#feeder;
    if (feeder === null || feeder.failure !== null || !feeder.answered) return false;
    return this.#follower.position.sequence >= feeder.head;
  }

  #isInSync(): boolean {
    const { up, down } = this.#pending;
    return this.#idle && this.#trouble === null && this.#isLevel() && up + down === 0;
  }

  #startFeeding(signal: AbortSignal): void {
    this.#feeding?.abort();
    const feeding = new AbortController();
    signal.addEventListener("abort", () => feeding.abort(), { once: true });
    const feeder = new Feeder(this.#world, this.#follower.position.cursor, () => this.wake());
    this.#feeding = feeding;
    this.#feeder = feeder;
    // A failure that waiting cannot heal is met by the next tick, through `failure`.
    void feeder.run(feeding.signal);
  }

  async #loop(signal: AbortSignal): Promise<void> {
    let fruitless = 0;
    while (!signal.aborted) {
      this.#woken = false;
      const tick = ++this.#ticks;
      const result = await this.#guardedTick(signal);
      const { progress } = result;
      const more = result.more || this.#looking.wanted;
      this.#idle = !more && !this.#isBusy();
      if (this.#idle && this.#isLevel()) this.#tellSettled(tick);
      fruitless = more && progress === 0 ? fruitless + 1 : 0;
      if (more && fruitless < FRUITLESS_TICKS) continue;
      if (this.#idle) await this.#rest(signal);
      await this.#sleep(more ? FRUITLESS_PAUSE_MS : null, signal);
    }
  }

  /** Prepares what comes next for as long as nothing comes. */
  async #rest(signal: AbortSignal): Promise<void> {
    while (this.#isInSync() && !this.#woken && !signal.aborted) {
      try {
        if (!(await this.#world.seal.rest(signal))) return;
      } catch (error) {
        if (!(error instanceof WorldError)) throw error;
        // Nothing needs it: what fails here fails again where it matters.
        this.#world.log.warn("rest-failed", { code: error.code, message: error.message });
        return;
      }
    }
  }

  #isBusy(): boolean {
    const transfers = this.#downloader.downloading + this.#sender.uploading;
    const looks = this.#looking.wanted || this.#looking.isDoubtful || this.#guard.isWaiting;
    return this.#woken || transfers > 0 || this.#reading.pending > 0 || looks;
  }

  #tellSettled(tick: number): void {
    const settled = this.#settling.filter((each) => each.tick <= tick);
    this.#settling = this.#settling.filter((each) => each.tick > tick);
    for (const { resolve } of settled) resolve();
  }

  /** Sleeps until woken or until something is due by itself. */
  async #sleep(atMostMs: number | null, signal: AbortSignal): Promise<void> {
    if (this.#woken || signal.aborted) return;
    const nowMs = this.#clock.nowMs();
    const dueMs = Math.min(
      this.#looking.dueMs,
      this.#readingDueMs,
      this.#sender.retryMs ?? Number.POSITIVE_INFINITY,
      this.#pauses.dueMs,
      this.#guard.dueMs,
      atMostMs === null ? Number.POSITIVE_INFINITY : nowMs + atMostMs,
    );
    const alarm = new AbortController();
    this.#wakeUp = (): void => alarm.abort(WOKEN);
    await this.#world.clock
      .sleep(Math.min(MOST_SLEEP_MS, Math.max(0, dueMs - nowMs)), alarm.signal)
      .catch(() => undefined);
    this.#wakeUp = null;
  }

  #readingDueMs = Number.POSITIVE_INFINITY;

  /**
   * A tick whose failures are sorted: those that stop the engine, those that unite, those that
   * pass.
   */
  async #guardedTick(signal: AbortSignal): Promise<TickResult> {
    try {
      const result = await this.#tick(signal);
      this.#trouble = null;
      this.#failures = 0;
      return result;
    } catch (error) {
      if (signal.aborted) return { progress: 0, more: false };
      const code = codeOf(error);
      if (UNITING.has(code)) {
        this.#unite(code, messageOf(error), signal);
        return { progress: 1, more: true };
      }
      // A feed that waiting cannot heal (no such space, no right to it) is the end as well.
      const feeds = this.#feeder?.failure ?? null;
      const isFinal = HALTING.has(code) || (error === feeds && feeds?.retryable === false);
      if (isFinal || !(error instanceof WorldError)) throw error;
      this.#world.log.warn("tick-failed", { code, message: error.message });
      this.#trouble = error;
      const pauseMs = Math.min(FAILED_MOST_MS, FRUITLESS_PAUSE_MS * 2 ** this.#failures++);
      await this.#sleep(pauseMs, signal);
      return { progress: 0, more: true };
    }
  }

  /** What was agreed on is void: both sides are read anew, nothing is deleted (SPEC EN3). */
  #unite(code: string, message: string, signal: AbortSignal): void {
    this.#world.log.warn("uniting", { code });
    this.#world.tell?.({ kind: "united", message });
    forgetAgreement(this.#world.trees, this.#world.records);
    this.#looking.lookAtEverything();
    this.#startFeeding(signal);
  }

  async #tick(signal: AbortSignal): Promise<TickResult> {
    const { trees } = this.#world;
    this.#isRootSeen = false;
    if (this.#isRootDoubtful) await this.#seeRoot();
    this.#reading.verify(await this.#looking.run(signal));
    if (!(await this.#isDurable())) return { progress: 0, more: true };
    this.#readingDueMs = (await this.#reading.run(signal)) ?? Number.POSITIVE_INFINITY;
    // What was sent and not read back is new no more, though no row says so yet.
    if (!hasSent(this.#world.records)) matchByContent(trees);
    this.#applyPages();
    // The feeder wakes the loop with the next page, or when the server answers again.
    if (!this.#isCaughtUp()) return { progress: 0, more: false };
    const resent = await this.#follow(await this.#sender.resend(signal), signal);
    if (resent === "plan-again") return { progress: 1, more: true };
    const { planned, changed } = this.#planning.run(this.#follower.position.sequence);
    const local = planned.local.filter(({ id }) => !this.#pauses.isPaused(id));
    this.#pending = { up: planned.remote.length, down: planned.local.length };
    this.#problems.retain("write", () => planned.local.map(({ id }) => shownPath(trees, id)));
    this.#problems.retain("send", () => planned.remote.map(({ id }) => shownPath(trees, id)));
    // Nothing is done to a root, or told of it, that is not the one that was linked.
    if (local.length + planned.remote.length > 0) await this.#seeRoot();
    const steps = await this.#execute(local, signal);
    if (!(await this.#isDurable())) return { progress: steps, more: true };
    const sent = await this.#send(planned.remote, signal);
    const progress = steps + sent.progress;
    if (progress > 0) this.#life.note(this.#world.clock.nowMs());
    return { progress, more: progress > 0 || sent.more || changed };
  }

  /** Nothing is agreed on, with the server or by a plan, that a power cut may still take back. */
  async #isDurable(): Promise<boolean> {
    const lost = await this.#unsynced.sync(this.#world.trees);
    if (lost.length > 0) this.#looking.lookAtEverything();
    return lost.length === 0;
  }

  /** Once a tick, and not at all in one that neither looks nor does anything (SPEC RT2). */
  readonly #seeRoot = async (): Promise<void> => {
    if (this.#isRootSeen) return;
    await checkRoot({ ...this.#world, ...this.#setup });
    this.#isRootSeen = true;
    this.#isRootDoubtful = false;
  };

  async #execute(ops: readonly LocalOp[], signal: AbortSignal): Promise<number> {
    if (ops.length === 0) {
      await this.#clearStage();
      return 0;
    }
    const { watcher } = this.#world;
    this.#hasStaged = true;
    const executor = new Executor(
      {
        ...this.#world,
        problems: this.#problems,
        rules: this.#rules,
        nameKey: this.#nameKey,
        unsynced: this.#unsynced,
        lookAgain: (folder) => this.#looking.lookAgain(folder),
        folderMade: (folder, path) => {
          watcher.watch(folder, path);
          this.#looking.lookAgain(folder);
        },
        folderRemoved: (folder) => watcher.unwatch(folder),
        isCommanded: (node) => this.#follower.isCommanded(node),
      },
      ops,
    );
    await executor.rearrange(signal);
    const possible = await executor.possible(ops);
    const failed = await this.#downloader.run(executor, possible, signal);
    for (const { id } of ops) {
      if (failed.has(id) || executor.failed.has(id)) this.#pauses.failed(id);
      else if (executor.raced.has(id)) this.#pauses.raced(id);
      else this.#pauses.succeeded(id);
    }
    return executor.steps;
  }

  /** What was staged and is wanted no more, because others went on meanwhile, goes. */
  async #clearStage(): Promise<void> {
    if (!this.#hasStaged || this.#downloader.downloading > 0) return;
    this.#downloader.forgetStaged();
    this.#hasStaged = await clearStage(this.#world);
  }

  async #send(ops: readonly RemoteOp[], signal: AbortSignal): Promise<TickResult> {
    let progress = 0;
    for (let at = 0; at < ops.length;) {
      const { outcome, done } = await this.#sender.send(
        ops.slice(at),
        this.#follower.position,
        signal,
      );
      at += done;
      if (outcome.kind === "nothing") continue;
      const followed = await this.#follow(outcome, signal);
      if (followed === "plan-again") return { progress, more: true };
      progress++;
      this.#pending = { ...this.#pending, up: Math.max(0, ops.length - at) };
      if (followed === "foreign") return { progress, more: true };
    }
    return { progress, more: false };
  }

  /** Follows the journal to an own commit; tells whether others' came with it. */
  async #follow(
    outcome: SendOutcome,
    signal: AbortSignal,
  ): Promise<"own" | "foreign" | "plan-again"> {
    switch (outcome.kind) {
      case "nothing":
        return "own";
      case "plan-again":
        return "plan-again";
      case "diverged":
        throw new WorldError("diverged", "The server's journal is not the one that was followed.");
      case "committed":
        break;
    }
    let foreign = false;
    while (this.#follower.position.sequence < outcome.sequence) {
      signal.throwIfAborted();
      // A feeder that has ended gives nothing more: nobody waits for it.
      if (this.#feeder?.failure?.retryable === false) throw this.#feeder.failure;
      await this.#feeder?.next(signal);
      const failure = this.#feeder?.failure ?? null;
      if (this.#applyPages()) foreign = true;
      else if (failure !== null) throw failure;
    }
    return foreign ? "foreign" : "own";
  }

  /** True when anything but own commits was applied. */
  #applyPages(): boolean {
    let foreign = false;
    for (let page = this.#feeder?.take(); page !== undefined; page = this.#feeder?.take()) {
      if (this.#follower.apply(page.cursor, page.feed)) foreign = true;
    }
    return foreign;
  }

  /**
   * Planning waits until the server was followed to its head: deciding on half a journal is noise.
   */
  #isCaughtUp(): boolean {
    const feeder = this.#feeder;
    if (feeder === null) return false;
    const { failure } = feeder;
    if (failure !== null && !failure.retryable) throw failure;
    return failure === null && feeder.answered && this.#follower.position.sequence >= feeder.head;
  }

  /** Looks at what was displaced; due at start and now and then. Once a day the records as well. */
  async sweepHold(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#tidyDueMs) {
      this.#world.records.dropUnnamed();
      this.#tidyDueMs = nowMs + TIDY_MS;
    }
    const recovered = await this.#sweeper.sweep(this.#world.clock.nowMs());
    if (recovered > 0) this.#looking.lookAtEverything();
  }
}
