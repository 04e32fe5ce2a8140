import { WorldError } from "#core/errors.ts";
import {
  chunkId,
  type ChunkId,
  type ContentHash,
  type DeviceId,
  type NodeId,
  type SpaceId,
} from "#core/ids.ts";
import type { Content, FileContent, Manifest } from "#core/node.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import { checkCommit, signCommit, type CommitFacts, type CommitFault } from "#crypto/journal.ts";
import { namedChunks, readManifest, writeManifest } from "#crypto/manifest.ts";
import { contentOf, MAX_INLINE_BYTES, openMeta, sealMeta, type FileBody } from "#crypto/meta.ts";
import { openName, sealName } from "#crypto/names.ts";
import { CHAIN_START, hashChanges } from "#protocol/chain.ts";
import { nameChunks } from "#protocol/kept-chunks.ts";
import type { Commit } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import type { Deltas } from "./deltas.ts";
import type { ClosedContent, KnownContent, OpenContent, Preparing, Seal } from "./ports.ts";
import { ManifestPieces, type PiecesWorld } from "./manifest-pieces.ts";
import { OwnCommit } from "./own-commit.ts";
import { readKeyEpoch, writeKeyEpoch } from "./settings.ts";

export type SealedWorld = PiecesWorld & {
  readonly space: SpaceId;
  readonly device: DeviceId;
  readonly folding: boolean;
  readonly deltas: Pick<Deltas, "rest">;
};

/** What a person is told of an entry that its device did not make for this journal. */
const FAULTS: Readonly<Record<CommitFault, { code: string; because: string }>> = {
  "unknown-device": {
    code: "device-unknown",
    because: "no device of this account may have sent it",
  },
  "bad-signature": { code: "signature-bad", because: "its device did not sign it" },
  "other-epoch": { code: "epoch-unknown", because: "it is closed with keys of another time" },
  "base-before-epoch": { code: "epoch-unknown", because: "it was planned before its keys began" },
  "unknown-base": { code: "journal-forked", because: "its device saw a past that is not here" },
  "other-base": { code: "journal-forked", because: "its device saw another past than this device" },
};

/** A signature says nothing of where in the journal its commit stands, or how often. */
const AGAIN = { code: "journal-broken", because: "the same commit stands before it" };
const CHANGED = { code: "journal-forked", because: "another one was there when it was seen first" };

/** Contents of files that travel in their metas are stored so many at a time. */
const INLINE_AT_ONCE = 500;

/** A sealed space's seal (SPEC SL1, SL9). */
export class SealedSeal implements Seal {
  readonly #world: SealedWorld;
  readonly #own = new OwnCommit();
  readonly #pieces: ManifestPieces;
  readonly inlineBytes = MAX_INLINE_BYTES;
  readonly hashes = true;
  readonly trusts = false;

  constructor(world: SealedWorld) {
    this.#world = world;
    this.#pieces = new ManifestPieces(world);
  }

  closeName(node: NodeId, parent: NodeId, name: string): { name: string; key: string } {
    const { primitives, folding, keys } = this.#world;
    const closed = sealName(primitives, keys().current, { node, parent, folding }, name);
    this.#own.addName(closed.name, { node, parent, name });
    return closed;
  }

  openName(node: NodeId, parent: NodeId, name: string): string {
    const { primitives, keys } = this.#world;
    const own = this.#own.name(name, node, parent);
    return own ?? openName(primitives, keys().epochs, { node, parent }, name);
  }

  closeContent(
    node: NodeId,
    follows: number,
    open: KnownContent,
    before?: Content,
  ): ClosedContent | null {
    const { primitives, keys, digest } = this.#world;
    const { current } = keys();
    const place = { node, follows };
    const { content, mtimeMs } = open;
    if (content.kind !== "file") {
      return { meta: sealMeta(primitives, current, place, content), chunks: [] };
    }
    const closed = this.#closeBody(content, open.manifest);
    if (closed === null) return null;
    const { executable } = content;
    const { body } = closed;
    const file = { kind: "file", executable, mtimeMs: Math.round(mtimeMs), body } as const;
    const meta = sealMeta(primitives, current, place, file);
    this.#own.addContent(meta, { ...place, open: { ...open, mtimeMs: file.mtimeMs } });
    return {
      meta,
      ...nameChunks(digest, before?.kind === "file" ? this.named(before) : [], closed.chunks),
    };
  }

