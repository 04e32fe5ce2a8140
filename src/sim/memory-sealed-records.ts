import type { ChunkId, CommitId, ContentHash } from "#core/ids.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import type { SealedRecords } from "#sync/ports.ts";

/** What a device of a sealed space remembers, as of one moment. */
export type SealedImage = {
  readonly sealed: ReadonlyMap<ChunkId, SealedEntry>;
  /** Null: not made yet; empty: never made. */
  readonly signatures: ReadonlyMap<ChunkId, Uint8Array | null>;
  readonly inline: ReadonlyMap<ChunkId, Uint8Array>;
  readonly roots: ReadonlyMap<ContentHash, Uint8Array>;
  readonly chains: ReadonlyMap<number, string>;
  readonly commits: ReadonlyMap<CommitId, number>;
};

/** Sets one of a map's values within the database's transaction; undefined takes it away. */
type Write = <K, V>(map: Map<K, V>, key: K, value: V | undefined) => void;

/** A sealed space's records in a device's database in memory. */
export class MemorySealedRecords implements SealedRecords {
  readonly #write: Write;
  readonly #sealed: Map<ChunkId, SealedEntry>;
  readonly #signatures: Map<ChunkId, Uint8Array | null>;
  readonly #inline: Map<ChunkId, Uint8Array>;
  readonly #roots: Map<ContentHash, Uint8Array>;
  readonly #chains: Map<number, string>;
  readonly #commits: Map<CommitId, number>;

  constructor(write: Write, image: SealedImage | undefined) {
    this.#write = write;
    this.#sealed = new Map(image?.sealed);
    this.#signatures = new Map(image?.signatures);
    this.#inline = new Map(image?.inline);
    this.#roots = new Map(image?.roots);
    this.#chains = new Map(image?.chains);
    this.#commits = new Map(image?.commits);
  }

  image(): SealedImage {
    return {
      sealed: new Map(this.#sealed),
      signatures: new Map(this.#signatures),
      inline: new Map(this.#inline),
      roots: new Map(this.#roots),
      chains: new Map(this.#chains),
      commits: new Map(this.#commits),
    };
  }

  sealed(raw: ChunkId): SealedEntry | undefined {
    return this.#sealed.get(raw);
  }

  putSealed(entry: SealedEntry): void {
    this.#write(this.#sealed, entry.raw, entry);
    if (!this.#signatures.has(entry.raw)) this.#write(this.#signatures, entry.raw, null);
  }

  signature(raw: ChunkId): Uint8Array | undefined {
    const signature = this.#signatures.get(raw) ?? undefined;
    return signature?.length === 0 ? undefined : signature;
  }

  putSignature(raw: ChunkId, signature: Uint8Array | null): void {
    this.#write(this.#signatures, raw, signature ?? new Uint8Array(0));
  }

  dropSignatures(isHere: (raw: ChunkId) => boolean): void {
    for (const [raw, signature] of this.#signatures) {
      if (signature !== null && !isHere(raw)) this.#write(this.#signatures, raw, undefined);
    }
  }

  unsigned(most: number): ChunkId[] {
    const due = [...this.#signatures].filter(([, signature]) => signature === null);
    return due.slice(0, most).map(([raw]) => raw);
  }

  inline(raw: ChunkId): Uint8Array | undefined {
    return this.#inline.get(raw);
  }

  putInline(raw: ChunkId, bytes: Uint8Array): void {
    this.#write(this.#inline, raw, bytes);
  }

  root(content: ContentHash): Uint8Array | undefined {
    return this.#roots.get(content);
  }

  putRoot(content: ContentHash, root: Uint8Array): void {
    this.#write(this.#roots, content, root);
  }

  chainAt(sequence: number): string | undefined {
    return this.#chains.get(sequence);
  }

  sequenceOf(commit: CommitId): number | undefined {
    return this.#commits.get(commit);
  }

  lastSequence(): number {
    return Math.max(0, ...this.#chains.keys());
  }

  putEntry(sequence: number, entry: { readonly chain: string; readonly commitId: CommitId }): void {
    this.#write(this.#chains, sequence, entry.chain);
    this.#write(this.#commits, entry.commitId, sequence);
  }

  forgetEntriesAfter(sequence: number): void {
    for (const at of this.#chains.keys())
      if (at > sequence) this.#write(this.#chains, at, undefined);
    for (const [commit, at] of this.#commits) {
      if (at > sequence) this.#write(this.#commits, commit, undefined);
    }
  }
}
