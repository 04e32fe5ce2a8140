import { toHex } from "#core/bytes.ts";
import { codeOf, WorldError } from "#core/errors.ts";
import type { ChunkId, ContentHash, NodeId } from "#core/ids.ts";
import type { FileContent, Manifest, ManifestEntry } from "#core/node.ts";
import type { Digest } from "#core/world.ts";
import { FRAME_HEAD_BYTES } from "#protocol/frames.ts";
import { MAX_CHUNK_IDS } from "#protocol/limits.ts";
import { Before } from "./before.ts";
import { pathOf } from "./paths.ts";
import { ChunkChanged } from "./ports.ts";
import type {
  DeviceRecords,
  Disk,
  OutgoingChunk,
  Preparing,
  Remote,
  Seal,
  TreeStore,
} from "./ports.ts";

/** One framed batch: large enough for the wire, small enough to lose. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_CHUNKS = 2_000;
const BATCHES_IN_FLIGHT = 3;
/** Adjacent chunks of one file are read together up to this size. */
const READ_BYTES = 4 * 1024 * 1024;

export type UploadWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly disk: Disk;
  readonly remote: Remote;
  readonly digest: Digest;
  readonly seal: Pick<Seal, "inlineBytes" | "hashes" | "knows" | "prepare">;
  /** Whether the server may lack even what a revision of its own needs. */
  readonly isDoubtful: boolean;
};

/** A file whose chunks the server must have before a commit names them. */
export type Outbound = { readonly node: NodeId; readonly content: FileContent };

export type UploadProgress = { sentBytes: number };

type Piece = { readonly chunk: ChunkId; readonly offset: number; readonly length: number };

/** Thrown when a file is no longer what was read: it is read again, the others go on. */
class FileMoved extends Error {
  override readonly name = "FileMoved";
  readonly node: NodeId;

  constructor(node: NodeId) {
    super(`file of node ${node} changed while it was sent`);
    this.node = node;
  }
}

/** Files that the account has no room for; there is room for the others. */
export class NoRoom extends WorldError {
  readonly nodes: readonly NodeId[];

  constructor(nodes: readonly NodeId[], roomBytes: number) {
    const room = `The account has room for ${roomBytes} more bytes at the server`;
    super("over-quota", `${room}: delete what is not needed, or ask its operator for more.`);
    this.nodes = nodes;
  }
}

/** Holds frames until a batch is full and keeps a bounded number of batches on the wire. */
class BatchSender {
  readonly #world: UploadWorld;
  readonly #signal: AbortSignal | undefined;
  readonly #progress: UploadProgress;
  readonly #flying = new Set<Promise<void>>();
  #frames: OutgoingChunk[] = [];
  #nodes = new Map<ChunkId, NodeId>();
  #bytes = 0;

