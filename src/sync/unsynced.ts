import type { NodeId } from "#core/ids.ts";
import { Sight } from "./blindness.ts";
import type { TreeView } from "./draft.ts";
import { pathOf } from "./paths.ts";
import type { Disk } from "./ports.ts";

/**
 * Folders whose entries the engine changed and that a power cut may still take back. Nothing in
 * them counts as agreed on before: what is agreed on and then missing is a deletion (SPEC EX7).
 */
export class Unsynced {
  readonly #disk: Disk;
  readonly #folders = new Set<NodeId>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  get folders(): ReadonlySet<NodeId> {
    return this.#folders;
  }

  /** Before the change, because one that fails in its middle has changed names too. */
  note(...folders: readonly NodeId[]): void {
    for (const folder of folders) this.#folders.add(folder);
  }

  /**
   * Makes the entries of all these folders durable, where the view has them; returns those that are
   * not there at this moment: they stay, and a look has to find them. Throws WorldError when a disk
   * fails.
   */
  async sync(view: TreeView): Promise<readonly NodeId[]> {
    if (this.#folders.size === 0) return [];
    const sight = new Sight(view);
    const paths = new Map<NodeId, string>();
    for (const id of this.#folders) {
      const row = view.get(id);
      const path = pathOf(view, "local", id);
      if (path === null && row === undefined) this.#folders.delete(id);
      // What cannot be seen is not decided on, nor what is in it.
      else if (path !== null && (row === undefined || !sight.isBlind(row))) paths.set(id, path);
    }
    if (paths.size > 0) await this.#disk.change.syncFolders([...paths.values()]);
    const lost: NodeId[] = [];
    for (const [id, path] of paths) {
      const file = view.get(id)?.local?.file;
      // Somebody moved it, or one above it: another folder's entries were made durable, or none.
      if (file === undefined || (await this.#disk.look.stat(path))?.file === file) {
        this.#folders.delete(id);
      } else lost.push(id);
    }
    return lost;
  }
}
