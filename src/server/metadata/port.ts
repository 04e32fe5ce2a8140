import type { AccountId, ChunkId, CommitId, DeviceId, NodeId, SpaceId } from "#core/ids.ts";
import type { NodeKind } from "#core/node.ts";
import type { CommitAnswer } from "#protocol/commit.ts";
import type { Entry, Restored } from "#protocol/feed.ts";
import type { Collection } from "./collection.ts";

/**
 * What the server remembers beside chunks' bytes. A few ports, one database: SQLite, PostgreSQL and
 * MongoDB give the same answers to one contract suite. No method needs a transaction that spans two
 * calls: appending a journal entry with a sequence that nobody has used *is* the commit.
 */
export interface Metadata extends AsyncDisposable {
  readonly accounts: AccountStore;
  readonly journals: JournalStore;
  readonly chunks: ChunkIndex;
  readonly scrub: ScrubIndex;
  /** What several processes over one database tell each other; none where there is only one. */
  readonly shared?: Shared;
  readonly collection: Collection;
}

/** One journal has grown to `sequence`; or nobody knows which have, because some news was lost. */
export type News = { readonly space: SpaceId; readonly sequence: number } | "missed";

export type AttemptLimit = { readonly most: number; readonly windowMs: number };

export interface Shared {
  /** `heard` is told of what any process appends from now on, this one's own included. */
  listen(heard: (news: News) => void): void;
  /**
   * Takes one attempt of `key` in a fixed window; a positive answer refuses it and says in how many
   * milliseconds to ask.
   */
  takeAttempt(key: string, limit: AttemptLimit, nowMs: number): Promise<number>;
  /** The attempt was right: it does not count. */
  giveBackAttempt(key: string): Promise<void>;
}

export type AccountRow = {
  readonly id: AccountId;
  readonly name: string;
  /** The name in lower case, unique. */
  readonly key: string;
  /** What OPAQUE (RFC 9807) made of the password: the server never saw it. */
  readonly opaqueRecord: string;
  /** The public half, hex, of the key that the recovery words make (Ed25519). */
  readonly recoveryKey: string;
  readonly createdMs: number;
};

export type DeviceRow = {
  readonly id: DeviceId;
  readonly account: AccountId;
  readonly name: string;
  readonly createdMs: number;
  readonly lastSeenMs: number | null;
  readonly revoked: boolean;
};

export type TokenRow = {
  /** SHA-256 of the token, hex: the token itself is stored nowhere. */
  readonly hash: string;
  readonly account: AccountId;
  /** The device that it belongs to; null for a program's token. */
  readonly device: DeviceId | null;
  readonly label: string;
  readonly createdMs: number;
  readonly expiresMs: number | null;
};

/** A join code, and what two devices have said to each other by it. */
export type JoinRow = {
  /** SHA-256 of the code's locator, hex. */
  readonly hash: string;
  readonly account: AccountId;
  readonly expiresMs: number;
  /** Opaque, oldest first. */
  readonly messages: readonly string[];
};

/** What an account keeps here that the server cannot read; a version replaces the one before. */
export type VaultRow = {
  readonly bundle: string;
  readonly bundleVersion: number;
  readonly keyring: string;
  readonly keyringVersion: number;
};

export type KeyringChange = {
  readonly version: number;
  readonly keyring: string;
  /** The version that it takes the place of, which is lower; the one before when absent. */
  readonly replaces?: number | undefined;
  readonly renewal?:
    | { readonly version: number; readonly bundle: string; readonly recoveryKey: string }
    | undefined;
};

export interface AccountStore {
  /** False when the key or the id is taken. Bundle and keyring have version 1. */
  createAccount(row: AccountRow, vault: Pick<VaultRow, "bundle" | "keyring">): Promise<boolean>;
  vault(account: AccountId): Promise<VaultRow | undefined>;
  /**
   * Puts a bundle in the place of version - 1, and with it another password's record; false when
   * that is not the present version.
   */
  putBundle(
    account: AccountId,
    update: { readonly version: number; readonly bundle: string; readonly opaqueRecord?: string },
  ): Promise<boolean>;
  /**
   * Puts a keyring in the place of version - 1, or of `replaces`, and with it another bundle and
   * recovery key; false when one of them is not at that version.
   */
  putKeyring(account: AccountId, update: KeyringChange): Promise<boolean>;
  accountByKey(key: string): Promise<AccountRow | undefined>;
  account(id: AccountId): Promise<AccountRow | undefined>;
  /** The device and its token, together or not at all. */
  createDevice(row: DeviceRow, token: TokenRow): Promise<void>;
  devices(account: AccountId): Promise<DeviceRow[]>;
  /** Marks the device revoked and removes its tokens; false when the account has no such device. */
  revokeDevice(account: AccountId, device: DeviceId): Promise<boolean>;
  seeDevice(device: DeviceId, nowMs: number): Promise<void>;
  createToken(row: TokenRow): Promise<void>;
  tokenByHash(hash: string): Promise<TokenRow | undefined>;
  createJoin(row: JoinRow): Promise<void>;
  join(hash: string): Promise<JoinRow | undefined>;
  /** Adds message number `at`, counted from 0; false when there are not exactly `at` before it. */
  addToJoin(hash: string, at: number, message: string): Promise<boolean>;
  removeJoin(hash: string): Promise<void>;
  /** Removes those that expire at `nowMs` or earlier. */
  removeExpiredJoins(nowMs: number): Promise<void>;
}

