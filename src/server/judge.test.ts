import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { writePlainMeta } from "#protocol/meta.ts";
import {
  createFile,
  createFolder,
  fileMeta,
  fileOf,
  FOLDER_META,
  move,
  newChunk,
  newNode,
  newSpace,
  remove,
  stageChunks,
  update,
} from "../../test/contracts/tree.ts";
import { TreeWriter } from "../../test/contracts/tree-writer.ts";
import { openSqliteMetadata } from "./metadata/sqlite.ts";

async function open(folding = true) {
  const metadata = await openSqliteMetadata(":memory:");
  const writer = await TreeWriter.open(metadata, { folding });
  return Object.assign(writer, {
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  });
}

test("JN6: an edit of an older content is stale, a move of the same node is not", async () => {
  await using tree = await open();
  const file = createFile("a");
  const { node } = file;
  await tree.land(file);
  await tree.land(update(node, 1, fileOf()));
  assert.equal(await tree.refusal(update(node, 1, fileOf())), `stale ${node}`);
  await tree.land(move(node, 1, "b"));
  assert.equal(await tree.refusal(move(node, 1, "c")), `stale ${node}`);
  await tree.land(update(node, 2, fileOf()));
});

test("JN6: a deletion has to know the latest content and the latest place", async () => {
  await using tree = await open();
  const file = createFile("a");
  const { node } = file;
  await tree.land(file);
  await tree.land(update(node, 1, fileOf()));
  await tree.land(move(node, 1, "b"));
  assert.equal(await tree.refusal(remove(node, 1, 3)), `stale ${node}`);
  assert.equal(await tree.refusal(remove(node, 2, 1)), `stale ${node}`);
  await tree.land(remove(node, 2, 3));
});

test("JN6: whatever is done to a deleted or unknown node is stale", async () => {
  await using tree = await open();
  const file = createFile("a");
  await tree.land(file);
  await tree.land(remove(file.node, 1));
  for (const node of [file.node, newNode()]) {
    assert.equal(await tree.refusal(update(node, 2, fileOf())), `stale ${node}`);
    assert.equal(await tree.refusal(move(node, 2, "b")), `stale ${node}`);
    assert.equal(await tree.refusal(remove(node, 2)), `stale ${node}`);
  }
});

test("JN7: an id that was used once is never created again", async () => {
  await using tree = await open();
  const folder = createFolder("a");
  await tree.land(folder);
  assert.equal(await tree.refusal({ ...folder, name: "b" }), `stale ${folder.node}`);
  await tree.land(remove(folder.node, 1));
  assert.equal(await tree.refusal(folder), `stale ${folder.node}`);
});

test("JN7: a file stays a file, whatever an update says", async () => {
  await using tree = await open();
  const [file, folder] = [createFile("a"), createFolder("b")];
  await tree.land(file, folder);
  const asFolder = { meta: FOLDER_META, chunks: [], lengths: [] };
  assert.equal(await tree.refusal(update(file.node, 1, asFolder)), `bad-change ${file.node}`);
  assert.equal(await tree.refusal(update(folder.node, 1, fileOf())), `bad-change ${folder.node}`);
});

test("JN8: a folder and what is in it are created by one commit, in any order", async () => {
  await using tree = await open();
  const outer = createFolder("outer");
  const inner = createFolder("inner", outer.node);
  const file = createFile("a", inner.node);
  await tree.land(file, inner, outer);
  const { journals } = tree.metadata;
  const [child] = await journals.children(tree.space.id, inner.node, 10);
  assert.equal(child?.id, file.node);
});

test("JN8: nothing lands in what is unknown, deleted, being deleted, or a file", async () => {
  await using tree = await open();
  const [gone, going, file] = [createFolder("gone"), createFolder("going"), createFile("file")];
  await tree.land(gone, going, file);
  await tree.land(remove(gone.node, 1));
  for (const parent of [newNode(), gone.node, file.node]) {
    const child = createFile("a", parent);
    assert.equal(await tree.refusal(child), `parent-gone ${child.node}`);
    assert.equal(await tree.refusal(move(going.node, 1, "a", parent)), `parent-gone ${going.node}`);
  }
  const late = createFile("a", going.node);
  assert.equal(await tree.refusal(remove(going.node, 1), late), `parent-gone ${late.node}`);
});

