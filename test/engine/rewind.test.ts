import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { foldName } from "#core/names.ts";
import { contentHash, nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { CURSOR_START } from "#protocol/feed.ts";
import { MemoryStore } from "#sim/memory-store.ts";
import { beginRewind, rewind } from "#sync/rewind.ts";
import { readPosition, readRewind, unitedHead, writePosition } from "#sync/settings.ts";
import type { FileKey, LocalSide, NodeRow, RemoteSide, SyncedSide } from "#sync/tree.ts";

/** The backup ends here, and the device had read further. */
const SHARED = 10;
const READ = 20;

const id = (letter: string): NodeId => nodeId(letter.repeat(32));

function content(version: number) {
  const sha256 = contentHash(String(version).padStart(64, "0"));
  return { kind: "file", sha256, sizeBytes: version, executable: false } as const;
}

/** A file of some version, under a name of some version. */
function remote(name: string, [crev, lrev]: readonly [number, number]): RemoteSide {
  const place = { parent: ROOT_NODE, name: `${name} ${lrev}` };
  return { ...place, content: content(crev), mtimeMs: 1, crev, lrev };
}

function synced(name: string, revs: readonly [number, number]): SyncedSide {
  const { mtimeMs: _, ...side } = remote(name, revs);
  return { ...side, file: `inode of ${name}` as FileKey };
}

function local(name: string, revs: readonly [number, number]): LocalSide {
  const stamp = { sizeBytes: revs[0], mtimeNs: 1n, ctimeNs: 1n };
  const seen = { stamp, executable: false, racy: false, blind: null, missedMs: null };
  return { ...synced(name, revs), ...seen, parkedFrom: null };
}

function row(name: string, sides: Partial<NodeRow>): NodeRow {
  const blank = { remote: null, synced: null, local: null, displacing: null, placing: null };
  return { id: id(name), kind: "file", ...blank, ...sides };
}

const inSync = (name: string, revs: readonly [number, number]): NodeRow =>
  row(name, { remote: remote(name, revs), synced: synced(name, revs), local: local(name, revs) });

/** A device that has read to the end, and goes back to where the journals part. */
function rewound(rows: readonly NodeRow[], there: readonly RemoteSide[], read = READ): MemoryStore {
  const store = new MemoryStore(foldName, null);
  store.transaction(() => {
    for (const each of rows) store.put(each);
    writePosition(store, { cursor: "end", sequence: read, chain: "c" });
  });
  beginRewind(store, store, SHARED);
  assert.equal(readPosition(store, "").cursor, CURSOR_START);
  assert.equal(unitedHead(store), Math.min(read, SHARED));
  store.transaction(() => {
    for (const side of there) {
      const name = side.name[0] ?? "";
      store.put({ ...(store.get(id(name)) ?? row(name, {})), remote: side });
    }
    rewind(store, store, readRewind(store)?.to ?? 0);
  });
  assert.equal(readRewind(store), null);
  return store;
}

describe("rewinding", () => {
  test("SL18: what was agreed on before the journals part is agreed on, and nothing later is", () => {
    const rows = [
      inSync("a", [3, 4]),
      inSync("b", [15, 4]),
      inSync("c", [5, 15]),
      inSync("d", [12, 12]),
      row("e", { synced: synced("e", [6, 6]), remote: remote("e", [6, 6]) }),
      row("9", { synced: { ...synced("9", [7, 7]), crev: 0 }, local: local("9", [7, 7]) }),
    ];
    const there = [
      remote("a", [3, 4]),
      remote("b", [5, 4]),
      remote("c", [5, 3]),
      remote("e", [6, 6]),
      remote("9", [7, 7]),
    ];
    const store = rewound(rows, there);
    const agreed = (name: string) => store.get(id(name))?.synced;
    assert.deepEqual(agreed("a"), synced("a", [3, 4]));
    // It is the server's content that changes next, and the inode has never held it.
    assert.deepEqual(agreed("b"), { ...synced("b", [5, 4]), file: "" });
    assert.deepEqual(agreed("c"), synced("c", [5, 3]));
    assert.equal(agreed("d"), null, "it is made anew");
    assert.deepEqual(agreed("e"), synced("e", [6, 6]), "a person's deletion goes on");
    assert.equal(agreed("9"), null, "of no revision");
    for (const { id: node, local: side } of rows) assert.deepEqual(store.get(node)?.local, side);
  });

  test("SL18: what a device had read of and does not know was deleted; what was still to come was not", () => {
    const known = [
      row("a", { remote: remote("a", [3, 3]) }),
      row("b", { remote: remote("b", [4, 4]), displacing: "x" }),
    ];
    const there = [remote("a", [3, 3]), remote("b", [4, 4]), remote("c", [5, 5])];
    const store = rewound(known, there);
    assert.equal(store.get(id("a"))?.synced, null);
    assert.equal(store.get(id("b"))?.synced, null);
    assert.deepEqual(store.get(id("c"))?.synced, { ...synced("c", [5, 5]), file: "" });
    assert.equal(store.get(id("c"))?.local, null);
    const behind = rewound(known, there.slice(0, 2), SHARED - 1);
    for (const name of ["a", "b"]) assert.equal(behind.get(id(name))?.synced, null);
  });

  test("SL18: what this side had to take away, and could not yet, has to go still", () => {
    const deleted = (name: string, revs: readonly [number, number]) =>
      row(name, { synced: synced(name, revs), local: local(name, revs) });
    const known = [deleted("a", [15, 15]), deleted("b", [5, 5])];
    const store = rewound(known, [remote("b", [5, 5])]);
    assert.deepEqual(store.get(id("a")), known[0], "it is nothing that was made here");
    assert.deepEqual(
      store.get(id("b"))?.synced,
      synced("b", [5, 5]),
      "whoever deleted it does again",
    );
  });

  test("SL18: a device that was stopped while it reads again concludes nothing from what it lacks", () => {
    const store = new MemoryStore(foldName, null);
    store.transaction(() => {
      store.put(inSync("a", [15, 3]));
      writePosition(store, { cursor: "end", sequence: READ, chain: "c" });
    });
    beginRewind(store, store, SHARED);
    // The server goes back once more, to an earlier entry, or to a later one.
    beginRewind(store, store, SHARED + 5);
    assert.deepEqual(readRewind(store), { to: SHARED, waiting: null, going: [] });
    beginRewind(store, store, SHARED - 5);
    assert.deepEqual(readRewind(store), { to: SHARED - 5, waiting: null, going: [] });
    store.transaction(() => {
      store.put({ ...(store.get(id("a")) ?? row("a", {})), remote: remote("a", [2, 3]) });
      store.put(row("b", { remote: remote("b", [4, 4]) }));
      rewind(store, store, SHARED - 5);
    });
    assert.equal(store.get(id("a"))?.synced?.crev, 2);
    assert.equal(store.get(id("b"))?.synced, null);
  });
});