  constructor(world: UploadWorld, progress: UploadProgress, signal?: AbortSignal) {
    this.#world = world;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** Frames that were read together from a node's file; they stay together. */
  async add(frames: readonly OutgoingChunk[], node: NodeId): Promise<void> {
    for (const frame of frames) {
      this.#frames.push(frame);
      this.#nodes.set(frame.id, node);
      this.#bytes += frame.bytes.length + FRAME_HEAD_BYTES;
    }
    if (this.#bytes >= BATCH_BYTES || this.#frames.length >= BATCH_CHUNKS) await this.#launch();
  }

  async finish(): Promise<void> {
    if (this.#frames.length > 0) await this.#launch();
    await Promise.all(this.#flying);
  }

  /** Waits for what is on the wire without judging it: the caller has a failure to report. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#flying);
  }

  async #launch(): Promise<void> {
    const frames = this.#frames;
    const nodes = this.#nodes;
    const bytes = this.#bytes;
    this.#frames = [];
    this.#nodes = new Map();
    this.#bytes = 0;
    while (this.#flying.size >= BATCHES_IN_FLIGHT) await Promise.race(this.#flying);
    const flight = this.#put(frames, nodes).then(() => {
      this.#progress.sentBytes += bytes;
      this.#flying.delete(flight);
    });
    // The failure is met by whoever awaits the flight; it must not count as unhandled before.
    flight.catch(() => undefined);
    this.#flying.add(flight);
  }

  async #put(frames: readonly OutgoingChunk[], nodes: ReadonlyMap<ChunkId, NodeId>): Promise<void> {
    try {
      await this.#world.remote.put(frames, this.#signal);
    } catch (error) {
      const node = error instanceof ChunkChanged ? nodes.get(error.chunk) : undefined;
      throw node === undefined ? error : new FileMoved(node);
    }
  }
}

/** Files of which the chunks are looked up, for one upload. */
const MAX_ELSEWHERE = 64;

/** What the server has in other files that this disk has too: nobody has to be asked about it. */
class Elsewhere {
  readonly #world: Pick<UploadWorld, "trees" | "records">;
  readonly #chunks = new Set<ChunkId>();
  readonly #seen = new Set<NodeId>();

  constructor(world: Pick<UploadWorld, "trees" | "records">) {
    this.#world = world;
  }

  has(chunk: ChunkId): boolean {
    if (this.#chunks.has(chunk)) return true;
    for (const { node } of this.#world.records.sources(chunk)) this.#add(node);
    return this.#chunks.has(chunk);
  }

  #add(node: NodeId): void {
    if (this.#seen.has(node) || this.#seen.size === MAX_ELSEWHERE) return;
    this.#seen.add(node);
    const { trees, records } = this.#world;
    const content = trees.get(node)?.remote?.content;
    if (content?.kind !== "file") return;
    for (const { chunk } of records.manifest(content.sha256) ?? []) this.#chunks.add(chunk);
  }
}

/** Asks which of these chunks the space lacks. */
async function missingOf(
  remote: Remote,
  ids: ReadonlySet<ChunkId>,
  signal?: AbortSignal,
): Promise<Set<ChunkId>> {
  const all = [...ids];
  const missing = new Set<ChunkId>();
  for (let from = 0; from < all.length; from += MAX_CHUNK_IDS) {
    const page = all.slice(from, from + MAX_CHUNK_IDS);
    for (const id of await remote.missing(page, signal)) missing.add(id);
  }
  return missing;
}

/**
 * Runs of adjacent wanted pieces of a manifest, each at most READ_BYTES unless one chunk is larger.
 */
function* runsOf(manifest: Manifest, wanted: Set<ChunkId>): Iterable<Piece[]> {
  let run: Piece[] = [];
  let runBytes = 0;
  let offset = 0;
  for (const { chunk, lengthBytes } of manifest) {
    const isWanted = wanted.delete(chunk);
    if (run.length > 0 && (!isWanted || runBytes + lengthBytes > READ_BYTES)) {
      yield run;
      run = [];
      runBytes = 0;
    }
    if (isWanted) {
      run.push({ chunk, offset, length: lengthBytes });
      runBytes += lengthBytes;
    }
    offset += lengthBytes;
  }
  if (run.length > 0) yield run;
}

/** The wanted chunks of a file, those together that are read together. */
async function* framesOf(
  world: UploadWorld,
  file: Outbound,
  before: Before,
  wanted: Set<ChunkId>,
): AsyncIterable<OutgoingChunk[]> {
  const manifest = world.records.manifest(file.content.sha256);
  const path = pathOf(world.trees, "local", file.node);
  if (manifest === undefined || path === null) throw new FileMoved(file.node);
  for (const run of runsOf(manifest, wanted)) {
    const first = run[0];
    const last = run.at(-1);
    if (first === undefined || last === undefined) continue;
    const length = last.offset + last.length - first.offset;
    const bytes = await readPiece(world.disk, path, first.offset, length, file.node);
    if (bytes.length < length) throw new FileMoved(file.node);
    const frames = run.map(({ chunk, offset, length: size }): OutgoingChunk => {
      const alike = before.near(offset);
      const part = bytes.subarray(offset - first.offset, offset - first.offset + size);
      if (alike.length === 0) return { id: chunk, bytes: part };
      return { id: chunk, bytes: part, alike, nearest: before.nearest(offset + size / 2) };
    });
    if (!world.seal.hashes) mustBeSame(world, frames, file.node);
    yield frames;
  }
}

function mustBeSame({ digest }: UploadWorld, frames: readonly OutgoingChunk[], node: NodeId): void {
  for (const { id, bytes } of frames) {
    if (toHex(digest.sha256(bytes)) !== id) throw new FileMoved(node);
  }
}

async function readPiece(
  disk: Disk,
  path: string,
  offset: number,
  length: number,
  node: NodeId,
): Promise<Uint8Array> {
  try {
    return await disk.look.read(path, offset, length);
  } catch (error) {
    const code = codeOf(error);
    if (code === "not-found" || code === "not-a-folder") throw new FileMoved(node);
    throw error;
  }
}

/**
 * Sends what the server lacks of these files (SPEC UP1, UP2): one question, then framed batches,
 * several in flight. Chunks are verified against their ids as they are read. Returns the files that
 * changed meanwhile; throws WorldError when the server cannot be reached or refuses, and NoRoom.
 */
export async function upload(
  world: UploadWorld,
  files: readonly Outbound[],
  progress: UploadProgress,
  signal?: AbortSignal,
): Promise<NodeId[]> {
  const inChunks = files.filter(({ content }) => content.sizeBytes > world.seal.inlineBytes);
  const moved = await uploadChunks(world, inChunks, progress, signal);
  const known = new Set(moved);
  const still = files.filter(({ node }) => !known.has(node));
  const preparing = still.map((file): Preparing => {
    const { content, node } = file;
    const read = async (): Promise<Uint8Array | null> => {
      const bytes = await readWhole(world, file);
      if (bytes === null) moved.push(node);
      return bytes;
    };
    const before = world.isDoubtful ? undefined : world.trees.get(node)?.remote?.content;
    return { content, before, read };
  });
  await world.seal.prepare(preparing, signal);
  return moved;
}

async function uploadChunks(
  world: UploadWorld,
  files: readonly Outbound[],
  progress: UploadProgress,
  signal?: AbortSignal,
): Promise<NodeId[]> {
  const ids = new Set<ChunkId>();
  const elsewhere = new Elsewhere(world);
  const befores = new Map<Outbound, Before>();
  for (const file of files) {
    const manifest = manifestOf(world.records, file.content.sha256);
    const before = new Before(world, file.node, manifest);
    befores.set(file, before);
    for (const { chunk } of manifest) {
      const isThere = before.kept.has(chunk) || elsewhere.has(chunk);
      // Of what came from elsewhere, a list that was never opened may not be known yet.
      if (world.isDoubtful || !isThere || !world.seal.knows(chunk)) ids.add(chunk);
    }
  }
  if (ids.size === 0) return [];
  const wanted = await missingOf(world.remote, ids, signal);
  await expectRoom(world, files, wanted, signal);
  const sender = new BatchSender(world, progress, signal);
  const moved: NodeId[] = [];
  try {
    for (const [file, before] of befores) {
      if (wanted.size === 0) break;
      const isMoved = await unlessMoved(async () => {
        for await (const frames of framesOf(world, file, before, wanted)) {
          await sender.add(frames, file.node);
        }
      });
      if (isMoved !== null) moved.push(isMoved);
    }
    const isMoved = await unlessMoved(() => sender.finish());
    if (isMoved !== null) moved.push(isMoved);
  } finally {
    await sender.settle();
  }
  return moved;
}

/**
 * Throws NoRoom when the account has no room for all of these files: parts of them would take the
 * room of others, and they would never be whole.
 */
async function expectRoom(
  { remote, records }: UploadWorld,
  files: readonly Outbound[],
  wanted: ReadonlySet<ChunkId>,
  signal?: AbortSignal,
): Promise<void> {
  if (wanted.size === 0) return;
  const roomBytes = (await remote.room?.(signal)) ?? null;
  if (roomBytes === null) return;
  const counted = new Set<ChunkId>();
  const needs = files.map(({ node, content }) => {
    let needsBytes = 0;
    for (const { chunk, lengthBytes } of manifestOf(records, content.sha256)) {
      if (!wanted.has(chunk) || counted.has(chunk)) continue;
      counted.add(chunk);
      needsBytes += lengthBytes;
    }
    return { node, needsBytes };
  });
  // As many as possible: the smallest first.
  let takenBytes = 0;
  const without = needs
    .toSorted((left, right) => left.needsBytes - right.needsBytes)
    .filter(({ needsBytes }) => (takenBytes += needsBytes) > roomBytes)
    .map(({ node }) => node);
  if (without.length > 0) throw new NoRoom(without, roomBytes);
}

/** Null when `work` ends well; the node whose file is no longer what was read. */
async function unlessMoved(work: () => Promise<void>): Promise<NodeId | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (error instanceof FileMoved) return error.node;
    throw error;
  }
}

/** All bytes of a small file, as it was read; null when they are no longer that. */
async function readWhole(
  world: UploadWorld,
  { node, content }: Outbound,
): Promise<Uint8Array | null> {
  const path = pathOf(world.trees, "local", node);
  if (path === null) return null;
  let bytes: Uint8Array;
  try {
    bytes = await readPiece(world.disk, path, 0, content.sizeBytes, node);
  } catch (error) {
    if (error instanceof FileMoved) return null;
    throw error;
  }
  return toHex(world.digest.sha256(bytes)) === content.sha256 ? bytes : null;
}

function manifestOf(records: DeviceRecords, content: ContentHash): readonly ManifestEntry[] {
  return records.manifest(content) ?? [];
}