test("JN9: a name that somebody has is taken, whatever its case", async () => {
  await using tree = await open();
  const [first, second] = [createFile("Straße"), createFile("b")];
  await tree.land(first, second);
  for (const name of ["Straße", "STRASSE", "strasse"]) {
    const third = createFile(name);
    assert.equal(await tree.refusal(third), `name-taken ${third.node}`);
    assert.equal(await tree.refusal(move(second.node, 1, name)), `name-taken ${second.node}`);
  }
  const twins = [createFile("x"), createFile("X")];
  assert.equal(await tree.refusal(...twins), `name-taken ${twins[1]?.node}`);
  await tree.land(createFile("b", (await folderOf(tree)).node));
});

async function folderOf(tree: TreeWriter) {
  const folder = createFolder("folder");
  await tree.land(folder);
  return folder;
}

test("JN9: a space that tells case apart still unites the two forms of one letter", async () => {
  await using tree = await open(false);
  await tree.land(createFile("a"), createFile("A"), createFile("\u00e9"));
  const other = createFile("e\u0301");
  assert.equal(await tree.refusal(other), `name-taken ${other.node}`);
});

test("JN9: two files swap names, three go round, and a name changes its case", async () => {
  await using tree = await open();
  const [a, b, c] = [createFile("a"), createFile("b"), createFile("c")];
  await tree.land(a, b, c);
  await tree.land(move(a.node, 1, "b"), move(b.node, 1, "a"));
  await tree.land(move(a.node, 2, "c"), move(b.node, 2, "b"), move(c.node, 1, "A"));
  await tree.land(move(c.node, 3, "a"));
  const rows = await tree.metadata.journals.children(tree.space.id, ROOT_NODE, 10);
  const names = new Map(rows.map((row) => [row.id, row.name]));
  assert.deepEqual(
    [a, b, c].map(({ node }) => names.get(node)),
    ["c", "b", "a"],
  );
});

test("JN9: a name is free for the commit that deletes or moves its holder", async () => {
  await using tree = await open();
  const [a, b] = [createFile("a"), createFile("b")];
  await tree.land(a, b);
  const again = createFile("A");
  await tree.land(again, remove(a.node, 1));
  await tree.land(createFile("B"), move(b.node, 1, "c"));
  const last = createFile("c");
  assert.equal(await tree.refusal(last, update(b.node, 1, fileOf())), `name-taken ${last.node}`);
});

test("JN10: a node is edited and moved in one commit, but nothing else twice", async () => {
  await using tree = await open();
  const file = createFile("a");
  const { node } = file;
  await tree.land(file);
  await tree.land(update(node, 1, fileOf()), move(node, 1, "b"));
  await tree.land(move(node, 2, "c"), update(node, 2, fileOf()));
  const bad = `bad-change ${node}`;
  assert.equal(await tree.refusal(move(node, 3, "d"), move(node, 3, "e")), bad);
  assert.equal(await tree.refusal(update(node, 3, fileOf()), update(node, 3, fileOf())), bad);
  assert.equal(await tree.refusal(move(node, 3, "d"), remove(node, 3)), bad);
  assert.equal(await tree.refusal(remove(node, 3), remove(node, 3)), bad);
  assert.equal(await tree.refusal(remove(node, 3), update(node, 3, fileOf())), bad);
  const fresh = createFile("x");
  assert.equal(await tree.refusal(fresh, move(fresh.node, 4, "y")), `bad-change ${fresh.node}`);
  assert.equal(await tree.refusal(fresh, fresh), `bad-change ${fresh.node}`);
});

test("JN10: the root stays as it is", async () => {
  await using tree = await open();
  const bad = `bad-change ${ROOT_NODE}`;
  assert.equal(await tree.refusal(createFolder("a", newNode(), ROOT_NODE)), bad);
  assert.equal(await tree.refusal(move(ROOT_NODE, 0, "a")), bad);
  assert.equal(await tree.refusal(remove(ROOT_NODE, 0)), bad);
});

