import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { nodeId, ROOT_NODE } from "#core/ids.ts";
import { readTree, shownTree } from "../../test/planner/person.ts";
import { World } from "../../test/planner/table.ts";
import { PARK_NODE, type NodeRow } from "./tree.ts";

// What plans are like; planner-files, -folders, -kinds and -names tell who wins.

type Device = World["a"];

/** Ids are drawn, and the planner goes by id: what must hold of any order is tried in several. */
const SEEDS = Array.from({ length: 24 }, (_, index) => index + 1);

function rowAt({ rows }: Device, path: string): NodeRow {
  let row: NodeRow | undefined;
  for (const name of path.split("/")) {
    const parent = row?.id ?? ROOT_NODE;
    row = rows.children("local", parent).find(({ local }) => local?.name === name);
  }
  assert(row !== undefined, `nothing at ${path}`);
  return row;
}

/** Marks what is on the disk as not to be seen, or lets it be seen again. */
function blind(device: Device, path: string, how: "absent" | "unreadable" | null): void {
  const row = rowAt(device, path);
  assert(row.local !== null);
  device.rows.put({ ...row, local: { ...row.local, blind: how } });
}

suite("what it takes", () => {
  const table = [
    ["PL2", "nothing was done", "d/, d/f=1", "", "", ""],
    ["PL2", "made", "", "make f=1", "commit create", "disk create"],
    ["PL2", "edited", "f=1", "edit f=2", "commit update", "disk replace"],
    ["PL11", "made executable", "f=1", "edit f=1+", "commit update", "disk set-executable"],
    ["PL2", "a link changed", "l->a", "edit l->b", "commit update", "disk replace"],
    ["PL2", "a folder renamed", "d/, d/f=1, d/g=2", "move d e", "commit move", "disk move"],
    ["PL15", "renamed in case only", "f=1", "move f F", "commit move", "disk move"],
    ["PL2", "two files swapped", "a=1, b=2", "swap a b", "commit update ×2", "disk replace ×2"],
    ["PL2", "two folders swapped", "a/, b/", "swap a b", "commit move ×2", "disk move ×2"],
    ["PL2", "a ring of folders", "a/, b/, c/", "rotate a b c", "commit move ×3", "disk move ×3"],
    ["PL2", "inside out", "a/, a/b/", "move a/b b; move a b/a", "commit move ×2", "disk move ×2"],
    ["PL2", "deleted with a child", "d/, d/f=1", "delete d", "commit delete ×2", "disk remove ×2"],
  ] as const;
  for (const [rule, says, before, deeds, here, there] of table) {
    test(`${rule}: ${says}: it takes ${here || "nothing"}`, () => {
      const world = new World(before);
      world.act(world.a, deeds);
      world.rest();
      assert.equal(counted(world.a), here);
      assert.equal(counted(world.b), there);
    });
  }

  function counted({ done }: Device): string {
    const [first = ""] = done;
    assert(
      done.every((step) => step === first),
      done.join(", "),
    );
    return done.length > 1 ? `${first} ×${done.length}` : first;
  }
});

suite("what cannot be seen", () => {
  test("PL9: a folder that cannot be read is left alone on both sides", () => {
    const world = new World("d/, d/f=1, d/g=2");
    blind(world.a, "d", "unreadable");
    world.act(world.b, "edit d/f=2; delete d/g; move d e");
    world.rest();
    assert.deepEqual(shownTree(world.a), readTree("d/, d/f=1, d/g=2"));
    assert.deepEqual(shownTree(world.b), readTree("e/, e/f=2"));
    blind(world.a, "d", null);
    world.rest();
    world.expect("e/, e/f=2");
  });

  test("PL9: nothing is moved into a folder that cannot be seen, nor put where it would have stood", () => {
    const world = new World("d/, f=1");
    blind(world.a, "d", "unreadable");
    world.act(world.b, "move f d/f; look; make f=2");
    world.rest();
    assert.deepEqual(shownTree(world.a), readTree("d/, f=1"));
    blind(world.a, "d", null);
    world.rest();
    world.expect("d/, d/f=1, f=2");
  });

  test("PL9: a name that something unread may still give up makes nobody step aside", () => {
    const world = new World("f=1");
    world.act(world.a, "move f g; look; make f=2");
    const moved = rowAt(world.a, "g");
    assert(moved.local !== null);
    world.a.rows.put({ ...moved, local: { ...moved.local, content: null } });
    world.rest();
    assert.deepEqual(shownTree(world.b), readTree("f=1"));
    world.a.rows.put(moved);
    world.rest();
    world.expect("f=2, g=1");
  });

  test("PL9: a ring that is none once everything can be seen undoes no move", () => {
    for (const seed of SEEDS) {
      const world = new World("x=0, b/, b/o/, b/o/x/", { seed });
      world.act(world.a, "move b/o/x x2; move b/o x2/o; move x b/x; move x2 x");
      blind(world.a, "b", "absent");
      world.rest();
      assert.deepEqual(
        world.a.done.filter((step) => step.startsWith("disk")),
        [],
      );
      blind(world.a, "b", null);
      world.rest();
      world.expect("b/, b/x=0, x/, x/o/");
    }
  });
});

