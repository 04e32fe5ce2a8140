import { cutKeyFrom, type cutSizes } from "#chunking/cut.ts";
import { WorldError } from "#core/errors.ts";
import { toHex } from "#core/bytes.ts";
import { deviceId, nodeId, type CommitId, type DeviceId, type NodeId } from "#core/ids.ts";
import { foldName, plainNameKey } from "#core/names.ts";
import type { Log } from "#core/world.ts";
import type { Commit } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import { nodeDigest } from "#server/digest.ts";
import { writeCursor } from "#server/cursor.ts";
import { Engine } from "#sync/engine.ts";
import { plainSeal } from "#sync/plain-seal.ts";
import type { Disk, Remote, Seal } from "#sync/ports.ts";
import { acceptRestore, readPosition } from "#sync/settings.ts";
import type { NodeRow } from "#sync/tree.ts";
import { Ambush } from "./ambush.ts";
import { Draw } from "./chance.ts";
import { judgeStep } from "./conduct.ts";
import type { Cheater } from "./cheater.ts";
import type { ConflictOracle } from "./conflict-oracle.ts";
import { judgeDeletions } from "./deletion-oracle.ts";
import { DiskOracle } from "./disk-oracle.ts";
import { EditOracle } from "./edit-oracle.ts";
import { Forgotten } from "./forgotten.ts";
import { openDoors, type Gate, type Gates } from "./disk-doors.ts";
import { isKnownName, Unhinted } from "./double-lives.ts";
import { limitsOf } from "./holding.ts";
import { MemoryKeptBytes } from "./memory-kept-bytes.ts";
import { Crashed, MemoryStore, type StoreImage } from "./memory-store.ts";
import type { Past } from "./past.ts";
import { Person } from "./people.ts";
import { Actor, type Scheduler } from "./scheduler.ts";
import type { SealedAccount } from "./sealed-account.ts";
import { Keyring, sealedDoors } from "./sealed-doors.ts";
import { CHUNKS, SIZES } from "./sealing.ts";
import { judgeStore } from "./store-oracle.ts";
import { isForgetful, type Swarm } from "./swarm.ts";
import { MachineTime, virtualClock } from "./virtual-clock.ts";
import { VirtualDisk, type Inode, type Witness } from "./virtual-disk.ts";
import { VirtualReader } from "./virtual-reader.ts";
import { VirtualRemote, type RemoteWorld, type Traffic } from "./virtual-remote.ts";
import type { VirtualServer } from "./virtual-server.ts";
import { VirtualWatcher } from "./virtual-watcher.ts";
import { WireRemote } from "./wire-remote.ts";

const CUT_KEY = cutKeyFrom(new Uint8Array(48).fill(0x77));
const SWEEP_MS = 10_000;
/** None, a few chunks, all that a story has; and how often a kept one is not what it was. */
const KEPT_BYTES: readonly number[] = [0, 20_000, 1_000_000];
const DAMAGED_SHARE = 0.3;
/** A disk whose times are whole seconds. */
const COARSE_TICK_MS = 1_000;
/** More than all the files of a story, each tried once. */
const MOST_REFUSALS = 100;
/** What a device says that has found its server lying. */
const STOPS = new Set([
  "journal-broken",
  "journal-forked",
  "journal-went-back",
  "signature-bad",
  "device-unknown",
  "epoch-unknown",
]);

export type DeviceWorld = {
  readonly swarm: Swarm;
  readonly scheduler: Scheduler;
  readonly server: VirtualServer;
  readonly witness: Witness;
  readonly past: Past;
  readonly conflicts: ConflictOracle;
  /** Null in a plain space. */
  readonly account: SealedAccount | null;
  /** What happened in this story, for who counts. */
  readonly happened: Set<string>;
  readonly accuse: (crime: string) => void;
};

/** What is wrong with a device at the moment; nothing once the story is over. */
export type Plight = {
  cutOff: boolean;
  ioErrors: number;
  full: boolean;
  faulty: boolean;
};

