// The client of OPAQUE-3DH (RFC 9807) with ristretto255 and SHA-512, over noble and node:crypto: it
// shares no code with the library that devices and the server use.

import { argon2Sync, createHash, createHmac } from "node:crypto";
import { ristretto255, ristretto255_hasher, ristretto255_oprf } from "@noble/curves/ed25519.js";
import { concat, utf8 } from "#core/bytes.ts";

const { Point } = ristretto255;
const { oprf } = ristretto255_oprf;

const ELEMENT = 32;
const NONCE = 32;
const TAG = 64;
/** RFC 9497, section 2.2.1, in mode 0: the map from a password to the group. */
const TO_GROUP = concat([
  utf8("HashToGroup-OPRFV1-"),
  Uint8Array.of(0),
  utf8("-ristretto255-SHA512"),
]);

const NOTHING = new Uint8Array(0);

const sha512 = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(createHash("sha512").update(concat(parts)).digest());

const mac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(createHmac("sha512", key).update(concat(parts)).digest());

function expand(key: Uint8Array, purpose: Uint8Array, length: number): Uint8Array {
  let all = NOTHING as Uint8Array;
  let block = NOTHING as Uint8Array;
  for (let counter = 1; all.length < length; counter++) {
    block = mac(key, block, purpose, Uint8Array.of(counter));
    all = concat([all, block]);
  }
  return all.slice(0, length);
}

const sized = (bytes: Uint8Array): Uint8Array =>
  concat([Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes]);

/** Derive-Secret of section 6.4.2.1. */
function deriveSecret(secret: Uint8Array, label: string, transcript: Uint8Array): Uint8Array {
  const name = utf8(`OPAQUE-${label}`);
  const lengths = [Uint8Array.of(0, TAG, name.length), name, Uint8Array.of(transcript.length)];
  return expand(secret, concat([...lengths, transcript]), TAG);
}

const xor = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  left.map((byte, at) => byte ^ (right[at] ?? 0));

const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;

function keyPair(seed: Uint8Array): { secretKey: Uint8Array; publicKey: Uint8Array } {
  return oprf.deriveKeyPair(seed, utf8("OPAQUE-DeriveDiffieHellmanKeyPair"));
}

function diffieHellman(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return Point.fromBytes(publicKey).multiply(Point.Fn.fromBytes(secretKey)).toBytes();
}

/** Argon2id as section 7 has it: a salt of sixteen zeros, 64 bytes. */
export function argon2id(passes: number, memoryKiB: number) {
  return (message: Uint8Array): Uint8Array =>
    new Uint8Array(
      argon2Sync("argon2id", {
        message,
        nonce: new Uint8Array(16),
        parallelism: 1,
        tagLength: TAG,
        memory: memoryKiB,
        passes,
      }),
    );
}

export type OpaqueUse = {
  readonly stretch: (output: Uint8Array) => Uint8Array;
  readonly context: Uint8Array;
  /** Those that are not given are the public keys. */
  readonly clientIdentity?: Uint8Array;
  readonly serverIdentity?: Uint8Array;
};

type Envelope = {
  readonly tag: Uint8Array;
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly exportKey: Uint8Array;
};

export class SecondOpaqueClient {
  readonly #password: Uint8Array;
  readonly #use: OpaqueUse;

  constructor(password: Uint8Array, use: OpaqueUse) {
    this.#password = password;
    this.#use = use;
  }

