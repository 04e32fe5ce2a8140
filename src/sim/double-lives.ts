import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { FileKey, NodeRow } from "#sync/tree.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { Inode, VirtualDisk, Where, Witness } from "./virtual-disk.ts";

/**
 * True of a name under which a database has another file than `file`, also when that one was just
 * deleted: whatever takes the name is that one with new bytes, and no more what it was.
 */
export function isKnownName(
  { disk, store }: { readonly disk: VirtualDisk; readonly store: MemoryStore },
  { folder, name }: Where,
  file: FileKey,
): boolean {
  const id = folder === disk.root ? ROOT_NODE : store.holding(folder.file)[0]?.id;
  if (id === undefined) return false;
  return (["local", "synced"] as const).some((side) =>
    store.named(side, id, name).some((row) => {
      const isOther = row.local?.file !== file && row.synced?.file !== file;
      return row.kind === "file" && row[side]?.name === name && isOther;
    }),
  );
}

/**
 * The folders of one disk of which a hint was lost. A file that was moved into one counts as
 * deleted where it stood until everything is looked at, and as new from then on: where somebody
 * else changes it in between it comes back, and both stay.
 */
export class Unhinted {
  readonly #disk: VirtualDisk;
  readonly #witness: Witness;
  readonly #folders = new Set<Inode>();

  constructor(disk: VirtualDisk, witness: Witness) {
    this.#disk = disk;
    this.#witness = witness;
  }

  lost(folder: Inode): void {
    this.#folders.add(folder);
  }

  /** After a transaction; `before` has the rows that it changed, as they were. */
  count(store: MemoryStore, before: ReadonlyMap<NodeId, NodeRow | undefined>): void {
    if (this.#folders.size === 0) return;
    for (const [id, row] of before) {
      const file = row?.local?.file;
      if (file === undefined || store.get(id)?.local || store.holding(file).length > 0) continue;
      const inode = this.#disk.byKey(file);
      const homes = [...(inode?.homes.keys() ?? [])];
      if (inode?.kind !== "file" || !homes.some((folder) => this.#folders.has(folder))) continue;
      this.#witness.spread(inode.bytes, 1);
    }
  }
}
