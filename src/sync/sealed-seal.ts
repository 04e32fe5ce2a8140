import { assert } from "#core/assert.ts";
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
import type { Digest } from "#core/world.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import { checkCommit, signCommit, type CommitFacts, type CommitFault } from "#crypto/journal.ts";
import * as manifests from "#crypto/manifest.ts";
import { contentOf, MAX_INLINE_BYTES, openMeta, sealMeta, type FileBody } from "#crypto/meta.ts";
import { openName, sealName } from "#crypto/names.ts";
import type { Primitives } from "#crypto/primitives.ts";
import { CHAIN_START, hashChanges } from "#protocol/chain.ts";
import { nameChunks } from "#protocol/kept-chunks.ts";
import type { Commit } from "#protocol/commit.ts";
import type { Entry } from "#protocol/feed.ts";
import type { Deltas } from "./deltas.ts";
import type {
  ClosedContent,
  DeviceRecords,
  KnownContent,
  OpenContent,
  Preparing,
  Remote,
  Seal,
  SealedRecords,
  TreeStore,
} from "./ports.ts";
import { OwnCommit } from "./own-commit.ts";
import type { SealedKeys } from "./sealed-keys.ts";
import { readKeyEpoch, writeKeyEpoch } from "./settings.ts";
import { unasked, type SealedRemote } from "./sealed-remote.ts";

export type SealedWorld = {
  readonly space: SpaceId;
  readonly device: DeviceId;
  readonly folding: boolean;
  readonly primitives: Primitives;
  readonly digest: Digest;
  readonly keys: () => SealedKeys;
  readonly trees: Pick<TreeStore, "transaction">;
  readonly records: DeviceRecords;
  readonly sealedRecords: SealedRecords;
  /** The server, which knows stored chunks only. */
  readonly remote: Remote;
  readonly sealed: SealedRemote;
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
  readonly inlineBytes = MAX_INLINE_BYTES;
  readonly hashes = true;
  readonly trusts = false;

  constructor(world: SealedWorld) {
    this.#world = world;
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
    sealedRecords.putRoot(sha256, manifests.writeManifest(manifest));
    return { content, mtimeMs, manifest: null };
  }

  async prepare(files: readonly Preparing[], signal?: AbortSignal): Promise<void> {
    const { sealedRecords } = this.#world;
    const small = new Map<ChunkId, Uint8Array>();
    for (const { content, before, read } of files) {
      const { sha256, sizeBytes } = content;
      if (sizeBytes > MAX_INLINE_BYTES) await this.#sendPieces(content, before, signal);
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
    trees.transaction(() => {
      for (const [raw, bytes] of small) sealedRecords.putInline(raw, bytes);
    });
    small.clear();
  }

  /** Sends the pieces of this content's list of chunks, when it is too long for a meta. */
  async #sendPieces(
    { sha256, sizeBytes }: FileContent,
    before: Content | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const { records, sealed } = this.#world;
    const closed = this.#closeManifest(sha256, sizeBytes, records.manifest(sha256) ?? []);
    if (closed === null) return;
    const had = this.#piecesOf(before);
    const fresh = closed.pieces.filter(({ entry }) => !had.has(entry.chunk));
    await sealed.putSealed(fresh, signal);
  }

  /** The pieces that a content's list consists of, by their ids; none where they are not known. */
  #piecesOf(content: Content | undefined): ReadonlyMap<ChunkId, Uint8Array> {
    if (content?.kind !== "file" || content.sizeBytes <= MAX_INLINE_BYTES) return new Map();
    const { sha256, sizeBytes } = content;
    const raw = this.#world.records.manifest(sha256);
    const closed = raw === undefined ? null : this.#closeManifest(sha256, sizeBytes, raw);
    return new Map(closed?.pieces.map(({ entry, stored }) => [entry.chunk, stored]));
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
    const { records, sealedRecords, primitives, trees } = this.#world;
    const known = records.manifest(content);
    const root = known === undefined ? sealedRecords.root(content) : undefined;
    if (root === undefined) return known;
    let manifest = manifests.readManifest(root);
    const had = this.#piecesOf(before);
    while (manifest.level > 0) {
      const lacking = manifest.entries.filter(({ chunk }) => !had.has(chunk));
      const fetched = (await this.#fetchAll(lacking, signal)).values();
      const stored = manifest.entries.map(
        ({ chunk }) => had.get(chunk) ?? present(fetched.next().value),
      );
      manifest = manifests.openPieces(primitives, manifest, stored);
    }
    const { entries } = manifest;
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
  #closeBody(
    { sha256, sizeBytes }: FileContent,
    raw: Manifest,
  ): { body: FileBody; chunks: ReturnType<typeof manifests.namedChunks> } | null {
    const { sealedRecords } = this.#world;
    if (sizeBytes <= MAX_INLINE_BYTES) {
      const bytes = sizeBytes === 0 ? new Uint8Array(0) : sealedRecords.inline(chunkId(sha256));
      return bytes === undefined ? null : { body: { kind: "inline", bytes }, chunks: [] };
    }
    const closed = this.#closeManifest(sha256, sizeBytes, raw);
    if (closed === null) return null;
    const { manifest, pieces, entries } = closed;
    const listed = pieces.map(({ entry }) => entry);
    return {
      body: { kind: "chunks", manifest },
      chunks: manifests.namedChunks(entries, listed),
    };
  }

  #closeManifest(sha256: ContentHash, sizeBytes: number, raw: Manifest) {
    const { primitives, keys, sealedRecords } = this.#world;
    const entries: SealedEntry[] = [];
    for (const { chunk } of raw) {
      const entry = sealedRecords.sealed(chunk);
      if (entry === undefined) return null;
      entries.push(entry);
    }
    const file = { sizeBytes, sha256, entries };
    return { ...manifests.closeManifest(primitives, keys().current, file), entries };
  }

  /** Remembers how chunks are sealed; they are the engine's by their raw hash. */
  #learn(entries: readonly SealedEntry[]): Manifest {
    for (const entry of entries) this.#world.sealedRecords.putSealed(entry);
    return entries.map(({ raw, lengthBytes }) => ({ chunk: raw, lengthBytes }));
  }

  async #fetchAll(entries: readonly SealedEntry[], signal?: AbortSignal): Promise<Uint8Array[]> {
    const stored: Uint8Array[] = [];
    while (stored.length < entries.length) {
      const ids = entries.slice(stored.length).map(({ chunk }) => chunk);
      const before = stored.length;
      for await (const { bytes } of this.#world.remote.fetch(ids, signal)) stored.push(bytes);
      if (stored.length === before) {
        throw new WorldError("io", "The server sent none of the chunks that it was asked for.", {
          retryable: true,
        });
      }
    }
    if (stored.length > entries.length) throw unasked();
    return stored;
  }
}

function present<T>(value: T | undefined): T {
  assert(value !== undefined, "a piece for each entry");
  return value;
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