/** Which keys close a sealed space, and the head when they began to. */
export type SpaceKeys =
  | { readonly kind: "plain" }
  | {
      readonly kind: "sealed";
      readonly keyEpoch: number;
      readonly keyEpochSequence: number;
    };

export type SpaceRow = SpaceKeys & {
  readonly id: SpaceId;
  readonly account: AccountId;
  readonly name: string;
  readonly folding: boolean;
  /** 32 hex digits; a restore from a backup draws others. */
  readonly epoch: string;
  /** 96 hex digits, what files of this space are cut by: see `JournalStore.cutKey`. */
  readonly cutKey: string;
  readonly createdMs: number;
  /** Of copies that its operator put back and said so, oldest first; absent when there are none. */
  readonly restores?: readonly Restored[];
};

export type Head = { readonly sequence: number; readonly chain: string };

/** A node as of the head; a deleted one is its tombstone. */
export type NodeRow = {
  readonly id: NodeId;
  readonly type: NodeKind;
  readonly parent: NodeId;
  readonly name: string;
  /** What the name is unique by among the parent's living children. */
  readonly key: string;
  readonly meta: string;
  readonly chunks: readonly ChunkId[];
  readonly lengths: readonly number[] | undefined;
  readonly crev: number;
  readonly lrev: number;
  readonly deleted: boolean;
};

/** A node as it was from `sequence` on. */
export type RevisionRow = NodeRow & {
  readonly sequence: number;
  /** The sequence of the content before this one; 0 for a node's first. */
  readonly follows: number;
  readonly timeMs: number;
  readonly device: DeviceId | undefined;
  /** Its chunks are no longer known, and none is named. */
  readonly forgotten?: true;
};

export type NameSlot = { readonly parent: NodeId; readonly key: string };

/** All that one commit writes: the entry, and every node that it touched as it is afterwards. */
export type Append = {
  readonly entry: Entry;
  readonly nodes: readonly NodeRow[];
};

/**
 * `cut key`: what files of this server's spaces are cut by, one for all accounts, so that equal
 * files are stored once. `opaque setup`: the server's side of passwords, closed with the master
 * key. `chunk store`: which store the chunks of a database lie in that several servers may open.
 */
export type Drawn = "cut key" | "opaque setup" | "chunk store";

