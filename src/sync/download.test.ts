import assert from "node:assert/strict";
import { test } from "node:test";
import { contentHash, nodeId, ROOT_NODE } from "#core/ids.ts";
import type { FileContent } from "#core/node.ts";
import { Downloader, type DownloadWorld } from "./download.ts";
import type { Executor } from "./execute.ts";
import type { LocalOp } from "./planner.ts";
import { Problems } from "./problems.ts";
import { LARGE_BYTES } from "./reading.ts";

const NODE = nodeId("1".padStart(32, "0"));
const content: FileContent = {
  kind: "file",
  sizeBytes: LARGE_BYTES + 1,
  sha256: contentHash("a".repeat(64)),
  executable: false,
};
const op: LocalOp = {
  kind: "create",
  id: NODE,
  target: { place: { parent: ROOT_NODE, name: "big" }, content },
};

test("EN4: a large file that failed pauses before it is begun again, and then begins afresh", async () => {
  let tries = 0;
  const problems = new Problems();
  // A full disk.
  const look = { freeBytes: async () => (tries++, 0) };
  const stage = { open: async () => 0, close: async () => undefined };
  const world = {
    trees: { get: () => undefined },
    records: { manifest: () => [] },
    disk: { look, stage },
    digest: { sha256: () => new Uint8Array(32) },
    clock: { nowMs: () => 0 },
    problems,
  } as unknown as DownloadWorld;
  const executor = { publish: async () => undefined } as unknown as Executor;
  const downloader = new Downloader(world, () => undefined);
  const { signal } = new AbortController();
  const run = async (): Promise<[number, number]> => {
    const failed = await downloader.run(executor, [op], signal);
    await downloader.settleLarge();
    return [failed.size, tries];
  };
  assert.deepEqual(await run(), [0, 1]);
  assert.deepEqual(await run(), [1, 1]);
  assert.deepEqual(problems.list()[0]?.code, "no-space");
  assert.deepEqual(await run(), [0, 2]);
  assert.deepEqual(await run(), [1, 2]);
});
