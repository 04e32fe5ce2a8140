import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { suite, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { systemClock } from "#platform/clock.ts";
import { treeOf, until, World, type Device } from "./world.ts";

async function trio(names: readonly [string, string, string]): Promise<[World, ...Device[]]> {
  const world = await World.start();
  const devices: Device[] = [];
  for (const name of names) devices.push(await world.device(name));
  return [world, ...devices];
}

suite("edits that meet", () => {
  test("PL3: the edit that came first keeps the name, the offline one becomes a copy, once", async () => {
    const [world, a, b, c] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b && c);
    writeFileSync(a.path("Document.docx"), "draft");
    await world.settle();
    await a.down();
    writeFileSync(a.path("Document.docx"), "what A wrote on the train");
    writeFileSync(b.path("Document.docx"), "what B wrote in the office");
    await b.settle();
    a.up();
    await world.settle();
    const expected = {
      "Document.docx": "what B wrote in the office",
      [`Document (A's Conflict Copy ${systemClock.today()}).docx`]: "what A wrote on the train",
    };
    for (const device of [a, b, c]) assert.deepEqual(treeOf(device.dir), expected);
  });

  test("PL18: what was changed and changed back while a device was away is not overwritten", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    writeFileSync(a.path("letter.txt"), "first");
    writeFileSync(a.path("list.txt"), "first");
    await world.settle();
    await b.down();
    for (const text of ["second", "first"]) {
      writeFileSync(a.path("letter.txt"), text);
      writeFileSync(a.path("list.txt"), text);
      await a.settle();
    }
    writeFileSync(b.path("letter.txt"), "B's");
    unlinkSync(b.path("list.txt"));
    b.up();
    await world.settle();
    const expected = {
      "letter.txt": "first",
      [`letter (B's Conflict Copy ${systemClock.today()}).txt`]: "B's",
      "list.txt": "first",
    };
    for (const device of world.devices) assert.deepEqual(treeOf(device.dir), expected);
  });

  test("PL4: an edit wins over a deletion, whichever came first", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    writeFileSync(a.path("one"), "1");
    writeFileSync(a.path("two"), "2");
    await world.settle();
    await a.down();
    unlinkSync(a.path("one"));
    appendFileSync(a.path("two"), " edited by A");
    appendFileSync(b.path("one"), " edited by B");
    unlinkSync(b.path("two"));
    await b.settle();
    a.up();
    await world.settle();
    const expected = { one: "1 edited by B", two: "2 edited by A" };
    for (const device of world.devices) assert.deepEqual(treeOf(device.dir), expected);
  });

  test("PL5: a rename here and an edit there are one file: renamed and edited", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    mkdirSync(a.path("d"));
    writeFileSync(a.path("d", "plan.txt"), "v1");
    await world.settle();
    await a.down();
    renameSync(a.path("d"), a.path("archive"));
    writeFileSync(b.path("d", "plan.txt"), "v2");
    writeFileSync(b.path("d", "more.txt"), "m");
    await b.settle();
    a.up();
    await world.settle();
    const expected = { "archive/": "", "archive/plan.txt": "v2", "archive/more.txt": "m" };
    for (const device of world.devices) assert.deepEqual(treeOf(device.dir), expected);
  });

  test("PL13: of two folder moves that close a ring the first committed stands", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    for (const name of ["x", "y"]) {
      mkdirSync(a.path(name));
      writeFileSync(a.path(name, "f"), `in ${name}`);
    }
    await world.settle();
    await a.down();
    renameSync(a.path("x"), a.path("y", "x"));
    renameSync(b.path("y"), b.path("x", "y"));
    await b.settle();
    a.up();
    await world.settle();
    const expected = { "x/": "", "x/f": "in x", "x/y/": "", "x/y/f": "in y" };
    for (const device of world.devices) assert.deepEqual(treeOf(device.dir), expected);
  });

  test("PL14: folders made on both sides are one, equal files in them too, others stand side by side", async () => {
    const world = await World.start();
    await using _ = world;
    const a = await world.linked("A");
    const b = await world.linked("B");
    for (const device of [a, b]) {
      mkdirSync(device.path("shared", "deep"), { recursive: true });
      writeFileSync(device.path("shared", "deep", "same"), "equal bytes");
      writeFileSync(device.path("shared", "differs"), `from ${device.name}`);
      writeFileSync(device.path("shared", `only-${device.name}`), device.name);
    }
    a.up();
    await a.settle();
    b.up();
    await world.settle();
    const copy = `shared/differs (B's Conflict Copy ${systemClock.today()})`;
    const expected = {
      "shared/": "",
      "shared/deep/": "",
      "shared/deep/same": "equal bytes",
      "shared/differs": "from A",
      [copy]: "from B",
      "shared/only-A": "A",
      "shared/only-B": "B",
    };
    for (const device of world.devices) assert.deepEqual(treeOf(device.dir), expected);
  });
});

