import { CHAIN_START } from "#protocol/chain.ts";
import { Commit } from "#protocol/commit.ts";
import type { NodeId } from "#core/ids.ts";
import type { DeviceRecords } from "./ports.ts";
import type { FileKey } from "./tree.ts";

/**
 * What a device remembers beside its trees, each under one name in `DeviceRecords`.
 */

/** How far this device followed the journal. */
export type Position = {
  readonly cursor: string;
  readonly sequence: number;
  readonly chain: string;
  /**
   * Epochs of the announced restores of the server that were followed, oldest first; absent before
   * the first. A copy that is put back may know earlier ones only.
   */
  readonly restores?: readonly string[] | undefined;
};

/**
 * A commit that was sent and not yet read back, and the inodes that its contents were read from.
 */
export type Sent = { readonly commit: Commit; readonly files: Readonly<Record<NodeId, FileKey>> };

/** A setting whose text is parsed once for as long as it stays. */
class Parsed<T> {
  readonly #name: string;
  readonly #parse: (text: string) => T;
  readonly #last = new WeakMap<DeviceRecords, { readonly text: string; readonly value: T }>();

  constructor(name: string, parse: (text: string) => T) {
    this.#name = name;
    this.#parse = parse;
  }

  write(records: DeviceRecords, value: T | null): void {
    const text = value === null ? null : JSON.stringify(value);
    records.setSetting(this.#name, text);
    if (text !== null && value !== null) this.#last.set(records, { text, value });
  }

  read(records: DeviceRecords): T | null {
    const text = records.setting(this.#name);
    if (text === undefined) return null;
    const last = this.#last.get(records);
    if (last?.text === text) return last.value;
    const value = this.#parse(text);
    this.#last.set(records, { text, value });
    return value;
  }
}

const positions = new Parsed("position", (text) => JSON.parse(text) as Position);
const sents = new Parsed("sent", (text): Sent => {
  const { commit, files } = JSON.parse(text) as { commit: unknown; files: Sent["files"] };
  return { commit: Commit.parse(commit), files };
});

export function readPosition(records: DeviceRecords, startCursor: string): Position {
  const position = positions.read(records);
  return position ?? { cursor: startCursor, sequence: 0, chain: CHAIN_START };
}

export function writePosition(records: DeviceRecords, position: Position): void {
  positions.write(records, position);
}

export function readSent(records: DeviceRecords): Sent | null {
  return sents.read(records);
}

/** True while a commit was sent and not yet read back. */
export function hasSent(records: DeviceRecords): boolean {
  return records.setting("sent") !== undefined;
}

export function writeSent(records: DeviceRecords, sent: Sent | null): void {
  sents.write(records, sent);
}

const KNOWN = "commit:";

/** Notes a commit that a person's command makes with this device's name, before it is sent. */
export function expectCommit(records: DeviceRecords, commit: string): void {
  records.setSetting(KNOWN + commit, "expected");
}

export function isExpectedCommit(records: DeviceRecords, commit: string): boolean {
  return records.setting(KNOWN + commit) !== undefined;
}

export function forgetCommit(records: DeviceRecords, commit: string): void {
  records.setSetting(KNOWN + commit, null);
}

const RESTORE_OFFERED = "restore:offered";
const RESTORE_ACCEPTED = "restore:accepted";

/** Notes the announced restore that a person is to be asked about. */
export function offerRestore(records: DeviceRecords, epoch: string): void {
  records.setSetting(RESTORE_OFFERED, epoch);
}

/** A person knows of the restore that was offered last; false when none was. */
export function acceptRestore(records: DeviceRecords): boolean {
  const epoch = records.setting(RESTORE_OFFERED);
  if (epoch === undefined) return false;
  records.setSetting(RESTORE_ACCEPTED, epoch);
  return true;
}

export function isRestoreAccepted(records: DeviceRecords, epoch: string): boolean {
  return records.setting(RESTORE_ACCEPTED) === epoch;
}

/** Where two journals part, of which the second is read from its beginning. */
type Rewind = {
  readonly to: number;
  /**
   * Nodes of which nothing is on this side yet, so that not to know them means nothing; null where
   * it never does.
   */
  readonly waiting: readonly NodeId[] | null;
  /** Nodes that the server had no more, and this side not yet taken away. */
  readonly going: readonly NodeId[];
};

const rewinds = new Parsed("rewind", (text) => JSON.parse(text) as Rewind);

export function readRewind(records: DeviceRecords): Rewind | null {
  return rewinds.read(records);
}

export function writeRewind(records: DeviceRecords, rewind: Rewind | null): void {
  rewinds.write(records, rewind);
}

const SHARED = "restore:shared";

/** Notes up to which entry a restored server's journal was proved to be the known one. */
export function noteShared(records: DeviceRecords, sequence: number | null): void {
  records.setSetting(SHARED, sequence === null ? null : String(sequence));
}

/** Null where that was proved of no entry. */
export function readShared(records: DeviceRecords): number | null {
  const text = records.setting(SHARED);
  return text === undefined ? null : Number(text);
}

const UNITED = "united";

/**
 * Notes that both sides are united anew: own commits up to the server's next head may be unknown.
 */
export function beginUnion(records: DeviceRecords): void {
  records.setSetting(UNITED, "");
}

/** Fixes, at the first page after a union began, the head up to which that holds. */
export function settleUnion(records: DeviceRecords, head: number): void {
  if (records.setting(UNITED) === "") records.setSetting(UNITED, String(head));
}

/**
 * Own commits that were read before up to `sequence` need not be known, as far as the journal read
 * now has them: up to `shared`.
 */
export function uniteUpTo(records: DeviceRecords, sequence: number, shared: number): void {
  if (records.setting(UNITED) === "") return;
  const known = Math.max(unitedHead(records), sequence);
  records.setSetting(UNITED, String(Math.min(known, shared)));
}

/** Own commits up to here need not be known; 0 when there never was a union. */
export function unitedHead(records: DeviceRecords): number {
  return Number(records.setting(UNITED) ?? 0);
}

/** The keys that the journal is closed with at the position, and the head when they began. */
export type KeyEpochSince = { readonly number: number; readonly since: number };

const keyEpochs = new Parsed("key epoch", (text) => JSON.parse(text) as KeyEpochSince);

export function readKeyEpoch(records: DeviceRecords): KeyEpochSince {
  return keyEpochs.read(records) ?? { number: 0, since: 0 };
}

export function writeKeyEpoch(records: DeviceRecords, epoch: KeyEpochSince): void {
  keyEpochs.write(records, epoch);
}
