import type { DeviceRecords, SealedRecords, TreeStore } from "#sync/ports.ts";
import type { NodeRow } from "#sync/tree.ts";
import { SqliteDeviceRecords } from "./device-records.ts";
import { DeviceFile } from "./device-schema.ts";
import { SqliteSealedRecords } from "./sealed-records.ts";
import { SqliteTreeStore } from "./tree-store.ts";

/** One device's database: trees and records share its transactions. */
export type DeviceStore = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly sealedRecords: SealedRecords;
  /** Rows whose name on the disk holds this text, for lists that people ask for. */
  localNamesWith(text: string): NodeRow[];
  /** Lets go of all that is kept in memory only to be faster. */
  forget(): void;
  /** Idempotent; nothing may be asked afterwards. */
  close(): void;
};

const FOLDING = "store.folding";

/**
 * Opens the database at `path` (":memory:" for one that lives as long as the process), making or
 * migrating it. `folding` says whether the space's names are compared without case. Throws
 * WorldError `database-damaged`, `database-newer`, `no-permission`, `no-space`, `busy`.
 */
export function openDeviceStore(path: string, options: { readonly folding: boolean }): DeviceStore {
  const file = new DeviceFile(path);
  try {
    const trees = new SqliteTreeStore(file, options.folding);
    const records = new SqliteDeviceRecords(file, trees);
    const folding = String(options.folding);
    const before = records.setting(FOLDING);
    if (before !== folding) {
      trees.transaction(() => {
        if (before !== undefined) trees.rekey();
        records.setSetting(FOLDING, folding);
      });
    }
    return {
      trees,
      records,
      sealedRecords: new SqliteSealedRecords(file),
      localNamesWith: (text) => trees.localNamesWith(text),
      forget: () => {
        trees.forget();
        file.forget();
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}
