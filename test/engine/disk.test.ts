import assert from "node:assert/strict";
import { hash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  chmodSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { suite, test } from "node:test";
import { contentHash, ROOT_NODE } from "#core/ids.ts";
import { systemClock } from "#platform/clock.ts";
import { treeOf, until, World, type Device } from "./world.ts";

suite("looking and reading", () => {
  test("SC2: a file that is moved and edited at once is that file, with its history", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("sub"));
    writeFileSync(a.path("f"), "before");
    await world.settle();
    const node = idAt(b, "f");
    await a.down();
    renameSync(a.path("f"), a.path("sub", "g"));
    appendFileSync(a.path("sub", "g"), " and after");
    a.up();
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { "sub/": "", "sub/g": "before and after" });
    const sub = b.store.trees.named("remote", ROOT_NODE, "sub")[0];
    assert(sub);
    assert.equal(b.store.trees.named("remote", sub.id, "g")[0]?.id, node);
  });

  test("SC5: what is made executable elsewhere is so under its own name only", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(b.path("one"), "shared");
    linkSync(b.path("one"), b.path("other"));
    await world.settle();
    chmodSync(a.path("one"), 0o755);
    await world.settle();
    for (const device of [a, b]) {
      assert.deepEqual(treeOf(device.dir), { one: "shared +x", other: "shared" });
    }
  });

  test("SC5: two names of one inode are two files", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "one inode");
    await world.settle();
    linkSync(a.path("f"), a.path("g"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { f: "one inode", g: "one inode" });
    unlinkSync(a.path("f"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { g: "one inode" });
  });

  test("SC5, PL15: one of two names of an inode in other letters is the same file", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "one inode");
    linkSync(a.path("f"), a.path("g"));
    await world.settle();
    const node = b.store.trees.named("remote", ROOT_NODE, "f")[0]?.id;
    renameSync(a.path("f"), a.path("F"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { F: "one inode", g: "one inode" });
    assert.equal(b.store.trees.named("remote", ROOT_NODE, "F")[0]?.id, node);
  });

  test("SC8: a same-size edit whose time was put back is found", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "aaaa");
    await world.settle();
    const { atime, mtime } = statSync(a.path("f"));
    writeFileSync(a.path("f"), "bbbb");
    utimesSync(a.path("f"), atime, mtime);
    await until("B has it", () => treeOf(b.dir)["f"] === "bbbb");
  });

  test("SC9: what happened while no engine ran is found at the start", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("d", "e"), { recursive: true });
    writeFileSync(a.path("d", "e", "f"), "1");
    writeFileSync(a.path("gone"), "g");
    await world.settle();
    await a.down();
    writeFileSync(a.path("d", "e", "f"), "2");
    writeFileSync(a.path("d", "new"), "n");
    unlinkSync(a.path("gone"));
    a.up();
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { "d/": "", "d/e/": "", "d/e/f": "2", "d/new": "n" });
  });

  test("RD1: a file that is still being written is not committed in halves", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    const writer = openSync(a.path("f"), "w");
    for (let piece = 0; piece < 40; piece++) {
      writeSync(writer, "x".repeat(10_000));
      await systemClock.sleep(5);
    }
    closeSync(writer);
    await world.settle();
    assert.equal(statSync(b.path("f")).size, 400_000);
    assert.deepEqual(Object.keys(treeOf(b.dir)), ["f"]);
  });

  test("RD3: a file that never rests is named, and the others go on", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("restless"), "x".repeat(6_000_000));
    const restless = setInterval(() => appendFileSync(a.path("restless"), "more"), 1);
    try {
      writeFileSync(a.path("calm"), "c");
      await until("the calm one is there", () => existsSync(b.path("calm")));
      await until("the restless one is named", () =>
        a.engine
          .status(0)
          .problems.some(({ path, code }) => path === "restless" && code === "busy"),
      );
    } finally {
      clearInterval(restless);
    }
    await until("it came to rest and is there", () => existsSync(b.path("restless")));
    await until("and is no problem any more", () => a.engine.status(0).problems.length === 0);
  });
});

