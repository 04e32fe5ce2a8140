import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildVgear, vgearBuilt } from "../scripts/vgear-build.mjs";

test("CK3: the cutter with SIMD is what its source compiles to", () => {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-vgear-"));
  try {
    buildVgear(join(folder, "vgear.wasm"));
    assert.deepEqual(readFileSync(vgearBuilt), readFileSync(join(folder, "vgear.wasm")));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
