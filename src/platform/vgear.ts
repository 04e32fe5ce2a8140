import { readFileSync } from "node:fs";

/** What scripts/vgear-build.mjs makes; git does not keep it. */
const BUILT = new URL("../chunking/simd/vgear.wasm", import.meta.url);

/**
 * The boundary function with SIMD; null where it was not built or this machine has no SIMD: files
 * are cut the same without it, at a tenth of the speed.
 */
export function readVgear(): WebAssembly.Module | null {
  try {
    return new WebAssembly.Module(readFileSync(BUILT));
  } catch {
    return null;
  }
}
