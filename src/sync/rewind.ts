import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import { CURSOR_START } from "#protocol/feed.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";
import {
  expectCommit,
  readPosition,
  readRewind,
  readSent,
  uniteUpTo,
  writePosition,
  writeRewind,
  writeSent,
} from "./settings.ts";
import { PARK_NODE, type NodeRow, type RemoteSide, type SyncedSide } from "./tree.ts";
import { allNodes, forgetAgreement } from "./union.ts";

/** Beyond this many nodes that are still to come nothing is concluded from what is not known. */
const MOST_WAITING = 10_000;

/**
 * Begins anew with a journal that is the known one up to `shared`, and another one from there
 * (SPEC SL18): what was agreed on stays for now, and is made what it was at that entry when the
 * journal is read up to there (`rewind`).
 */
export function beginRewind(trees: TreeStore, records: DeviceRecords, shared: number): void {
  trees.transaction(() => {
    const { sequence, restores } = readPosition(records, CURSOR_START);
    const pending = readRewind(records);
    const to = Math.min(pending?.to ?? sequence, shared);
    if (to === 0) return forgetAgreement(trees, records);
    const waiting: NodeId[] = [];
    const going: NodeId[] = [];
    for (const id of allNodes(trees)) {
      const row = trees.get(id);
      if (row === undefined) continue;
      // What was stopped halfway is of neither past.
      const isUnderWay = row.displacing !== null || row.placing !== null;
      const synced = isUnderWay ? null : row.synced;
      if (synced === null && row.local === null) waiting.push(id);
      if (synced !== null && row.remote === null && going.length < MOST_WAITING) going.push(id);
      trees.put({ ...row, remote: null, synced, displacing: null, placing: null });
    }
    // Whoever had not read so far, or was stopped while reading it again, does not know all.
    const knowsAll = pending === null && sequence >= shared && waiting.length <= MOST_WAITING;
    const known = { waiting: knowsAll ? waiting : null, going: pending?.going ?? going };
    writeRewind(records, { to, ...known });
    // The server has another epoch now: only this cursor is valid in each.
    writePosition(records, { cursor: CURSOR_START, sequence: 0, chain: CHAIN_START, restores });
    const sent = readSent(records);
    if (sent !== null) expectCommit(records, sent.commit.commitId);
    writeSent(records, null);
    uniteUpTo(records, sequence, shared);
  });
}

/**
 * To be called when the remote tree is the server's at `sequence`, in the same transaction. There
 * the two journals part: what was agreed on later is no agreement any more, and what this side has
 * of it is its own change to what the server had then. A node that this side does not know, and
 * has read all of the journal, was deleted later: that is a deletion of its own, too.
 */
export function rewind(trees: TreeStore, records: DeviceRecords, sequence: number): void {
  const pending = readRewind(records);
  const waiting = pending?.waiting ? new Set(pending.waiting) : null;
  const going = new Set(pending?.going);
  for (const id of allNodes(trees)) {
    if (id === ROOT_NODE || id === PARK_NODE) continue;
    const row = trees.get(id);
    if (row === undefined) continue;
    const isUnknown = row.synced === null && row.local === null && waiting?.has(id) === false;
    // What had to go before has to go still: it is nothing that was made here.
    const isGoing = row.remote === null && going.has(id);
    const synced = isUnknown ? deletedLater(row.remote) : rewound(row, sequence);
    if (synced !== row.synced && !isGoing) trees.put({ ...row, synced });
  }
  writeRewind(records, null);
}

/** A deletion is told by what was synced and is not on the disk. */
function deletedLater(remote: RemoteSide | null): SyncedSide | null {
  if (remote === null) return null;
  const { parent, name, content, crev, lrev } = remote;
  return { parent, name, content, file: "", crev, lrev };
}

function rewound({ synced, remote }: NodeRow, sequence: number): SyncedSide | null {
  if (synced === null) return null;
  const { crev, lrev } = synced;
  // Of no revision: when it was agreed on is not known.
  if (crev === 0 || lrev === 0) return null;
  if (crev <= sequence && lrev <= sequence) return synced;
  // Made later: the server never had it.
  if (remote === null) return null;
  const isLater = crev > sequence;
  const { parent, name } = lrev > sequence ? remote : synced;
  return {
    parent,
    name,
    content: isLater ? remote.content : synced.content,
    // No inode here held the earlier content when it was agreed on, as far as is known.
    file: isLater && remote.content.kind === "file" ? "" : synced.file,
    crev: isLater ? remote.crev : crev,
    lrev: lrev > sequence ? remote.lrev : lrev,
  };
}
