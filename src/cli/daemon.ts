import { dirname, join } from "node:path";
import { fromHex } from "#core/bytes.ts";
import type { DeviceId, SpaceId } from "#core/ids.ts";
import type { Log } from "#core/world.ts";
import { systemChance } from "#platform/chance.ts";
import { presentBoot } from "#platform/boot.ts";
import { chunkWorkIn } from "#platform/chunk-threads.ts";
import { systemClock } from "#platform/clock.ts";
import { openDeviceStore, type DeviceStore } from "#platform/device-store.ts";
import { systemDigest } from "#platform/digest.ts";
import { openDisk } from "#platform/disk.ts";
import { openFileReader } from "#platform/file-reader.ts";
import { FileKeptBytes, keptLimit } from "#platform/kept-bytes.ts";
import { nodeIds } from "#platform/node-ids.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { HttpRemote } from "#platform/remote-http.ts";
import { Threads } from "#platform/threads.ts";
import { readVgear } from "#platform/vgear.ts";
import { FolderWatcher } from "#platform/watcher.ts";
import type { SpaceKind } from "#protocol/spaces.ts";
import { Engine } from "#sync/engine.ts";
import type { Tell } from "#sync/events.ts";
import type { HoldLimits } from "#sync/mass.ts";
import { plainSeal } from "#sync/plain-seal.ts";
import { openSealedSpace, type SealedSpaceWorld } from "#sync/sealed-space.ts";

/** A folder of this machine, bound to a space of an account. */
export type Link = {
  /** Absolute, without symlinks. */
  readonly dir: string;
  readonly server: string;
  readonly account: string;
  readonly device: DeviceId;
  readonly deviceName: string;
  readonly token: string;
  readonly space: SpaceId;
  readonly spaceName: string;
  /** What its server can read of the space: all of it, or nothing but its shape. */
  readonly kind: SpaceKind;
  readonly folding: boolean;
  /** 96 hex digits, what the space's files are cut by. */
  readonly cutKey: string;
  /** The cursor before the space's first entry. */
  readonly startCursor: string;
};

export type OpenFolder = AsyncDisposable & {
  readonly link: Link;
  readonly engine: Engine;
  readonly store: DeviceStore;
};

/** What the folder of a sealed space needs beside. */
export type SealedDoor = Pick<
  SealedSpaceWorld,
  "keys" | "refreshKeys" | "keyService" | "ristretto" | "onFallBack"
>;

type Surroundings = {
  /** Undefined for a plain space. */
  readonly sealed?: SealedDoor | undefined;
  readonly log: Log;
  readonly tell?: Tell;
  /** When deletions are so many that a person is asked first; null: never. */
  readonly holdLimits: HoldLimits | null;
  /** The most bytes that are kept to tell edits from; undefined: as many as there may be. */
  readonly keptBytes?: number | undefined;
};

/** Wires the real world to the engine for one linked folder; nothing runs before `engine.run`. */
export function openFolder(
  link: Link,
  databasePath: string,
  { log, tell, holdLimits, sealed, keptBytes }: Surroundings,
): OpenFolder {
  const store = openDeviceStore(databasePath, { folding: link.folding });
  const disk = openDisk(link.dir);
  const vgear = readVgear();
  if (vgear === null) log.warn("cutter-slow", { message: "vgear.wasm is missing or has no SIMD" });
  const cutting = { cutKey: cutKeyOf(link, sealed), vgear };
  const threads = new Threads(cutting);
  const reader = openFileReader({ root: link.dir, threads, ...cutting });
  const watcher = new FolderWatcher(link.dir);
  const shared = { clock: systemClock, chance: systemChance, digest: systemDigest };
  const { server: url, token, space } = link;
  const remote = new HttpRemote({ ...shared, url, token, space });
  const keptPath = join(dirname(databasePath), "kept.sqlite");
  const kept =
    sealed === undefined ? null : new FileKeptBytes(keptPath, keptLimit(keptPath, keptBytes));
  const doors =
    sealed === undefined || kept === null
      ? { remote, seal: plainSeal(store.records) }
      : openSealedSpace({
          ...link,
          ...sealed,
          ...store,
          kept,
          primitives: systemPrimitives,
          work: chunkWorkIn(threads),
          digest: systemDigest,
          disk,
          remote,
        });
  const fresh = nodeIds(systemChance);
  const world = { ...shared, ...store, disk, reader, watcher, ...doors, fresh, log };
  const told = tell === undefined ? world : { ...world, tell };
  return {
    engine: new Engine(told, { ...link, holdLimits, boot: presentBoot(systemClock.nowMs()) }),
    store,
    link,
    async [Symbol.asyncDispose](): Promise<void> {
      await watcher[Symbol.asyncDispose]();
      await reader[Symbol.asyncDispose]();
      await threads[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose]();
      kept?.close();
      store.close();
    },
  };
}

/**
 * What the files are cut by: the server's key, which all its accounts share, or in a private space
 * one of the space's own. It is the first epoch's for ever: other cuts would store everything anew.
 */
function cutKeyOf(link: Link, sealed: SealedDoor | undefined): Uint8Array {
  const keys = sealed?.keys();
  if (keys === undefined || keys.domain === "shared") return fromHex(link.cutKey);
  const first = Math.min(...keys.epochs.keys());
  return (keys.epochs.get(first) ?? keys.current).cut;
}