suite("what plans are like", () => {
  test("PL10: a plan is the same again, on all rows, and after its records are stored", () => {
    for (const seed of SEEDS) {
      const world = new World("d/, d/f=1, d/A=2, g=1, o/, o/i/", { seed });
      world.act(world.a, "delete d; look; make d/; edit g=5; make n=4");
      world.act(world.b, "edit d/f=2; delete d/A; make d/A->x; save g=6; move o/i i; move o i/o");
      world.rest([world.a]);
      world.b.follow(world.server.head);
      assert.deepEqual(world.examine(world.b), [], `seed ${seed}`);
    }
  });

  test("PL18: what was changed back and followed is agreed on: what comes after it wins", () => {
    for (const [back, next, tree] of [
      ["edit f=2; sync; edit f=1", "edit f=3", "f=3"],
      ["edit f=2; sync; edit f=1", "delete f", ""],
      ["move f g; sync; move g f", "move f h", "h=1"],
      ["move f g; sync; move g f", "delete f", ""],
      ["edit f=1+; sync; edit f=1", "edit f=3", "f=3"],
    ] as const) {
      const world = new World("f=1");
      world.act(world.a, back);
      world.rest();
      world.act(world.b, next);
      world.rest();
      world.expect(tree);
    }
  });

  test("PL10: what leaves a deleted folder does so in one order, also when its record changes", () => {
    for (const seed of SEEDS) {
      const world = new World("d/, d/a/, d/b/, d/c/", { seed });
      world.act(world.a, "move d/a a; move d/b b; look; delete a; make a/; delete d");
      assert.deepEqual(world.examine(world.a), [], `seed ${seed}`);
    }
  });

  test("EX5: folders that were deleted and made again elsewhere are those that stand there", () => {
    const world = new World("d/, d/f=1, d/s/, d/s/g=2");
    const files = ["d", "d/s"].map((path) => rowAt(world.b, path).local?.file);
    world.act(world.a, "delete d; sync; make D/; make D/s/; make D/s/n=3");
    world.rest();
    world.expect("D/, D/s/, D/s/n=3");
    const after = ["D", "D/s"].map((path) => rowAt(world.b, path).local?.file);
    assert.deepEqual(after, files);
    const done = ["disk create", "disk move", "disk remove", "disk remove"];
    assert.deepEqual(world.b.done.toSorted(), done);
  });

  test("PL16: a commit can end after any folder and file, but not within a ring of names", () => {
    const world = new World("a=1, b=2");
    world.act(world.a, "move a t; look; move b a; look; move t b; make d/; make d/f=3");
    const { remote } = world.a.plan();
    const cuts = remote.map(({ kind, cut }) => `${kind}${cut ? "|" : ""}`);
    assert.deepEqual(cuts.sort(), ["create|", "create|", "move", "move|"]);
    const created = remote.filter(({ kind }) => kind === "create");
    assert.deepEqual(
      created.map(({ id }) => world.a.rows.get(id)?.kind),
      ["folder", "file"],
    );
  });

  test("PL16: what is deleted goes before the folder that it is in", () => {
    const world = new World("d/, d/s/, d/s/f=1");
    world.act(world.a, "delete d");
    const kinds = world.a.plan().remote.map(({ id }) => world.a.rows.get(id)?.kind);
    assert.deepEqual(kinds, ["file", "folder", "folder"]);
  });

  test("PL16: what goes into one folder stays together", () => {
    for (const seed of SEEDS) {
      const world = new World("d/, e/, f/", { seed });
      const made = [1, 2, 3, 4].flatMap((n) => [`make d/${n}=1`, `make e/${n}=1`, `make f/${n}=1`]);
      world.act(world.a, made.join("; "));
      const folders = world.a.plan().remote.map(({ id }) => world.a.rows.get(id)?.local?.parent);
      const changes = folders.filter((folder, at) => folder !== folders[at - 1]);
      assert.equal(changes.length, 3);
    }
  });

  test("PL16: wherever a commit ends, no folder stands below itself at the server", () => {
    for (const seed of SEEDS) {
      const world = new World("o/, o/i/, o/i/x/, o/i/x/y/", { seed });
      world.act(world.a, "move o/i i; move o i/x/y/o");
      // Sent in pieces that end where the plan says so; a refusal fails.
      world.rest();
      world.expect("i/, i/x/, i/x/y/, i/x/y/o/");
    }
  });

  test("PL16: a move waits for one above it that cannot be sent yet", () => {
    for (const seed of SEEDS) {
      const world = new World("o/, o/i/, o/i/x/", { seed });
      world.act(world.a, "move o/i n; move o n/x/o");
      world.act(world.b, "make n=9");
      world.rest([world.b]);
      // The inner folder has to step aside on the disk before it moves at the server.
      world.rest();
      world.expect("n=9, n~A/, n~A/x/, n~A/x/o/");
    }
  });

  test("SC1: what was deleted and made again before the commit that made it was read back is that file", () => {
    const world = new World("f=1");
    world.act(world.a, "edit f=2");
    const known = rowAt(world.a, "f");
    // As looks have it while nobody knows yet whether the commit has landed.
    world.a.rows.put({ ...known, local: null });
    world.a.rows.put({ ...known, id: nodeId("e".repeat(32)), remote: null, synced: null });
    world.rest();
    assert.deepEqual(world.a.done, ["commit update"]);
    world.expect("f=2");
  });

  test("PL17: what still has to change on this disk is not committed", () => {
    const world = new World("f=1");
    world.act(world.a, "edit f=a");
    world.act(world.b, "edit f=b");
    world.rest([world.b]);
    world.a.follow(world.server.head);
    const first = world.a.plan();
    assert.deepEqual(first.remote, []);
    assert.deepEqual(first.local.map(({ kind }) => kind).sort(), ["create", "move"]);
  });

  test("PL17, PL9: what is parked while its folder cannot be seen is committed once it is there", () => {
    const world = new World("d/, f=1");
    world.act(world.b, "move f d/f");
    world.act(world.a, "edit f=2");
    world.rest([world.b]);
    world.a.follow(world.server.head);
    // A was stopped when the file had given up its name, and then the folder became unreadable.
    const [file, folder] = [rowAt(world.a, "f"), rowAt(world.a, "d")];
    assert(file.local !== null && folder.local !== null);
    const { parent, name } = file.local;
    const parked = { parent: PARK_NODE, name: file.id, parkedFrom: { parent, name } };
    world.a.rows.put({ ...file, local: { ...file.local, ...parked } });
    world.a.rows.put({ ...folder, local: { ...folder.local, blind: "unreadable" } });
    const { local, remote } = world.a.plan();
    assert.deepEqual([local, remote], [[], []]);
    world.a.rows.put(folder);
    world.rest();
    world.expect("d/, d/f=2");
  });
});

