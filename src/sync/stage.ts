import { toHex } from "#core/bytes.ts";
import { codeOf, WorldError } from "#core/errors.ts";
import type { ChunkId, NodeId } from "#core/ids.ts";
import { joinPath } from "#core/names.ts";
import type { FileContent, Manifest } from "#core/node.ts";
import type { Digest } from "#core/world.ts";
import { MAX_CHUNK_IDS } from "#protocol/limits.ts";
import { hashFile } from "./hash.ts";
import { readLocalChunk } from "./local-chunks.ts";
import { STAGE_FOLDER } from "./paths.ts";
import type { DeviceRecords, Disk, FileReader, Remote, Seal, Stat } from "./ports.ts";
import type { TreeStore } from "./ports.ts";
import { LARGE_BYTES } from "./reading.ts";

/** Room that is left on the disk for everybody else. */
const RESERVE_BYTES = 100 * 1024 * 1024;

export type StageWorld = {
  readonly trees: TreeStore;
  readonly records: DeviceRecords;
  readonly disk: Disk;
  readonly reader: FileReader;
  readonly remote: Remote;
  readonly digest: Digest;
  readonly seal: Pick<Seal, "manifest" | "inlineBytes">;
  /** Paths of files that were taken away just now. */
  readonly held?: ReadonlyMap<NodeId, string>;
};

/** A content to be written beside its place. */
export type Wanted = {
  readonly node: NodeId;
  readonly content: FileContent;
  readonly mtimeMs: number;
};

export type Staged = { readonly path: string; readonly stat: Stat };

export type StageProgress = { receivedBytes: number };

export function stagePath({ node, content }: Wanted): string {
  return joinPath(STAGE_FOLDER, `${node}-${content.sha256.slice(0, 32)}`);
}

/** A stage file on its way; a small one is opened when its first bytes are there. */
type Filling = {
  readonly wanted: Wanted;
  readonly path: string;
  lackingPieces: number;
  isOpen: boolean;
};

type Spot = { readonly file: Filling; readonly offset: number };

/** A chunk that a stage file lacks. */
type Piece = { readonly chunk: ChunkId; readonly offset: number; readonly lengthBytes: number };

/** One staging: which chunks are wanted where, and what each file still lacks. */
class Staging {
  readonly staged = new Map<NodeId, Staged>();
  readonly failed = new Map<NodeId, unknown>();
  readonly #world: StageWorld;
  readonly #progress: StageProgress;
  readonly #signal: AbortSignal;
  readonly #spots = new Map<ChunkId, Spot[]>();
  /** Chunks that the server does not have, and what it said of the first of them. */
  readonly #lacking = new Map<ChunkId, WithheldCode>();
  readonly #begun: Filling[] = [];
  /** Files that are complete are made durable while others are filled. */
  readonly #finishing: Promise<void>[] = [];
  #freeBytes: number | null = null;

