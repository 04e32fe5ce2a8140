import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHex } from "#core/bytes.ts";
import { chunkId, commitId, contentHash } from "#core/ids.ts";
import type { SealedEntry } from "#crypto/chunk.ts";
import { chunkSecret } from "#crypto/keys.ts";
import { MAX_BASE_AGE } from "#protocol/limits.ts";
import type { SealedRecords, TreeStore } from "#sync/ports.ts";

/** What a device of a sealed space remembers, in a database that nobody else has. */
export type OpenSealedRecords = () => Promise<SealedRecordsUnderTest>;

type SealedRecordsUnderTest = AsyncDisposable & {
  readonly records: SealedRecords;
  readonly trees: Pick<TreeStore, "transaction">;
};

const idOf = (number: number) => chunkId(number.toString(16).padStart(64, "0"));
const hashOf = (number: number) => contentHash(number.toString(16).padStart(64, "0"));
const chainOf = (number: number): string => number.toString(16).padStart(64, "f");
const commitOf = (number: number) => commitId(number.toString(16).padStart(32, "0"));
const entryOf = (number: number) => ({ chain: chainOf(number), commitId: commitOf(number) });
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

const anyEntry: fc.Arbitrary<SealedEntry> = fc
  .record({
    chunk: bytes32.map((bytes) => chunkId(toHex(bytes))),
    secret: bytes32.map(chunkSecret),
    raw: fc.integer({ min: 0, max: 5 }).map(idOf),
    lengthBytes: fc.integer({ min: 1, max: 8 * 1024 * 1024 }),
    domain: fc.constantFrom("shared" as const, "private" as const),
    epoch: fc.integer({ min: 1, max: 0xffff }),
  })
  .map((entry) => ({ ...entry }));

/** What every device of a sealed space has to remember alike. */
export function sealedRecordsContract(store: string, open: OpenSealedRecords): void {
  test(`DB9: how a chunk is sealed comes back as it was put last (${store})`, async () => {
    await using under = await open();
    const { records } = under;
    const known = new Map<string, SealedEntry>();
    assert.equal(records.sealed(idOf(0)), undefined);
    fc.assert(
      fc.property(anyEntry, (entry) => {
        records.putSealed(entry);
        known.set(entry.raw, entry);
        for (const [raw, expected] of known) {
          assert.deepEqual(records.sealed(chunkId(raw)), expected);
        }
      }),
      { numRuns: 60 },
    );
    assert.equal(records.sealed(idOf(6)), undefined);
  });

  test(`DB9: contents and lists that stand in a meta come back (${store})`, async () => {
    await using under = await open();
    const { records } = under;
    for (const length of [0, 1, 4_096]) {
      const bytes = new Uint8Array(length).fill(length % 251);
      assert.equal(records.inline(idOf(length)), undefined);
      assert.equal(records.root(hashOf(length)), undefined);
      records.putInline(idOf(length), bytes);
      records.putRoot(hashOf(length), bytes);
      assert.deepEqual(records.inline(idOf(length)), bytes);
      assert.deepEqual(records.root(hashOf(length)), bytes);
    }
    records.putInline(idOf(1), new Uint8Array([7]));
    records.putRoot(hashOf(1), new Uint8Array([8]));
    assert.deepEqual(records.inline(idOf(1)), new Uint8Array([7]));
    assert.deepEqual(records.root(hashOf(1)), new Uint8Array([8]));
    // One content's chunk and list are two things, though both go by its hash.
    assert.equal(records.sealed(idOf(1)), undefined);
  });

  test(`DB9: every entry that a commit may be planned on is known (${store})`, async () => {
    await using under = await open();
    const { records, trees } = under;
    assert.equal(records.lastSequence(), 0);
    const last = MAX_BASE_AGE + 1_100;
    trees.transaction(() => {
      for (let sequence = 1; sequence <= last; sequence++) {
        records.putEntry(sequence, entryOf(sequence));
      }
    });
    for (let sequence = last; sequence >= last - MAX_BASE_AGE; sequence--) {
      assert.equal(records.chainAt(sequence), chainOf(sequence));
      assert.equal(records.sequenceOf(commitOf(sequence)), sequence);
    }
    assert.equal(records.lastSequence(), last);
    assert.equal(records.chainAt(last + 1), undefined);
    assert.equal(records.sequenceOf(commitOf(last + 1)), undefined);
    records.putEntry(last + 5, entryOf(last + 5));
    assert.equal(records.lastSequence(), last + 5);
    assert.equal(records.chainAt(last + 4), undefined);
  });

  test(`DB9: entries that the server has lost are forgotten, and those before them are not (${store})`, async () => {
    await using under = await open();
    const { records, trees } = under;
    trees.transaction(() => {
      for (let sequence = 1; sequence <= 9; sequence++)
        records.putEntry(sequence, entryOf(sequence));
      records.forgetEntriesAfter(6);
    });
    assert.equal(records.lastSequence(), 6);
    assert.equal(records.chainAt(6), chainOf(6));
    assert.equal(records.chainAt(7), undefined);
    assert.equal(records.sequenceOf(commitOf(7)), undefined);
    assert.equal(records.sequenceOf(commitOf(6)), 6);
    records.putEntry(7, entryOf(107));
    assert.equal(records.chainAt(7), chainOf(107));
    records.forgetEntriesAfter(0);
    assert.equal(records.lastSequence(), 0);
  });

  test(`DB9: what a transaction that failed remembered is forgotten (${store})`, async () => {
    await using under = await open();
    const { records, trees } = under;
    const [entry] = fc.sample(anyEntry, 1);
    assert.ok(entry !== undefined);
    trees.transaction(() => records.putInline(idOf(1), new Uint8Array([1])));
    assert.throws(() =>
      trees.transaction(() => {
        records.putSealed(entry);
        records.putInline(idOf(1), new Uint8Array([2]));
        records.putRoot(hashOf(1), new Uint8Array([3]));
        records.putEntry(1, entryOf(1));
        throw new Error("undone");
      }),
    );
    assert.equal(records.sealed(entry.raw), undefined);
    assert.deepEqual(records.inline(idOf(1)), new Uint8Array([1]));
    assert.equal(records.root(hashOf(1)), undefined);
    assert.equal(records.chainAt(1), undefined);
    assert.equal(records.sequenceOf(commitOf(1)), undefined);
    assert.equal(records.lastSequence(), 0);
  });
}
