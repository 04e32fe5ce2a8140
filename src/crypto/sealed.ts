import { assert } from "#core/assert.ts";
import { concat, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { SealContext, SealingKey } from "./keys.ts";
import { TAG_BYTES, type GcmUse, type Primitives } from "./primitives.ts";

/**
 * C2SP chunked-encryption v1 with SHA-512 and AES-256-GCM (Cobblestone-256,
 * https://c2sp.org/chunked-encryption): `[salt 24][commitment 32]` and then pieces of 16 KiB with a
 * tag each, the last one shorter, so that a cut is always noticed.
 */
const SALT_BYTES = 24;
const COMMITMENT_BYTES = 32;
const HEAD_BYTES = SALT_BYTES + COMMITMENT_BYTES;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const PIECE_BYTES = 16 * 1024;
const SEALED_PIECE_BYTES = PIECE_BYTES + TAG_BYTES;
/** The specification lets us stop here: 64 TiB. */
const MAX_PIECES = 2 ** 32;
const INFO = utf8("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
const NOTHING = new Uint8Array(0);

/** Seals or opens the pieces of one message, in order. */
class Message {
  readonly commitment: Uint8Array;
  readonly #primitives: Primitives;
  readonly #key: Uint8Array;
  readonly #start: Uint8Array;
  #piece = 0;

  constructor(primitives: Primitives, key: Uint8Array, salt: Uint8Array, context: Uint8Array) {
    const info = concat([INFO, salt, context]);
    const length = KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES;
    const all = primitives.hashes.hkdfExpand(key, info, length);
    this.#primitives = primitives;
    this.#key = all.subarray(0, KEY_BYTES);
    this.#start = all.subarray(KEY_BYTES, KEY_BYTES + NONCE_BYTES);
    this.commitment = all.subarray(KEY_BYTES + NONCE_BYTES);
  }

  #use(): GcmUse {
    assert(this.#piece < MAX_PIECES, "a message of too many pieces");
    const nonce = this.#start.slice();
    const view = new DataView(nonce.buffer);
    view.setUint32(8, (view.getUint32(8) ^ this.#piece) >>> 0);
    this.#piece++;
    return { key: this.#key, nonce, associated: NOTHING };
  }

  seal(piece: Uint8Array, into: Uint8Array): void {
    this.#primitives.cipher.seal(this.#use(), [piece], into);
  }

  open(sealed: Uint8Array): Uint8Array {
    const piece = this.#primitives.cipher.open(this.#use(), sealed);
    if (piece === null) throw bad("its bytes were changed, repeated, moved or cut off");
    return piece;
  }
}

function begin<K extends SealingKey>(
  primitives: Primitives,
  key: K,
  context: SealContext<K>,
): { message: Message; head: Uint8Array } {
  const salt = primitives.chance.bytes(SALT_BYTES);
  const message = new Message(primitives, key, salt, context);
  return { message, head: concat([salt, message.commitment]) };
}

function resume<K extends SealingKey>(
  primitives: Primitives,
  key: K,
  context: SealContext<K>,
  head: Uint8Array,
): Message {
  const message = new Message(primitives, key, head.subarray(0, SALT_BYTES), context);
  if (!primitives.hashes.equal(head.subarray(SALT_BYTES, HEAD_BYTES), message.commitment)) {
    throw bad("it was sealed as another object, or with another key");
  }
  return message;
}

/** How many bytes `seal` makes of `lengthBytes`. */
function sealedLength(lengthBytes: number): number {
  const pieces = Math.floor(lengthBytes / PIECE_BYTES) + 1;
  return HEAD_BYTES + lengthBytes + pieces * TAG_BYTES;
}

/** Seals a small message, whole. It opens with the same key and context only. */
export function seal<K extends SealingKey>(
  primitives: Primitives,
  key: K,
  context: SealContext<K>,
  plain: Uint8Array,
): Uint8Array {
  const { message, head } = begin(primitives, key, context);
  const sealed = new Uint8Array(sealedLength(plain.length));
  sealed.set(head, 0);
  let at = HEAD_BYTES;
  for (let from = 0; from <= plain.length; from += PIECE_BYTES) {
    const piece = plain.subarray(from, from + PIECE_BYTES);
    message.seal(piece, sealed.subarray(at, at + piece.length + TAG_BYTES));
    at += piece.length + TAG_BYTES;
  }
  return sealed;
}

/** What `seal` was given. Throws WorldError `bad-seal`. */
export function open<K extends SealingKey>(
  primitives: Primitives,
  key: K,
  context: SealContext<K>,
  sealed: Uint8Array,
): Uint8Array {
  if (sealed.length < HEAD_BYTES + TAG_BYTES) throw bad("it is too short");
  const message = resume(primitives, key, context, sealed);
  const pieces: Uint8Array[] = [];
  let at = HEAD_BYTES;
  do {
    const end = Math.min(at + SEALED_PIECE_BYTES, sealed.length);
    if (end - at < TAG_BYTES) throw bad("it is cut off");
    pieces.push(message.open(sealed.subarray(at, end)));
    at = end;
  } while (at < sealed.length);
  const last = pieces.at(-1);
  if (last === undefined || last.length === PIECE_BYTES) throw bad("it is cut off");
  return pieces.length === 1 ? last : concat(pieces);
}

/** Seals a message that does not fit in memory; gives out at most 16 KiB and a tag at a time. */
export async function* sealStream<K extends SealingKey>(
  primitives: Primitives,
  key: K,
  context: SealContext<K>,
  plain: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { message, head } = begin(primitives, key, context);
  yield head;
  for await (const piece of regroup(plain, PIECE_BYTES)) {
    const sealed = new Uint8Array(piece.length + TAG_BYTES);
    message.seal(piece, sealed);
    yield sealed;
  }
}

/**
 * Opens what `sealStream` made, cut anyhow. Each piece that comes out is authentic and in its
 * place; that nothing is missing is known at the end alone. Throws WorldError `bad-seal`.
 */
export async function* openStream<K extends SealingKey>(
  primitives: Primitives,
  key: K,
  context: SealContext<K>,
  sealed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let message: Message | null = null;
  for await (const piece of regroup(sealed, SEALED_PIECE_BYTES, HEAD_BYTES)) {
    if (message === null) {
      if (piece.length < HEAD_BYTES) throw bad("it is too short");
      message = resume(primitives, key, context, piece);
    } else {
      if (piece.length < TAG_BYTES) throw bad("it is cut off");
      yield message.open(piece);
    }
  }
}

/** Pieces of exactly `size` (the first of `first`) and a last one that is shorter, maybe empty. */
async function* regroup(
  stream: AsyncIterable<Uint8Array>,
  size: number,
  first = size,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = new Uint8Array(first);
  let filled = 0;
  for await (const bytes of stream) {
    for (let at = 0; at < bytes.length;) {
      const taken = Math.min(piece.length - filled, bytes.length - at);
      piece.set(bytes.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled < piece.length) break;
      yield piece;
      piece = new Uint8Array(size);
      filled = 0;
    }
  }
  yield piece.subarray(0, filled);
}

function bad(detail: string): WorldError {
  return new WorldError("bad-seal", `A sealed object cannot be opened: ${detail}.`);
}
