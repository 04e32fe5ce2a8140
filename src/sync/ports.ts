import type { ChunkId, CommitId, ContentHash, NodeId } from "#core/ids.ts";
import type { Content, FileContent, Manifest } from "#core/node.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import type { Change, Commit, CommitAnswer } from "#protocol/commit.ts";
import type { Entry as JournalEntry, Feed } from "#protocol/feed.ts";
import type { ChunkFrame } from "#protocol/frames.ts";
import type { FileKey, NodeRow, Stamp } from "./tree.ts";

/**
 * The engine's doors to the world. `platform` has the real side of each, `sim` the dreamed one; one
 * contract suite a port holds both to the same answers. Paths are relative to the synced root, `/`
 * between names, the root itself is "". Every method may throw WorldError; codes that the engine
 * acts on: `not-found`, `exists`, `not-a-folder`, `not-empty`, `no-permission`, `no-space`,
 * `name-too-long`, `bad-name`, `outside-root`, `io`.
 */

export type EntryKind = "file" | "folder" | "symlink" | "other";

/** One directory entry or file, never through a symlink. */
export type Stat = {
  readonly kind: EntryKind;
  readonly file: FileKey;
  /** The file system that it lies on. */
  readonly device: string;
  readonly stamp: Stamp;
  readonly executable: boolean;
  /** Names of this inode; above 1, an inode seen elsewhere is no proof of a move. */
  readonly links: number;
};

export type Entry = Stat & { readonly name: string };

export type Listing = {
  /** The folder that was listed, which may not be the one that had this path before. */
  readonly file: FileKey;
  readonly entries: readonly Entry[];
  /** Names that are not valid UTF-8, with their odd bytes as %XX: reported and left alone. */
  readonly undecodable: readonly string[];
};