  named(content: FileContent): readonly ChunkId[] {
    const raw = this.#world.records.manifest(content.sha256);
    return raw === undefined ? [] : (this.#closeBody(content, raw)?.chunks ?? []);
  }

  openContent(node: NodeId, follows: number, { meta }: ClosedContent): OpenContent {
    const { primitives, keys, sealedRecords } = this.#world;
    const own = this.#own.content(meta, node, follows);
    if (own !== undefined) return own;
    const opened = openMeta(primitives, keys().epochs, { node, follows }, meta);
    const content = contentOf(primitives.hashes, opened);
    if (opened.kind !== "file" || content.kind !== "file") {
      return { content, mtimeMs: 0, manifest: [] };
    }
    const { mtimeMs, body } = opened;
    const { sha256 } = content;
    if (body.kind === "inline") {
      // A file's only chunk is known by the file's own hash.
      if (body.bytes.length > 0) sealedRecords.putInline(chunkId(sha256), body.bytes);
      return { content, mtimeMs, manifest: wholeChunk(content) };
    }
    const { manifest } = body;
    if (manifest.level === 0) return { content, mtimeMs, manifest: this.#learn(manifest.entries) };
    sealedRecords.putRoot(sha256, writeManifest(manifest));
    return { content, mtimeMs, manifest: null };
  }

  knows(chunk: ChunkId): boolean {
    return this.#world.sealedRecords.sealed(chunk) !== undefined;
  }

  async prepare(files: readonly Preparing[], signal?: AbortSignal): Promise<void> {
    const { sealedRecords } = this.#world;
    const small = new Map<ChunkId, Uint8Array>();
    for (const { content, before, read } of files) {
      const { sha256, sizeBytes } = content;
      if (sizeBytes > MAX_INLINE_BYTES) await this.#pieces.send(content, listed(before), signal);
      else if (sizeBytes > 0 && sealedRecords.inline(chunkId(sha256)) === undefined) {
        const bytes = await read();
        if (bytes !== null) small.set(chunkId(sha256), bytes);
        if (small.size === INLINE_AT_ONCE) this.#keepInline(small);
      }
    }
    this.#keepInline(small);
  }

  /** Remembers contents that travel in their metas, and empties `small`. */
  #keepInline(small: Map<ChunkId, Uint8Array>): void {
    const { sealedRecords, trees } = this.#world;
    if (small.size === 0) return;
    trees.lazily(() => {
      for (const [raw, bytes] of small) sealedRecords.putInline(raw, bytes);
    });
    small.clear();
  }

  rest(signal: AbortSignal): Promise<boolean> {
    this.#own.forget();
    return this.#world.deltas.rest(signal);
  }

  /** Reads the pieces of a list of chunks that was too long for its meta. */
  async manifest(
    content: ContentHash,
    before: Content | undefined,
    signal?: AbortSignal,
  ): Promise<Manifest | undefined> {
    const { records, sealedRecords, trees } = this.#world;
    const known = records.manifest(content);
    const root = known === undefined ? sealedRecords.root(content) : undefined;
    if (root === undefined) return known;
    const entries = await this.#pieces.open(readManifest(root), listed(before), signal);
    return trees.transaction(() => {
      const opened = this.#learn(entries);
      records.putManifest(content, opened);
      return opened;
    });
  }

  sign(commit: Commit): Commit {
    const { primitives, keys } = this.#world;
    const { current, signingSeed } = keys();
    const facts = this.#facts(commit, this.#world.device, current.epoch);
    const signature = signCommit(primitives, signingSeed, facts);
    this.#own.complete();
    return { ...commit, keyEpoch: current.epoch, signature };
  }

  check(entry: Entry): void {
    const { primitives, keys, records, sealedRecords } = this.#world;
    const { device, base, keyEpoch, signature, sequence, chain, commitId } = entry;
    if (!device || !base || keyEpoch === undefined || signature === undefined) {
      throw faulty(sequence, FAULTS["bad-signature"]);
    }
    if (!keys().epochs.has(keyEpoch)) throw faulty(sequence, FAULTS["other-epoch"]);
    const facts = this.#facts({ ...entry, base }, device, keyEpoch);
    const epoch = this.#epochAt(keyEpoch, sequence);
    const verdict = checkCommit(primitives, facts, signature, {
      signingKey: keys().signingKeyOf(device, keyEpoch),
      epoch,
      chainAt: (at) => (at === 0 ? CHAIN_START : sealedRecords.chainAt(at)),
    });
    if (verdict !== "sound") throw faulty(sequence, FAULTS[verdict]);
    if ((sealedRecords.sequenceOf(commitId) ?? sequence) !== sequence)
      throw faulty(sequence, AGAIN);
    // What was read before a union, or promised for a commit, is still the journal's past.
    if ((sealedRecords.chainAt(sequence) ?? chain) !== chain) throw faulty(sequence, CHANGED);
    writeKeyEpoch(records, epoch);
    sealedRecords.putEntry(sequence, { chain, commitId });
  }

  /** Epochs only grow; one begins right before the first entry that is closed in it. */
  #epochAt(keyEpoch: number, sequence: number): { number: number; since: number } {
    const last = readKeyEpoch(this.#world.records);
    return sequence === 1 || keyEpoch > last.number
      ? { number: keyEpoch, since: sequence - 1 }
      : last;
  }

  #facts(
    { commitId, base, changes }: Pick<Commit, "commitId" | "base" | "changes">,
    device: DeviceId,
    epoch: number,
  ): CommitFacts {
    const { space, digest } = this.#world;
    return { space, commit: commitId, device, epoch, base, changes: hashChanges(digest, changes) };
  }

