import type { Chance } from "#core/world.ts";

/**
 * What sealing is made of. The machine's own library is behind it; nothing here knows a format, and
 * no format knows a library. All are synchronous: an await a chunk would cost more than the chunk.
 * What comes out is a plain Uint8Array, never a library's own kind of it.
 */

/** SHA-2 and what is built on it. `parts` are hashed as if they stood in one array. */
export interface Hashes {
  /** 32 bytes. */
  sha256(parts: readonly Uint8Array[]): Uint8Array;
  /** 64 bytes. */
  sha512(parts: readonly Uint8Array[]): Uint8Array;
  /** 32 bytes. */
  hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;
  /** HKDF-SHA-512 (RFC 5869), first half: 64 bytes. */
  hkdfExtract(salt: Uint8Array, secret: Uint8Array): Uint8Array;
  /** HKDF-SHA-512, second half: at most 16,320 bytes; `key` is uniformly random. */
  hkdfExpand(key: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array;
  /** Whether two values of one length are equal, in a time that does not tell where they differ. */
  equal(left: Uint8Array, right: Uint8Array): boolean;
}

/** One use of AES-256-GCM: a 32-byte key and a 12-byte nonce that never meet again. */
export type GcmUse = {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly associated: Uint8Array;
};

/** Bytes that a tag adds. */
export const TAG_BYTES = 16;

/** AES-256-GCM (NIST SP 800-38D). It does not commit to its key: formats do that themselves. */
export interface Cipher {
  /** Writes the ciphertext of `parts` and its tag into `into`, which has exactly their length. */
  seal(use: GcmUse, parts: readonly Uint8Array[], into: Uint8Array): void;
  /** The plaintext of ciphertext and tag, or null when the tag does not fit. */
  open(use: GcmUse, sealed: Uint8Array): Uint8Array | null;
}

/** Ed25519 (RFC 8032): 32-byte seeds and public keys, 64-byte signatures. */
export interface Signatures {
  publicKey(seed: Uint8Array): Uint8Array;
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** zstd (RFC 8878). */
export interface Compression {
  /**
   * Level 3. Two editions of a library may differ in what they make of the same bytes: then it is
   * stored twice, and read all the same.
   */
  compress(bytes: Uint8Array): Uint8Array;
  /** The `lengthBytes` that `bytes` hold, or null when they hold more, fewer, or none at all. */
  decompress(bytes: Uint8Array, lengthBytes: number): Uint8Array | null;
}

export type Primitives = {
  readonly hashes: Hashes;
  readonly cipher: Cipher;
  readonly signatures: Signatures;
  readonly compression: Compression;
  readonly chance: Chance;
};
