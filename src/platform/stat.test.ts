import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sameStamp, statOf } from "./stat.ts";

let folder = "";
before(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "lockstep-stat-"));
});
after(() => fs.rmSync(folder, { recursive: true }));

const look = (name: string) => statOf(fs.lstatSync(join(folder, name), { bigint: true }));

test("a file, a folder, a symlink and a pipe are each called by their kind", () => {
  fs.writeFileSync(join(folder, "file"), "four");
  fs.mkdirSync(join(folder, "folder"));
  fs.symlinkSync("file", join(folder, "symlink"));
  assert.equal(look("file").kind, "file");
  assert.equal(look("folder").kind, "folder");
  assert.equal(look("symlink").kind, "symlink");
  if (process.platform !== "win32") {
    assert.equal(spawnSync("mkfifo", [join(folder, "pipe")]).status, 0);
    assert.equal(look("pipe").kind, "other");
  }
});

test("a file keeps its key through renames and edits, and its stamp tells of each", () => {
  fs.writeFileSync(join(folder, "draft"), "one");
  const first = look("draft");
  fs.renameSync(join(folder, "draft"), join(folder, "letter"));
  fs.appendFileSync(join(folder, "letter"), " two");
  const second = look("letter");
  assert.equal(second.file, first.file);
  assert.match(second.file, /^\d+:\d+:\d+$/);
  assert.equal(second.stamp.sizeBytes, 7);
  assert.equal(sameStamp(first.stamp, second.stamp), false);
  assert.equal(sameStamp(second.stamp, look("letter").stamp), true);
});

test("a file system without birth times gives 0 in the key", () => {
  const stats = fs.lstatSync(folder, { bigint: true });
  stats.birthtimeNs = 0n;
  assert.equal(statOf(stats).file, `${stats.dev}:${stats.ino}:0`);
});

test("only the owner's execute bit on a file makes it executable", () => {
  fs.writeFileSync(join(folder, "script"), "#!/bin/sh\n", { mode: 0o644 });
  assert.equal(look("script").executable, false);
  fs.chmodSync(join(folder, "script"), 0o655);
  assert.equal(look("script").executable, false);
  fs.chmodSync(join(folder, "script"), 0o744);
  assert.equal(look("script").executable, process.platform !== "win32");
  assert.equal(statOf(fs.lstatSync(folder, { bigint: true })).executable, false);
});

test("a second name of a file is counted", () => {
  fs.writeFileSync(join(folder, "twice"), "");
  fs.linkSync(join(folder, "twice"), join(folder, "twice-too"));
  assert.equal(look("twice-too").links, 2);
});