suite("what editors do", () => {
  test("SC1: the save dances of editors are edits: no conflict, one history", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    const file = a.path("notes.txt");
    writeFileSync(file, "v0");
    await world.settle();
    const node = b.store.trees.named("remote", ROOT_NODE, "notes.txt")[0]?.id;
    const saves: [string, () => void][] = [
      [
        "temp and rename",
        () => {
          writeFileSync(a.path(".notes.txt.swx"), "v1");
          renameSync(a.path(".notes.txt.swx"), file);
        },
      ],
      [
        "vim's backup",
        () => {
          renameSync(file, `${file}~`);
          writeFileSync(file, "v2");
          unlinkSync(`${file}~`);
        },
      ],
      ["sed -i", () => execFileSync("sed", ["-i", "s/.*/v3/", file])],
      ["truncate and rewrite", () => writeFileSync(file, "v4", { flag: "w" })],
    ];
    for (const [index, [what, save]] of saves.entries()) {
      save();
      await until(
        `${what} reached B`,
        () => treeOf(b.dir)["notes.txt"]?.startsWith(`v${index + 1}`) ?? false,
      );
    }
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.deepEqual(Object.keys(treeOf(b.dir)), ["notes.txt"]);
    assert.equal(b.store.trees.named("remote", ROOT_NODE, "notes.txt")[0]?.id, node);
  });

  test("RD2: of a hundred quick saves the last one arrives, and few travel", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    writeFileSync(a.path("log"), "line 0\n");
    await world.settle();
    const before = await world.head();
    for (let line = 1; line <= 100; line++) {
      appendFileSync(a.path("log"), `line ${line}\n`);
      await systemClock.sleep(20);
    }
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    const commits = (await world.head()) - before;
    assert(commits <= 10, `${commits} commits for 100 saves`);
  });
});

suite("names", () => {
  test("SC4: a swap of two folders, a ring of three, and a folder turned inside out are moves", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    for (const name of ["p", "q", "r", "outer/inner"]) {
      mkdirSync(a.path(name), { recursive: true });
      writeFileSync(a.path(name, "f"), `was in ${name}`);
    }
    await world.settle();
    await a.down();
    renameSync(a.path("p"), a.path("t"));
    renameSync(a.path("q"), a.path("p"));
    renameSync(a.path("r"), a.path("q"));
    renameSync(a.path("t"), a.path("r"));
    renameSync(a.path("outer", "inner"), a.path("t"));
    renameSync(a.path("outer"), a.path("t", "outer"));
    const sent = b.engine.status(0).receivedBytes;
    a.up();
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.equal(treeOf(b.dir)["p/f"], "was in q");
    assert.equal(treeOf(b.dir)["t/outer/f"], undefined);
    assert.equal(b.engine.status(0).receivedBytes, sent);
  });

  test("PL15: names that differ only in case are one name: the second one steps aside (T-FS-04)", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    writeFileSync(a.path("Readme"), "first");
    await world.settle();
    renameSync(a.path("Readme"), a.path("README"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { README: "first" });
    writeFileSync(b.path("readme"), "second");
    await world.settle();
    const copy = `readme (B's Conflict Copy ${systemClock.today()})`;
    assert.deepEqual(treeOf(a.dir), { README: "first", [copy]: "second" });
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
  });

  test("DL4: odd names, links, empty things and the executable bit cross unharmed", async () => {
    const [world, a, b] = await trio(["A", "B", "C"]);
    await using _ = world;
    assert(a && b);
    const names = ["with space", "emoji 😀", `quote'"`, "new\nline", "100%", "n".repeat(255), "é"];
    for (const name of names) writeFileSync(a.path(name), `in ${name.slice(0, 20)}`);
    mkdirSync(a.path("empty folder"));
    writeFileSync(a.path("empty"), "");
    writeFileSync(a.path("run.sh"), "#!/bin/sh\n", { mode: 0o755 });
    execFileSync("ln", ["-s", "with space", a.path("link")]);
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.equal(treeOf(b.dir)["run.sh"], "#!/bin/sh\n +x");
    assert.equal(treeOf(b.dir)["link"], "-> with space");
    rmSync(b.path("link"));
    await world.settle();
    assert(!existsSync(a.path("link")) && existsSync(a.path("with space")));
  });
});