export interface JournalStore {
  /**
   * What the server drew once for itself under this name: `drawn` when there is none yet, and the
   * same for ever after.
   */
  drawOnce(name: Drawn, drawn: string): Promise<string>;
  /** What was drawn under this name; undefined before anything was. */
  drawn(name: Drawn): Promise<string | undefined>;
  /** False when the account has a space of that name, or anybody one of that id. */
  createSpace(row: SpaceRow): Promise<boolean>;
  space(id: SpaceId): Promise<SpaceRow | undefined>;
  spaces(account: AccountId): Promise<SpaceRow[]>;
  /**
   * Moves a sealed space from the key epoch before to this one, and notes the head. False when the
   * space is at another one.
   */
  setKeyEpoch(space: SpaceId, keyEpoch: number): Promise<boolean>;
  /**
   * Gives each space a new epoch, as an older copy was put back. Where that is announced the head
   * is added to the space's restores, of which MAX_RESTORES stay; else all of them go. Returns how
   * many spaces there are.
   */
  restart(draw: () => string, isAnnounced: boolean): Promise<number>;
  head(space: SpaceId): Promise<Head>;
  /** The chain value after `sequence`; undefined when the journal is shorter. */
  chainAt(space: SpaceId, sequence: number): Promise<string | undefined>;
  /** Rows of these nodes, tombstones too, in no order; unknown ids are left out. */
  nodes(space: SpaceId, ids: readonly NodeId[]): Promise<NodeRow[]>;
  /** The living nodes that hold these names, in no order. */
  holders(space: SpaceId, slots: readonly NameSlot[]): Promise<NodeRow[]>;
  /** At most `limit` living children of a folder, by id, after `after`. */
  children(space: SpaceId, parent: NodeId, limit: number, after?: NodeId): Promise<NodeRow[]>;
  /**
   * Nodes, living and dead, with max(crev, lrev) > `sequence`, oldest change first. A page ends
   * with a whole sequence: it may hold up to MAX_CHANGES - 1 more than `limit`.
   */
  changedSince(space: SpaceId, sequence: number, limit: number): Promise<NodeRow[]>;
  /**
   * Appends if the entry's sequence is the head's plus one: journal, nodes, one revision a node,
   * and links of all named chunks (which the caller found in this space), all or nothing, durable.
   * `raced` when another entry took the sequence or the space's key epoch is not the entry's;
   * `missing-chunks` when a link or a chunk went.
   */
  append(space: SpaceId, append: Append): Promise<"appended" | "raced" | "missing-chunks">;
  /** What this commit id was answered: accepted ones for ever, refusals for at least 24 h. */
  answered(space: SpaceId, commit: CommitId): Promise<CommitAnswer | undefined>;
  rememberRefusal(
    space: SpaceId,
    commit: CommitId,
    answer: CommitAnswer,
    nowMs: number,
  ): Promise<void>;
  /**
   * Entries after `sequence`, oldest first; stops at about `limitBytes`, but never before the
   * first.
   */
  entries(space: SpaceId, sequence: number, limit: number, limitBytes?: number): Promise<Entry[]>;
  /** A node's revisions before `before`, newest first. */
  revisions(space: SpaceId, node: NodeId, before: number, limit: number): Promise<RevisionRow[]>;
  /** The node as it was at `sequence`; undefined before it was created. */
  revisionAt(space: SpaceId, node: NodeId, sequence: number): Promise<RevisionRow | undefined>;
  /**
   * Tombstones deleted before the sequence `before`, latest deletion first: `sequence`, `timeMs`
   * and `device` are the deletion's. A page ends with a whole sequence, like `changedSince`'s.
   */
  trash(space: SpaceId, before: number, limit: number): Promise<RevisionRow[]>;
}

export type ChunkPlace = {
  readonly id: ChunkId;
  readonly pack: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
};

export interface ChunkIndex {
  /**
   * Which of these the space holds, staged or linked, and where they lie; in no order. What is
   * quarantined is left out, here and in `stored`: it is to be sent again.
   */
  held(space: SpaceId, ids: readonly ChunkId[]): Promise<ChunkPlace[]>;
  /**
   * Which of these are stored for anybody: only for choosing where to write, never for an answer.
   */
  stored(ids: readonly ChunkId[]): Promise<ReadonlySet<ChunkId>>;
  /**
   * Records durable chunks and stages them all in the space until `leaseMs`; all or nothing. Of a
   * chunk that has a place already the first stays, unless it is quarantined there. Gives the packs
   * of `written` in which any chunk lies afterwards.
   */
  stage(
    space: SpaceId,
    written: readonly ChunkPlace[],
    ids: readonly ChunkId[],
    leaseMs: number,
  ): Promise<ReadonlySet<string>>;
  /**
   * The bytes of all chunks that the account's spaces hold, of each once a space, and of the metas
   * of all contents that its nodes ever had.
   */
  heldBytes(account: AccountId): Promise<number>;
  /** Renews staged leases of what the space holds. */
  renew(space: SpaceId, ids: readonly ChunkId[], leaseMs: number): Promise<void>;
}

/** A chunk's place, and whether its bytes there are not to be given out. */
export type KeptChunk = ChunkPlace & { readonly isQuarantined: boolean };

/**
 * What there is to be read over, and what was found to be wrong. A chunk in quarantine is no longer
 * given out and not named by new commits; its bytes stay where they are until somebody sends them
 * again.
 */
export interface ScrubIndex {
  /** Bytes of all recorded chunks. */
  storedBytes(): Promise<number>;
  /** Names of recorded packs after `after`, in their order, at most so many. */
  packs(after: string, most: number): Promise<string[]>;
  /** The chunks of a pack, by offset. */
  inPack(pack: string): Promise<KeptChunk[]>;
  /**
   * Puts chunks into quarantine, or takes them out of it: those that still lie where they are said
   * to. Gives how many were not in that state before.
   */
  quarantine(places: readonly ChunkPlace[], isQuarantined: boolean): Promise<number>;
  /** Chunks in quarantine that the space holds, by id, at most so many. */
  quarantined(space: SpaceId, most: number): Promise<ChunkId[]>;
}