test("JN10: names that no disk can hold do not land", async () => {
  await using tree = await open();
  const names = ["", ".", "..", "a/b", "a\0", "\ud800", ".Lockstep", "ä".repeat(128)];
  for (const name of names) {
    const file = createFile(name);
    assert.equal(await tree.refusal(file), `bad-change ${file.node}`, name);
  }
  const keyed = { ...createFile("a"), key: "a" };
  assert.equal(await tree.refusal(keyed), `bad-change ${keyed.node}`);
  await tree.land(createFile("ä".repeat(127)), createFile("a\nb\tc"));
});

test("JN11: a file's chunks and lengths agree with its size and with what is stored", async () => {
  await using tree = await open();
  const [one, two] = await stageChunks(tree.metadata, tree.space, [10, 20]);
  assert(one !== undefined && two !== undefined);
  const good = fileOf([one, two, one]);
  const { lengths: _, ...unmeasured } = good;
  const wrong = [
    { ...good, meta: fileMeta(39) },
    { ...good, lengths: [10, 30] },
    { ...good, lengths: [20, 10, 10] },
    { ...good, lengths: [40] },
    { ...good, meta: FOLDER_META },
    { ...good, meta: "{}" },
    { ...good, meta: "no JSON" },
    { ...good, meta: `${good.meta}\ud800` },
  ];
  for (const content of wrong) {
    const file = createFile("a", ROOT_NODE, content);
    assert.equal(await tree.refusal(file), `bad-change ${file.node}`, JSON.stringify(content));
  }
  const { node } = createFile("a");
  const { lengths: __, ...bare } = createFile("a", ROOT_NODE, good);
  assert.equal(await tree.refusal({ ...bare, node, ...unmeasured }), `bad-change ${node}`);
  const broken = { ...createFolder("b"), meta: '{"kind":"folder","more":"\ud800"}' };
  assert.equal(await tree.refusal(broken), `bad-change ${broken.node}`);
  await tree.land(createFile("a", ROOT_NODE, good));
});

test("JN11: folders and links hold no chunks, and an empty file needs none", async () => {
  await using tree = await open();
  const [chunk] = await stageChunks(tree.metadata, tree.space, [10]);
  assert(chunk !== undefined);
  const folder = { ...createFolder("a"), chunks: [chunk.id] };
  assert.equal(await tree.refusal(folder), `bad-change ${folder.node}`);
  const meta = writePlainMeta({ content: { kind: "symlink", target: "../b" }, mtimeMs: 0 });
  const link = { ...createFolder("b"), type: "symlink" as const, meta };
  const heavy = { ...link, chunks: [chunk.id], lengths: [10] };
  assert.equal(await tree.refusal(heavy), `bad-change ${link.node}`);
  const { lengths: _, ...empty } = createFile("c");
  await tree.land(link, empty, createFile("d"));
});

test("JN12: too many chunks and too long a meta do not land", async () => {
  await using tree = await open();
  const [chunk] = await stageChunks(tree.metadata, tree.space, [1]);
  assert(chunk !== undefined);
  const half = fileOf(Array.from({ length: 100_000 }, () => chunk));
  const files = [createFile("a", ROOT_NODE, half), createFile("b", ROOT_NODE, half)];
  const [drop] = [createFile("c", ROOT_NODE, fileOf([chunk]))];
  assert.equal(await tree.refusal(...files, drop), `bad-change ${drop.node}`);
  await tree.land(...files);
  const long = createFile("d", ROOT_NODE, { ...fileOf(), meta: fileMeta(0) + " ".repeat(65_536) });
  assert.equal(await tree.refusal(long), `bad-change ${long.node}`);
});

test("JN13: no folder gets below itself, also not by two moves of one commit", async () => {
  await using tree = await open();
  const a = createFolder("a");
  const b = createFolder("b", a.node);
  const c = createFolder("c", b.node);
  const other = createFolder("other");
  await tree.land(a, b, c, other);
  assert.equal(await tree.refusal(move(a.node, 1, "a", c.node)), `cycle ${a.node}`);
  assert.equal(await tree.refusal(move(a.node, 1, "a", a.node)), `cycle ${a.node}`);
  const crossed = [move(a.node, 1, "a", other.node), move(other.node, 1, "other", c.node)];
  assert.equal(await tree.refusal(...crossed), `cycle ${a.node}`);
  const [x, y] = [newNode(), newNode()];
  assert.equal(await tree.refusal(createFolder("x", y, x), createFolder("y", x, y)), `cycle ${x}`);
  await tree.land(move(a.node, 1, "a", c.node), move(c.node, 1, "c"));
});

