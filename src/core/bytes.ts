/** Lower-case hexadecimal of `bytes`, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

const NO_DIGIT = 0xff;
/** What each UTF-16 unit is worth as a digit; `Uint8Array.fromHex` takes several times as long. */
const DIGITS = new Uint8Array(128).fill(NO_DIGIT);
for (const digits of ["0123456789abcdef", "0123456789ABCDEF"]) {
  for (let value = 0; value < digits.length; value++) DIGITS[digits.charCodeAt(value)] = value;
}

/** The bytes of an even-length hexadecimal text; throws RangeError on anything else. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1);
  let seen = text.length % 2 === 0 ? 0 : NO_DIGIT;
  for (let at = 0; at < bytes.length; at++) {
    const high = DIGITS[text.charCodeAt(2 * at)] ?? NO_DIGIT;
    const low = DIGITS[text.charCodeAt(2 * at + 1)] ?? NO_DIGIT;
    seen |= high | low;
    bytes[at] = (high << 4) | low;
  }
  if (seen > 0xf) throw new RangeError(`not hexadecimal: ${text.slice(0, 80)}`);
  return bytes;
}

/** One array holding all `parts` in order. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Node makes small arrays of pieces of one buffer, a few bytes longer than 64 KiB. */
const MOST_SHARED_BYTES = 65 * 1024;

/** Smaller arrays lie in the heap itself, or hardly weigh. */
const LEAST_RELEASED_BYTES = 1_024;

/** True when these bytes may have others beside them in their buffer that are nobody's business. */
export function isShared({ buffer }: Uint8Array): boolean {
  return !(buffer instanceof ArrayBuffer) || buffer.byteLength <= MOST_SHARED_BYTES;
}

/**
 * Gives the memory back of bytes that nobody looks at any more, and of all that lies in the same
 * buffer, unless that is small. Without it a runtime keeps them until it has gone through its whole
 * heap, and does that for every few dozen megabytes that pass by: then more time goes into the heap
 * and into fresh pages than into what is put there.
 */
export function release(bytes: Uint8Array): void {
  if (bytes.length < LEAST_RELEASED_BYTES) return;
  const { buffer } = bytes;
  const isAlone = bytes.length === buffer.byteLength || !isShared(bytes);
  if (isAlone && buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}

const encoder = new TextEncoder();

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Length of `text` in UTF-8 bytes. */
export function utf8Length(text: string): number {
  let length = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) length += 1;
    else if (unit < 0x800) length += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && index + 1 < text.length) {
      length += 4;
      index++;
    } else length += 3;
  }
  return length;
}

/** The longest beginning of `text` of at most `maxBytes` UTF-8 bytes, never within a code point. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (utf8Length(text) <= maxBytes) return text;
  let kept = "";
  let bytes = 0;
  for (const point of text) {
    bytes += utf8Length(point);
    if (bytes > maxBytes) break;
    kept += point;
  }
  return kept.trimEnd();
}
