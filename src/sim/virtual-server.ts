import { hash } from "node:crypto";
import { assert } from "#core/assert.ts";
import { accountId, ROOT_NODE, spaceId } from "#core/ids.ts";
import type { CommitId, DeviceId, NodeId, SpaceId } from "#core/ids.ts";
import { WorldError } from "#core/errors.ts";
import type { Clock, LogFields } from "#core/world.ts";
import type { Entry } from "#protocol/feed.ts";
import type { Change, CommitAnswer } from "#protocol/commit.ts";
import { readPlainMeta } from "#protocol/meta.ts";
import { Opaque } from "#server/opaque.ts";
import { Secrets } from "#server/secrets.ts";
import { buildApp, type App } from "#server/app.ts";
import { Announcer } from "#server/announcer.ts";
import { MemoryPacks } from "#server/chunks/memory.ts";
import { nodeDigest } from "#server/digest.ts";
import { Intake } from "#server/intake.ts";
import { Journal } from "#server/journal.ts";
import { tokenHash } from "#server/tokens.ts";
import type { PackStore } from "#server/chunks/port.ts";
import type { Collection } from "#server/metadata/collection.ts";
import type {
  ChunkIndex,
  JournalStore,
  NodeRow,
  ScrubIndex,
  SpaceRow,
} from "#server/metadata/port.ts";
import type { Draw } from "./chance.ts";
import { openServerDatabase, type ServerDatabase } from "./server-database.ts";
import { PLAIN_READER, type SpaceReader } from "./space-reader.ts";
import type { Swarm } from "./swarm.ts";

const SPACE = spaceId("5".repeat(32));
const ACCOUNT = accountId("a".repeat(32));
const PLAIN = { kind: "plain" } as const;
const SEALED = { kind: "sealed", keyEpoch: 1, keyEpochSequence: 0 } as const;

/** The real server's parts over its real schema or its twin, and in some stories HTTP around. */
export class VirtualServer {
  readonly #database: ServerDatabase;
  readonly #clock: Clock;
  readonly #draw: Draw;
  /** What its HTTP layer called its own fault: there is none in a story. */
  readonly faults: string[] = [];
  readonly #packs = new MemoryPacks();
  #announcer: Announcer;
  #journal: Journal;
  #intake: Intake;
  #app: App | null;
  #backup: ReadonlyMap<string, Uint8Array> | null = null;
  /** How often an older copy of it was put back. */
  timesRestored = 0;
  /** Called when the process ends. */
  onEnd: () => void = () => {};
  /** Counts starts: what was asked of an earlier one is never answered. */
  life = 0;
  /** What each commit was answered with first. */
  readonly #answers = new Map<CommitId, string>();
  /** Requests under way: who is told when the process ends, if the machine still can. */
  readonly underWay = new Set<() => void>();
  /** How oracles read what is here. */
  reader: SpaceReader = PLAIN_READER;

