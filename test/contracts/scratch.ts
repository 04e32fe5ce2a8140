import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of its own that is gone with the variable that holds it. */
export async function scratchFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "lockstep-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
