import { concat } from "#core/bytes.ts";
import type { Chance } from "#core/world.ts";
import { TAG_BYTES, type GcmUse, type Primitives } from "#crypto/primitives.ts";
import { virtualPrimitives } from "./virtual-primitives.ts";

/** What a mixture is made for: one purpose's never equals another's. */
const PURPOSES = {
  sha512: 1,
  hmac: 2,
  extract: 3,
  expand: 4,
  stream: 5,
  tag: 6,
  public: 7,
  signature: 8,
} as const;

const SIGNATURE_BYTES = 64;
const PUBLIC_KEY_BYTES = 32;

function rotated(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/**
 * The body of MurmurHash3 (Appleby, x86, 128 bits) over texts with their lengths, and sfc32
 * (Doty-Humphrey, PractRand) to draw as many bytes from its state as are asked for. Whatever is
 * changed by chance comes out otherwise; whoever wants to can make two texts come out alike.
 */
class Mixture {
  #a: number;
  #b = 0x3c6ef372;
  #c = 0x510e527f;
  #d = 0x1f83d9ab;

  constructor(purpose: keyof typeof PURPOSES, ...texts: readonly Uint8Array[]) {
    this.#a = PURPOSES[purpose];
    for (const text of texts) this.#take(text);
  }

  #take(text: Uint8Array): void {
    const { length } = text;
    let at = 0;
    for (; at + 16 <= length; at += 16) this.#takeBlock(text, at);
    const rest = new Uint8Array(16);
    rest.set(text.subarray(at));
    this.#takeBlock(rest, 0);
    this.#a ^= length;
    this.#takeBlock(NOTHING, 0);
  }

  #takeBlock(text: Uint8Array, at: number): void {
    const a = this.#a ^ Math.imul(rotated(Math.imul(wordAt(text, at), 0x239b961b), 15), 0xab0e9789);
    this.#a = (Math.imul((rotated(a, 19) + this.#b) | 0, 5) + 0x561ccd1b) | 0;
    const second = Math.imul(wordAt(text, at + 4), 0xab0e9789);
    const b = this.#b ^ Math.imul(rotated(second, 16), 0x38b34ae5);
    this.#b = (Math.imul((rotated(b, 17) + this.#c) | 0, 5) + 0x0bcaa747) | 0;
    const third = Math.imul(wordAt(text, at + 8), 0x38b34ae5);
    const c = this.#c ^ Math.imul(rotated(third, 17), 0xa1e38b93);
    this.#c = (Math.imul((rotated(c, 15) + this.#d) | 0, 5) + 0x96cd1c35) | 0;
    const fourth = Math.imul(wordAt(text, at + 12), 0xa1e38b93);
    const d = this.#d ^ Math.imul(rotated(fourth, 18), 0x239b961b);
    this.#d = (Math.imul((rotated(d, 13) + this.#a) | 0, 5) + 0x32ac3b17) | 0;
  }

  /** So many bytes; fewer are the beginning of more. */
  draw(lengthBytes: number): Uint8Array {
    let [a, b, c, count] = [this.#a, this.#b, this.#c, this.#d];
    const drawn = new Uint8Array(lengthBytes);
    for (let at = -WARM_UP_BYTES; at < lengthBytes; at += 4) {
      const word = (a + b + count) | 0;
      count = (count + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (rotated(c, 21) + word) | 0;
      if (at < 0) continue;
      drawn[at] = word;
      drawn[at + 1] = word >>> 8;
      drawn[at + 2] = word >>> 16;
      drawn[at + 3] = word >>> 24;
    }
    return drawn;
  }
}

const NOTHING = new Uint8Array(16);
/** Rounds until each word of the state has reached each. */
const WARM_UP_BYTES = 12 * 4;

function wordAt(text: Uint8Array, at: number): number {
  return text[at]! | (text[at + 1]! << 8) | (text[at + 2]! << 16) | (text[at + 3]! << 24);
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

function tagOf({ key, nonce, associated }: GcmUse, ciphertext: Uint8Array): Uint8Array {
  return new Mixture("tag", key, nonce, associated, ciphertext).draw(TAG_BYTES);
}

/** What is xored with a text makes the other of plaintext and ciphertext of it. */
function streamed({ key, nonce }: GcmUse, text: Uint8Array): Uint8Array {
  const stream = new Mixture("stream", key, nonce).draw(text.length);
  for (let at = 0; at < text.length; at++) stream[at] = stream[at]! ^ text[at]!;
  return stream;
}

function publicKeyOf(seed: Uint8Array): Uint8Array {
  return new Mixture("public", seed).draw(PUBLIC_KEY_BYTES);
}

function signatureOf(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  return new Mixture("signature", publicKey, message).draw(SIGNATURE_BYTES);
}

/** How long all is, and how much of it stands here; the rest repeats the last byte. */
const RUN_HEAD_BYTES = 8;

/** People's files in a story end in one byte, often repeated. */
function compress(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 1 && bytes[end - 2] === bytes[end - 1]) end--;
  const packed = new Uint8Array(RUN_HEAD_BYTES + end);
  const head = new DataView(packed.buffer);
  head.setUint32(0, bytes.length);
  head.setUint32(4, end);
  packed.set(bytes.subarray(0, end), RUN_HEAD_BYTES);
  return packed;
}

function decompress(packed: Uint8Array, lengthBytes: number): Uint8Array | null {
  if (packed.length < RUN_HEAD_BYTES) return null;
  const head = new DataView(packed.buffer, packed.byteOffset);
  const end = head.getUint32(4);
  if (head.getUint32(0) !== lengthBytes || end > lengthBytes) return null;
  if (packed.length !== RUN_HEAD_BYTES + end) return null;
  const bytes = new Uint8Array(lengthBytes).fill(packed.at(-1) ?? 0);
  bytes.set(packed.subarray(RUN_HEAD_BYTES));
  return bytes;
}

/**
 * The primitives of a dreamed machine that is in a hurry: they tell what was changed and what was
 * made with other keys as the real ones do, in a tenth of the time, and keep nothing secret. A
 * signature can be made by whoever knows the public key. SHA-256 is as it is, because chunks and
 * contents are known by it to everybody.
 */
export function quickPrimitives(chance: Chance): Primitives {
  const { hashes } = virtualPrimitives(chance);
  return {
    chance,
    hashes: {
      sha256: (parts) => hashes.sha256(parts),
      sha512: (parts) => new Mixture("sha512", concat(parts)).draw(64),
      hmacSha256: (key, parts) => new Mixture("hmac", key, concat(parts)).draw(32),
      hkdfExtract: (salt, secret) => new Mixture("extract", salt, secret).draw(64),
      hkdfExpand: (key, info, lengthBytes) => new Mixture("expand", key, info).draw(lengthBytes),
      equal: isSame,
    },
    cipher: {
      seal(use, parts, into) {
        const ciphertext = streamed(use, concat(parts));
        into.set(ciphertext);
        into.set(tagOf(use, ciphertext), ciphertext.length);
      },
      open(use, sealed) {
        if (sealed.length < TAG_BYTES) return null;
        const end = sealed.length - TAG_BYTES;
        const ciphertext = sealed.subarray(0, end);
        const isWhole = isSame(tagOf(use, ciphertext), sealed.subarray(end));
        return isWhole ? streamed(use, ciphertext) : null;
      },
    },
    signatures: {
      publicKey: publicKeyOf,
      sign: (seed, message) => signatureOf(publicKeyOf(seed), message),
      verify: (publicKey, message, signature) => isSame(signatureOf(publicKey, message), signature),
    },
    compression: { compress, decompress },
  };
}
