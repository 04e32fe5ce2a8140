import { toHex } from "#core/bytes.ts";
import type { Manifest } from "#core/node.ts";
import type { Digest } from "#core/world.ts";
import type { Trouble } from "./look.ts";
import type { DeviceRecords } from "./ports.ts";
import type { NodeRow, Stamp } from "./tree.ts";

/**
 * A machine that goes down by itself loses what its disk had not written: names, and the bytes of
 * files that then are empty or hold nothing but zeros. No person did that, so it is sent to nobody
 * (SPEC EX9). An outage is known by an engine that was running under another boot.
 */
export type Outage = {
  /** What changed before this (ms since 1970) had reached the disk. */
  readonly sinceMs: number;
  /** When the machine came up again: what changed later is a person's doing. */
  readonly bootedMs: number;
};

/** The machine's present boot; by the machine's clock. */
export type Boot = { readonly id: string; readonly beganMs: number };

/** The setting that is there while an engine runs. */
const RUNNING = "running";
/** A disk writes what it was given within this time. */
const UNWRITTEN_MS = 60_000;
/** How exactly it is known when the engine last was alive. */
const ALIVE_MS = 10_000;

type Running = { readonly boot: string; readonly aliveMs: number; readonly outage: Outage | null };

const NS_PER_MS = 1_000_000n;

/** Keeps the record by which the next process knows how this one ended. */
export class Life {
  readonly #records: DeviceRecords;
  readonly #boot: Boot | null;
  #outage: Outage | null = null;
  #notedMs = Number.NEGATIVE_INFINITY;

  /** Without `boot` nothing is known of outages, and none is suspected. */
  constructor(records: DeviceRecords, boot: Boot | null) {
    this.#records = records;
    this.#boot = boot;
  }

  /** What is left of an outage to be expected on the disk. */
  get outage(): Outage | null {
    return this.#outage;
  }

  begin(nowMs: number): void {
    const text = this.#records.setting(RUNNING);
    const before = text === undefined ? null : (JSON.parse(text) as Running);
    if (before !== null && this.#boot !== null) {
      const { id, beganMs } = this.#boot;
      const since = { sinceMs: before.aliveMs - UNWRITTEN_MS, bootedMs: beganMs };
      this.#outage = before.boot === id ? before.outage : since;
    }
    this.note(nowMs);
  }

  /** The engine is alive and has done something. */
  note(nowMs: number): void {
    if (this.#boot === null || Math.abs(nowMs - this.#notedMs) < ALIVE_MS) return;
    this.#notedMs = nowMs;
    const running: Running = { boot: this.#boot.id, aliveMs: nowMs, outage: this.#outage };
    this.#records.setSetting(RUNNING, JSON.stringify(running));
  }

  /** In order, so that nothing is suspected of whatever the machine does next. */
  end(): void {
    if (this.#boot !== null) this.#records.setSetting(RUNNING, null);
  }
}

/** How long people see what an outage did, beside the log. */
export const OUTAGE_TOLD_MS = 24 * 3_600_000;

const FROM_SERVER = "it comes back from the server";

/** Said of a file that was left blank: its last save may never have been sent. */
export function blankOf(path: string): Trouble {
  const detail = "what was saved in it just before and not yet sent is lost";
  const message = `It was blank after the machine went down: ${FROM_SERVER}; ${detail}.`;
  return { path, code: "restored", message };
}

/** Said of what is missing: a person may have deleted it just before. */
export function missingOf(path: string): Trouble {
  const detail = "delete it again if you had deleted it";
  const message = `It was missing after the machine went down: ${FROM_SERVER}; ${detail}.`;
  return { path, code: "restored", message };
}

/** True for what is missing after an outage because its name may never have reached the disk. */
export function isLostName({ remote, synced, local }: NodeRow, outage: Outage | null): boolean {
  if (outage === null || remote === null || synced === null || local === null) return false;
  if (local.blind !== null) return false;
  return local.stamp.ctimeNs >= BigInt(Math.floor(outage.sinceMs)) * NS_PER_MS;
}

/** True for a file of nothing but zeros, or of nothing, that an outage may have made so. */
export function isLostContent(
  row: NodeRow,
  { stamp, manifest }: { readonly stamp: Stamp; readonly manifest: Manifest },
  outage: Outage | null,
  { records, digest }: { readonly records: DeviceRecords; readonly digest: Digest },
): boolean {
  const known = row.synced?.content;
  if (outage === null || row.remote === null || known?.kind !== "file") return false;
  const changedMs = Number(stamp.ctimeNs / NS_PER_MS);
  if (changedMs < outage.sinceMs || changedMs >= outage.bootedMs) return false;
  const before = records.manifest(known.sha256);
  if (known.sizeBytes === 0 || (before !== undefined && isZero(before, digest))) return false;
  return isZero(manifest, digest);
}

function isZero(manifest: Manifest, digest: Digest): boolean {
  const zeros = new Map<number, string>();
  return manifest.every(({ chunk, lengthBytes }) => {
    const hash = zeros.get(lengthBytes) ?? toHex(digest.sha256(new Uint8Array(lengthBytes)));
    zeros.set(lengthBytes, hash);
    return hash === chunk;
  });
}
