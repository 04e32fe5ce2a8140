const ZEROS = new Uint8Array(64 * 1024);

/** True when all bytes are zero, as in the holes of a sparse file. */
export function isZero(bytes: Uint8Array): boolean {
  if (bytes.length > 0 && bytes[0] !== 0) return false;
  for (let from = 0; from < bytes.length; from += ZEROS.length) {
    const piece = bytes.subarray(from, from + ZEROS.length);
    if (Buffer.compare(piece, ZEROS.subarray(0, piece.length)) !== 0) return false;
  }
  return true;
}
