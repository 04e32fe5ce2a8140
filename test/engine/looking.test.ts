import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { WorldError } from "#core/errors.ts";
import { nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { FOLDER } from "#core/node.ts";
import { systemClock } from "#platform/clock.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { openDisk } from "#platform/disk.ts";
import { IgnoreRules } from "#sync/ignore.ts";
import { Looking } from "#sync/looking.ts";
import type { Disk, TreeStore, Watcher } from "#sync/ports.ts";
import { Problems } from "#sync/problems.ts";
import { agreedAt, PARK_NODE } from "#sync/tree.ts";
import { Unsynced } from "#sync/unsynced.ts";

const { signal } = new AbortController();

/** A real folder whose listings can be refused, and who looks at it. */
async function withFolder(
  work: (
    looking: Looking,
    world: {
      root: string;
      refused: Set<string>;
      looks: () => number;
      trees: TreeStore;
      problems: Problems;
      later: (ms: number) => void;
    },
  ) => Promise<void>,
): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), "lockstep-looking-"));
  const root = join(base, "root");
  mkdirSync(join(root, ".lockstep", "park"), { recursive: true });
  const refused = new Set<string>();
  let lists = 0;
  await using real = openDisk(root);
  const list: Disk["look"]["list"] = async (path, ...more) => {
    lists++;
    if (refused.has(path)) throw new WorldError("no-permission", `Cannot list ${path}.`);
    return real.look.list(path, ...more);
  };
  const look = new Proxy(real.look, {
    get: (target, name) => (name === "list" ? list : Reflect.get(target, name).bind(target)),
  });
  const watcher: Watcher = {
    watch: () => undefined,
    unwatch: () => undefined,
    ready: async () => undefined,
    take: () => ({ folders: [], overflow: false }),
    onHint: () => undefined,
    trouble: () => null,
  };
  const store = openDeviceStore(join(base, "device.sqlite"), { folding: true });
  let aheadMs = 0;
  const later = (ms: number): void => {
    aheadMs += ms;
  };
  const problems = new Problems();
  const looking = new Looking({
    ...store,
    disk: { ...real, look },
    unsynced: new Unsynced(real),
    watcher,
    clock: { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs },
    problems,
    rules: new IgnoreRules(),
    fresh: () => nodeId(randomBytes(16).toString("hex")),
    outage: () => null,
    seeRoot: async () => undefined,
  });
  try {
    await work(looking, { root, refused, looks: () => lists, trees: store.trees, problems, later });
  } finally {
    store.close();
    rmSync(base, { recursive: true });
  }
}

/** The server has a file of that folder as well. */
function agreeOn(trees: TreeStore, called: string, folder = ROOT_NODE): NodeId {
  const row = trees.named("local", folder, called)[0];
  assert(row?.local);
  const content = { kind: "symlink", target: "stands for any" } as const;
  trees.put({ ...row, synced: agreedAt(null, row.local, content, row.local.file) });
  return row.id;
}

/** Looks until nothing more is wanted; gives how many looks that took. */
async function rest(looking: Looking): Promise<number> {
  for (let looks = 1; looks <= 10; looks++) {
    await looking.run(signal);
    // What a person does next comes after this turn: within one a folder is walked to once.
    await nextTurn();
    if (!looking.wanted && !looking.isDoubtful) return looks;
    if (looking.isDoubtful) looking.lookAtEverything();
  }
  return assert.fail("looking does not come to rest");
}

suite("a folder that cannot be listed", () => {
  test("SC7: it is looked at a few times, not for ever, and again when everything is", async () => {
    await withFolder(async (looking, { root, refused, looks }) => {
      mkdirSync(join(root, "private", "deep"), { recursive: true });
      writeFileSync(join(root, "private", "deep", "f"), "f");
      await rest(looking);
      refused.add("private");
      for (let time = 0; time < 3; time++) {
        looking.lookAtEverything();
        await rest(looking);
      }
      const before = looks();
      await looking.run(signal);
      assert.equal(looks(), before);
      refused.clear();
      looking.lookAtEverything();
      await rest(looking);
      assert(looks() > before);
    });
  });

  test("SC7: nor is one that was never listed", async () => {
    await withFolder(async (looking, { root, refused }) => {
      mkdirSync(join(root, "private"));
      refused.add("private");
      await rest(looking);
      looking.lookAtEverything();
      await rest(looking);
    });
  });
});

