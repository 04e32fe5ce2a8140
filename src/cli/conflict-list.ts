import { joinPath } from "#core/names.ts";
import type { DeviceStore } from "#platform/device-store.ts";
import { CONFLICT_MARK, readConflictName } from "#sync/conflict.ts";
import { pathOf } from "#sync/paths.ts";

/** A conflict copy that still stands beside what it is a copy of. */
export type ConflictRow = {
  readonly path: string;
  /** The path of what it was made beside. */
  readonly of: string;
  readonly device: string;
  /** The day it was made, `YYYY-MM-DD`, by that device's clock. */
  readonly time: string;
};

/** All conflict copies on this disk, by path. */
export function listConflicts(store: DeviceStore): ConflictRow[] {
  const rows = store.localNamesWith(CONFLICT_MARK).flatMap(({ id, local }): ConflictRow[] => {
    const copy = local === null ? null : readConflictName(local.name);
    const path = copy === null ? null : pathOf(store.trees, "local", id);
    if (copy === null || path === null) return [];
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
    const { of, device, date } = copy;
    return [{ path, of: joinPath(folder, of), device, time: date }];
  });
  return rows.sort((a, b) => (a.path < b.path ? -1 : 1));
}
