import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ClosedPacks } from "../../src/server/chunks/closed-packs.ts";
import { DiskPacks } from "../../src/server/chunks/disk.ts";
import { MemoryPacks } from "../../src/server/chunks/memory.ts";
import { newPack, packContract } from "./packs.ts";
import { scratchFolder } from "./scratch.ts";

packContract("memory", async () => ({
  packs: new MemoryPacks(),
  [Symbol.asyncDispose]: async () => {},
}));

packContract("memory, closed", async () => ({
  packs: new ClosedPacks(new MemoryPacks(), new Uint8Array(32).fill(7)),
  [Symbol.asyncDispose]: async () => {},
}));

test("CH16: packs hold no byte as it was sent, and are read from anywhere", async () => {
  const inner = new MemoryPacks();
  const packs = new ClosedPacks(inner, new Uint8Array(32).fill(7));
  const text = Uint8Array.from({ length: 1_000 }, (_, index) => index % 7);
  const names = [newPack(), newPack()];
  for (const name of names) {
    const pack = await packs.create(name);
    assert.equal(await pack.append(text.subarray(0, 333)), 0);
    assert.equal(await pack.append(text.subarray(333)), 333);
    await pack.finish();
    for (const [from, to] of [
      [0, 1_000],
      [15, 17],
      [16, 32],
      [333, 334],
      [999, 1_000],
    ] as const) {
      assert.deepEqual(
        [...(await packs.read(name, from, to - from))],
        [...text.subarray(from, to)],
      );
    }
  }
  const [one, other] = await Promise.all(names.map((name) => inner.read(name, 0, 1_000)));
  assert(one !== undefined && other !== undefined);
  assert.notDeepEqual(one, other);
  for (const closed of [one, other]) assert(new Set(closed).size > 200, "it looks like chance");
  const wrongKey = new ClosedPacks(inner, new Uint8Array(32).fill(8));
  assert.notDeepEqual([...(await wrongKey.read(names[0] ?? "", 0, 1_000))], [...text]);
});

packContract("disk", async () => {
  const folder = await scratchFolder();
  const packs = await DiskPacks.open(folder.path);
  return {
    packs,
    [Symbol.asyncDispose]: async () => {
      await packs[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});