suite("what goes missing beside a folder that cannot be listed", () => {
  /** As an engine looks that is told of nothing, until it believes that something is gone. */
  const lookAll = async (looking: Looking, later: (ms: number) => void): Promise<void> => {
    for (let time = 0; time < 4; time++) {
      looking.lookAtEverything();
      await looking.run(signal);
      later(5_000);
    }
    assert(!looking.wanted && !looking.isDoubtful);
  };

  test("SC10: it may stand there: it is no deletion before that folder can be listed", async () => {
    await withFolder(async (looking, { root, refused, trees, problems, later }) => {
      mkdirSync(join(root, "private"));
      writeFileSync(join(root, "f"), "f");
      await rest(looking);
      const id = agreeOn(trees, "f");
      renameSync(join(root, "f"), join(root, "private", "f"));
      refused.add("private");
      await lookAll(looking, later);
      assert.equal(trees.get(id)?.local?.blind, "unreadable");
      assert.equal(problems.list().find(({ path }) => path === "f")?.code, "missing");
      refused.clear();
      await lookAll(looking, later);
      const row = trees.get(id);
      assert.equal(row?.local?.blind, null);
      assert.equal(row.local.parent, trees.named("local", ROOT_NODE, "private")[0]?.id);
      assert.deepEqual(problems.list(), []);
    });
  });

  test("SC10: what is not in that folder when it can be listed again is deleted", async () => {
    await withFolder(async (looking, { root, refused, trees, problems, later }) => {
      mkdirSync(join(root, "private"));
      writeFileSync(join(root, "f"), "f");
      await rest(looking);
      const id = agreeOn(trees, "f");
      rmSync(join(root, "f"));
      refused.add("private");
      await lookAll(looking, later);
      assert(trees.get(id)?.local);
      refused.clear();
      looking.lookAgain(trees.named("local", ROOT_NODE, "private")[0]?.id ?? ROOT_NODE);
      await looking.run(signal);
      // It asks for a look at everything, and for the second that any deletion needs.
      assert(looking.wanted);
      await lookAll(looking, later);
      assert.equal(trees.get(id)?.local, null);
      assert.deepEqual(problems.list(), []);
    });
  });

  test("SC10: a folder that stays unreadable keeps no later deletion back", async () => {
    await withFolder(async (looking, { root, refused, trees, later }) => {
      mkdirSync(join(root, "private"));
      for (const name of ["f", "g"]) writeFileSync(join(root, name), name);
      await rest(looking);
      const [early, late] = [agreeOn(trees, "f"), agreeOn(trees, "g")];
      rmSync(join(root, "f"));
      refused.add("private");
      await lookAll(looking, later);
      rmSync(join(root, "g"));
      await lookAll(looking, later);
      assert.equal(trees.get(late)?.local, null);
      assert.equal(trees.get(early)?.local?.blind, "unreadable");
      // Its entries, or who may read it, are others now.
      const again = join(root, "h");
      writeFileSync(again, "h");
      await lookAll(looking, later);
      const third = agreeOn(trees, "h");
      renameSync(again, join(root, "private", "h"));
      await lookAll(looking, later);
      assert.equal(trees.get(third)?.local?.blind, "unreadable");
    });
  });
});

suite("what is looked at in part beside a folder that cannot be listed", () => {
  test("SC10: what goes missing there is looked for everywhere before it counts as deleted", async () => {
    await withFolder(async (looking, { root, refused, trees, later }) => {
      for (const name of ["private", "desk"]) mkdirSync(join(root, name));
      for (const name of ["f", "g"]) writeFileSync(join(root, "desk", name), name);
      await rest(looking);
      const desk = trees.named("local", ROOT_NODE, "desk")[0]?.id ?? assert.fail("no desk");
      const [moved, deleted] = [agreeOn(trees, "f", desk), agreeOn(trees, "g", desk)];
      refused.add("private");
      const lookTwice = async (): Promise<void> => {
        for (let time = 0; time < 2; time++) {
          looking.lookAgain(desk);
          await looking.run(signal);
          later(5_000);
        }
        while (looking.wanted) await looking.run(signal);
      };
      looking.lookAtEverything();
      await rest(looking);
      rmSync(join(root, "desk", "g"));
      await lookTwice();
      assert.equal(trees.get(deleted)?.local, null);
      // A folder that nobody may list can still be moved into.
      renameSync(join(root, "desk", "f"), join(root, "private", "f"));
      await lookTwice();
      assert.equal(trees.get(moved)?.local?.blind, "unreadable");
    });
  });
});

