import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { describe, test } from "node:test";
import { assertSentence, until, World, type Device } from "./world.ts";

async function stateOf(device: Device): Promise<string> {
  return (await device.json("status", device.dir)).state;
}

describe("versions", { concurrency: 2 }, () => {
  test("CL19: history has the versions of a file, newest first, through renames", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    a.write("first.txt", "one");
    await world.agree(a, b);
    b.write("first.txt", "number two");
    await world.agree(a, b);
    fs.renameSync(a.at("first.txt"), a.at("second.txt"));
    await a.settle();
    const rows = await a.json("history", a.at("second.txt"));
    const fields = ["version", "path", "time", "device", "size", "sha256", "deleted", "kept"];
    for (const row of rows) assert.deepEqual(Object.keys(row), fields);
    const shape = rows.map((row: Record<string, unknown>) => [row["path"], row["device"]]);
    assert.deepEqual(shape, [
      ["second.txt", "a"],
      ["first.txt", "b"],
      ["first.txt", "a"],
    ]);
    assert.deepEqual(
      rows.map(({ size }: { size: number }) => size),
      [10, 10, 3],
    );
    assert.equal(rows[2].sha256, createHash("sha256").update("one").digest("hex"));
    assert.ok(rows[0].version > rows[1].version && rows[1].version > rows[2].version);
    await a.engine.stop();
    assert.deepEqual(await a.json("history", a.at("second.txt")), rows);
  });

  test("CL20: restore makes a version the newest one, on every device", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    for (const text of ["one", "two", "three"]) {
      a.write("file.txt", text);
      await a.settle();
    }
    const [, , first] = await a.json("history", a.at("file.txt"));
    await a.ok("restore", a.at("file.txt"), "--version", String(first.version));
    await world.agree(a, b);
    assert.deepEqual([a.read("file.txt"), b.read("file.txt")], ["one", "one"]);
    // Whose doing it was is said on both.
    assert.match(await a.ok("log", a.dir), /changed here {7}file\.txt\n$/);
    assert.match(await b.ok("log", b.dir), /changed elsewhere {2}file\.txt\n$/);
    await b.ok("restore", b.at("file.txt"));
    await world.agree(a, b);
    assert.deepEqual([a.read("file.txt"), b.read("file.txt")], ["three", "three"]);
    assert.equal((await a.json("history", a.at("file.txt"))).length, 5);
    const none = await a.run("restore", a.at("file.txt"), "--version", "999999");
    assert.equal(none.code, 2);
    assertSentence(none, /has no version 999999/);
  });

  test("CL20: restore --at takes the version of that time", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    for (const text of ["one", "two"]) {
      a.write("file.txt", text);
      await a.settle();
    }
    const [, first] = await a.json("history", a.at("file.txt"));
    await a.ok("restore", a.at("file.txt"), "--at", first.time);
    await a.settle();
    assert.equal(a.read("file.txt"), "one");
    const before = await a.run("restore", a.at("file.txt"), "--at", "2001-01-01");
    assert.equal(before.code, 2);
    assertSentence(before, /was not there at 2001-01-01/);
  });

  test("CL21: a deleted file is in the trash, and restore makes it again", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    a.write("sub/deep/file.txt", "precious");
    await world.agree(a, b);
    fs.rmSync(a.at("sub"), { recursive: true });
    await until(() => b.read("sub/deep/file.txt") === null, "the deletion arrives");
    await world.agree(a, b);
    const paths = (await b.json("trash", b.dir)).map((row: { path: string }) => row.path);
    assert.ok(paths.includes("sub/deep/file.txt"), paths.join());
    await b.ok("restore", b.at("sub/deep/file.txt"));
    await world.agree(a, b);
    assert.equal(a.read("sub/deep/file.txt"), "precious");
    const rows = await a.json("history", a.at("sub/deep/file.txt"));
    assert.ok(rows.some(({ deleted }: { deleted: boolean }) => deleted));
  });

  test("CL20: restore works without an engine, and the next one knows its commit", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    for (const text of ["one", "two"]) {
      a.write("file.txt", text);
      await a.settle();
    }
    await a.engine.stop();
    await a.ok("restore", a.at("file.txt"));
    await a.sync();
    assert.equal(a.read("file.txt"), "one");
    assert.equal(await stateOf(a), "in-sync");
    assert.match(await a.ok("log", a.dir), /changed here {7}file\.txt\n$/);
  });

  test("CL22: conflicts lists the copies, what they are copies of, and who made them", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    a.write("sub/report.txt", "common");
    await world.agree(a, b);
    for (const device of [a, b]) await device.engine.stop();
    a.write("sub/report.txt", "by a");
    b.write("sub/report.txt", "by b");
    await a.sync();
    await b.sync();
    await world.agree(a, b);
    const rows = await a.json("conflicts", a.dir);
    assert.equal(rows.length, 1);
    assert.deepEqual(Object.keys(rows[0]), ["path", "of", "device", "time"]);
    assert.deepEqual([rows[0].of, rows[0].device], ["sub/report.txt", "b"]);
    assert.equal(a.read(rows[0].path), "by b");
    assert.equal((await a.json("status", a.dir)).conflicts, 1);
    const log = await b.ok("log", b.dir);
    assert.match(log, /conflict copy[^]*changed elsewhere {2}sub\/report\.txt/);
    fs.rmSync(a.at(rows[0].path));
    await until(async () => (await a.json("conflicts", a.dir)).length === 0, "it is gone");
  });
});