/** Looking at the disk. Nothing here changes it. */
export interface DiskLook {
  /**
   * All entries but `.lockstep` in the root, in no order. A folder swapped for a link:
   * `not-a-folder`.
   */
  list(folder: string, signal?: AbortSignal): Promise<Listing>;
  /** Null when there is nothing (or a parent is gone or not a folder). */
  stat(path: string): Promise<Stat | null>;
  readLink(path: string): Promise<string>;
  /** A piece of a file, at most `lengthBytes`; shorter only at its end. */
  read(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  /** Bytes that may still be written to this disk. */
  freeBytes(): Promise<number>;
}

/**
 * Changing the disk. No method overwrites or unlinks anything outside `.lockstep`: the caller moves
 * what is in the way into hold first. Parents are opened component by component without following
 * links; a link or a missing folder in the way is an error.
 */
export interface DiskChange {
  /** `exists` when the name is taken, whatever takes it. */
  makeFolder(path: string): Promise<Stat>;
  /** `exists` when the name is taken. */
  makeSymlink(path: string, target: string): Promise<Stat>;
  /** A second name for an inode (files and symlinks); `exists` when the name is taken. */
  link(from: string, to: string): Promise<void>;
  /**
   * Renames a file, symlink or folder. Only for targets that were seen to be free, or in
   * `.lockstep`.
   */
  rename(from: string, to: string): Promise<void>;
  /** Only empty folders: `not-empty` else. */
  removeFolder(path: string): Promise<void>;
  setExecutable(path: string, executable: boolean): Promise<Stat>;
  /** Removes one name; only below `.lockstep`. */
  remove(path: string): Promise<void>;
  /** Makes the entries of these folders durable. */
  syncFolders(folders: readonly string[]): Promise<void>;
}

/** A file below `.lockstep/stage` that is being written. */
export interface DiskStage {
  /** Opens (creating it if need be) for positional writes; returns its present size. */
  open(path: string): Promise<number>;
  write(path: string, offsetBytes: number, bytes: Uint8Array): Promise<void>;
  /**
   * Sets size, mode and modification time, makes the bytes durable, closes. An fsync that fails
   * throws `io`: the file must then be removed and written anew, never synced again.
   */
  finish(
    path: string,
    as: { sizeBytes: number; executable: boolean; mtimeMs: number },
  ): Promise<Stat>;
  /** Closes without finishing; what was written may be resumed. */
  close(path: string): Promise<void>;
}

/** The three sides of one root. */
export type Disk = {
  readonly look: DiskLook;
  readonly change: DiskChange;
  readonly stage: DiskStage;
};

export type Digested =
  | {
      readonly outcome: "read";
      readonly stamp: Stamp;
      readonly sha256: ContentHash;
      readonly manifest: Manifest;
      /** When the reading began, by the same clock as mtimes; for the racy rule. */
      readonly beganMs: number;
    }
  | { readonly outcome: "changed" }
  | { readonly outcome: "gone" };

/** Reads whole files, cuts and hashes them: in workers where there are cores. */
export interface FileReader {
  /**
   * `changed` when the file's identity or stamp was not `expected` before or after the reading.
   * Throws `no-permission` and `io`.
   */
  digest(
    path: string,
    expected: { file: FileKey; stamp: Stamp },
    signal?: AbortSignal,
  ): Promise<Digested>;
  /** The SHA-256 of the whole alone, which is less work; null when it is not as expected. */
  hash(
    path: string,
    expected: { file: FileKey; stamp: Stamp },
    signal?: AbortSignal,
  ): Promise<ContentHash | null>;
}

/** Hints that a folder may have changed. Losing one costs time, never a file. */
export interface Watcher {
  /** Begins to watch a folder (by node: a watch follows its folder through renames). */
  watch(folder: NodeId, path: string): void;
  unwatch(folder: NodeId): void;
  /** Resolves when all watches asked for so far stand: what happens from then on gives a hint. */
  ready(): Promise<void>;
  /** Folders touched since the last call; `overflow` asks for a look at everything. */
  take(): { readonly folders: readonly NodeId[]; readonly overflow: boolean };
  /** Called (coalesced) whenever `take` has something to give. */
  onHint(listener: () => void): void;
  /** Why folders cannot be watched, and the sentence that helps; null when all is well. */
  trouble(): string | null;
}

/** Bytes that were to be put are not those of their id: whoever read them reads them again. */
export class ChunkChanged extends Error {
  override readonly name = "ChunkChanged";
  readonly chunk: ChunkId;

