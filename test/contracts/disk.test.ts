import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { renameSync, symlinkSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { openDisk } from "#platform/disk.ts";
import type { Walk } from "#platform/root-path.ts";
import { diskContract } from "./disk.ts";
import type { DiskUnderTest } from "./disk.ts";

const ROOT_ONLY = process.getuid?.() === 0 ? false : "needs root: it mounts a small disk";
const LINUX_ONLY = process.platform === "linux" ? false : "needs Linux: it walks by descriptors";

async function openReal(walk?: Walk): Promise<DiskUnderTest & { root: string }> {
  const root = await fs.mkdtemp(join(tmpdir(), "lockstep-disk-"));
  const disk = openDisk(root, walk === undefined ? {} : { walk });
  const at = (path: string) => join(root, path);
  return {
    root,
    look: disk.look,
    change: disk.change,
    stage: disk.stage,
    person: {
      write: (path, text) => fs.writeFile(at(path), text),
      read: (path) => fs.readFile(at(path), "utf8"),
      makeFolder: async (path) => {
        await fs.mkdir(at(path));
      },
      link: (path, target) => fs.symlink(target, at(path)),
      rename: (from, to) => fs.rename(at(from), at(to)),
      remove: (path) => fs.rm(at(path), { recursive: true }),
      writeNamed: (name) => fs.writeFile(Buffer.concat([Buffer.from(`${root}/`), name]), ""),
    },
    async [Symbol.asyncDispose]() {
      await disk[Symbol.asyncDispose]();
      await fs.rm(root, { recursive: true });
    },
  };
}

diskContract("a real disk", () => openReal());
diskContract("a real disk walked by names", () => openReal("names"));

test(
  "DK3: a folder that leaves the root is not used a moment later, in the same turn (T-FS-02)",
  { skip: LINUX_ONLY },
  async () => {
    await using disk = await openReal();
    const outside = await fs.mkdtemp(join(tmpdir(), "lockstep-outside-"));
    const { change, look, person, root } = disk;
    await change.makeFolder("folder");
    await change.makeFolder("folder/inner");
    await person.write("folder/inner/file", "");
    // All calls come within one turn of the event loop.
    assert.notEqual(await look.stat("folder/inner/file"), null);
    renameSync(join(root, "folder"), join(outside, "folder"));
    symlinkSync(join(outside, "folder"), join(root, "folder"));
    for (const leftMs = performance.now(); performance.now() < leftMs + 2;);
    assert.equal(await look.stat("folder/inner/file"), null);
    await assert.rejects(change.makeFolder("folder/inner/new"), WorldError);
    assert.deepEqual(await fs.readdir(join(outside, "folder", "inner")), ["file"]);
    await fs.rm(outside, { recursive: true });
  },
);

/** A path of about 4,000 bytes: 40 folders with names of 99. */
const LONG_NAMES = Array.from({ length: 40 }, (_, depth) => String(depth).padStart(99, "d"));

test("DK10: a path of 4,000 bytes works like any other", { skip: LINUX_ONLY }, async () => {
  await using disk = await openReal();
  const { change, look, stage } = disk;
  let folder = "";
  for (const name of LONG_NAMES) {
    folder = folder === "" ? name : `${folder}/${name}`;
    await change.makeFolder(folder);
  }
  assert.ok(folder.length >= 3_999);
  await change.makeFolder(".lockstep");
  await stage.open(".lockstep/deep");
  await stage.write(".lockstep/deep", 0, utf8("deep"));
  await stage.finish(".lockstep/deep", { sizeBytes: 4, executable: false, mtimeMs: 0 });
  await change.link(".lockstep/deep", `${folder}/file`);
  assert.deepEqual(await look.read(`${folder}/file`, 0, 9), new Uint8Array(utf8("deep")));
  assert.deepEqual(
    (await look.list(folder)).entries.map((entry) => entry.name),
    ["file"],
  );
  await change.setExecutable(`${folder}/file`, true);
  await change.rename(`${folder}/file`, "file");
  await change.syncFolders([folder]);
  assert.equal((await look.stat("file"))?.executable, true);
});

test("DK11: a listing of 12,000 entries lets sockets and timers have their turns", async () => {
  await using disk = await openReal();
  const names = Array.from({ length: 12_000 }, (_, count) => `file ${count}`);
  await Promise.all(names.map((name) => fs.writeFile(join(disk.root, name), "")));
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  const { entries } = await disk.look.list("");
  clearInterval(count);
  assert.equal(entries.length, names.length);
  assert.ok(turns >= 3, `${turns} turns`);
  await assert.rejects(disk.look.list("", AbortSignal.abort(new Error("enough"))), /enough/);
});

test("DK12: a full disk is said so, and what is there stays", { skip: ROOT_ONLY }, async () => {
  const root = await fs.mkdtemp(join(tmpdir(), "lockstep-small-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", root]);
  try {
    await using disk = openDisk(root);
    await disk.change.makeFolder(".lockstep");
    await fs.writeFile(join(root, "file"), "kept");
    await disk.stage.open(".lockstep/large");
    const bytes = new Uint8Array(2 * 1024 * 1024).fill(7);
    await assert.rejects(
      disk.stage.write(".lockstep/large", 0, bytes),
      (error) => error instanceof WorldError && error.code === "no-space",
    );
    await disk.stage.close(".lockstep/large");
    await disk.change.remove(".lockstep/large");
    assert.equal(await fs.readFile(join(root, "file"), "utf8"), "kept");
    assert.ok((await disk.look.freeBytes()) > 512 * 1024);
  } finally {
    execFileSync("umount", [root]);
    await fs.rmdir(root);
  }
});

test("DK12: a folder that may not be read is said so", async (context) => {
  await using disk = await openReal();
  await fs.mkdir(join(disk.root, "closed"), { mode: 0o700 });
  // Root reads everything: be somebody else for a moment, who can reach the folder.
  await fs.chmod(disk.root, 0o755);
  if (process.getuid?.() === 0) {
    process.seteuid?.(65_534);
    context.after(() => process.seteuid?.(0));
  } else {
    await fs.chmod(join(disk.root, "closed"), 0o000);
  }
  const denied = (error: unknown) => error instanceof WorldError && error.code === "no-permission";
  try {
    await assert.rejects(disk.look.list("closed"), denied);
    await assert.rejects(disk.change.makeFolder("closed/new"), denied);
  } finally {
    process.seteuid?.(process.getuid?.() ?? 0);
    await fs.chmod(join(disk.root, "closed"), 0o700);
  }
});

test("DK7: a new file has the mode of any other new file", async () => {
  await using disk = await openReal();
  await disk.change.makeFolder(".lockstep");
  for (const executable of [false, true]) {
    const path = `.lockstep/${executable}`;
    await disk.stage.open(path);
    await disk.stage.finish(path, { sizeBytes: 0, executable, mtimeMs: 0 });
    await fs.writeFile(join(disk.root, `other ${executable}`), "", {
      mode: executable ? 0o777 : 0o666,
    });
    const [mine, other] = await Promise.all([
      fs.stat(join(disk.root, path)),
      fs.stat(join(disk.root, `other ${executable}`)),
    ]);
    assert.equal(mine.mode & 0o7777, other.mode & 0o7777);
  }
});

test("DK9: only those who may read may run, and all other bits stay", async () => {
  await using disk = await openReal();
  const path = join(disk.root, "tool");
  await fs.writeFile(path, "");
  await fs.chmod(path, 0o2640);
  await disk.change.setExecutable("tool", true);
  assert.equal((await fs.stat(path)).mode & 0o7777, 0o2750);
  await disk.change.setExecutable("tool", false);
  assert.equal((await fs.stat(path)).mode & 0o7777, 0o2640);
});

test("DK7: a hole takes no room on the disk", { skip: LINUX_ONLY }, async () => {
  await using disk = await openReal();
  await disk.change.makeFolder(".lockstep");
  await disk.stage.open(".lockstep/sparse");
  const zeros = new Uint8Array(1024 * 1024);
  for (let at = 0; at < 64; at++) await disk.stage.write(".lockstep/sparse", at * 2 ** 20, zeros);
  const as = { sizeBytes: 64 * 2 ** 20, executable: false, mtimeMs: 0 };
  const { stamp } = await disk.stage.finish(".lockstep/sparse", as);
  assert.equal(stamp.sizeBytes, as.sizeBytes);
  const { blocks } = await fs.stat(join(disk.root, ".lockstep/sparse"));
  assert.ok(blocks * 512 < 1024 * 1024, `${blocks} blocks`);
});

test(
  "DK7: zeros take no room when the end of a file comes first, and zero what was there",
  { skip: LINUX_ONLY },
  async () => {
    await using disk = await openReal();
    await disk.change.makeFolder(".lockstep");
    const path = ".lockstep/sparse";
    const sizeBytes = 64 * 2 ** 20;
    const zeros = new Uint8Array(2 ** 20);
    await disk.stage.open(path);
    await disk.stage.write(path, sizeBytes - 1, Uint8Array.of(1));
    await disk.stage.write(path, 7, new Uint8Array(100).fill(2));
    for (let at = 0; at < sizeBytes - 2 ** 20; at += 2 ** 20)
      await disk.stage.write(path, at, zeros);
    await disk.stage.finish(path, { sizeBytes, executable: false, mtimeMs: 0 });
    const { blocks } = await fs.stat(join(disk.root, path));
    assert.ok(blocks * 512 < 2 * 2 ** 20, `${blocks} blocks`);
    assert.deepEqual(await disk.look.read(path, 0, 2 ** 20), zeros);
    assert.deepEqual(await disk.look.read(path, sizeBytes - 1, 1), Uint8Array.of(1));
  },
);

test(
  "DK3: a pipe in a file's place does not hold the program up",
  { skip: LINUX_ONLY },
  async () => {
    await using disk = await openReal();
    execFileSync("mkfifo", [join(disk.root, "pipe")]);
    const notFile = (error: unknown) => error instanceof WorldError && error.code === "not-a-file";
    await assert.rejects(disk.look.read("pipe", 0, 1), notFile);
    await assert.rejects(disk.change.setExecutable("pipe", true), notFile);
    assert.equal((await disk.look.stat("pipe"))?.kind, "other");
  },
);

test("DK13: no descriptor stays open when a call is over", { skip: LINUX_ONLY }, async () => {
  const before = (await fs.readdir("/proc/self/fd")).length;
  await using disk = await openReal();
  await disk.change.makeFolder("a");
  await disk.change.makeFolder("a/b");
  for (let time = 0; time < 50; time++) {
    await disk.look.list("a/b");
    await disk.look.stat("a/b/gone");
    await disk.look.list("a/gone/b").catch(() => undefined);
    await disk.change.makeFolder("a/b").catch(() => undefined);
    await disk.change.syncFolders(["a", "a/b"]);
  }
  assert.equal((await fs.readdir("/proc/self/fd")).length, before);
});