  private constructor(database: ServerDatabase, clock: Clock, draw: Draw) {
    this.#database = database;
    this.#clock = clock;
    this.#draw = draw;
    ({ announcer: this.#announcer, journal: this.#journal, intake: this.#intake } = this.#start());
    this.#app = this.#buildApp();
  }

  static async open(
    clock: Clock,
    draw: Draw,
    { folding, server: kind, sealed }: Pick<Swarm, "folding" | "server" | "sealed">,
  ): Promise<VirtualServer> {
    const createdMs = clock.nowMs();
    const owner = {
      id: ACCOUNT,
      name: "sim",
      key: "sim",
      opaqueRecord: "-",
      recoveryKey: "",
      createdMs,
    };
    const database = await openServerDatabase(kind, owner, {
      id: SPACE,
      account: ACCOUNT,
      name: "files",
      ...(sealed === null ? PLAIN : SEALED),
      folding,
      epoch: newEpoch(draw),
      cutKey: "7".repeat(96),
      createdMs,
    });
    return new VirtualServer(database, clock, draw);
  }

  get space(): SpaceId {
    return SPACE;
  }

  get journal(): Journal {
    return this.#journal;
  }

  get intake(): Intake {
    return this.#intake;
  }

  get announcer(): Announcer {
    return this.#announcer;
  }

  get chunks(): ChunkIndex {
    return this.#database.chunks;
  }

  get collection(): Collection {
    return this.#database.collection;
  }

  get journals(): JournalStore {
    return this.#database.journals;
  }

  get packs(): PackStore {
    return this.#packs;
  }

  get scrub(): ScrubIndex {
    return this.#database.scrub;
  }

  get nowMs(): number {
    return this.#clock.nowMs();
  }

  async spaceRow(): Promise<SpaceRow> {
    const row = await this.#database.journals.space(SPACE);
    if (row === undefined) throw new WorldError("not-found", "There is no such space.");
    return row;
  }

  /**
   * The process ends and begins again: what it held in memory is gone. Who waits for an answer is
   * told at once (the connection breaks), or never.
   */
  restart(isTold: boolean): void {
    this.life++;
    this.onEnd();
    const waiting = [...this.underWay];
    this.underWay.clear();
    if (isTold) for (const hangUp of waiting) hangUp();
    ({ announcer: this.#announcer, journal: this.#journal, intake: this.#intake } = this.#start());
    this.#app = this.#buildApp();
  }

  /** What the server's HTTP layer answers; there is one where the database holds accounts. */
  async request(url: string, init: RequestInit): Promise<Response> {
    assert(this.#app !== null, "only a server with accounts has an HTTP layer");
    return this.#app.request(url, init);
  }

  /** A device's token; null where requests need none, because they pass by the HTTP layer. */
  async enrol(device: DeviceId, name: string): Promise<string | null> {
    const { accounts } = this.#database;
    if (accounts === null) return null;
    const token = `ls_dev_${device}${"0".repeat(TOKEN_TAIL)}`;
    const createdMs = this.nowMs;
    const owner = { account: ACCOUNT, createdMs };
    if ((await accounts.tokenByHash(tokenHash(token))) === undefined) {
      await accounts.createDevice(
        { ...owner, id: device, name, lastSeenMs: null, revoked: false },
        { ...owner, hash: tokenHash(token), device, label: name, expiresMs: null },
      );
    }
    return token;
  }

  /** The same commit gets the same answer however often it comes (SE3): null, or what is wrong. */
  answerFault(commit: CommitId, answer: CommitAnswer): string | null {
    const text = answer.outcome === "refused" ? answer.code : answer.outcome;
    const first = this.#answers.get(commit) ?? text;
    this.#answers.set(commit, first);
    return first === text ? null : `a commit was answered ${first}, and ${text} when it came again`;
  }

  backUp(): void {
    this.#database.backUp();
    this.#backup = this.#packs.image();
  }

  /** An older copy is put back, and announced; false when none was made. */
  restoreBackup(): boolean {
    if (this.#backup === null) return false;
    this.#packs.restore(this.#backup);
    this.#database.restore();
    this.timesRestored++;
    const epoch = newEpoch(this.#draw);
    void this.#database.journals.restart(() => epoch, true);
    this.#answers.clear();
    this.restart(this.#draw.chance(0.5));
    return true;
  }

  /** From now on commits are closed with the next keys. */
  async beginKeyEpoch(epoch: number): Promise<void> {
    // None is left out where a later one is begun first.
    for (let next = 2; next <= epoch; next++) {
      await this.#database.journals.setKeyEpoch(SPACE, next);
    }
  }

  async entries(): Promise<Entry[]> {
    return this.#database.journals.entries(SPACE, 0, 1_000_000);
  }

  /** Changes as a plain space has them. */
  opened(changes: readonly Change[]): Change[] {
    return changes.map((change) => this.reader.change(change));
  }

  async openedEntries(): Promise<Entry[]> {
    const entries = await this.entries();
    return entries.map((entry) => ({ ...entry, changes: this.opened(entry.changes) }));
  }

  /** What the newest entry's chain says: a journal's past in one text. */
  get head(): string {
    return this.#database.head();
  }

  /** Another text after every commit and every chunk that was stored. */
  get stored(): string {
    return `${this.head} ${this.#packs.count}`;
  }

  /** Hashes of all files' contents that were ever committed. */
  async contents(): Promise<Set<string>> {
    const hashes = new Set<string>();
    for (const { changes } of await this.entries()) {
      for (const change of this.opened(changes)) {
        if (change.kind !== "create" && change.kind !== "update") continue;
        const { content } = readPlainMeta(change.meta);
        if (content.kind === "file") hashes.add(content.sha256);
      }
    }
    return hashes;
  }

  /** Living nodes by path, with names and metas opened. */
  async tree(): Promise<Map<string, NodeRow>> {
    const rows = await this.#database.journals.changedSince(SPACE, 0, 1_000_000);
    const living = new Map<NodeId, NodeRow>();
    for (const row of rows) {
      if (row.deleted) continue;
      const { name, meta } = row;
      const opened = { name: this.reader.name(name), meta: this.reader.meta(meta) };
      living.set(row.id, { ...row, ...opened });
    }
    const pathOf = ({ parent, name }: NodeRow): string => {
      if (parent === ROOT_NODE) return name;
      const folder = living.get(parent);
      return `${folder === undefined ? `?${parent}` : pathOf(folder)}/${name}`;
    };
    return new Map([...living.values()].map((row) => [pathOf(row), row]));
  }

  #buildApp(): App | null {
    const { accounts, journals, chunks, scrub, collection } = this.#database;
    if (accounts === null) return null;
    const fault = (event: string, fields: LogFields = {}): void => {
      this.faults.push(`the server logs ${event} ${JSON.stringify(fields)}`);
    };
    const stores = { accounts, journals, chunks, scrub, collection };
    return buildApp({
      metadata: { ...stores, [Symbol.asyncDispose]: async () => {} },
      packs: this.#packs,
      clock: this.#clock,
      chance: this.#draw,
      opaque: new Opaque("", ""),
      secrets: new Secrets(new Uint8Array(32), this.#draw),
      digest: nodeDigest,
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: fault },
    });
  }

  #start(): { announcer: Announcer; journal: Journal; intake: Intake } {
    const announcer = new Announcer(this.#clock);
    const journal = new Journal({ metadata: this.#database, digest: nodeDigest, announcer });
    const { chunks, scrub } = this.#database;
    const intake = new Intake({
      packs: this.#packs,
      chunks,
      scrub,
      digest: nodeDigest,
      chance: this.#draw,
    });
    return { announcer, journal, intake };
  }
}

/** A token is this much longer than a device's id. */
const TOKEN_TAIL = 11;

function newEpoch(draw: Draw): string {
  return hash("sha256", draw.bytes(16), "hex").slice(0, 32);
}