  constructor(chunk: ChunkId) {
    super(`other bytes than those of chunk ${chunk}`);
    this.chunk = chunk;
  }
}

/**
 * A chunk to be sent, and those that it may be like: what its file had near it before, and of these
 * the one that stood where it stands.
 */
export type OutgoingChunk = ChunkFrame & {
  readonly alike?: readonly ChunkId[];
  readonly nearest?: ChunkId | undefined;
};

/** The server, for one space. Throws WorldError: `offline` and others retryable or not. */
export interface Remote {
  /** Entries after the cursor; waits up to `waitMs` for one. WorldError `reset`: see SPEC FO4. */
  changes(cursor: string, waitMs: number, signal?: AbortSignal): Promise<Feed>;
  commit(commit: Commit, signal?: AbortSignal): Promise<CommitAnswer>;
  missing(chunks: readonly ChunkId[], signal?: AbortSignal): Promise<ChunkId[]>;
  /** How many bytes the account may still send; null, or no such method: no limit is known. */
  room?(signal?: AbortSignal): Promise<number | null>;
  /** Stored chunks of the space that the server has damaged or lost, perhaps not all. */
  lacking(signal?: AbortSignal): Promise<ChunkId[]>;
  /**
   * Sends one framed batch, whose bytes are given away; resolves when all of it is durable at the
   * server. A sealed space's throws ChunkChanged.
   */
  put(chunks: readonly OutgoingChunk[], signal?: AbortSignal): Promise<void>;
  /**
   * Chunks in the order asked, each verified against its id; may end early: ask for the rest. The
   * bytes of one are lent until the next is asked for.
   */
  fetch(chunks: readonly ChunkId[], signal?: AbortSignal): AsyncIterable<ChunkFrame>;
}

/** Where a chunk lies on this disk: a piece of a node's file, as of its recorded stamp. */
export type ChunkSource = {
  readonly node: NodeId;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
};

/**
 * The device's database. Synchronous, so that what belongs together is one transaction: nothing of
 * `work` is kept when it throws or the machine stops before it returns.
 */
export interface TreeStore {
  /** Grows with every row that may have become another one: as long as it is the same, none has. */
  readonly changes: number;
  transaction<T>(work: () => T): T;
  /**
   * The same, of what can be found out again: a machine that loses power before the next
   * `transaction` may lose it, with all that came lazily after it and nothing else. A process that
   * is killed loses none of it.
   */
  lazily<T>(work: () => T): T;
  get(id: NodeId): NodeRow | undefined;
  /** Stores a row; one that `isEmpty` is removed. */
  put(row: NodeRow): void;
  /** Rows that do not `agree` (see tree.ts), by id. */
  changed(): NodeRow[];
  /** Rows that have this parent on that side. */
  children(side: "remote" | "synced" | "local", parent: NodeId): NodeRow[];
  /** Rows that have this place on that side; names compared by the space's name key. */
  named(side: "remote" | "synced" | "local", parent: NodeId, name: string): NodeRow[];
  /** The rows that hold this inode on the local side. */
  holding(file: FileKey): NodeRow[];
  /** All folders of the local side, in no order. */
  localFolders(): NodeId[];
}

/** The rest of the device's database, in the same transactions as TreeStore's. */
export interface DeviceRecords {
  /** Small texts by name: cursor, chain, root marker, … */
  setting(name: string): string | undefined;
  setSetting(name: string, value: string | null): void;
  /** The chunks of a content, whoever made it. */
  manifest(content: ContentHash): Manifest | undefined;
  putManifest(content: ContentHash, manifest: Manifest): void;
  /** Local files that hold this chunk, as of their last digest. */
  sources(chunk: ChunkId): ChunkSource[];
  /** Replaces what is known about the pieces of a node's file; null forgets it. */
  setSources(node: NodeId, manifest: Manifest | null): void;
  /** Forgets manifests that no row names and pieces of files that are not on this disk. */
  dropUnnamed(): void;
  /** Counts for status and guards: nodes on a side. */
  count(side: "remote" | "synced" | "local"): number;
}

/** What a device of a sealed space remembers beside the rest, in the same transactions. */
export interface SealedRecords {
  /** How the chunk with these raw bytes is sealed, as far as any manifest said. */
  sealed(raw: ChunkId): SealedEntry | undefined;
  putSealed(entry: SealedEntry): void;
  /** What its parts are found by again in other bytes (`chunking/signature.ts`), if it was made. */
  signature(raw: ChunkId): Uint8Array | undefined;
  /** Null: none will be made, there are no bytes here to make it of. */
  putSignature(raw: ChunkId, signature: Uint8Array | null): void;
  /** Sealed chunks of which it is not known yet, at most so many. */
  unsigned(most: number): ChunkId[];
  /** The only chunk of a content that stands in its node's meta. */
  inline(raw: ChunkId): Uint8Array | undefined;
  putInline(raw: ChunkId, bytes: Uint8Array): void;
  /** A manifest whose list is in pieces, as its node's meta has it. */
  root(content: ContentHash): Uint8Array | undefined;
  putRoot(content: ContentHash, root: Uint8Array): void;
  /** The journal's chain after an entry, of the latest MAX_BASE_AGE and a few more. */
  chainAt(sequence: number): string | undefined;
  /** Which of these entries a commit became. */
  sequenceOf(commit: CommitId): number | undefined;
  /** Of the newest entry that was read, or was promised for a commit; 0 before the first. */
  lastSequence(): number;
  putEntry(sequence: number, entry: { readonly chain: string; readonly commitId: CommitId }): void;
  /** The journal ends with `sequence` as far as this device knows: what came after it is lost. */
  forgetEntriesAfter(sequence: number): void;
}

/**
 * Bytes of chunks that a device had lately, to tell from them what is new in an edited file. It
 * holds a limited number of bytes and drops the oldest first; none of its failures is anybody's.
 */
export interface KeptBytes {
  /** What was kept for this chunk: not to be believed before it was hashed. Null: nothing. */
  get(raw: ChunkId): Uint8Array | null;
  /** What was `edited` makes room for itself; what is `at rest` is kept where there is room. */
  put(chunks: readonly ChunkFrame[], heat: "edited" | "at rest"): void;
  close(): void;
}

/** The server's key service: it helps to seal and learns nothing of what. */
export interface KeyService {
  /**
   * Answers one question of `crypto/oprf.ts`. Throws WorldError `key-service-away` and
   * `too-many-evaluations` (it is there again later), and those of any call.
   */
  evaluate(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
}

/** How names, contents and commits are closed, opened and vouched for: see SPEC SL. */
export interface Seal {
  /** Contents up to this size travel in their node's meta, and need no chunk. */
  readonly inlineBytes: number;
  /** Whether chunks are known by their bytes when they are put, and need no look before. */
  readonly hashes: boolean;
  /** Whether the server is believed to have judged what it lets into its journal. */
  readonly trusts: boolean;
  /** The wire's form of a name (and its uniqueness token, in a sealed space). */
  closeName(node: NodeId, parent: NodeId, name: string): { name: string; key?: string };
  openName(node: NodeId, parent: NodeId, name: string): string;
  /** Whether a commit can name this chunk although it was not put by this device. */
  knows(chunk: ChunkId): boolean;
  /**
   * Does what has to be done before files' contents can be closed; their chunks are at the server
   * already.
   */
  prepare(files: readonly Preparing[], signal?: AbortSignal): Promise<void>;
  /**
   * The wire's form of what a node holds; null when it was not prepared. `follows` is the content
   * revision that it takes the place of, 0 for a new node; `before` what that holds, when the
   * server may be spared what both have.
   */
  closeContent(
    node: NodeId,
    follows: number,
    open: KnownContent,
    before?: Content,
  ): ClosedContent | null;
  /** The stored chunks that a revision with this content names; none where that is not known. */
  named(content: FileContent): readonly ChunkId[];
  /**
   * Throws WorldError `bad-meta` and others when it does not open, or opens to something
   * impossible. Remembers what it takes to fetch it; within a transaction.
   */
  openContent(node: NodeId, follows: number, closed: ClosedContent): OpenContent;
  /**
   * Does a little of what makes later work cheaper, while there is nothing else to do; false when
   * all of it is done.
   */
  rest(signal: AbortSignal): Promise<boolean>;
  /** The manifest of a content that was opened without one; `before` may be much like it. */
  manifest(
    content: ContentHash,
    before: Content | undefined,
    signal?: AbortSignal,
  ): Promise<Manifest | undefined>;
  /** The commit with what its space wants to see on it. */
  sign(commit: Commit): Commit;
  /**
   * Throws WorldError when an entry is not what its device made for this place in this journal;
   * remembers what the next ones are checked against. Within a transaction.
   */
  check(entry: JournalEntry): void;
}

/**
 * A file whose content is to be closed. `before` is what the server has in its place; `read` gives
 * all bytes of one that travels in its meta, null when they are no longer what they were.
 */
export type Preparing = {
  readonly content: FileContent;
  readonly before: Content | undefined;
  readonly read: () => Promise<Uint8Array | null>;
};

export type KnownContent = {
  readonly content: Content;
  readonly mtimeMs: number;
  readonly manifest: Manifest;
};

/** `manifest` is null when it has to be fetched first: see `Seal.manifest`. */
export type OpenContent = Omit<KnownContent, "manifest"> & { readonly manifest: Manifest | null };

export type ClosedContent = Pick<
  Extract<Change, { kind: "update" }>,
  "meta" | "chunks" | "keeps" | "lengths"
>;
