import { codeOf, messageOf } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import type { Clock, Digest } from "#core/world.ts";
import { sameStamp } from "./look.ts";
import { blankOf, isLostContent, type Outage } from "./outage.ts";
import { pathOf } from "./paths.ts";
import type { Digested, DeviceRecords, FileReader, TreeStore } from "./ports.ts";
import type { Problems } from "./problems.ts";
import type { LocalSide, NodeRow, Stamp } from "./tree.ts";

/** Files above this are read beside the tick, so that small ones never wait for them. */
export const LARGE_BYTES = 8 * 1024 * 1024;

/**
 * A file is left to rest this long after its last change: longer than a file system's clock tick.
 */
const QUIET_MS = 20;
/** Where a file system keeps whole seconds only (HFS+, FAT keeps two). */
const COARSE_MS = 2_000;
const HOT_FIRST_MS = 200;
const HOT_MOST_MS = 5_000;
/** A hot file that rested this long is between two saves, not in the middle of many. */
const HOT_QUIET_MS = 400;
/** A file that rested this long between a reading and the next change is saved now and then. */
const HOT_REST_MS = 1_000;
const HOT_FORGET_MS = 10_000;
/** When a file could not be read for so long because it goes on changing, people are told. */
const RESTLESS_MS = 10_000;
const RETRY_MS = 30_000;
/** Files whose results are stored in one transaction: each lies in pages of its own. */
const BATCH_FILES = 2_000;
const CONCURRENT = 16;
const CONCURRENT_LARGE = 2;

const NS_PER_MS = 1_000_000n;

type Heat = { readings: number; lastMs: number };

type Job = { readonly id: NodeId; readonly path: string; readonly local: LocalSide };

/** True when an edit within the clock tick of the last one could have left the stamp as it is. */
export function isRacy(stamp: Stamp, beganMs: number): boolean {
  // Whoever puts mtime back leaves ctime; a time in the future says nothing about the last edit.
  return isWithinTick(stamp, stamp.mtimeNs, beganMs) || isWithinTick(stamp, stamp.ctimeNs, beganMs);
}

/**
 * True when an edit at this moment could leave size and modification time as they are: of a file
 * that was put in place with a time of its own, which is this very moment.
 */
export function isOfThisMoment(stamp: Stamp, nowMs: number): boolean {
  return isWithinTick(stamp, stamp.mtimeNs, nowMs);
}

function isWithinTick({ mtimeNs }: Stamp, changedNs: bigint, atMs: number): boolean {
  const isCoarse = mtimeNs % 1_000_000_000n === 0n;
  const windowMs = isCoarse ? COARSE_MS : QUIET_MS;
  const changedMs = Number(changedNs / NS_PER_MS);
  return changedMs > atMs - windowMs && changedMs <= atMs + windowMs;
}

/** When the file last changed (ms since 1970); a time in the future tells nothing. */
function lastChangeMs({ mtimeNs, ctimeNs }: Stamp, nowMs: number): number {
  const known = [mtimeNs, ctimeNs].map((ns) => Number(ns / NS_PER_MS)).filter((ms) => ms <= nowMs);
  return Math.max(...known);
}

/**
 * Reads the bytes of local files that changed, and stores what they are. Hot files are read less
 * often the more often they change; large ones beside the tick (SPEC RD1–RD3).
 */
export class Reading {
  readonly #trees: TreeStore;
  readonly #records: DeviceRecords;
  readonly #reader: Pick<FileReader, "digest">;
  readonly #clock: Clock;
  readonly #wall: Clock;
  readonly #problems: Problems;
  readonly #digest: Digest;
  readonly #outage: () => Outage | null;
  readonly #wake: () => void;
  readonly #lookAgain: (folder: NodeId) => void;
  readonly #heat = new Map<NodeId, Heat>();
  /** Files that could not be read, as they were then, and when they are tried again. */
  readonly #retries = new Map<NodeId, Job & { readonly dueMs: number }>();
  readonly #verify = new Set<NodeId>();
  /** Since when a file waits to be read. */
  readonly #wantedMs = new Map<NodeId, number>();
  readonly #large = new Map<NodeId, Promise<void>>();
  #resting = 0;

