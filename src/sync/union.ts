import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import { CURSOR_START } from "#protocol/feed.ts";
import type { Side } from "./draft.ts";
import type { DeviceRecords, TreeStore } from "./ports.ts";
import { beginUnion, readPosition, writePosition, writeRewind, writeSent } from "./settings.ts";
import { PARK_NODE } from "./tree.ts";

const SIDES: readonly Side[] = ["remote", "synced", "local"];

/** Every node of every side, parents before children. */
export function allNodes(trees: TreeStore): Set<NodeId> {
  const seen = new Set<NodeId>();
  const pending: NodeId[] = [ROOT_NODE, PARK_NODE];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const side of SIDES) {
      for (const { id, kind } of trees.children(side, folder)) {
        if (seen.has(id)) continue;
        seen.add(id);
        if (kind === "folder") pending.push(id);
      }
    }
  }
  return seen;
}

/**
 * Forgets what was agreed on and how far the server was followed (SPEC EN3): what is on the disk
 * and what is at the server are then united. Equal content agrees by its hash, different content
 * keeps both, nothing is deleted.
 */
export function forgetAgreement(trees: TreeStore, records: DeviceRecords): void {
  trees.transaction(() => {
    for (const id of allNodes(trees)) {
      const row = trees.get(id);
      if (row === undefined) continue;
      trees.put({ ...row, remote: null, synced: null, displacing: null, placing: null });
    }
    const { restores } = readPosition(records, CURSOR_START);
    // The server may have another epoch now: only this cursor is valid in each.
    writePosition(records, { cursor: CURSOR_START, sequence: 0, chain: CHAIN_START, restores });
    writeSent(records, null);
    writeRewind(records, null);
    beginUnion(records);
  });
}
