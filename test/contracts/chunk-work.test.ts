import assert from "node:assert/strict";
import { test } from "node:test";
import type { Worker } from "node:worker_threads";
import { chunkWorkHere } from "#crypto/chunk-work.ts";
import { chunkWorkIn } from "#platform/chunk-threads.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { Threads } from "#platform/threads.ts";
import { Draw } from "../../src/sim/chance.ts";
import { virtualPrimitives } from "../../src/sim/virtual-primitives.ts";
import { chunkWorkContract } from "./chunk-work.ts";
import { keysOf, randomSample, SPACE } from "./sealing-world.ts";

const here = { [Symbol.asyncDispose]: async () => undefined };
const dreamed = virtualPrimitives(new Draw(1, "primitives"));

function inThreads() {
  const threads = new Threads({ cutKey: new Uint8Array(48) });
  const end = (): Promise<void> => threads[Symbol.asyncDispose]();
  return { work: chunkWorkIn(threads), [Symbol.asyncDispose]: end };
}

chunkWorkContract("threads", systemPrimitives, inThreads);
chunkWorkContract("the calling thread", systemPrimitives, () => ({
  work: chunkWorkHere(systemPrimitives),
  ...here,
}));
chunkWorkContract("a dreamed machine", dreamed, () => ({ work: chunkWorkHere(dreamed), ...here }));

test("few bytes are sealed without a thread, and many in one without a copy", async () => {
  await using given = inThreads();
  const started: Worker[] = [];
  const onWorker = (worker: Worker): void => void started.push(worker);
  process.on("worker", onWorker);
  try {
    const space = keysOf(SPACE, 1);
    const keys = { key: space.content, epoch: 1 };
    await given.work.sealPrivate(keys, [randomSample(1, 200_000)]);
    assert.equal(started.length, 0);
    const raw = randomSample(2, 2_000_000);
    const pieces = [raw.subarray(0, 1_000_000), raw.subarray(1_000_000)];
    await given.work.sealPrivate(keys, pieces);
    assert.equal(started.length, 1);
    assert.equal(raw.buffer.byteLength, 0, "what was given away is gone");
  } finally {
    process.off("worker", onWorker);
  }
});
