import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA512, KEM_DHKEM_X25519_HKDF_SHA256 } from "hpke";
import { concat } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";

/** HPKE (RFC 9180), base and PSK mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA512, AES-256-GCM. */
const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA512, AEAD_AES_256_GCM);
const ENCAPSULATED_BYTES = 32;

/** What both sides know beforehand: at least 32 random bytes, and which these are. */
export type SharedKey = { readonly psk: Uint8Array; readonly pskId: Uint8Array };

/**
 * `[encapsulated 32][ciphertext]`, for whoever has the other half of `publicKey`, and `shared`
 * where that is given: then opening it also shows that whoever sealed it has that.
 */
export async function sealFor(
  publicKey: Uint8Array,
  plain: Uint8Array,
  info: Uint8Array,
  shared?: SharedKey,
): Promise<Uint8Array> {
  const key = await suite.DeserializePublicKey(publicKey);
  const { encapsulatedSecret, ciphertext } = await suite.Seal(key, plain, { info, ...shared });
  return concat([encapsulatedSecret, ciphertext]);
}

/** Throws WorldError `bad-seal`. */
export async function openWith(
  privateKey: Uint8Array,
  sealed: Uint8Array,
  info: Uint8Array,
  shared?: SharedKey,
): Promise<Uint8Array> {
  try {
    const key = await suite.DeserializePrivateKey(privateKey, true);
    const encapsulated = sealed.subarray(0, ENCAPSULATED_BYTES);
    const ciphertext = sealed.subarray(ENCAPSULATED_BYTES);
    return await suite.Open(key, encapsulated, ciphertext, { info, ...shared });
  } catch (cause) {
    throw new WorldError("bad-seal", "What was sealed for this device does not open.", { cause });
  }
}