suite("things that change their names between two looks", () => {
  test("SC4: a folder that another one took the path of is not taken for that one", async () => {
    await withFolder(async (looking, { root, trees }) => {
      for (const name of ["a", "b"]) {
        mkdirSync(join(root, name));
        writeFileSync(join(root, name, `in ${name}`), name);
      }
      await rest(looking);
      const id = (name: string) =>
        trees.named("local", ROOT_NODE, name)[0]?.id ?? assert.fail(name);
      const [a, b] = [id("a"), id("b")];
      renameSync(join(root, "a"), join(root, "aside"));
      renameSync(join(root, "b"), join(root, "a"));
      renameSync(join(root, "aside"), join(root, "b"));
      // What is known is the path that the folder had.
      looking.lookAgain(a);
      await rest(looking);
      for (const [folder, name] of [
        [a, "in a"],
        [b, "in b"],
      ] as const) {
        const names = trees.children("local", folder).map(({ local }) => local?.name);
        assert.deepEqual(names, [name]);
      }
      assert.equal(trees.get(a)?.local?.name, "b");
    });
  });

  test("SC4: a folder that gave its name to a file is not gone before everything was looked at", async () => {
    await withFolder(async (looking, { root, trees }) => {
      const inner = join(root, "outer", "inner");
      mkdirSync(inner, { recursive: true });
      writeFileSync(join(root, "f"), "f");
      await rest(looking);
      const outer = trees.named("local", ROOT_NODE, "outer")[0]?.id ?? assert.fail("no outer");
      const row = trees.named("local", outer, "inner")[0];
      assert(row?.local);
      trees.put({ ...row, synced: agreedAt(null, row.local, FOLDER, row.local.file) });
      renameSync(inner, join(root, "aside"));
      renameSync(join(root, "f"), inner);
      renameSync(join(root, "aside"), join(root, "f"));
      // The hint for the root comes later.
      looking.lookAgain(outer);
      await rest(looking);
      assert.equal(trees.get(row.id)?.local?.name, "f");
      assert.equal(trees.get(row.id)?.synced?.name, "inner");
    });
  });

  test("SC6: a file that was renamed over another one is gone at the first look", async () => {
    await withFolder(async (looking, { root, trees }) => {
      for (const name of ["f", "g"]) writeFileSync(join(root, name), name);
      await rest(looking);
      const row = trees.named("local", ROOT_NODE, "f")[0];
      assert(row?.local);
      const content = { kind: "symlink", target: "stands for any" } as const;
      trees.put({ ...row, synced: agreedAt(null, row.local, content, row.local.file) });
      renameSync(join(root, "f"), join(root, "g"));
      looking.lookAgain(ROOT_NODE);
      await looking.run(signal);
      assert.equal(trees.get(row.id)?.local, null);
    });
  });

  test("SC1: a file that is made again before its deletion was sent is the one that was there", async () => {
    await withFolder(async (looking, { root, trees }) => {
      writeFileSync(join(root, "f"), "first");
      await rest(looking);
      const row = trees.named("local", ROOT_NODE, "f")[0];
      assert(row?.local);
      const content = { kind: "symlink", target: "stands for any" } as const;
      const synced = agreedAt(null, row.local, content, row.local.file);
      trees.put({ ...row, local: null, synced });
      writeFileSync(join(root, "f"), "second");
      looking.lookAtEverything();
      await rest(looking);
      const found = trees.named("local", ROOT_NODE, "f").map(({ id }) => id);
      assert.deepEqual(found, [row.id]);
    });
  });
});

suite("a move that stopped in its middle", () => {
  const parkedName = `${"1".repeat(32)}-${ROOT_NODE}-f`;

  test("EX7: the file has one place again, and is the one that it was", async () => {
    await withFolder(async (looking, { root, trees }) => {
      const parked = join(root, ".lockstep", "park", parkedName);
      writeFileSync(join(root, "f"), "f");
      await rest(looking);
      const before = trees.named("local", ROOT_NODE, "f")[0];
      renameSync(join(root, "f"), parked);
      linkSync(parked, join(root, "g"));
      for (const folder of [PARK_NODE, ROOT_NODE]) looking.lookAgain(folder);
      await rest(looking);
      assert.deepEqual(readdirSync(join(root, ".lockstep", "park")), []);
      assert.equal(trees.named("local", ROOT_NODE, "g")[0]?.id, before?.id);
      assert.deepEqual(trees.children("local", PARK_NODE), []);
    });
  });

  test("EX7: a file all of whose names are in park keeps one of them", async () => {
    await withFolder(async (looking, { root, trees }) => {
      const park = join(root, ".lockstep", "park");
      writeFileSync(join(park, parkedName), "f");
      linkSync(join(park, parkedName), join(park, parkedName.replace(/f$/, "g")));
      await rest(looking);
      assert.equal(readdirSync(park).length, 1);
      assert.equal(trees.children("local", PARK_NODE).length, 1);
    });
  });

  test("EX7: what left park for a folder that nobody looked at is looked for everywhere", async () => {
    await withFolder(async (looking, { root, trees }) => {
      const parked = join(root, ".lockstep", "park", parkedName);
      mkdirSync(join(root, "d"));
      writeFileSync(parked, "f");
      await rest(looking);
      const row = trees.children("local", PARK_NODE)[0];
      assert(row?.local);
      const place = { parent: row.local.parent, name: "f" };
      const content = { kind: "symlink", target: "stands for any" } as const;
      trees.put({ ...row, synced: agreedAt(null, place, content, row.local.file) });
      renameSync(parked, join(root, "d", "f"));
      looking.lookAgain(PARK_NODE);
      await rest(looking);
      const found = trees.get(row.id);
      assert.equal(found?.local?.name, "f");
      assert(found?.synced);
    });
  });
});