/** One machine: its disk and database outlive its processes. */
export class Device {
  readonly #world: DeviceWorld;
  readonly #draw: Draw;
  readonly index: number;
  readonly name: string;
  readonly id: DeviceId;
  readonly disk: VirtualDisk;
  readonly oracle: DiskOracle;
  readonly time: MachineTime;
  readonly person: Person;
  readonly plight: Plight = { cutOff: false, ioErrors: 0, full: false, faulty: true };
  store: MemoryStore;
  engine: Engine | null = null;
  /** Engine's calls but the waiting feed, to tell that an idle one makes none. */
  calls = 0;
  /**
   * It held deletions back: what was renamed over another file and is brought back stands twice,
   * and what took a held name may have to give it up.
   */
  hasAsked = false;
  /** Where the server lies to this device. */
  cheater: Cheater | null = null;
  /** Why it stopped for good: the code of what it said of a lie, or others shut it out. */
  stopped: string | null = null;
  /** False when all sweeping is the world's. */
  isSweeping = true;
  /** Hears of each commit that it sends. */
  onCommit: ((commit: Commit) => void) | null = null;
  /** Hears of each folder that its engine is about to list. */
  onList: ((folder: string) => void) | null = null;
  readonly ambush: Ambush;
  #endsIn = Number.POSITIVE_INFINITY;
  #endsAt = "";
  #onEnd: () => void = () => {};
  readonly traffic: Traffic = { sentBytes: 0, fetchedBytes: 0 };
  #actor: Actor;
  #stopping = new AbortController();
  #hadPowerCut = false;
  #boots = 0;
  #bootedAtMs = 0;
  readonly #judged = new Set<string>();
  #refusals = { second: 0, count: 0 };
  /** Every commit that any of its lives sent. */
  readonly #sent = new Set<CommitId>();
  /** Set while its database is an older one that nobody has noticed. */
  #forgot: Forgotten | null = null;
  readonly #unhinted: Unhinted;
  readonly #edits: EditOracle;
  /** Null in a plain space. */
  readonly #keyring: Keyring | null;
  readonly #kept: MemoryKeptBytes;
  /** What of its database a power cut takes. */
  readonly #power: Draw;
  #lives = 0;
  /** Set in the middle of something: the world ends the process before the next step. */
  crashDue = false;

  constructor(world: DeviceWorld, index: number) {
    const { swarm, scheduler, witness } = world;
    this.#world = world;
    this.index = index;
    this.name = "ABCD"[index] ?? `D${index}`;
    this.id = idOf(index);
    const { account } = world;
    this.#keyring = account === null ? null : new Keyring(account, this.id);
    this.#draw = new Draw(swarm.seed, `device ${index}`);
    const keeping = new Draw(swarm.seed, `kept ${index}`);
    const isDamaged = (): boolean => keeping.chance(DAMAGED_SHARE);
    this.#kept = new MemoryKeptBytes(keeping.pick(KEPT_BYTES), isDamaged);
    this.#power = new Draw(swarm.seed, `power ${index}`);
    this.time = new MachineTime(scheduler);
    this.time.skewMs = swarm.skewsMs[index] ?? 0;
    const folding = swarm.foldingDisks[index] ?? false;
    this.disk = new VirtualDisk(`disk${index}`, this.time, folding, witness);
    this.disk.reuseNumbers = swarm.reuseInodes;
    if (swarm.coarseDisks[index] === true) this.disk.tickMs = COARSE_TICK_MS;
    const { disk, time, name } = this;
    this.oracle = new DiskOracle({ name, disk, time, witness, accuse: world.accuse });
    const { past, accuse } = world;
    this.#edits = new EditOracle({ id: this.id, name, disk, past, accuse });
    const touch = (path: string): void => {
      world.conflicts.touched(this, path);
      this.#edits.touched(path, this.store);
    };
    this.#unhinted = new Unhinted(disk, witness);
    this.person = new Person(this.disk, witness, swarm.names, touch, {
      ...(swarm.sealed === null ? {} : { sizes: SIZES }),
      isKnownName: (at, file) => isKnownName(this, at, file),
    });
    const draws = new Draw(swarm.seed, `ambush ${index}`);
    const note = (said: string): void => scheduler.note(`${name}'s person, at once, ${said}`);
    const ambushed = { person: this.person, disk, draw: draws, tag: `${name}amid`, note };
    this.ambush = new Ambush(ambushed, swarm.ambush);
    this.store = this.#openStore(null);
    this.#actor = new Actor(this.name, 1);
  }

  get isRunning(): boolean {
    return this.engine !== null;
  }

