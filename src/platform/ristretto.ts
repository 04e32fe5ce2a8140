import sodium from "libsodium-wrappers-sumo";
import type { Ristretto } from "#crypto/ristretto.ts";

/** libsodium refuses the identity by throwing. */
function unlessIdentity(multiply: () => Uint8Array): Uint8Array | null {
  try {
    return multiply();
  } catch {
    return null;
  }
}

/**
 * libsodium's ristretto255, compiled to WebAssembly: the one of our libraries whose time does not
 * depend on the scalar. Takes some milliseconds to begin with.
 */
export async function openRistretto(): Promise<Ristretto> {
  await sodium.ready;
  return {
    elements: {
      fromUniform: (uniform) => sodium.crypto_core_ristretto255_from_hash(uniform),
      isElement: (bytes) =>
        bytes.length === sodium.crypto_core_ristretto255_BYTES &&
        // It counts the identity, which is encoded as zeros, among the valid.
        bytes.some((byte) => byte !== 0) &&
        sodium.crypto_core_ristretto255_is_valid_point(bytes),
      multiply: (scalar, element) =>
        unlessIdentity(() => sodium.crypto_scalarmult_ristretto255(scalar, element)),
      multiplyGenerator: (scalar) =>
        unlessIdentity(() => sodium.crypto_scalarmult_ristretto255_base(scalar)),
      add: (left, right) => sodium.crypto_core_ristretto255_add(left, right),
    },
    scalars: {
      reduce: (uniform) => sodium.crypto_core_ristretto255_scalar_reduce(uniform),
      multiply: (left, right) => sodium.crypto_core_ristretto255_scalar_mul(left, right),
      subtract: (left, right) => sodium.crypto_core_ristretto255_scalar_sub(left, right),
      invert: (scalar) => sodium.crypto_core_ristretto255_scalar_invert(scalar),
    },
  };
}