  /** Null when a chunk was not sealed yet: the content is another one by now. */
  #closeBody(content: FileContent, raw: Manifest): { body: FileBody; chunks: ChunkId[] } | null {
    const { sealedRecords } = this.#world;
    const { sha256, sizeBytes } = content;
    if (sizeBytes <= MAX_INLINE_BYTES) {
      const bytes = sizeBytes === 0 ? new Uint8Array(0) : sealedRecords.inline(chunkId(sha256));
      return bytes === undefined ? null : { body: { kind: "inline", bytes }, chunks: [] };
    }
    const closed = this.#pieces.close(content, raw);
    if (closed === null) return null;
    const { manifest, lists } = closed;
    return { body: { kind: "chunks", manifest }, chunks: namedChunks(...lists) };
  }

  /** Remembers how chunks are sealed; they are the engine's by their raw hash. */
  #learn(entries: readonly SealedEntry[]): Manifest {
    for (const entry of entries) this.#world.sealedRecords.putSealed(entry);
    return entries.map(({ raw, lengthBytes }) => ({ chunk: raw, lengthBytes }));
  }
}

/** A content whose chunks stand in a list. */
function listed(content: Content | undefined): FileContent | undefined {
  return content?.kind === "file" && content.sizeBytes > MAX_INLINE_BYTES ? content : undefined;
}

function wholeChunk({ sha256, sizeBytes }: FileContent): Manifest {
  return sizeBytes === 0 ? [] : [{ chunk: chunkId(sha256), lengthBytes: sizeBytes }];
}

function faulty(
  sequence: number,
  { code, because }: { code: string; because: string },
): WorldError {
  const message = `Entry ${sequence} of the server's journal is not to be believed: ${because}.`;
  return new WorldError(code, message);
}
