import type { ChunkId, NodeId, SpaceId } from "#core/ids.ts";
import type { ChunkPlace } from "./port.ts";

/**
 * What a collector knows and changes of a database. Each change states what it takes for granted
 * and happens only where that still holds, so that commits, uploads and other collectors may come
 * between any two calls.
 */
export interface Collection {
  readonly links: LinkCollection;
  readonly packs: PackCollection;
}

/** A content of a node, by the sequence that wrote it. */
export type ContentKey = { readonly node: NodeId; readonly sequence: number };

export type ContentRow = ContentKey & {
  readonly timeMs: number;
  /** All that it needs; none where they are forgotten. */
  readonly chunks: readonly ChunkId[];
  readonly forgotten: boolean;
  /** Whether it is what its node holds, or held last. */
  readonly isLast: boolean;
  /** When its node was deleted; null while that lives. */
  readonly deletedMs: number | null;
};

/**
 * A space's claim on a chunk. It is linked (`leaseMs` is null), or staged or condemned until
 * `leaseMs`; `touched` is the sequence of the last entry that named the chunk.
 */
export type LinkRow = {
  readonly chunk: ChunkId;
  readonly leaseMs: number | null;
  readonly touched: number;
  readonly lengthBytes: number;
};

/** Which revisions of spaces are kept, and with them the claims on chunks. */
export interface LinkCollection {
  /**
   * True when nobody else collects until `untilMs`, as long as everybody asks. The holder may ask
   * again, and gives its turn back with a time that is past.
   */
  takeTurn(holder: string, nowMs: number, untilMs: number): Promise<boolean>;
  /** At most `limit` spaces by id, after `after`. */
  spaces(limit: number, after?: SpaceId): Promise<SpaceId[]>;
  /** At most `limit` contents by node and sequence, after `after`; forgotten ones too. */
  contents(space: SpaceId, limit: number, after?: ContentKey): Promise<ContentRow[]>;
  /**
   * Forgets which chunks contents need; never of what a living node holds. Returns how many were
   * known before.
   */
  forget(space: SpaceId, contents: readonly ContentKey[]): Promise<number>;
  /** At most `limit` links by chunk, after `after`. */
  links(space: SpaceId, limit: number, after?: ChunkId): Promise<LinkRow[]>;
  /**
   * Condemns chunks that are linked, and that no entry after `sequence` has named: they are kept
   * until `leaseMs` then, as staged ones are. Returns how many.
   */
  condemn(
    space: SpaceId,
    chunks: readonly ChunkId[],
    until: { readonly sequence: number; readonly leaseMs: number },
  ): Promise<number>;
  /** Links chunks for good that the space still holds. */
  revive(space: SpaceId, chunks: readonly ChunkId[]): Promise<void>;
  /** Ends at most `limit` claims whose lease is past; returns how many. */
  sweep(space: SpaceId, nowMs: number, limit: number): Promise<number>;
}

export type StoredChunk = { readonly id: ChunkId; readonly lengthBytes: number };

export type PackRow = {
  readonly name: string;
  readonly sizeBytes: number;
  readonly liveBytes: number;
  readonly chunks: number;
  /** Since when no chunk has lain in it; null while one does, or nobody has looked. */
  readonly doomedMs: number | null;
};

/** A chunk that was copied: where it was, and where it lies in the new pack. */
export type Moved = { readonly from: ChunkPlace; readonly offsetBytes: number };

/** Which stored chunks nobody holds, and which packs nothing lies in. */
export interface PackCollection {
  /** Looks at `limit` chunks by id, after `after`: those without any link, and where to go on. */
  unheld(
    limit: number,
    after?: ChunkId,
  ): Promise<{ readonly chunks: readonly StoredChunk[]; readonly next: ChunkId | null }>;
  /** Removes those of these chunks that no space holds; returns them. */
  removeUnheld(ids: readonly ChunkId[]): Promise<readonly StoredChunk[]>;
  /** At most `limit` packs by name, after `after`. */
  packs(limit: number, after?: string): Promise<PackRow[]>;
  /**
   * Records a durable pack, and that these chunks lie there, of those that lie still where they
   * were copied from; all at once. Returns how many.
   */
  move(
    to: { readonly name: string; readonly sizeBytes: number },
    moved: readonly Moved[],
  ): Promise<number>;
  /** Notes the time of packs in which no chunk lies; none ever will. */
  doom(names: readonly string[], nowMs: number): Promise<void>;
  /** Removes the rows of doomed packs, and what is noted of strays. */
  drop(names: readonly string[]): Promise<void>;
  /**
   * Which of these stored objects have no row, and when that was first seen; with `nowMs` null
   * nothing is noted, and what is new is of no time.
   */
  strays(names: readonly string[], nowMs: number | null): Promise<ReadonlyMap<string, number>>;
}
