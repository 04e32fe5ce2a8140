import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { contentHash, nodeId, ROOT_NODE } from "#core/ids.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { systemDigest } from "#platform/digest.ts";
import type { Digested } from "#sync/ports.ts";
import { Problems } from "#sync/problems.ts";
import { Reading } from "#sync/reading.ts";
import type { NodeRow, Stamp } from "#sync/tree.ts";

const FILE = nodeId("1".padStart(32, "0"));
const BEGAN_MS = 1_800_000_000_000;

/** One file that is saved at given moments, read under a clock that is turned here. */
class Desk implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "lockstep-reading-"));
  readonly #store = openDeviceStore(join(this.#folder, "device.sqlite"), { folding: true });
  readonly #reading: Reading;
  #nowMs = BEGAN_MS;
  #reads = 0;

  constructor() {
    const digest = async (_path: string, { stamp }: { stamp: Stamp }): Promise<Digested> => {
      this.#reads++;
      const sha256 = contentHash("a".repeat(64));
      return { outcome: "read", stamp, sha256, manifest: [], beganMs: this.#nowMs };
    };
    const clock = { nowMs: () => this.#nowMs } as ConstructorParameters<typeof Reading>[0]["clock"];
    this.#reading = new Reading(
      {
        ...this.#store,
        reader: { digest },
        clock,
        wall: clock,
        problems: new Problems(),
        digest: systemDigest,
        outage: () => null,
      },
      { wake: () => undefined, lookAgain: () => undefined },
    );
  }

  save(): void {
    const atNs = BigInt(this.#nowMs) * 1_000_000n;
    const stamp = { sizeBytes: 1, mtimeNs: atNs, ctimeNs: atNs };
    const place = { parent: ROOT_NODE, name: "f" };
    const seen = { racy: false, blind: null, missedMs: null, parkedFrom: null };
    const local = { ...place, content: null, file: "1:1:0", stamp, executable: false, ...seen };
    const row: NodeRow = {
      id: FILE,
      kind: "file",
      remote: null,
      synced: null,
      local,
      displacing: null,
      placing: null,
    };
    this.#store.trees.put(row);
  }

  /** Lets time pass, reading whatever is due on the way; gives how often the file was read. */
  async pass(ms: number): Promise<number> {
    const before = this.#reads;
    for (const endMs = this.#nowMs + ms; ;) {
      const dueMs = await this.#reading.run();
      if (dueMs === null || dueMs > endMs) {
        this.#nowMs = endMs;
        return this.#reads - before;
      }
      this.#nowMs = dueMs;
    }
  }

  [Symbol.dispose](): void {
    this.#store.close();
    rmSync(this.#folder, { recursive: true });
  }
}

suite("files that change often", () => {
  test("RD2: a hundred saves in ten seconds are read a few times, the last one too", async () => {
    using desk = new Desk();
    let reads = 0;
    for (let save = 0; save < 100; save++) {
      desk.save();
      reads += await desk.pass(100);
    }
    assert(reads <= 7, `${reads} readings`);
    assert.equal(await desk.pass(500), 1);
    assert.equal(await desk.pass(60_000), 0);
  });

  test("RD2: saves that each wait for the one before are read within half a second, however many", async () => {
    using desk = new Desk();
    for (let save = 0; save < 30; save++) {
      desk.save();
      assert.equal(await desk.pass(500), 1, `save ${save}`);
    }
  });

  test("RD2: a file that had rested for a second before it was saved is read at once, however often", async () => {
    using desk = new Desk();
    for (let save = 0; save < 30; save++) {
      desk.save();
      assert.equal(await desk.pass(50), 1, `save ${save}`);
      assert.equal(await desk.pass(1_000), 0);
    }
  });
});
