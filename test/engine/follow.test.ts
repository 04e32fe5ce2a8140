import assert from "node:assert/strict";
import { posix } from "node:path";
import { suite, test } from "node:test";
import { codeOf } from "#core/errors.ts";
import { chunkId, commitId, deviceId, nodeId, ROOT_NODE } from "#core/ids.ts";
import { openDeviceStore, type DeviceStore } from "#platform/device-store.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import type { Change } from "#protocol/commit.ts";
import type { Entry, Feed } from "#protocol/feed.ts";
import { Follower } from "#sync/follow.ts";
import { plainSeal } from "#sync/plain-seal.ts";
import { Problems } from "#sync/problems.ts";
import { expectCommit, writeSent } from "#sync/settings.ts";
import { HOSTILE_NAMES } from "./hostile-names.ts";

const ME = deviceId("a".repeat(32));
const OTHER = deviceId("b".repeat(32));
const FILE = nodeId("1".repeat(32));
const META = JSON.stringify({
  kind: "file",
  sizeBytes: 3,
  sha256: "c".repeat(64),
  executable: false,
  mtimeMs: 1,
});
const CONTENT = { meta: META, chunks: [chunkId("d".repeat(64))], lengths: [3] };

function created(name: string, node = FILE): Change {
  return { kind: "create", node, type: "file", parent: ROOT_NODE, name, ...CONTENT };
}

/** A journal that chains its entries as a server does. */
class Journal {
  #sequence = 0;
  #chain = CHAIN_START;

  entry(changes: Change[], device = OTHER): Entry {
    const sequence = ++this.#sequence;
    const id = commitId(sequence.toString(16).padStart(32, "0"));
    const rest = { sequence, commitId: id, device, timeMs: 0, changes };
    this.#chain = nextChain(systemDigest, this.#chain, rest);
    return { ...rest, chain: this.#chain };
  }
}

function page(entries: Entry[], cursor: string): Feed {
  return { entries, cursor, head: entries.at(-1)?.sequence ?? 0 };
}

function open(): { store: DeviceStore; follower: Follower; problems: Problems } & Disposable {
  const store = openDeviceStore(":memory:", { folding: true });
  const problems = new Problems();
  const quiet = (): void => undefined;
  const follower = new Follower({
    ...store,
    problems,
    seal: plainSeal(store.records),
    digest: systemDigest,
    clock: systemClock,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    device: ME,
    startCursor: "0",
  });
  return { store, follower, problems, [Symbol.dispose]: () => store.close() };
}

function thrownBy(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return codeOf(error);
  }
  return "nothing";
}

