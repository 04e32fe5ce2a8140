import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { execFileSync } from "node:child_process";
import { treeOf, until, World } from "./world.ts";

suite("what is never taken for a deletion", () => {
  test("RT2: a folder that is gone stops its own engine, and deletes nothing anywhere", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("precious"), "p");
    await world.settle();
    renameSync(a.dir, join(world.root, "unmounted"));
    mkdirSync(a.dir);
    await until("A says so", () => {
      a.engine.wake();
      return a.engine.status(0).state === "halted";
    });
    assert.match(a.engine.status(0).reason ?? "", /not there/);
    await b.settle();
    assert.deepEqual(treeOf(b.dir), { precious: "p" });
    await a.down();
    rmSync(a.dir, { recursive: true });
    renameSync(join(world.root, "unmounted"), a.dir);
    a.up();
    await world.settle();
    assert.deepEqual(treeOf(a.dir), { precious: "p" });
  });

  const mounting = process.getuid?.() === 0 ? false : "needs root, to mount a file system";
  test(
    "SC7: what cannot be seen is unknown, with all below it, and said so",
    { skip: mounting },
    async () => {
      await using world = await World.start();
      const a = await world.device("A");
      const b = await world.device("B");
      mkdirSync(a.path("private"));
      writeFileSync(a.path("private", "letter"), "l");
      await world.settle();
      await a.down();
      // Root may list everything; a folder that is a mount point of another file system nobody may
      // enter.
      execFileSync("mount", ["-t", "tmpfs", "tmpfs", a.path("private")]);
      try {
        a.up();
        await a.settle();
        await b.settle();
        assert.deepEqual(treeOf(b.dir), { "private/": "", "private/letter": "l" });
        const problem = a.engine.status(0).problems.find(({ path }) => path === "private");
        assert.equal(problem?.code, "other-file-system");
      } finally {
        await a.down();
        execFileSync("umount", [a.path("private")]);
      }
      a.up();
      await world.settle();
      assert.deepEqual(treeOf(a.dir), treeOf(b.dir));
      assert.deepEqual(a.engine.status(0).problems, []);
    },
  );

  test("SC6: a file that is gone for a moment only was never deleted", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("book.xlsx"), "v1");
    await world.settle();
    const before = await world.head();
    // Excel: write a new file, delete the old one, rename the new one a while later.
    writeFileSync(a.path("5F3A2100"), "v2");
    unlinkSync(a.path("book.xlsx"));
    await until("the new file travelled", () => existsSync(b.path("5F3A2100")));
    assert(existsSync(b.path("book.xlsx")));
    renameSync(a.path("5F3A2100"), a.path("book.xlsx"));
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { "book.xlsx": "v2" });
    assert((await world.head()) - before <= 3);
  });

  test("EN3: a lost device database costs nothing: equal files agree, others stand side by side", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    mkdirSync(a.path("d"));
    writeFileSync(a.path("d", "kept"), "k");
    writeFileSync(a.path("gone at B meanwhile"), "g");
    await world.settle();
    await a.down();
    for (const end of ["", "-wal", "-shm"])
      rmSync(join(world.root, `A.sqlite${end}`), { force: true });
    rmSync(a.path(".lockstep"), { recursive: true });
    writeFileSync(b.path("d", "new"), "n");
    await b.settle();
    const received = b.engine.status(0).receivedBytes;
    a.up();
    await world.settle();
    const expected = { "d/": "", "d/kept": "k", "d/new": "n", "gone at B meanwhile": "g" };
    for (const device of [a, b]) assert.deepEqual(treeOf(device.dir), expected);
    assert.equal(b.engine.status(0).receivedBytes, received);
  });

  test("EX3: what a person writes while it is replaced is kept", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "0");
    await world.settle();
    for (let round = 1; round <= 3; round++) {
      writeFileSync(a.path("f"), `A ${round}`);
      writeFileSync(b.path("f"), `B ${round}`);
      await world.settle();
      assert.deepEqual(treeOf(a.dir), treeOf(b.dir));
      const kept = Object.values(treeOf(a.dir));
      assert(kept.includes(`A ${round}`) && kept.includes(`B ${round}`), `round ${round}`);
      for (const name of Object.keys(treeOf(a.dir))) if (name !== "f") unlinkSync(a.path(name));
      await world.settle();
    }
  });

  test("ST2: a file that may not be read is named as a problem, the others go on", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    execFileSync("mkfifo", [a.path("pipe")]);
    writeFileSync(a.path("ok"), "ok");
    chmodSync(a.path("ok"), 0o600);
    await until("the other file crossed", () => existsSync(b.path("ok")));
    await a.settle();
    const problems = a.engine.status(0).problems.map(({ path, code }) => ({ path, code }));
    assert.deepEqual(problems, [{ path: "pipe", code: "unsupported-kind" }]);
  });
});
