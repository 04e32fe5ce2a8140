import type { DeviceId, NodeId, SpaceId } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import type { Chance, Clock, Digest, Log } from "#core/world.ts";
import { Downloader } from "./download.ts";
import type { Tell } from "./events.ts";
import { Follower } from "./follow.ts";
import { Following } from "./following.ts";
import { IgnoreRules } from "./ignore.ts";
import { Looking } from "./looking.ts";
import type { HoldLimits } from "./mass.ts";
import { MassGuard } from "./mass-guard.ts";
import { Life, type Boot, type Outage } from "./outage.ts";
import type { Fresh } from "./normalise.ts";
import { Pauses } from "./pauses.ts";
import { Planning } from "./planning.ts";
import type { DeviceRecords, Disk, FileReader, Remote, Seal, TreeStore, Watcher } from "./ports.ts";
import { Problems } from "./problems.ts";
import { Reading } from "./reading.ts";
import { Refill } from "./refill.ts";
import { RootSight } from "./root.ts";
import { Sender } from "./send.ts";
import { steadyClock } from "./steady.ts";
import { Sweeper } from "./sweep.ts";
import { Unsynced } from "./unsynced.ts";

export type EngineWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly disk: Disk;
  readonly reader: FileReader;
  readonly watcher: Watcher;
  readonly remote: Remote;
  readonly seal: Seal;
  readonly clock: Clock;
  readonly chance: Chance;
  /** New ids of nodes, each another one. */
  readonly fresh: Fresh;
  readonly digest: Digest;
  readonly log: Log;
  /** Hears what was done, for people to read. */
  readonly tell?: Tell;
};

export type EngineSetup = {
  readonly space: SpaceId;
  readonly folding: boolean;
  readonly device: DeviceId;
  readonly deviceName: string;
  /** The cursor before the space's first entry. */
  readonly startCursor: string;
  /** The machine's present boot; null where it is not known. */
  readonly boot: Boot | null;
  /** When deletions are so many that a person is asked first; null: never (SPEC MD1, MD7). */
  readonly holdLimits: HoldLimits | null;
};

/** What an engine consists of. */
export type Parts = {
  /** One that is never set back. */
  readonly clock: Clock;
  readonly nameKey: (name: string) => string;
  readonly problems: Problems;
  readonly rules: IgnoreRules;
  readonly pauses: Pauses;
  readonly root: RootSight;
  readonly looking: Looking;
  readonly reading: Reading;
  readonly follower: Follower;
  readonly following: Following;
  readonly downloader: Downloader;
  readonly sender: Sender;
  readonly refill: Refill;
  readonly guard: MassGuard;
  readonly planning: Planning;
  readonly sweeper: Sweeper;
  readonly life: Life;
  readonly unsynced: Unsynced;
};

/** Puts an engine together; `wake` is called when there may be something to do. */
export function partsOf(world: EngineWorld, setup: EngineSetup, wake: () => void): Parts {
  const clock = steadyClock(world.clock);
  const nameKey = setup.folding ? foldName : plainNameKey;
  const problems = new Problems(world.tell);
  const rules = new IgnoreRules();
  const life = new Life(world.records, setup.boot);
  const unsynced = new Unsynced(world.disk);
  const root = new RootSight({ ...world, ...setup }, wake);
  const outage = (): Outage | null => life.outage;
  const shared = { ...world, problems, rules, outage, clock, unsynced };
  const looking = new Looking({ ...shared, seeRoot: () => root.see() });
  const lookAgain = (folder: NodeId): void => looking.lookAgain(folder);
  const follower = new Follower({ ...shared, ...setup });
  const naming = { ...setup, nameKey };
  const guard = new MassGuard({ ...shared, ...naming }, setup.holdLimits);
  const following = new Following(world, follower, wake);
  const sender = new Sender({ ...shared, nameKey }, wake);
  return {
    clock,
    nameKey,
    problems,
    rules,
    pauses: new Pauses(clock),
    root,
    looking,
    reading: new Reading({ ...shared, wall: world.clock }, { wake, lookAgain }),
    follower,
    following,
    downloader: new Downloader(shared, wake),
    sender,
    refill: new Refill(shared, sender.progress, () => following.isLacking),
    guard,
    planning: new Planning({ ...shared, ...naming, guard }),
    sweeper: new Sweeper(world),
    life,
    unsynced,
  };
}