test("JN14: nothing lands below more than 2,048 folders", async () => {
  await using tree = await open();
  let parent = ROOT_NODE;
  for (let depth = 0; depth < 2_048; depth += 512) {
    const level = Array.from({ length: 512 }, () => {
      const folder = createFolder("f", parent);
      parent = folder.node;
      return folder;
    });
    await tree.land(...level);
  }
  const deepest = createFile("a", parent);
  const folder = createFolder("b", parent);
  await tree.land(deepest, folder);
  const below = createFile("c", folder.node);
  assert.equal(await tree.refusal(below), `bad-change ${below.node}`);
  const [top] = [createFolder("top")];
  await tree.land(top);
  assert.equal(await tree.refusal(move(top.node, 6, "t", folder.node)), `bad-change ${top.node}`);
});

test("JN15: a folder goes with all that is in it, or what stays in it is named", async () => {
  await using tree = await open();
  const folder = createFolder("folder");
  const inner = createFolder("inner", folder.node);
  const files = Array.from({ length: 500 }, (_, index) => createFile(`${index}`, inner.node));
  await tree.land(folder, inner, ...files);
  const gone = [folder, inner, ...files].map(({ node }) => remove(node, 1));
  assert.equal(await tree.refusal(...gone.slice(0, -1)), `not-empty ${inner.node}`);
  assert.equal(await tree.refusal(remove(folder.node, 1)), `not-empty ${folder.node}`);
  const renamed = move(inner.node, 1, "other", folder.node);
  assert.equal(await tree.refusal(remove(folder.node, 1), renamed), `parent-gone ${inner.node}`);
  const [saved] = files;
  assert(saved !== undefined);
  const rest = gone.filter(({ node }) => node !== saved.node);
  await tree.land(...rest, move(saved.node, 1, "saved"));
  const left = await tree.metadata.journals.children(tree.space.id, ROOT_NODE, 10);
  assert.deepEqual(
    left.map(({ name }) => name),
    ["saved"],
  );
});

test("JN16: chunks that the space lacks are named, and another space's do not help", async () => {
  await using tree = await open();
  const other = await newSpace(tree.metadata);
  const [mine] = await stageChunks(tree.metadata, tree.space, [10]);
  const [theirs] = await stageChunks(tree.metadata, other, [10]);
  assert(mine !== undefined && theirs !== undefined);
  const unknown = { ...mine, id: newChunk() };
  const file = createFile("a", ROOT_NODE, fileOf([mine, theirs, unknown, theirs]));
  const missing = [theirs.id, unknown.id];
  assert.deepEqual(await tree.try(file), { outcome: "missing-chunks", missing });
  const many = Array.from({ length: 10_001 }, () => ({ ...mine, id: newChunk() }));
  const answer = await tree.try(createFile("b", ROOT_NODE, fileOf(many)));
  assert.equal(answer.outcome === "missing-chunks" && answer.missing.length, 10_000);
  await tree.metadata.chunks.stage(tree.space.id, [unknown], missing, 1_000);
  await tree.land(file);
});

test("JN17: each kind of change moves the revisions that it concerns", async () => {
  await using tree = await open();
  const file = createFile("a");
  const { node } = file;
  const revisions = async () => {
    const [row] = await tree.metadata.journals.nodes(tree.space.id, [node]);
    return [row?.crev, row?.lrev, row?.deleted];
  };
  await tree.land(createFolder("before"));
  await tree.land(file);
  assert.deepEqual(await revisions(), [2, 2, false]);
  await tree.land(update(node, 2, fileOf()));
  assert.deepEqual(await revisions(), [3, 2, false]);
  await tree.land(move(node, 2, "b"));
  assert.deepEqual(await revisions(), [3, 4, false]);
  await tree.land(update(node, 3, fileOf()), move(node, 4, "c"));
  assert.deepEqual(await revisions(), [5, 5, false]);
  await tree.land(remove(node, 5));
  assert.deepEqual(await revisions(), [6, 6, true]);
});
