import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { splitPath } from "#core/names.ts";
import type { Content, NodeKind } from "#core/node.ts";
import { holdOf } from "#sync/holds.ts";
import { pathOf, shownPath } from "#sync/paths.ts";
import type { DeviceRecords, TreeStore } from "#sync/ports.ts";
import { agrees, type Blindness, type LocalSide, type NodeRow } from "#sync/tree.ts";

/** A node on one side of this device's trees, without what only the engine needs. */
export type SideReport = {
  readonly path: string | null;
  readonly content: Content | null;
};

export type LocalReport = SideReport & {
  readonly blind: Blindness | null;
  /** Tells whether the disk still has what was looked at last. */
  readonly seen: string;
};

/** Where a node stands, as far as this device knows. */
export type NodeReport = {
  readonly node: NodeId;
  readonly kind: NodeKind;
  readonly agrees: boolean;
  readonly here: LocalReport | null;
  readonly server: (SideReport & { readonly crev: number }) | null;
  readonly agreed: SideReport | null;
  /** The hold that its deletion waits in. */
  readonly hold: string | null;
};

export type PathReport = {
  /** What stands at the path on this disk, and what at the server; usually one node. */
  readonly here: NodeReport | null;
  readonly server: NodeReport | null;
};

type Side = "local" | "remote";

type KnownTrees = { readonly trees: TreeStore; readonly records: DeviceRecords };

/** The node at a path on one side; the root has none. */
function nodeAt(trees: TreeStore, side: Side, path: string): NodeRow | null {
  let at = ROOT_NODE;
  let row: NodeRow | null = null;
  for (const name of splitPath(path)) {
    const named = trees.named(side, at, name);
    row = named.find((each) => each[side]?.name === name) ?? named[0] ?? null;
    if (row === null) return null;
    at = row.id;
  }
  return row;
}

function reportOf({ trees, records }: KnownTrees, row: NodeRow): NodeReport {
  const { id, kind, local, remote, synced } = row;
  const at = (side: "local" | "remote" | "synced"): string | null => pathOf(trees, side, id);
  return {
    node: id,
    kind,
    agrees: agrees(row),
    here: local === null ? null : localReportOf(local, at("local")),
    server:
      remote === null ? null : { path: at("remote"), content: remote.content, crev: remote.crev },
    agreed: synced === null ? null : { path: at("synced"), content: synced.content },
    hold: holdOf(records, id),
  };
}

function localReportOf(
  { content, blind, file, stamp }: LocalSide,
  path: string | null,
): LocalReport {
  return { path, content, blind, seen: seenAs({ file, stamp }) };
}

/** What a look at an entry saw, as text: the same for the same state of the same inode. */
export function seenAs({ file, stamp }: Pick<LocalSide, "file" | "stamp">): string {
  return [file, stamp.sizeBytes, stamp.mtimeNs, stamp.ctimeNs].join(" ");
}

export function lookUp(known: KnownTrees, path: string): PathReport {
  const [here, server] = (["local", "remote"] as const).map((side) => {
    const row = nodeAt(known.trees, side, path);
    return row === null ? null : reportOf(known, row);
  });
  return { here: here ?? null, server: server ?? null };
}

/** The paths of nodes as people know them; those that this device knows nothing of are left out. */
export function pathsOf(trees: TreeStore, nodes: readonly NodeId[]): Record<NodeId, string> {
  const paths: Record<NodeId, string> = {};
  for (const id of nodes) {
    if (id === ROOT_NODE) paths[id] = "";
    else if (trees.get(id) !== undefined) paths[id] = shownPath(trees, id);
  }
  return paths;
}
