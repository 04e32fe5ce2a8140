import { existsSync } from "node:fs";
import { toHex } from "#core/bytes.ts";
import { nodeId } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { openDeviceStore, type DeviceStore } from "#platform/device-store.ts";
import { readHolds } from "#sync/holds.ts";
import { plan } from "#sync/planner.ts";
import { listConflicts } from "./conflict-list.ts";
import { databaseOf, type LinkedFolder } from "./links.ts";

/** The device's database, for a look at it while no engine runs; null before the first run. */
export function openStored(folder: LinkedFolder): (DeviceStore & Disposable) | null {
  const path = databaseOf(folder);
  if (!existsSync(path)) return null;
  const store = openDeviceStore(path, { folding: folder.link.folding });
  return { ...store, [Symbol.dispose]: () => store.close() };
}

/** What the last run knew to be left to do. */
export function countStored(folder: LinkedFolder): {
  readonly pending: { readonly up: number; readonly down: number };
  readonly conflicts: number;
  readonly holds: number;
} {
  using store = openStored(folder);
  if (store === null) return { pending: { up: 0, down: 0 }, conflicts: 0, holds: 0 };
  const { holds } = readHolds(store.records);
  const held = new Set(holds.flatMap(({ nodes }) => nodes));
  const planned = plan(store.trees, {
    nameKey: folder.link.folding ? foldName : plainNameKey,
    device: folder.link.deviceName,
    date: systemClock.today(),
    fresh: () => nodeId(toHex(systemChance.bytes(16))),
    withhold: () => held,
  });
  const pending = { up: planned.remote.length, down: planned.local.length };
  return { pending, conflicts: listConflicts(store).length, holds: holds.length };
}
