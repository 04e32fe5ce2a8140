import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";

/** Big-endian whole numbers, and how they are read back. */

function number(lengthBytes: number, value: number): Uint8Array {
  assert(Number.isSafeInteger(value) && value >= 0, `${value} is no whole number`);
  assert(value < 2 ** (8 * lengthBytes), `${value} does not fit in ${lengthBytes} bytes`);
  const bytes = new Uint8Array(lengthBytes);
  let rest = value;
  for (let at = lengthBytes - 1; at >= 0; at--) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

export const u8 = (value: number): Uint8Array => number(1, value);
export const u16 = (value: number): Uint8Array => number(2, value);
export const u32 = (value: number): Uint8Array => number(4, value);
/** A safe whole number in 8 bytes. */
export const u64 = (value: number): Uint8Array => number(8, value);

/** A safe whole number of either sign in 8 bytes, two's complement. */
export function i64(value: number): Uint8Array {
  assert(Number.isSafeInteger(value), `${value} is no whole number`);
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  const high = Math.floor(value / 2 ** 32);
  view.setInt32(0, high);
  view.setUint32(4, value - high * 2 ** 32);
  return bytes;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads fields one after the other; whatever does not fit throws WorldError `code`. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #code: string;
  readonly #what: string;
  #at = 0;

  /** `what` is the thing in a sentence, as in "A manifest". */
  constructor(bytes: Uint8Array, code: string, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#code = code;
    this.#what = what;
  }

  /** The error to throw about a field that was read. */
  bad(detail: string): WorldError {
    return new WorldError(this.#code, `${this.#what} cannot be read: ${detail}.`);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(lengthBytes: number): number {
    if (this.left < lengthBytes) throw this.bad("it ends too early");
    const at = this.#at;
    this.#at += lengthBytes;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u64(): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) throw this.bad("a number is too large");
    return value;
  }

  i64(): number {
    const at = this.#take(8);
    const value = this.#view.getInt32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) throw this.bad("a number is too large");
    return value;
  }

  text(lengthBytes: number): string {
    const bytes = this.bytes(lengthBytes);
    try {
      return strictUtf8.decode(bytes);
    } catch {
      throw this.bad("a text is not UTF-8");
    }
  }

  /** A view, no copy. */
  bytes(lengthBytes: number): Uint8Array {
    const at = this.#take(lengthBytes);
    return this.#bytes.subarray(at, at + lengthBytes);
  }

  /** Bytes that can only be these. */
  expect(bytes: Uint8Array, name: string): void {
    const found = this.bytes(bytes.length);
    if (bytes.some((byte, at) => found[at] !== byte)) throw this.bad(`its ${name} is unknown`);
  }

  /** Bytes that are kept for later and zero until then. */
  zeros(lengthBytes: number): void {
    const found = this.bytes(lengthBytes);
    if (found.some((byte) => byte !== 0)) throw this.bad("a byte that must be zero is not");
  }

  end(): void {
    if (this.left > 0) throw this.bad(`${this.left} bytes too many`);
  }
}
