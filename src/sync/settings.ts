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
};

/**
 * A commit that was sent and not yet read back, and the inodes that its contents were read from.
 */
export type Sent = { readonly commit: Commit; readonly files: Readonly<Record<NodeId, FileKey>> };

export function readPosition(records: DeviceRecords, startCursor: string): Position {
  const text = records.setting("position");
  if (text === undefined) return { cursor: startCursor, sequence: 0, chain: CHAIN_START };
  return JSON.parse(text) as Position;
}

export function writePosition(records: DeviceRecords, position: Position): void {
  records.setSetting("position", JSON.stringify(position));
}

export function readSent(records: DeviceRecords): Sent | null {
  const text = records.setting("sent");
  if (text === undefined) return null;
  const { commit, files } = JSON.parse(text) as { commit: unknown; files: Sent["files"] };
  return { commit: Commit.parse(commit), files };
}

export function writeSent(records: DeviceRecords, sent: Sent | null): void {
  records.setSetting("sent", sent === null ? null : JSON.stringify(sent));
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

/** Own commits up to here need not be known; 0 when there never was a union. */
export function unitedHead(records: DeviceRecords): number {
  return Number(records.setting(UNITED) ?? 0);
}