  constructor(
    world: {
      trees: TreeStore;
      records: DeviceRecords;
      reader: Pick<FileReader, "digest">;
      clock: Clock;
      /** The clock that files' times come from; it may jump. */
      wall: Clock;
      problems: Problems;
      digest: Digest;
      /** What an outage may have made of files. */
      outage: () => Outage | null;
    },
    tell: { wake: () => void; lookAgain: (folder: NodeId) => void },
  ) {
    this.#trees = world.trees;
    this.#records = world.records;
    this.#reader = world.reader;
    this.#clock = world.clock;
    this.#wall = world.wall;
    this.#problems = world.problems;
    this.#digest = world.digest;
    this.#outage = world.outage;
    this.#wake = tell.wake;
    this.#lookAgain = tell.lookAgain;
  }

  /** Files to read again although size and time are as before. */
  verify(ids: Iterable<NodeId>): void {
    for (const id of ids) this.#verify.add(id);
  }

  /** Files that rest before they are read, or are being read; not those that cannot be. */
  get pending(): number {
    return this.#resting + this.#large.size;
  }

  /**
   * Reads all that is due; small files now, large ones in the background. Returns when the next
   * waiting file is due (ms since 1970), or null.
   */
  async run(signal?: AbortSignal): Promise<number | null> {
    const waiting = [...this.#jobs()];
    this.#problems.retain("read", () => waiting.map(({ path }) => path));
    const ids = new Set(waiting.map(({ id }) => id));
    for (const id of this.#wantedMs.keys()) if (!ids.has(id)) this.#wantedMs.delete(id);
    this.#coolDown();
    const jobs: Job[] = [];
    let nextMs: number | null = null;
    this.#resting = 0;
    for (const job of waiting) {
      const dueMs = Math.min(this.#dueMs(job), this.#restlessMs(job));
      if (dueMs > this.#clock.nowMs()) {
        if (this.#retryMs(job) === null) this.#resting++;
        nextMs = Math.min(nextMs ?? dueMs, dueMs);
      } else if (job.local.stamp.sizeBytes <= LARGE_BYTES) {
        jobs.push(job);
      } else if (this.#large.size < CONCURRENT_LARGE) this.#readLarge(job, signal);
      else this.#resting++;
    }
    for (let from = 0; from < jobs.length; from += BATCH_FILES) {
      await this.#readBatch(jobs.slice(from, from + BATCH_FILES), signal);
      signal?.throwIfAborted();
    }
    return nextMs;
  }

  async settleLarge(): Promise<void> {
    await Promise.allSettled(this.#large.values());
  }

  *#jobs(): Iterable<Job> {
    for (const row of this.#trees.changed()) {
      if (row.local?.content === null && row.kind === "file") yield* this.#job(row);
    }
    for (const id of this.#verify) {
      const row = this.#trees.get(id);
      if (row?.local && row.local.content !== null) yield* this.#job(row);
      else this.#verify.delete(id);
    }
  }

  *#job(row: NodeRow): Iterable<Job> {
    const { id, local } = row;
    if (local === null || local.blind !== null || this.#large.has(id)) return;
    const path = pathOf(this.#trees, "local", id);
    if (path !== null) yield { id, path, local };
  }

  /** Since when the file waits, which may be this moment. */
  #wantedSinceMs(id: NodeId): number {
    const wantedMs = this.#wantedMs.get(id) ?? this.#clock.nowMs();
    this.#wantedMs.set(id, wantedMs);
    return wantedMs;
  }

  /** A file that goes on changing is read all the same now and then, and named (SPEC RD3). */
  #restlessMs({ id, path }: Job): number {
    if (this.#retries.has(id)) return Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    const wantedMs = this.#wantedSinceMs(id);
    if (nowMs - wantedMs >= RESTLESS_MS) {
      const message = "It keeps changing while it is read; it syncs when it rests.";
      this.#problems.report("read", { path, code: "busy", message }, nowMs);
    }
    const lastMs = this.#heat.get(id)?.lastMs ?? wantedMs;
    return Math.max(wantedMs, lastMs) + HOT_MOST_MS;
  }

  /** Whatever is another file now, or stands elsewhere, is not kept waiting. */
  #retryMs({ id, path, local }: Job): number | null {
    const retry = this.#retries.get(id);
    if (retry === undefined) return null;
    if (retry.path === path && sameStamp(retry.local.stamp, local.stamp)) return retry.dueMs;
    this.#retries.delete(id);
    return null;
  }

  #dueMs(job: Job): number {
    const { id, local } = job;
    const nowMs = this.#clock.nowMs();
    const retryMs = this.#retryMs(job);
    if (retryMs !== null) return retryMs;
    const wallMs = this.#wall.nowMs();
    const changedMs = nowMs - wallMs + lastChangeMs(local.stamp, wallMs);
    const restedMs = Math.max(nowMs, changedMs + QUIET_MS);
    const heat = this.#heat.get(id);
    if (heat === undefined) return restedMs;
    const hasRested = this.#wantedSinceMs(id) - heat.lastMs >= HOT_REST_MS;
    if (hasRested || nowMs - heat.lastMs > HOT_FORGET_MS || nowMs < heat.lastMs) {
      this.#heat.delete(id);
      return restedMs;
    }
    const pauseMs = Math.min(HOT_MOST_MS, HOT_FIRST_MS * 2 ** (heat.readings - 1));
    const quietMs = changedMs + Math.min(HOT_QUIET_MS, pauseMs);
    // Only a file that goes on changing waits that long; one that rests again is read soon.
    return Math.max(restedMs, Math.min(quietMs, heat.lastMs + pauseMs));
  }

  /** Forgets what was read so long ago that it is not hot any more: the first are the oldest. */
  #coolDown(): void {
    const nowMs = this.#clock.nowMs();
    for (const [id, { lastMs }] of this.#heat) {
      if (nowMs - lastMs <= HOT_FORGET_MS && nowMs >= lastMs) break;
      this.#heat.delete(id);
    }
  }

  #readLarge(job: Job, signal?: AbortSignal): void {
    const reading = this.#readBatch([job], signal)
      .catch(() => undefined)
      .finally(() => {
        this.#large.delete(job.id);
        this.#wake();
      });
    this.#large.set(job.id, reading);
  }

  async #readBatch(jobs: readonly Job[], signal?: AbortSignal): Promise<void> {
    const done: { job: Job; digested: Digested }[] = [];
    const queue = [...jobs];
    const reader = async (): Promise<void> => {
      for (let job = queue.pop(); job !== undefined; job = queue.pop()) {
        signal?.throwIfAborted();
        const digested = await this.#readOne(job, signal);
        if (digested !== null) done.push({ job, digested });
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENT, jobs.length) }, reader));
    this.#trees.transaction(() => {
      for (const { job, digested } of done) this.#store(job, digested);
    });
  }

  async #readOne(job: Job, signal?: AbortSignal): Promise<Digested | null> {
    const { path, id } = job;
    try {
      const expected = { file: job.local.file, stamp: job.local.stamp };
      const digested = await this.#reader.digest(path, expected, signal);
      this.#retries.delete(id);
      return digested;
    } catch (error) {
      signal?.throwIfAborted();
      const nowMs = this.#clock.nowMs();
      const trouble = { path, code: codeOf(error), message: messageOf(error) };
      this.#problems.report("read", trouble, nowMs);
      this.#retries.set(id, { ...job, dueMs: nowMs + RETRY_MS });
      return null;
    }
  }

  #store(job: Job, digested: Digested): void {
    const nowMs = this.#clock.nowMs();
    const { id } = job;
    this.#verify.delete(id);
    const readings = (this.#heat.get(id)?.readings ?? 0) + 1;
    this.#heat.delete(id);
    this.#heat.set(id, { readings, lastMs: nowMs });
    const row = this.#trees.get(id);
    if (!row?.local) return;
    const { local } = row;
    if (digested.outcome !== "read") {
      this.#trees.put({ ...row, local: { ...local, content: null } });
      this.#lookAgain(local.parent);
      return;
    }
    if (local.file !== job.local.file || !sameStamp(local.stamp, job.local.stamp)) return;
    this.#wantedMs.delete(id);
    const { sha256, manifest, stamp } = digested;
    const { executable } = local;
    const content = { kind: "file", sizeBytes: stamp.sizeBytes, sha256, executable } as const;
    const read = { ...local, content, racy: isRacy(stamp, digested.beganMs) };
    const world = { records: this.#records, digest: this.#digest };
    const isLost = isLostContent(row, digested, this.#outage(), world);
    // Nobody's edit: it counts as what was synced, so that the server's content stands.
    const synced =
      isLost && row.synced !== null
        ? { ...row.synced, content, file: local.file, crev: 0 }
        : row.synced;
    this.#trees.put({ ...row, synced, local: read });
    if (isLost) this.#problems.report("outage", blankOf(job.path), nowMs);
    this.#records.putManifest(sha256, manifest);
    this.#records.setSources(id, manifest);
  }
}
