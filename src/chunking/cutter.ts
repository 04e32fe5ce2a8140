import { assert } from "#core/assert.ts";
import { cutKeyFrom, nextCut } from "./cut.ts";
import type { CutSizes } from "./cut.ts";

/** The boundary function over bytes that lie in its own memory. */
export type Cutter = {
  /** Where bytes have to be put before they can be cut. */
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** The length of the chunk at the start of buffer[start, end), as `nextCut` says. */
  readonly nextCut: (start: number, end: number, sizes: CutSizes) => number;
};

/** The reference, in plain TypeScript: some 0.7 GB/s. */
export function plainCutter(cutKey: Uint8Array, bufferBytes: number): Cutter {
  const key = cutKeyFrom(cutKey);
  const buffer = new Uint8Array(bufferBytes);
  return { buffer, nextCut: (start, end, sizes) => nextCut(buffer, start, end, sizes, key) };
}

/** Where simd/vgear.ts has the key, and where nothing of its own lies any more. */
const KEY_AT = 1_024;
const BUFFER_AT = 2_048;
/** What it may look at behind the last byte. */
const MARGIN_BYTES = 64;
const PAGE_BYTES = 65_536;

type NextCut = (start: number, size: number, min: number, avg: number, max: number) => number;

/** The same with SIMD, ten times as fast: `module` is compiled from simd/vgear.ts. */
function simdCutter(module: WebAssembly.Module, cutKey: Uint8Array, bufferBytes: number): Cutter {
  // Says that the key is one, as it says for the other cutter.
  cutKeyFrom(cutKey);
  // What the module exports is what simd/vgear.ts says: the two are built from one checkout.
  const exports = new WebAssembly.Instance(module).exports as {
    memory: WebAssembly.Memory;
    nextCut: NextCut;
  };
  const { memory, nextCut: cut } = exports;
  const neededBytes = BUFFER_AT + bufferBytes + MARGIN_BYTES;
  memory.grow(Math.max(0, Math.ceil((neededBytes - memory.buffer.byteLength) / PAGE_BYTES)));
  new Uint8Array(memory.buffer, KEY_AT).set(cutKey);
  const buffer = new Uint8Array(memory.buffer, BUFFER_AT, bufferBytes);
  return {
    buffer,
    nextCut(start, end, { minBytes, avgBytes, maxBytes }) {
      assert(start >= 0 && start <= end && end <= bufferBytes, "bytes outside the buffer");
      return cut(BUFFER_AT + start, end - start, minBytes, avgBytes, maxBytes);
    },
  };
}

/** The faster one where there is a `module`. */
export function openCutter(
  module: WebAssembly.Module | null,
  cutKey: Uint8Array,
  bufferBytes: number,
): Cutter {
  return module === null
    ? plainCutter(cutKey, bufferBytes)
    : simdCutter(module, cutKey, bufferBytes);
}
