// Makes src/chunking/simd/vgear.wasm, which git does not keep, of the AssemblyScript beside it.
// Runs on Node 20. Without it files are cut all the same, more slowly.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const folder = path.join(root, "src", "chunking", "simd");
// Started by its path: its types would declare a second console for all of this project.
const compiler = path.join(root, "node_modules", "assemblyscript", "bin", "asc.js");
const options = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--enable", "simd"];

export const vgearSource = path.join(folder, "vgear.ts");
export const vgearBuilt = path.join(folder, "vgear.wasm");

/**
 * Writes the module to a file, whole or not at all: the same bytes for the same source and
 * compiler.
 * @param {string} built
 */
export function buildVgear(built = vgearBuilt) {
  const draft = `${built}.${process.pid}`;
  const files = [path.relative(root, vgearSource), "--outFile", path.relative(root, draft)];
  const { status, stderr, error } = spawnSync(process.execPath, [compiler, ...files, ...options], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) {
    fs.rmSync(draft, { force: true });
    throw new Error(`${vgearSource} does not compile: ${error?.message ?? stderr}`);
  }
  fs.renameSync(draft, built);
}