suite("following the journal", () => {
  test("FO1: an own commit that is read back is what both sides agreed on, whatever came since", () => {
    using world = open();
    const { store, follower } = world;
    const journal = new Journal();
    const entry = journal.entry([created("mine")], ME);
    const base = { sequence: 0, chain: CHAIN_START };
    const commit = { commitId: entry.commitId, base, changes: entry.changes };
    writeSent(store.records, { commit, files: { [FILE]: "8:1:1" } });
    assert.equal(follower.apply("0", page([entry], "1")), false);
    const row = store.trees.get(FILE);
    assert.equal(row?.synced?.file, "8:1:1");
    assert.equal(row.local, null);
    assert.equal(row.remote?.crev, 1);
    assert.deepEqual(follower.position, { cursor: "1", sequence: 1, chain: entry.chain });
  });

  test("FO1: a page with a bad entry changes neither the tree nor the cursor", () => {
    using world = open();
    const journal = new Journal();
    const good = journal.entry([created("one")]);
    const bad = { ...journal.entry([created("two", nodeId("2".repeat(32)))]), timeMs: 77 };
    const feed = page([good, bad], "2");
    assert.equal(
      thrownBy(() => world.follower.apply("0", feed)),
      "journal-broken",
    );
    assert.equal(world.store.trees.get(FILE), undefined);
    assert.equal(world.follower.position.sequence, 0);
  });

  test("FO2: a gap and a changed past are not believed", () => {
    using world = open();
    const journal = new Journal();
    const first = journal.entry([created("one")]);
    const second = journal.entry([{ kind: "delete", node: FILE, crev: 1, lrev: 1 }]);
    assert.equal(
      thrownBy(() => world.follower.apply("0", page([second], "2"))),
      "journal-broken",
    );
    assert.equal(world.follower.apply("0", page([first], "1")), true);
    const forged = { ...second, changes: [created("two", nodeId("3".repeat(32)))] };
    assert.equal(
      thrownBy(() => world.follower.apply("1", page([forged], "2"))),
      "journal-broken",
    );
    assert.notEqual(world.store.trees.get(FILE)?.remote, null);
  });

  test("FO2: an own commit that this database does not know means that the database is an older one", () => {
    using world = open();
    const journal = new Journal();
    const entry = journal.entry([created("mine")], ME);
    assert.equal(
      thrownBy(() => world.follower.apply("0", page([entry], "1"))),
      "database-old",
    );
    expectCommit(world.store.records, entry.commitId);
    assert.equal(world.follower.apply("0", page([entry], "1")), true);
  });

  test("FO3: a page that was asked for at another cursor changes nothing", () => {
    using world = open();
    const entry = new Journal().entry([created("one")]);
    assert.equal(world.follower.apply("elsewhere", page([entry], "1")), false);
    assert.equal(world.store.trees.get(FILE), undefined);
  });

  const refused = ["..", "a/b", "", "nul\u0000", ".lockstep", ".LockStep", "x".repeat(256)];
  for (const name of refused) {
    test(`FO5: the name ${JSON.stringify(name.slice(0, 12))} from the server never reaches the tree, others do`, () => {
      using world = open();
      const fine = created("fine", nodeId("4".repeat(32)));
      const entry = new Journal().entry([created(name), fine]);
      world.follower.apply("0", page([entry], "1"));
      assert.equal(world.store.trees.get(FILE), undefined);
      assert.equal(world.store.trees.get(fine.node)?.remote?.name, "fine");
      assert.equal(world.problems.list()[0]?.code, "bad-name");
    });
  }

  test("FO5: of 200 names that a server may try, none leads anywhere but to one thing in its folder (T-FS-01)", () => {
    assert.ok(HOSTILE_NAMES.length >= 200, `${HOSTILE_NAMES.length} names`);
    for (const name of HOSTILE_NAMES) {
      using world = open();
      world.follower.apply("0", page([new Journal().entry([created(name)])], "1"));
      const taken = world.store.trees.get(FILE)?.remote?.name;
      const shown = JSON.stringify(name.slice(0, 40));
      if (taken === undefined) {
        assert.equal(world.problems.list()[0]?.code, "bad-name", shown);
        continue;
      }
      assert.equal(taken, name);
      // What is taken is one step down, by the rules of every system that it could be sent to here.
      assert.equal(posix.dirname(posix.join("/root", taken)), "/root", shown);
      assert.notEqual(posix.join("/root", taken), "/root", shown);
      const isLow = taken
        .split("")
        .some((letter) => letter < " " && letter !== "\n" && letter !== "\t");
      assert.ok(Buffer.byteLength(taken) <= 255 && !isLow && !taken.includes("\x7f"), shown);
      assert.ok(taken.isWellFormed() && taken.toLowerCase() !== ".lockstep", shown);
    }
  });

  test("FO5: a content that is not what it says is a problem of its node alone", () => {
    using world = open();
    const short = { ...created("short"), lengths: [2] } as Change;
    const entry = new Journal().entry([short, created("fine", nodeId("5".repeat(32)))]);
    world.follower.apply("0", page([entry], "1"));
    assert.equal(world.store.trees.get(FILE), undefined);
    assert.equal(world.problems.list()[0]?.code, "bad-meta");
  });
});