  get #nameKey(): (name: string) => string {
    return this.#world.swarm.folding ? foldName : plainNameKey;
  }

  /** How far it followed which journal. */
  get chain(): string {
    return readPosition(this.store, "").chain;
  }

  async start(): Promise<void> {
    if (this.engine !== null || this.stopped !== null) return;
    const { swarm, scheduler, server, accuse } = this.#world;
    this.#lives++;
    const actor = new Actor(this.name, this.#draw.pick([1, 1, 3, 10]));
    this.#actor = actor;
    this.#stopping = new AbortController();
    const gate: Gate = (label, work) => {
      this.calls++;
      return scheduler.call(actor, label, work);
    };
    const draw = new Draw(swarm.seed, `device ${this.index} life ${this.#lives}`);
    const meet = (call: string, path: string): void => this.#meet(draw, call, path);
    const near = (path: string): void => void (this.plight.faulty && this.ambush.nearRead(path));
    const { disk, time, store } = this;
    const doors = openDoors(disk, this.#gates(actor, draw, this.#ending(gate)), {
      isSlowListing: () => this.plight.faulty && draw.chance(swarm.slowListing),
      shuffle: (list) => draw.shuffle(list),
      meet,
      accuse,
      near: (path) => this.plight.faulty && this.ambush.near(path),
      lists: (folder) => this.onList?.(folder),
      stats: (path) => this.plight.faulty && this.ambush.nearLook(path),
      isTorn: () => this.#endsIn < 0,
      // The rows of a process that ended are closed: what it had asked for is judged by none.
      acts: (step) => actor.alive && judgeStep({ name: this.name, disk, store, accuse }, step),
      oracle: this.oracle,
    });
    const engine = new Engine(
      {
        trees: store,
        records: store,
        disk: doors,
        reader: new VirtualReader({ disk, time, meet, near }, gate, CUT_KEY, this.#chunkSizes()),
        watcher: this.#watcher(actor, draw),
        ...this.#doors(actor, draw, doors, await server.enrol(this.id, this.name)),
        clock: virtualClock(scheduler, actor, time),
        chance: draw,
        // In any order: an engine must not count on one.
        fresh: () => nodeId(toHex(draw.bytes(16))),
        digest: nodeDigest,
        log: this.#log(),
      },
      {
        space: server.space,
        folding: swarm.folding,
        device: this.id,
        deviceName: this.name,
        startCursor: writeCursor(await server.spaceRow(), 0),
        boot: this.#boot(),
        holdLimits: limitsOf(swarm.holding, this.index),
      },
    );
    this.engine = engine;
    scheduler.note(`${this.name} starts`);
    engine.run(this.#stopping.signal).then(
      () => this.#ended(engine, null),
      (error: unknown) => this.#ended(engine, error),
    );
    this.#sweepLater(engine, actor, 200);
  }

  /** The process is to end after so many steps of a kind on its disk, in the midst of one. */
  endIn(steps: number, kind: string, onEnd: () => void): void {
    this.#endsIn = steps;
    this.#endsAt = kind;
    this.#onEnd = onEnd;
  }

  endNever(): void {
    this.#endsIn = Number.POSITIVE_INFINITY;
  }

  /** Steps on the disk of which one is the last: it is done or not, and nothing follows it. */
  #ending(gate: Gate): Gate {
    return <T>(label: string, work: () => T): Promise<T> => {
      return gate(label, () => {
        if (!label.startsWith(this.#endsAt) || this.#endsIn-- > 0) return work();
        const isDone = label.startsWith("stage write") || this.#draw.chance(0.5);
        if (isDone) work();
        this.endNever();
        this.crashDue = true;
        this.store.close();
        this.#onEnd();
        // Whoever waits for it is gone.
        return new Promise<never>(() => {}) as never;
      });
    };
  }

  #gates(actor: Actor, draw: Draw, turn: Gate): Gates {
    const { swarm, scheduler } = this.#world;
    if (swarm.glances === 0) return { turn, glance: turn, atOnce: turn };
    const atOnce: Gate = (label, work) => {
      this.calls++;
      return scheduler.atOnce(actor, label, work);
    };
    const glance: Gate = (label, work) => (draw.chance(swarm.glances) ? atOnce : turn)(label, work);
    return { turn, glance, atOnce };
  }

  /** As this machine's clock has it; in the tick in which it came up nobody writes. */
  #boot(): { id: string; beganMs: number } {
    const upMs = this.#world.scheduler.nowMs - this.#bootedAtMs;
    return { id: String(this.#boots), beganMs: this.time.nowMs - upMs - this.disk.tickMs };
  }

  /** The process ends by itself, in order. */
  stop(): void {
    this.#world.scheduler.note(`${this.name} stops`);
    this.#stopping.abort();
    this.#end();
  }

  /** The process is killed: what it had asked of the disk may still happen, or not. */
  kill(): void {
    if (this.engine === null) return;
    this.#world.scheduler.note(`${this.name} is killed`);
    this.#end();
  }

  /** The machine goes down and comes up: also what the disk had not written is lost, or not. */
  powerCut(): void {
    this.store.losePower((most) => this.#power.below(most + 1));
    this.kill();
    this.#world.scheduler.note(`${this.name} loses power`);
    this.disk.powerCut(this.#draw);
    this.oracle.wentDown();
    this.person.forget();
    this.#hadPowerCut = true;
    this.#boots++;
    this.#bootedAtMs = this.#world.scheduler.nowMs;
  }

  /** Its token counts no more, and it gets no new keys. */
  shutOut(): void {
    this.kill();
    this.stopped = "shut out";
  }

  /** An older copy of the database is put back. */
  rollBack(image: StoreImage): void {
    this.kill();
    this.#world.scheduler.note(`${this.name} gets an older database`);
    this.store = this.#openStore(image);
    this.#forgot = new Forgotten(this.store, this.#sent);
    this.#edits.forget();
    const { disk, store } = this;
    this.oracle.forgot((folder) => {
      return folder === disk.root || store.holding(folder.file).length > 0;
    });
  }

  /** Own commits that its database does not know, although it has followed beyond them (EN3). */
  forgotten(entries: readonly Entry[]): readonly Entry[] {
    return this.#forgot?.among(entries) ?? [];
  }

  #openStore(image: StoreImage | null): MemoryStore {
    const { past, accuse } = this.#world;
    const store = new MemoryStore(this.#nameKey, image);
    const { name, disk, oracle } = this;
    const isCheated = (): boolean => this.cheater?.told === true;
    const changed = (before: ReadonlyMap<NodeId, NodeRow | undefined>): void => {
      this.#unhinted.count(store, before);
      this.#edits.changed(before.keys(), store);
    };
    const nameKey = this.#nameKey;
    const listsSlowly = this.#world.swarm.slowListing > 0;
    const judged = { name, disk, oracle, past, nameKey, isCheated, listsSlowly, accuse, changed };
    judgeStore(judged, store);
    return store;
  }

  #end(): void {
    const { scheduler } = this.#world;
    this.engine = null;
    this.crashDue = false;
    this.store.close();
    const image = this.store.image();
    this.#actor.alive = false;
    scheduler.orphan(this.#actor, this.#draw);
    this.store = this.#openStore(image);
  }

  #ended(engine: Engine, error: unknown): void {
    if (engine !== this.engine || this.crashDue || error instanceof Crashed) return;
    this.engine = null;
    const why = error instanceof WorldError ? `${error.code}: ${error.message}` : describe(error);
    if (this.cheater?.told === true && error instanceof WorldError && STOPS.has(error.code)) {
      this.stopped = error.code;
      this.#world.scheduler.note(`${this.name} stops: ${why}`);
      return;
    }
    if (error instanceof WorldError && error.code === "server-restored") {
      return this.#goOnAfterRestore();
    }
    this.#world.accuse(`the engine of ${this.name} ended: ${why}`);
  }

  /** Its person has heard that the server was restored, and says so. */
  #goOnAfterRestore(): void {
    const { scheduler, happened } = this.#world;
    scheduler.note(`${this.name} is told of a restored server`);
    happened.add("sealed: announced restore");
    this.#edits.forget();
    this.#end();
    acceptRestore(this.store);
    const person = new Actor(`${this.name}'s person`, 1);
    scheduler.after(this.#draw.between(1, 3_000), person, "has it go on", () => void this.start());
  }

  #meet(draw: Draw, call: string, path: string): void {
    const { ioErrors, full } = this.plight;
    if (ioErrors > 0 && draw.chance(ioErrors))
      throw new WorldError("io", `${call} ${path}: I/O error.`);
    if (full && (call === "write" || call === "open" || call === "make")) {
      this.#countRefusal();
      throw new WorldError("no-space", `${call} ${path}: the disk is full.`, { retryable: true });
    }
  }

  /** Whoever is refused waits before it asks again (I6). */
  #countRefusal(): void {
    const { scheduler, accuse } = this.#world;
    const second = Math.floor(scheduler.nowMs / 1_000);
    this.#refusals = {
      second,
      count: second === this.#refusals.second ? this.#refusals.count + 1 : 1,
    };
    if (this.#refusals.count !== MOST_REFUSALS) return;
    accuse(`${this.name} asks a full disk ${MOST_REFUSALS} times in a second`);
  }

  #watcher(actor: Actor, draw: Draw): VirtualWatcher {
    const { swarm, scheduler } = this.#world;
    const lost = (folder: Inode): void => this.#unhinted.lost(folder);
    return new VirtualWatcher({ disk: this.disk, scheduler, actor, lost }, draw, () => ({
      lost: this.plight.faulty ? swarm.lostHints : 0,
      latestMs: swarm.hintLatencyMs,
      overflow: this.plight.faulty ? swarm.overflow : 0,
      merges: swarm.glances > 0,
    }));
  }

  #chunkSizes(): ReturnType<typeof cutSizes> | undefined {
    const { sealed } = this.#world.swarm;
    return sealed === null ? undefined : CHUNKS[sealed.domain];
  }

  #doors(
    actor: Actor,
    draw: Draw,
    disk: Disk,
    token: string | null,
  ): { seal: Seal; remote: Remote } {
    const { swarm, account, happened } = this.#world;
    const line = this.#line(actor, draw);
    const honest =
      token === null
        ? new VirtualRemote(line)
        : new WireRemote(line, virtualClock(line.scheduler, actor, this.time), token);
    const remote = this.cheater?.wrap(honest, this.id) ?? honest;
    const keyring = this.#keyring;
    const { sealed: sealing, folding } = swarm;
    if (account === null || keyring === null || sealing === null) {
      return { seal: plainSeal(this.store), remote };
    }
    const { id: device, store } = this;
    const own = { device, folding, store, kept: this.#kept, disk, remote, line, happened };
    return sealedDoors({ account, keyring, sealing, ...own });
  }

  #line(actor: Actor, draw: Draw): RemoteWorld {
    const { swarm, scheduler, server, past, accuse } = this.#world;
    const { lostRequest, lostReply, repeated, latencyMs: latestMs, pageEntries } = swarm;
    const calm = { lostRequest: 0, lostReply: 0, repeated: 0, latestMs, pageEntries, cutShort: 0 };
    const faulty = { ...calm, lostRequest, lostReply, repeated, cutShort: 0.3 };
    return {
      scheduler,
      server,
      past,
      actor,
      device: this.id,
      draw,
      faults: () => (this.plight.faulty ? faulty : calm),
      isCut: () => this.plight.cutOff,
      onCommit: (commit) => this.#judgeCommit(commit),
      onCall: () => this.calls++,
      traffic: this.traffic,
      accuse,
    };
  }

  /** Judges what is sent for the first time. */
  #judgeCommit(commit: Commit): void {
    const { accuse, scheduler, swarm } = this.#world;
    scheduler.note(`${this.name} commits ${commit.changes.map(({ kind }) => kind).join(" ")}`);
    this.#sent.add(commit.commitId);
    this.onCommit?.(commit);
    // What is sent again was planned when it was first sent; what a power cut brings back was not
    // there then.
    if (this.#judged.has(commit.commitId) || this.#hadPowerCut) return;
    this.#judged.add(commit.commitId);
    const { name, disk, store } = this;
    this.#edits.judge(commit, store);
    const limits = limitsOf(swarm.holding, this.index);
    judgeDeletions({ name, disk, store, limits, accuse }, commit);
  }

  #sweepLater(engine: Engine, actor: Actor, delayMs: number): void {
    this.#world.scheduler.after(delayMs, actor, "sweeps", () => {
      if (!this.isSweeping) return;
      void this.sweep();
      this.#sweepLater(engine, actor, SWEEP_MS);
    });
  }

  async sweep(): Promise<void> {
    try {
      await this.engine?.sweepHold();
    } catch (error) {
      if (error instanceof WorldError || error instanceof Crashed) return;
      this.#world.accuse(`sweeping on ${this.name} failed: ${describe(error)}`);
    }
  }

  #log(): Log {
    const { scheduler, swarm, server, accuse } = this.#world;
    const say = (event: string, fields: object = {}): void => {
      this.#world.happened.add(`log: ${event}`);
      if (event === "deletions-held") this.hasAsked = true;
      if (event === "uniting") this.#forgot = null;
      if (event === "uniting") this.#edits.forget();
      // Only where a device or the server forgets are both sides united anew.
      const mayUnite = isForgetful(swarm) || server.timesRestored > 0;
      if (event === "uniting" && !mayUnite) accuse(`${this.name} unites although nothing was lost`);
      if (!scheduler.isDeaf) scheduler.note(`${this.name} logs ${event} ${JSON.stringify(fields)}`);
    };
    return { debug: () => undefined, info: say, warn: say, error: say };
  }
}

/** A device's id, by its number in the story. */
export function idOf(index: number): DeviceId {
  return deviceId(String(index + 1).padStart(32, "d"));
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