suite("plans that were carried out in part", () => {
  test("PL1, PL11: bytes that came and went elsewhere do not come back with an executable bit", () => {
    const world = new World("f=1");
    world.act(world.b, "edit f=1+");
    world.act(world.a, "edit f=2");
    world.rest([world.a]);
    world.b.follow(world.server.head);
    // B writes the new bytes and is stopped before it sends the bit.
    world.b.turn(world.b.plan());
    assert.deepEqual(shownTree(world.b), readTree("f=2+"));
    world.act(world.a, "edit f=1");
    world.rest([world.a]);
    world.rest();
    world.expect("f=1+");
  });

  test("EX7, PL5: a file that was moved stays there when its new bytes are put in place later", () => {
    const world = new World("d/, f=1");
    world.act(world.b, "move f d/g; edit d/g=1+");
    world.act(world.a, "edit f=2");
    world.rest([world.a]);
    world.b.follow(world.server.head);
    const [replace] = world.b.plan().local;
    assert(replace?.kind === "replace");
    // B is stopped when the old inode is taken away and the new one not yet there.
    const row = rowAt(world.b, "d/g");
    assert(row.local !== null);
    const { parent, name, file } = row.local;
    const placing = { parent, name, content: replace.content, file: "staged" };
    world.b.rows.put({ ...row, local: null, displacing: file, placing });
    world.rest();
    world.expect("d/, d/g=2+");
  });
});