  /** CreateRegistrationRequest and CreateCredentialRequest are this alike. */
  blinded(blind: Uint8Array): Uint8Array {
    const element = ristretto255_hasher.hashToCurve(this.#password, { DST: TO_GROUP });
    return element.multiply(Point.Fn.fromBytes(blind)).toBytes();
  }

  randomizedPassword(blind: Uint8Array, evaluated: Uint8Array): Uint8Array {
    const output = oprf.finalize(this.#password, blind, evaluated);
    return mac(NOTHING, output, this.#use.stretch(output));
  }

  /** FinalizeRegistrationRequest of section 5.2: the record, and the export key. */
  register(
    blind: Uint8Array,
    response: Uint8Array,
    nonce: Uint8Array,
  ): { readonly record: Uint8Array; readonly exportKey: Uint8Array } {
    const randomized = this.randomizedPassword(blind, response.slice(0, ELEMENT));
    const envelope = this.#envelope(randomized, nonce, response.slice(ELEMENT));
    const maskingKey = expand(randomized, utf8("MaskingKey"), TAG);
    const record = concat([envelope.publicKey, maskingKey, nonce, envelope.tag]);
    return { record, exportKey: envelope.exportKey };
  }

  /** KE1 of section 6.1. */
  start(blind: Uint8Array, nonce: Uint8Array, keyShareSeed: Uint8Array): Uint8Array {
    return concat([this.blinded(blind), nonce, keyPair(keyShareSeed).publicKey]);
  }

  /** GenerateKE3 of section 6.2; null when the password, or the server, is another one. */
  finish(
    blind: Uint8Array,
    keyShareSeed: Uint8Array,
    ke1: Uint8Array,
    ke2: Uint8Array,
  ): {
    readonly ke3: Uint8Array;
    readonly sessionKey: Uint8Array;
    readonly exportKey: Uint8Array;
  } | null {
    const answered = ke2.slice(0, ke2.length - NONCE - ELEMENT - TAG);
    const maskingNonce = answered.slice(ELEMENT, ELEMENT + NONCE);
    const masked = answered.slice(ELEMENT + NONCE);
    const serverShare = ke2.slice(answered.length + NONCE, answered.length + NONCE + ELEMENT);
    const randomized = this.randomizedPassword(blind, answered.slice(0, ELEMENT));
    const maskingKey = expand(randomized, utf8("MaskingKey"), TAG);
    const purpose = concat([maskingNonce, utf8("CredentialResponsePad")]);
    const opened = xor(masked, expand(maskingKey, purpose, masked.length));
    const serverKey = opened.slice(0, ELEMENT);
    const envelope = this.#envelope(randomized, opened.slice(ELEMENT, ELEMENT + NONCE), serverKey);
    if (!same(envelope.tag, opened.slice(ELEMENT + NONCE))) return null;
    const shareKey = keyPair(keyShareSeed).secretKey;
    const shared = concat([
      diffieHellman(shareKey, serverShare),
      diffieHellman(shareKey, serverKey),
      diffieHellman(envelope.secretKey, serverShare),
    ]);
    const { clientIdentity = envelope.publicKey, serverIdentity = serverKey } = this.#use;
    const preamble = concat([
      utf8("OPAQUEv1-"),
      sized(this.#use.context),
      sized(clientIdentity),
      ke1,
      sized(serverIdentity),
      ke2.slice(0, answered.length + NONCE + ELEMENT),
    ]);
    const extracted = mac(NOTHING, shared);
    const handshake = deriveSecret(extracted, "HandshakeSecret", sha512(preamble));
    const sessionKey = deriveSecret(extracted, "SessionKey", sha512(preamble));
    const serverMac = mac(deriveSecret(handshake, "ServerMAC", NOTHING), sha512(preamble));
    if (!same(serverMac, ke2.slice(-TAG))) return null;
    const clientKey = deriveSecret(handshake, "ClientMAC", NOTHING);
    const ke3 = mac(clientKey, sha512(preamble, serverMac));
    return { ke3, sessionKey, exportKey: envelope.exportKey };
  }

  /** Store and Recover of section 4.1, which differ in who compares the tag. */
  #envelope(randomized: Uint8Array, nonce: Uint8Array, serverKey: Uint8Array): Envelope {
    const part = (label: string, length: number): Uint8Array =>
      expand(randomized, concat([nonce, utf8(label)]), length);
    const { secretKey, publicKey } = keyPair(part("PrivateKey", 32));
    const { clientIdentity = publicKey, serverIdentity = serverKey } = this.#use;
    const credentials = [serverKey, sized(serverIdentity), sized(clientIdentity)];
    const tag = mac(part("AuthKey", TAG), nonce, ...credentials);
    return { tag, secretKey, publicKey, exportKey: part("ExportKey", TAG) };
  }
}
