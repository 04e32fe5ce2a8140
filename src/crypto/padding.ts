import { assert } from "#core/assert.ts";

/** Nothing smaller than this is told apart by its length. */
const MIN_PADDED_BYTES = 256;

/**
 * The length that a thing of `lengthBytes` is padded to: Padmé (Nikitin et al., "Reducing Metadata
 * Leakage from Encrypted Files and Communication with PURBs", PETS 2019), at least 256. It leaves
 * O(log log n) bits of the length to be seen, for at most 12 % more bytes.
 */
export function padme(lengthBytes: number): number {
  assert(lengthBytes >= 0 && lengthBytes < 2 ** 31, `a length of ${lengthBytes} bytes`);
  if (lengthBytes <= MIN_PADDED_BYTES) return MIN_PADDED_BYTES;
  const exponent = 31 - Math.clz32(lengthBytes);
  const mantissaBits = 32 - Math.clz32(exponent);
  const step = 2 ** (exponent - mantissaBits);
  return Math.ceil(lengthBytes / step) * step;
}

/** `[length 4][bytes][zeros]`, `padded(4 + length)` bytes together. */
export function pad(bytes: Uint8Array, padded: (lengthBytes: number) => number): Uint8Array {
  const whole = new Uint8Array(padded(4 + bytes.length));
  new DataView(whole.buffer).setUint32(0, bytes.length);
  whole.set(bytes, 4);
  return whole;
}

/** What `pad` was given, as a view; null for anything that it does not make. */
export function unpad(
  whole: Uint8Array,
  padded: (lengthBytes: number) => number,
): Uint8Array | null {
  if (whole.length < 4) return null;
  const length = new DataView(whole.buffer, whole.byteOffset).getUint32(0);
  if (length > whole.length - 4 || padded(4 + length) !== whole.length) return null;
  return isZero(whole.subarray(4 + length)) ? whole.subarray(4, 4 + length) : null;
}

export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