suite("writing", () => {
  test("EX2: a file that a person makes where another is about to arrive stays", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    let taken = false;
    world.proxy.fate = (asked) => {
      // Between the request for the bytes and their arrival the name is taken.
      if (asked.endsWith("/fetch") && !taken) writeFileSync(b.path("f"), "made by B");
      taken ||= asked.endsWith("/fetch");
      return "pass";
    };
    writeFileSync(a.path("f"), "made by A");
    await until("A has both", () => Object.keys(treeOf(a.dir)).length === 2);
    await world.settle();
    const copy = `f (B's Conflict Copy ${systemClock.today()})`;
    for (const device of [a, b]) {
      assert.deepEqual(treeOf(device.dir), { f: "made by A", [copy]: "made by B" });
    }
  });

  test("EX4: a file that appears where one was just deleted from afar is another one, and stays", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "same bytes");
    await world.settle();
    unlinkSync(a.path("f"));
    await until("B has lost it", () => !existsSync(b.path("f")));
    writeFileSync(b.path("f"), "same bytes");
    await world.settle();
    for (const device of [a, b]) assert.deepEqual(treeOf(device.dir), { f: "same bytes" });
  });

  test("EX5, IG3: a deleted folder stays for what is ignored in it, and what becomes ignored is deleted nowhere", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("d"));
    writeFileSync(a.path("d", "f"), "f");
    writeFileSync(a.path("secret.key"), "k");
    await world.settle();
    writeFileSync(b.path("d", "scratch.tmp"), "ignored");
    rmSync(a.path("d"), { recursive: true });
    await until("B's file is gone", () => !existsSync(b.path("d", "f")));
    await a.settle();
    assert.deepEqual(treeOf(b.dir)["d/scratch.tmp"], "ignored");
    assert(!existsSync(a.path("d")));
    const problems = () => b.engine.status(0).problems.map(({ path, code }) => `${path} ${code}`);
    await until("B says why it stays", () => problems().join() === "d not-empty");
    writeFileSync(a.path("d"), "a file of that name");
    await a.settle();
    const known = () => b.store.trees.named("remote", ROOT_NODE, "d").length;
    await until("B knows of the file", () => known() === 1);
    await until("B says why it waits", () => problems().join() === "d not-empty");
    assert.equal(treeOf(b.dir)["d/scratch.tmp"], "ignored");
    unlinkSync(a.path("d"));
    mkdirSync(a.path("d"));
    writeFileSync(a.path("d", "g"), "made again");
    await until("B has its folder", () => treeOf(b.dir)["d/g"] === "made again");
    assert.equal(treeOf(b.dir)["d/scratch.tmp"], "ignored");
    await until("B has nothing to say", () => problems().length === 0);
    rmSync(a.path("d"), { recursive: true });
    writeFileSync(a.path("d"), "a file of that name");
    await a.settle();
    await until("B says again why it waits", () => problems().join() === "d not-empty");
    rmSync(b.path("d"), { recursive: true });
    await until("B has the file", () => treeOf(b.dir)["d"] === "a file of that name");
    await until("B has no problem left", () => problems().length === 0);
    writeFileSync(a.path(".lockstepignore"), "*.key\n");
    await world.settle();
    appendFileSync(a.path("secret.key"), " changed");
    unlinkSync(b.path("secret.key"));
    await a.settle();
    await b.settle();
    assert.equal(treeOf(a.dir)["secret.key"], "k changed");
    writeFileSync(a.path("other.key"), "never sent");
    await world.settle();
    assert(!existsSync(b.path("other.key")));
  });

  test("EX6: what is written into a file after it was replaced comes back as a file of its own", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "v1");
    await world.settle();
    const open = openSync(b.path("f"), "r+");
    writeFileSync(a.path("f"), "v2");
    await until("B has the new one", () => treeOf(b.dir)["f"] === "v2");
    writeSync(open, "written too late");
    closeSync(open);
    assert.equal(readdirSync(b.path(".lockstep", "hold")).length, 1);
    await b.engine.sweepHold();
    await world.settle();
    for (const device of [a, b]) {
      const contents = Object.values(treeOf(device.dir)).sort();
      assert.deepEqual(contents, ["v2", "written too late"]);
    }
  });

  test("DB8: what is known of a content is dropped when no file has it any more", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const known = (text: string) =>
      a.store.records.manifest(contentHash(hash("sha256", text))) !== undefined;
    writeFileSync(a.path("f"), "v1");
    await world.settle();
    writeFileSync(a.path("f"), "v2");
    await world.settle();
    assert.deepEqual([known("v1"), known("v2")], [true, true]);
    await a.engine.sweepHold();
    assert.deepEqual([known("v1"), known("v2")], [false, true]);
  });

  test("EX1: a tree that is turned upside down elsewhere is turned here in one go", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("a", "b", "c"), { recursive: true });
    for (const name of ["a", "a/b", "a/b/c"]) writeFileSync(a.path(name, "in"), `in ${name}`);
    writeFileSync(a.path("x"), "x");
    writeFileSync(a.path("y"), "y");
    await world.settle();
    await b.down();
    renameSync(a.path("a", "b", "c"), a.path("c"));
    renameSync(a.path("a", "b"), a.path("c", "b"));
    renameSync(a.path("a"), a.path("c", "b", "a"));
    renameSync(a.path("x"), a.path("c", "t"));
    renameSync(a.path("y"), a.path("x"));
    renameSync(a.path("c", "t"), a.path("y"));
    rmSync(a.path("c", "b", "in"));
    mkdirSync(a.path("c", "b", "in"));
    await a.settle();
    b.up();
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    assert.equal(treeOf(b.dir)["c/b/a/in"], "in a");
    assert.deepEqual(readdirSync(b.path(".lockstep", "park")), []);
  });

  test("EN4: a step that this disk refuses is named and paused; it is done when it can be", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    // An ignored file holds the name that is about to arrive.
    writeFileSync(b.path(".lockstepignore"), "/taken\n");
    await b.settle();
    writeFileSync(b.path("taken"), "ignored here");
    await a.settle();
    rmSync(a.path(".lockstepignore"));
    writeFileSync(a.path("fine"), "f");
    await world.settle();
    assert.deepEqual(treeOf(b.dir)["fine"], "f");
  });

  test("EX8, ST1: a link that leads out of the folder is not made on another device, named there, and not left to do", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("d"));
    symlinkSync("../../outside", a.path("d", "out"));
    symlinkSync("/etc/passwd", a.path("absolute"));
    symlinkSync("../d/./f", a.path("d", "in"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { "d/": "", "d/in": "-> ../d/./f" });
    const problems = b.engine.status(0).problems.map(({ path, code }) => ({ path, code }));
    assert.deepEqual(problems, [
      { path: "absolute", code: "outside-root" },
      { path: "d/out", code: "outside-root" },
    ]);
    const { state, pending } = b.engine.status(0);
    assert.deepEqual({ state, pending }, { state: "in-sync", pending: { up: 0, down: 0 } });
    unlinkSync(a.path("absolute"));
    rmSync(a.path("d", "out"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
    await until("B has no problem left", () => b.engine.status(0).problems.length === 0);
  });

  test("RT1: the engine's own folder is never synced, wherever it is put", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("sub", ".lockstep"), { recursive: true });
    writeFileSync(a.path("sub", ".lockstep", "f"), "x");
    writeFileSync(a.path("sub", "g"), "g");
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { "sub/": "", "sub/g": "g" });
    assert(readdirSync(b.path(".lockstep")).some((name) => name.startsWith("root-")));
  });
});

function idAt(device: Device, name: string): string | undefined {
  return device.store.trees.named("remote", ROOT_NODE, name)[0]?.id;
}
