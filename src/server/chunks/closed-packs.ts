import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Cipheriv, Decipheriv } from "node:crypto";
import { release, utf8 } from "#core/bytes.ts";
import type { PackStore, PackWriter } from "./port.ts";

const CIPHER = "aes-256-ctr";
const KEY_BYTES = 32;
const BLOCK_BYTES = 16;
const CIPHERED_AT_ONCE_BYTES = 64 * 1024;
const LABEL = "lockstep/1/pack\0";

/**
 * Packs that tell nothing where they lie: AES-256-CTR, which keeps lengths and reads from anywhere,
 * under a key of the pack's own (HKDF-SHA-256 of the server's master key and the pack's name). A
 * name is never used again, so no key stream is. What was turned over on the disk is found by the
 * hash that every chunk is known by, not here.
 */
export class ClosedPacks implements PackStore {
  readonly #packs: PackStore;
  readonly #masterKey: Uint8Array;

  constructor(packs: PackStore, masterKey: Uint8Array) {
    this.#packs = packs;
    this.#masterKey = masterKey;
  }

  async create(name: string): Promise<PackWriter> {
    const writer = await this.#packs.create(name);
    const cipher = createCipheriv(CIPHER, this.#keyOf(name), counterAt(0));
    return {
      async append(bytes) {
        const closed = new Uint8Array(bytes.length);
        runThrough(cipher, bytes, closed);
        const offsetBytes = await writer.append(closed);
        release(closed);
        return offsetBytes;
      },
      finish: () => writer.finish(),
      discard: () => writer.discard(),
    };
  }

  async read(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const closed = await this.#packs.read(name, offsetBytes, lengthBytes);
    const counter = counterAt(Math.floor(offsetBytes / BLOCK_BYTES));
    const cipher = createDecipheriv(CIPHER, this.#keyOf(name), counter);
    cipher.update(new Uint8Array(offsetBytes % BLOCK_BYTES));
    runThrough(cipher, closed, closed);
    return closed;
  }

  list(): AsyncIterable<string> {
    return this.#packs.list();
  }

  remove(name: string): Promise<void> {
    return this.#packs.remove(name);
  }

  #keyOf(name: string): Uint8Array {
    const info = utf8(LABEL + name);
    return new Uint8Array(hkdfSync("sha256", this.#masterKey, "", info, KEY_BYTES));
  }
}

/** `into` may be the same bytes; more at once would leave the processor's cache, and come back. */
function runThrough(by: Cipheriv | Decipheriv, bytes: Uint8Array, into: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += CIPHERED_AT_ONCE_BYTES) {
    const through = by.update(bytes.subarray(at, at + CIPHERED_AT_ONCE_BYTES));
    into.set(through, at);
    release(through);
  }
}

/** The counter of a block of the key stream, 128 bits, big-endian. */
function counterAt(block: number): Uint8Array {
  const counter = new Uint8Array(BLOCK_BYTES);
  new DataView(counter.buffer).setBigUint64(BLOCK_BYTES - 8, BigInt(block));
  return counter;
}
