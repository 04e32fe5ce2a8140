import type { TreeStore } from "#sync/ports.ts";
import type { Status } from "#sync/status.ts";
import type { NodeRow } from "#sync/tree.ts";
import { note, timeText } from "./output.ts";
import { ProgressBar } from "./progress-bar.ts";
import type { RunningFolder } from "./run-folder.ts";

const LOOK_MS = 250;
/** Where nothing moves on a screen, a line may come later: a device at rest hardly wakes up. */
const RESTING_LOOK_MS = 2_000;
/** What is over sooner needs no bar. */
const BAR_AFTER_MS = 1_000;
/** Adding up what is left never takes more than this share of the time. */
const SUM_SHARE = 50;

/** Bytes of files that one side has and the other lacks. */
function bytesLeft(trees: TreeStore): number {
  return trees.changed().reduce((sum, row) => sum + bytesOf(row), 0);
}

function bytesOf({ kind, local, remote }: NodeRow): number {
  if (kind !== "file" || local?.blind) return 0;
  const here = local?.content?.kind === "file" ? local.content : null;
  const there = remote?.content.kind === "file" ? remote.content : null;
  if (here !== null && there !== null && here.sha256 === there.sha256) return 0;
  if (here === null && there !== null) return there.sizeBytes;
  return here?.sizeBytes ?? local?.stamp.sizeBytes ?? 0;
}

type Stretch = {
  readonly beganMs: number;
  readonly beganMoved: number;
  whole: number;
  left: number;
};

/** Says on stderr when a running folder's state changes; on a terminal also how far it is. */
export class LiveView implements Disposable {
  #running: RunningFolder | null = null;
  #timer: NodeJS.Timeout | null = null;
  #told = "";
  readonly #bar = new ProgressBar();
  #stretch: Stretch | null = null;
  #nextSumMs = 0;

  watch(running: RunningFolder): void {
    this.#running = running;
    this.#lookIn(LOOK_MS);
  }

  #lookIn(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const isMoving = this.#look() === "working" && process.stderr.isTTY;
      this.#lookIn(isMoving ? LOOK_MS : RESTING_LOOK_MS);
    }, delayMs).unref();
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#endStretch();
  }

  #look(): Status["state"] | null {
    if (this.#running === null) return null;
    const status = this.#running.open.engine.status(0);
    if (status.state === "working") this.#advance(status, this.#running.open.store.trees);
    else this.#endStretch();
    this.#tell(status);
    return status.state;
  }

  /** A change of state, once; what passes within the bar's second is not worth a line. */
  #tell({ state, reason, problems }: Status): void {
    if (state === "working") return;
    const trouble = problems[0];
    const count = problems.length;
    const beside = count === 0 ? "" : `, but for ${count} ${count === 1 ? "path" : "paths"}`;
    const text = state === "in-sync" ? `in sync${beside}` : `${state}: ${reason ?? ""}`;
    const said = text + (trouble === undefined ? "" : ` (${trouble.path}: ${trouble.message})`);
    if (said === this.#told) return;
    const wasTrouble = this.#told !== "" && !this.#told.startsWith("in sync");
    this.#told = said;
    // Not a terminal: only trouble and its end are worth a line in somebody's log.
    const isPlain = state === "in-sync" && trouble === undefined;
    if (!process.stderr.isTTY && isPlain && !wasTrouble) return;
    note(`${timeText(Date.now(), true)}  ${said}`);
  }

  #advance({ sentBytes, receivedBytes }: Status, trees: TreeStore): void {
    if (!process.stderr.isTTY) return;
    const nowMs = performance.now();
    const moved = sentBytes + receivedBytes;
    this.#stretch ??= { beganMs: nowMs, beganMoved: moved, whole: 0, left: 0 };
    const stretch = this.#stretch;
    if (nowMs >= this.#nextSumMs) {
      stretch.left = bytesLeft(trees);
      this.#nextSumMs = nowMs + Math.max(LOOK_MS, SUM_SHARE * (performance.now() - nowMs));
    }
    stretch.whole = Math.max(stretch.whole, stretch.left);
    if (nowMs - stretch.beganMs < BAR_AFTER_MS || stretch.whole === 0) return;
    const { whole, left } = stretch;
    const done = Math.min(whole, Math.max(whole - left, moved - stretch.beganMoved));
    this.#bar.show(done, whole, (nowMs - stretch.beganMs) / 1_000);
  }

  #endStretch(): void {
    // Where there was a bar its end is worth a line.
    if (this.#bar.end()) this.#told = "";
    this.#stretch = null;
  }
}
