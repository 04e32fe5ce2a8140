/**
 * ristretto255 (RFC 9496): a group of prime order whose elements and scalars are 32 bytes each, as
 * RFC 9497 needs it. Elements that come from outside go through `isElement` first.
 */

export const ELEMENT_BYTES = 32;
export const SCALAR_BYTES = 32;

export interface Elements {
  /** The one-way map from 64 uniform bytes. */
  fromUniform(uniform: Uint8Array): Uint8Array;
  /** True for a canonical encoding of an element that is not the identity. */
  isElement(bytes: Uint8Array): boolean;
  /** In a time that does not depend on the scalar. Null when the product is the identity. */
  multiply(scalar: Uint8Array, element: Uint8Array): Uint8Array | null;
  /** The generator times a scalar; null when that is the identity. */
  multiplyGenerator(scalar: Uint8Array): Uint8Array | null;
  add(left: Uint8Array, right: Uint8Array): Uint8Array;
}

/** Numbers modulo the group's order, 32 bytes, little endian. */
export interface Scalars {
  /** 64 little-endian bytes modulo the order. */
  reduce(uniform: Uint8Array): Uint8Array;
  multiply(left: Uint8Array, right: Uint8Array): Uint8Array;
  subtract(left: Uint8Array, right: Uint8Array): Uint8Array;
  /** Of a scalar that is not 0. */
  invert(scalar: Uint8Array): Uint8Array;
}

export type Ristretto = { readonly elements: Elements; readonly scalars: Scalars };
