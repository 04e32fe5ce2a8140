import { concat, utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { FieldReader, u16 } from "./fields.ts";
import { derive, type JoinKeys } from "./keys.ts";
import { labelBytes, magic } from "./labels.ts";
import type { Hashes } from "./primitives.ts";

/**
 * How two devices that know one join code find each other by way of a server that does not. The
 * inviting device sends a commitment to a nonce (0), the new one its public key (1), the inviting
 * one the nonce (2) and, once a person has said yes, the package, sealed to that key with the code
 * as a pre-shared key (4; 3 is the server's). Both show four words of all that was said before.
 *
 * The commitment (as in ZRTP, RFC 6189, 4.4.1.1) is for a server that has learned the code: it has
 * to settle on the key that it puts in the place of the new device's before it can know which words
 * that makes, so it gets one guess at 44 bits and cannot search.
 */
export const NONCE_BYTES = 32;

const WORDS = 4;
/** Of a list of 2,048. */
const BITS_A_WORD = 11;

/** What a device that wants to join says of itself. */
export type JoinRequest = {
  /** Of X25519, made for this alone. */
  readonly publicKey: Uint8Array;
  /** What it is to be called. */
  readonly name: string;
};

export function commitmentTo(hashes: Hashes, nonce: Uint8Array): Uint8Array {
  return hashes.sha256([labelBytes("join-commitment"), nonce]);
}

/** `["LSR1"][public key 32][name's length 2][name][HMAC-SHA-256 of commitment and all this 32]` */
export function writeRequest(
  hashes: Hashes,
  keys: JoinKeys,
  commitment: Uint8Array,
  { publicKey, name }: JoinRequest,
): Uint8Array {
  const text = utf8(name);
  const said = concat([magic("R1"), publicKey, u16(text.length), text]);
  return concat([said, hashes.hmacSha256(keys.proof, [commitment, said])]);
}

/** Throws WorldError `bad-join` when it does not come from somebody who knows the code. */
export function readRequest(
  hashes: Hashes,
  keys: JoinKeys,
  commitment: Uint8Array,
  request: Uint8Array,
): JoinRequest {
  const fields = new FieldReader(request, "bad-join", "What asks to join");
  fields.expect(magic("R1"), "format");
  const publicKey = fields.bytes(32).slice();
  const name = fields.text(fields.u16());
  const tag = fields.bytes(32);
  fields.end();
  const said = request.subarray(0, request.length - tag.length);
  if (!hashes.equal(tag, hashes.hmacSha256(keys.proof, [commitment, said]))) {
    throw badJoin("What asks to join does not know the code");
  }
  return { publicKey, name };
}

/** All that was said before anybody is let in, as it was sent. */
export type JoinTalk = {
  readonly commitment: Uint8Array;
  readonly request: Uint8Array;
  readonly nonce: Uint8Array;
};

/** 32 bytes that stand for the talk. Throws WorldError `bad-join` for another nonce. */
export function transcriptOf(
  hashes: Hashes,
  { locator }: JoinKeys,
  { commitment, request, nonce }: JoinTalk,
): Uint8Array {
  if (commitment.length !== 32 || !hashes.equal(commitment, commitmentTo(hashes, nonce))) {
    throw badJoin("The answer is not the one that was promised");
  }
  return hashes.sha256([labelBytes("join-transcript"), locator, commitment, nonce, request]);
}

/** Four numbers below 2,048, equal on both sides when nobody stands between them. */
export function wordsOf(hashes: Hashes, { words }: JoinKeys, transcript: Uint8Array): number[] {
  const lengthBytes = 2 * WORDS;
  const drawn = derive(hashes, words, "join/words", { context: transcript, lengthBytes });
  const fields = new FieldReader(drawn, "bad-join", "What words are made of");
  return Array.from({ length: WORDS }, () => fields.u16() % 2 ** BITS_A_WORD);
}

/** HPKE's info: a package opens after the talk that it was sealed for, and after no other. */
export function packageContext(transcript: Uint8Array): Uint8Array {
  return concat([labelBytes("join-package"), transcript]);
}

function badJoin(what: string): WorldError {
  return new WorldError("bad-join", `${what}: do not trust this code any more, make a new one.`);
}