  constructor(world: StageWorld, progress: StageProgress, signal: AbortSignal) {
    this.#world = world;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** Notes what a stage file lacks; what a stopped staging left of a large one is kept. */
  async begin(wanted: Wanted): Promise<void> {
    try {
      await this.#begin(wanted);
    } catch (error) {
      this.failed.set(wanted.node, error);
    }
  }

  async #begin(wanted: Wanted): Promise<void> {
    const { disk, records, seal, trees } = this.#world;
    const { content, node } = wanted;
    const before = trees.get(node)?.synced?.content;
    const known = records.manifest(content.sha256);
    const manifest = known ?? (await seal.manifest(content.sha256, before, this.#signal));
    if (manifest === undefined) {
      throw new WorldError("no-manifest", `The chunks of ${content.sha256} are not known.`);
    }
    const path = stagePath(wanted);
    const isOpen = content.sizeBytes > LARGE_BYTES;
    const presentBytes = isOpen ? await disk.stage.open(path) : 0;
    const pieces = await this.#lackingOf(path, manifest, presentBytes);
    this.#freeBytes ??= await disk.look.freeBytes();
    if (!this.#fits(pieces, this.#freeBytes - RESERVE_BYTES)) {
      await disk.stage.close(path);
      const detail = `${content.sizeBytes} bytes do not fit; free some space`;
      throw new WorldError("no-space", `The disk is full: ${detail}.`, { retryable: true });
    }
    const file = { wanted, path, lackingPieces: pieces.length, isOpen };
    this.#begun.push(file);
    for (const { chunk, offset } of pieces) {
      const spots = this.#spots.get(chunk);
      if (spots === undefined) this.#spots.set(chunk, [{ file, offset }]);
      else spots.push({ file, offset });
    }
    if (pieces.length === 0) await this.#complete(file);
  }

  async #lackingOf(path: string, manifest: Manifest, presentBytes: number): Promise<Piece[]> {
    const pieces: Piece[] = [];
    let offset = 0;
    for (const { chunk, lengthBytes } of manifest) {
      const end = offset + lengthBytes;
      if (end > presentBytes || !(await this.#isThere(path, chunk, offset, lengthBytes))) {
        pieces.push({ chunk, offset, lengthBytes });
      }
      offset = end;
    }
    return pieces;
  }

  /** True when there is room for these pieces; zeros, as in a sparse file, need none. */
  #fits(pieces: readonly Piece[], roomBytes: number): boolean {
    const sum = (some: readonly Piece[]): number =>
      some.reduce((bytes, { lengthBytes }) => bytes + lengthBytes, 0);
    if (sum(pieces) <= roomBytes) return true;
    // Runs of zeros are cut at the greatest length, which is what the longest piece has.
    const greatest = pieces.reduce((most, piece) => Math.max(most, piece.lengthBytes), 0);
    const zeros = toHex(this.#world.digest.sha256(new Uint8Array(greatest)));
    return sum(pieces.filter(({ chunk }) => chunk !== zeros)) <= roomBytes;
  }

  async #isThere(path: string, chunk: ChunkId, offset: number, length: number): Promise<boolean> {
    const bytes = await this.#world.disk.look.read(path, offset, length);
    return this.#isChunk(chunk, bytes);
  }

  #isChunk(chunk: ChunkId, bytes: Uint8Array): boolean {
    return toHex(this.#world.digest.sha256(bytes)) === chunk;
  }

  /** Fills all open stage files: from this disk where it has the bytes, else from the server. */
  async fill(): Promise<void> {
    for (const chunk of this.#spots.keys()) {
      const bytes = await readLocalChunk(this.#world, chunk, this.#world.held);
      if (bytes !== null) await this.#write(chunk, bytes);
    }
    while (this.#spots.size > 0) {
      this.#signal.throwIfAborted();
      const before = this.#spots.size;
      const ids = [...this.#spots.keys()].slice(0, MAX_CHUNK_IDS);
      try {
        for await (const { id, bytes } of this.#world.remote.fetch(ids, this.#signal)) {
          this.#progress.receivedBytes += bytes.length;
          await this.#write(id, bytes);
        }
      } catch (error) {
        const code = codeOf(error);
        if (code !== "not-found" && code !== "chunk-damaged") throw error;
        await this.#giveUpLacking(ids, code);
      }
      if (this.#spots.size === before) {
        const message = "The server sent none of the chunks asked for.";
        throw new WorldError("chunks-missing", message, { retryable: true });
      }
    }
  }

  /**
   * A server that was restored lacks what came later, and one whose disk rots what it has found
   * damaged: files that need none of it go on.
   */
  async #giveUpLacking(ids: readonly ChunkId[], code: WithheldCode): Promise<void> {
    // What stands in a node's meta is not of the server's chunks, and not missing there.
    const { remote, seal } = this.#world;
    const stored = ids.filter((id) => {
      const spots = this.#spots.get(id) ?? [];
      const isHere = spots.some(({ file }) => file.wanted.content.sizeBytes <= seal.inlineBytes);
      return spots.length > 0 && !isHere;
    });
    for (const chunk of await remote.missing(stored, this.#signal)) {
      this.#lacking.set(chunk, code);
      this.#spots.delete(chunk);
    }
  }

  async #write(chunk: ChunkId, bytes: Uint8Array): Promise<void> {
    const spots = this.#spots.get(chunk) ?? [];
    this.#spots.delete(chunk);
    for (const { file, offset } of spots) {
      if (!(await this.#isOpen(file))) continue;
      await this.#world.disk.stage.write(file.path, offset, bytes);
      if (--file.lackingPieces === 0) await this.#complete(file);
    }
  }

  /** A file that cannot be opened fails by itself. */
  async #isOpen(file: Filling): Promise<boolean> {
    const { node } = file.wanted;
    if (file.isOpen || this.failed.has(node)) return file.isOpen;
    try {
      await this.#world.disk.stage.open(file.path);
      file.isOpen = true;
    } catch (error) {
      this.failed.set(node, error);
    }
    return file.isOpen;
  }

  async #complete(file: Filling): Promise<void> {
    if (await this.#isOpen(file)) this.#finishing.push(this.#conclude(file));
  }

  /** Ends all stage files: those that lack what the server does not have fail by themselves. */
  async end(): Promise<void> {
    await Promise.all(this.#finishing);
    for (const file of this.#begun) {
      if (file.lackingPieces > 0 && !this.failed.has(file.wanted.node)) await this.#conclude(file);
    }
  }

  async #conclude({ wanted }: Filling): Promise<void> {
    try {
      this.staged.set(wanted.node, await this.#finish(wanted));
    } catch (error) {
      this.failed.set(wanted.node, error);
    }
  }

  /** Waits for what was begun, and closes what did not come to its end. */
  async leave(): Promise<void> {
    await Promise.all(this.#finishing);
    for (const { wanted, path } of this.#begun) {
      if (!this.staged.has(wanted.node)) await this.#world.disk.stage.close(path);
    }
  }

  /** Makes a filled file durable and proves that it is what was wanted (SPEC DL3). */
  async #finish(wanted: Wanted): Promise<Staged> {
    const { disk } = this.#world;
    const { content, mtimeMs } = wanted;
    const { sizeBytes, executable } = content;
    const path = stagePath(wanted);
    const manifest = this.#world.records.manifest(content.sha256);
    const lacking = manifest?.find(({ chunk }) => this.#lacking.has(chunk));
    if (lacking !== undefined) throw withheld(lacking.chunk, this.#lacking.get(lacking.chunk));
    const stat = await disk.stage.finish(path, { sizeBytes, executable, mtimeMs });
    const hash = await hashFile(this.#world, path, stat, this.#signal);
    if (hash === content.sha256) return { path, stat };
    throw new WorldError(
      "content-damaged",
      `The chunks of a file of ${sizeBytes} bytes do not add up to its hash ${content.sha256}.`,
    );
  }
}

/** What a server says of chunks that it does not give out. */
type WithheldCode = "not-found" | "chunk-damaged";

function withheld(chunk: ChunkId, code: WithheldCode | undefined): WorldError {
  const retryable = true;
  if (code === "chunk-damaged") {
    const message =
      "The server's copy of it is damaged: it comes when a device that has it has sent it again. " +
      "lockstep scrub at the server finds what else is.";
    return new WorldError(code, message, { retryable });
  }
  const detail = "a device that has it sends it";
  const message = `The server does not have chunk ${chunk}; ${detail}.`;
  return new WorldError("chunks-missing", message, { retryable });
}

/**
 * Writes contents to stage files: all chunks of all files in as few requests as can be. Failures
 * are per file where they are the file's own (`failed`), and thrown where they are the server's.
 */
export async function stage(
  world: StageWorld,
  files: readonly Wanted[],
  progress: StageProgress,
  signal: AbortSignal,
): Promise<{
  readonly staged: ReadonlyMap<NodeId, Staged>;
  readonly failed: ReadonlyMap<NodeId, unknown>;
}> {
  const staging = new Staging(world, progress, signal);
  try {
    for (const wanted of files) await staging.begin(wanted);
    await staging.fill();
    await staging.end();
  } finally {
    await staging.leave();
  }
  return staging;
}
