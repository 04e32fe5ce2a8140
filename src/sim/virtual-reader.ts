import { hash } from "node:crypto";
import { cutSizes, type CutKey } from "#chunking/cut.ts";
import { splitAll } from "#chunking/split.ts";
import { concat } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { chunkId, contentHash, type ContentHash } from "#core/ids.ts";
import type { Manifest } from "#core/node.ts";
import type { Digested, FileReader } from "#sync/ports.ts";
import type { FileKey, Stamp } from "#sync/tree.ts";
import type { Gate } from "./disk-doors.ts";
import { hashOf } from "./contents.ts";
import type { MachineTime } from "./virtual-clock.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";

/** Small chunks, so that files of a few KiB have several. */
const SMALL_CHUNKS = cutSizes(11);

type Expected = { readonly file: FileKey; readonly stamp: Stamp };

/** Reads files in two halves, with everybody's steps between. */
export class VirtualReader implements FileReader {
  readonly #disk: VirtualDisk;
  readonly #gate: Gate;
  readonly #sizes: typeof SMALL_CHUNKS;
  readonly #time: MachineTime;
  readonly #key: CutKey;
  readonly #meet: (call: string, path: string) => void;
  readonly #near: (path: string) => void;

  constructor(
    world: {
      disk: VirtualDisk;
      time: MachineTime;
      meet: (call: string, path: string) => void;
      /** Told of every path that is being read, and that was. */
      near: (path: string) => void;
    },
    gate: Gate,
    cutKey: CutKey,
    sizes = SMALL_CHUNKS,
  ) {
    this.#sizes = sizes;
    this.#disk = world.disk;
    this.#time = world.time;
    this.#meet = world.meet;
    this.#near = world.near;
    this.#gate = gate;
    this.#key = cutKey;
  }

  async digest(path: string, expected: Expected, signal?: AbortSignal): Promise<Digested> {
    signal?.throwIfAborted();
    const begun = await this.#gate(`digest ${path}`, () => {
      this.#meet("digest", path);
      const beganMs = this.#time.nowMs;
      const inode = this.#disk.peek(path);
      if (inode === null) return { outcome: "gone" } as const;
      if (!this.#isAs(inode, expected)) return { outcome: "changed" } as const;
      if (inode.barred) throw new WorldError("no-permission", `${path} may not be read.`);
      return { outcome: "open", inode, bytes: inode.bytes, beganMs } as const;
    });
    if (begun.outcome !== "open") return begun;
    return this.#gate(`digested ${path}`, (): Digested => {
      const { inode, bytes: before, beganMs } = begun;
      this.#near(path);
      if (!this.#isAs(inode, expected)) return { outcome: "changed" };
      const bytes = halves(before, inode.bytes);
      this.#near(path);
      const sha256 = contentHash(hashOf(bytes));
      return {
        outcome: "read",
        stamp: expected.stamp,
        sha256,
        manifest: this.#cut(bytes),
        beganMs,
      };
    });
  }

  async hash(path: string, expected: Expected, signal?: AbortSignal): Promise<ContentHash | null> {
    const digested = await this.digest(path, expected, signal);
    return digested.outcome === "read" ? digested.sha256 : null;
  }

  #isAs(inode: Inode, { file, stamp }: Expected): boolean {
    const now = this.#disk.statOf(inode);
    return (
      now.kind === "file" &&
      now.file === file &&
      now.stamp.sizeBytes === stamp.sizeBytes &&
      now.stamp.mtimeNs === stamp.mtimeNs &&
      now.stamp.ctimeNs === stamp.ctimeNs
    );
  }

  #cut(bytes: Uint8Array): Manifest {
    let at = 0;
    return splitAll(bytes, this.#sizes, this.#key).map((lengthBytes) => {
      const chunk = bytes.subarray(at, (at += lengthBytes));
      const isWhole = lengthBytes === bytes.length;
      return {
        chunk: chunkId(isWhole ? hashOf(bytes) : hash("sha256", chunk, "hex")),
        lengthBytes,
      };
    });
  }
}

/** The first half as a file was, and what comes behind it as it is. */
function halves(before: Uint8Array, now: Uint8Array): Uint8Array {
  // Bytes are never changed in place.
  if (before === now) return now;
  const half = Math.floor(before.length / 2);
  return concat([before.subarray(0, half), now.subarray(half)]);
}
