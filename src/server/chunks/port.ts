import { WorldError } from "#core/errors.ts";

/**
 * Where packs lie: immutable stored objects of many chunks, written once under a name that is never
 * used again. A local folder and an S3 bucket answer one contract suite.
 */
export interface PackStore {
  /**
   * Opens a pack for writing. Nothing is visible under `name` before `finish` resolves, and then it
   * survives a power cut. WorldError `pack-exists`, from here or from `finish`, when there is one.
   */
  create(name: string): Promise<PackWriter>;
  /** The bytes of a range; WorldError `pack-missing` or `pack-short` when they are not there. */
  read(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  /** Names of all finished packs, in no order. */
  list(): AsyncIterable<string>;
  /** Removes a pack; nothing happens when it is not there. */
  remove(name: string): Promise<void>;
}

/** A store that can be told from others, also after it was copied elsewhere. */
export type KnownPacks = PackStore &
  AsyncDisposable & {
    /** What the store is known by: `drawn`, put into it, where it had nothing yet. */
    storeId(drawn: string): Promise<string>;
  };

export interface PackWriter {
  /** Appends and returns the offset that the bytes begin at; keeps none of them itself. */
  append(bytes: Uint8Array): Promise<number>;
  /** Makes all that was appended durable, then visible. */
  finish(): Promise<void>;
  /** Leaves nothing behind. */
  discard(): Promise<void>;
}

export function packExists(name: string): WorldError {
  return new WorldError("pack-exists", `Pack ${name} is there already.`);
}

export function packMissing(name: string, cause?: unknown): WorldError {
  return new WorldError("pack-missing", `Pack ${name} is not there.`, { cause });
}

/** `endBytes` is null when the store did not say where the pack ends. */
export function packShort(
  name: string,
  wanted: {
    readonly endBytes: number | null;
    readonly offsetBytes: number;
    readonly lengthBytes: number;
  },
): WorldError {
  const { endBytes, offsetBytes, lengthBytes } = wanted;
  const end = endBytes === null ? "before that" : `at ${endBytes}`;
  return new WorldError(
    "pack-short",
    `Pack ${name} ends ${end}, wanted: ${lengthBytes} bytes at ${offsetBytes}.`,
  );
}
