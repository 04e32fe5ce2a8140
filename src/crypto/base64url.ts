/** Unpadded base64url (RFC 4648, section 5). */
export function toBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The bytes of a text that `toBase64Url` makes; null for any other text. */
export function fromBase64Url(text: string): Uint8Array | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    // The language's parser passes over white space, padding and odd last bits.
    return toBase64Url(bytes) === text ? bytes : null;
  } catch {
    return null;
  }
}
