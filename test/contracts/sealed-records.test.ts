import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { plainNameKey } from "#core/names.ts";
import { chunkId, commitId, contentHash } from "#core/ids.ts";
import { chunkSecret } from "#crypto/keys.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import type { SealedRecords, TreeStore } from "#sync/ports.ts";
import { MemoryStore } from "../../src/sim/memory-store.ts";

type Opened = { readonly trees: TreeStore; readonly records: SealedRecords; close: () => void };

const RAW = chunkId("a1".repeat(32));
const FIRST = commitId("e1".repeat(16));
const SECOND = commitId("e2".repeat(16));
const THIRD = commitId("e3".repeat(16));
const AB = "ab".repeat(32);
const CD = "cd".repeat(32);
const EF = "ef".repeat(32);

/** What every side of the port says. */
function contract(side: string, open: () => Opened): void {
  suite(`sealed records: ${side}`, () => {
    test("DB5: how chunks are sealed, contents of metas and lists of pieces come back", () => {
      const { records, close } = open();
      const entry = {
        chunk: chunkId("b1".repeat(32)),
        secret: chunkSecret(new Uint8Array(32).fill(7)),
        raw: RAW,
        lengthBytes: 5,
        domain: "private",
        epoch: 3,
      } as const;
      const content = contentHash("c1".repeat(32));
      assert.equal(records.sealed(RAW), undefined);
      records.putSealed({ ...entry, domain: "shared" });
      records.putSealed(entry);
      assert.deepEqual(records.sealed(RAW), entry);
      assert.equal(records.inline(RAW), undefined);
      records.putInline(RAW, Uint8Array.of(1, 2));
      assert.deepEqual(records.inline(RAW), Uint8Array.of(1, 2));
      records.putRoot(content, Uint8Array.of(3));
      assert.deepEqual(records.root(content), Uint8Array.of(3));
      close();
    });

    test("DB5: the journal's entries come back by sequence and by commit, and the newest is known", () => {
      const { records, close } = open();
      assert.equal(records.lastSequence(), 0);
      assert.equal(records.sequenceOf(FIRST), undefined);
      records.putEntry(7, { chain: AB, commitId: FIRST });
      records.putEntry(8, { chain: CD, commitId: SECOND });
      assert.equal(records.chainAt(7), AB);
      assert.equal(records.chainAt(9), undefined);
      assert.equal(records.sequenceOf(SECOND), 8);
      assert.equal(records.lastSequence(), 8);
      close();
    });

    test("DB4: nothing of a transaction that throws is kept of them", () => {
      const { trees, records, close } = open();
      records.putEntry(1, { chain: AB, commitId: FIRST });
      assert.throws(() =>
        trees.transaction(() => {
          records.putEntry(2, { chain: EF, commitId: THIRD });
          records.putInline(RAW, Uint8Array.of(1));
          throw new Error("no");
        }),
      );
      assert.equal(records.lastSequence(), 1);
      assert.equal(records.sequenceOf(THIRD), undefined);
      assert.equal(records.inline(RAW), undefined);
      close();
    });
  });
}

contract("real", () => {
  const store = openDeviceStore(":memory:", { folding: false });
  return { trees: store.trees, records: store.sealedRecords, close: () => store.close() };
});

contract("dreamed", () => {
  const store = new MemoryStore(plainNameKey, null);
  return { trees: store, records: store.sealed, close: () => store.close() };
});
