import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { randomSample } from "#chunking/sample-bytes.ts";
import { chunkId, type ChunkId } from "#core/ids.ts";
import { FileKeptBytes, keptLimit, MAX_KEPT_BYTES } from "#platform/kept-bytes.ts";
import type { KeptBytes } from "#sync/ports.ts";
import { MemoryKeptBytes } from "../../src/sim/memory-kept-bytes.ts";

const [A, B, C, D] = ["a1", "b2", "c3", "d4"].map((two) => chunkId(two.repeat(32))) as [
  ChunkId,
  ChunkId,
  ChunkId,
  ChunkId,
];
const bytesOf = (seed: number, length = 1_000): Uint8Array => randomSample(seed, length);

type Opened = Disposable & { readonly kept: KeptBytes };

/** What every side of the port says. */
function contract(side: string, open: (limitBytes: number) => Opened): void {
  suite(`kept bytes: ${side}`, () => {
    test("SL17: what was kept comes back, what was not is nothing", () => {
      using opened = open(3_000);
      const { kept } = opened;
      assert.equal(kept.get(A), null);
      kept.put([{ id: A, bytes: bytesOf(1) }], "at rest");
      kept.put([{ id: A, bytes: bytesOf(1) }], "edited");
      kept.put([{ id: B, bytes: bytesOf(2) }], "edited");
      assert.deepEqual(kept.get(A), bytesOf(1));
      assert.deepEqual(kept.get(B), bytesOf(2));
      assert.equal(kept.get(C), null);
    });

    test("SL17: what was edited drives out the oldest, what rests drives out nothing", () => {
      using opened = open(2_500);
      const { kept } = opened;
      kept.put([{ id: A, bytes: bytesOf(1) }], "edited");
      kept.put([{ id: B, bytes: bytesOf(2) }], "at rest");
      kept.put([{ id: C, bytes: bytesOf(3) }], "at rest");
      assert.equal(kept.get(C), null);
      kept.put([{ id: D, bytes: bytesOf(4) }], "edited");
      assert.deepEqual([kept.get(A), kept.get(B)], [null, bytesOf(2)]);
      assert.deepEqual(kept.get(D), bytesOf(4));
      kept.put([{ id: C, bytes: bytesOf(3, 2_400) }], "edited");
      assert.deepEqual([kept.get(B), kept.get(D)], [null, null]);
      assert.deepEqual(kept.get(C), bytesOf(3, 2_400));
    });

    test("SL17: what is larger than all room is not kept, and takes no room", () => {
      using opened = open(1_500);
      const { kept } = opened;
      kept.put([{ id: A, bytes: bytesOf(1) }], "edited");
      kept.put([{ id: B, bytes: bytesOf(2, 1_501) }], "edited");
      assert.deepEqual([kept.get(A), kept.get(B)], [bytesOf(1), null]);
    });

    test("SL17: where nothing may be kept, nothing is", () => {
      using opened = open(0);
      opened.kept.put([{ id: A, bytes: bytesOf(1) }], "edited");
      assert.equal(opened.kept.get(A), null);
    });
  });
}

contract("in memory", (limitBytes) => {
  const kept = new MemoryKeptBytes(limitBytes);
  return { kept, [Symbol.dispose]: () => kept.close() };
});

function inFolder(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-kept-"));
  const remove = (): void => rmSync(folder, { recursive: true });
  return { path: join(folder, "kept.sqlite"), [Symbol.dispose]: remove };
}

contract("in a file", (limitBytes) => {
  const folder = inFolder();
  const kept = new FileKeptBytes(folder.path, limitBytes);
  return {
    kept,
    [Symbol.dispose](): void {
      kept.close();
      folder[Symbol.dispose]();
    },
  };
});

suite("the file of kept bytes", () => {
  test("SL17: it is there after a restart, for its user alone, and shrinks to a smaller limit", () => {
    using folder = inFolder();
    const first = new FileKeptBytes(folder.path, 5_000);
    first.put([{ id: A, bytes: bytesOf(1) }], "at rest");
    first.put([{ id: B, bytes: bytesOf(2) }], "at rest");
    first.close();
    assert.equal(first.get(A), null, "closed");
    assert.equal(statSync(folder.path).mode & 0o777, 0o600);
    const again = new FileKeptBytes(folder.path, 1_500);
    assert.deepEqual([again.get(A), again.get(B)], [null, bytesOf(2)]);
    again.close();
    new FileKeptBytes(folder.path, 0).close();
    assert.throws(() => statSync(folder.path), { code: "ENOENT" });
  });

  test("SL17: a damaged file is thrown away, and the next start begins a new one", () => {
    using folder = inFolder();
    writeFileSync(folder.path, randomSample(1, 20_000));
    const first = new FileKeptBytes(folder.path, 5_000);
    first.put([{ id: A, bytes: bytesOf(1) }], "edited");
    assert.equal(first.get(A), null);
    first.close();
    const again = new FileKeptBytes(folder.path, 5_000);
    again.put([{ id: A, bytes: bytesOf(1) }], "edited");
    assert.deepEqual(again.get(A), bytesOf(1));
    again.close();
    // A page in its middle: what reads it gets something else, or the file goes.
    const bytes = readFileSync(folder.path);
    writeFileSync(folder.path, bytes.fill(0xff, 4_096));
    const third = new FileKeptBytes(folder.path, 5_000);
    assert.notDeepEqual(third.get(A), bytesOf(1));
    third.close();
  });

  test("SL17: a folder keeps a twentieth of the free disk at most, and never more than 1 GiB", () => {
    using folder = inFolder();
    assert(keptLimit(folder.path) > 0 && keptLimit(folder.path) <= MAX_KEPT_BYTES);
    assert.equal(keptLimit(folder.path, 1_000), 1_000);
    assert.equal(keptLimit("/nowhere/at/all/kept.sqlite"), 0);
  });
});
