import assert from "node:assert/strict";
import { test } from "node:test";
import { utf8, utf8Length } from "#core/bytes.ts";
import { codeOf, WorldError } from "#core/errors.ts";
import type { DiskChange, DiskLook, DiskStage } from "#sync/ports.ts";

/**
 * One synced folder, the engine's three doors to it, and a person who works in it beside the
 * engine.
 */
export type DiskUnderTest = AsyncDisposable & {
  readonly look: DiskLook;
  readonly change: DiskChange;
  readonly stage: DiskStage;
  readonly person: {
    write(path: string, text: string): Promise<void>;
    read(path: string): Promise<string>;
    makeFolder(path: string): Promise<void>;
    link(path: string, target: string): Promise<void>;
    rename(from: string, to: string): Promise<void>;
    /** Everything below it, too. */
    remove(path: string): Promise<void>;
    /** A file in the root whose name is these bytes. */
    writeNamed(name: Uint8Array): Promise<void>;
  };
};

export type OpenDisk = () => Promise<DiskUnderTest>;

/** Names that a careless program gets wrong. */
const AWKWARD_NAMES = [
  "with space ",
  "🗂️ emoji",
  `"quoted' \`both\``,
  "two\nlines",
  "tab\there",
  "100%41",
  "-rf *",
  "back\\slash",
  "caf\u00e9",
  "naive\u0301",
  "ß".repeat(127) + "x",
  "a".repeat(255),
  "..almost",
  "deleted (deleted)",
];

/** What every disk has to answer alike. */
export function diskContract(disk: string, open: OpenDisk): void {
  lookContract(disk, open);
  pathContract(disk, open);
  makeContract(disk, open);
  moveContract(disk, open);
  stageContract(disk, open);
}

async function rejectsWith(code: string, work: Promise<unknown>, about?: string): Promise<void> {
  const error = await work.then(
    () => assert.fail(`it went through, and had to fail with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WorldError, `a WorldError, not ${String(error)}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, /^[^\n]+[^.]\.$/, "a sentence");
  if (about !== undefined) assert.ok(error.message.includes(about), error.message);
}

async function namesIn({ look }: DiskUnderTest, folder: string): Promise<string[]> {
  return (await look.list(folder)).entries.map((entry) => entry.name).sort();
}

/** Writes `text` to a new stage file and gives it its name in the tree, as the engine does. */
async function place(disk: DiskUnderTest, path: string, text: string): Promise<void> {
  const { stage, change } = disk;
  const staged = ".lockstep/stage/placed";
  await stage.open(staged);
  await stage.write(staged, 0, utf8(text));
  const sizeBytes = utf8Length(text);
  await stage.finish(staged, { sizeBytes, executable: false, mtimeMs: 1_700_000_000_000 });
  await change.link(staged, path);
  await change.remove(staged);
}

async function withStage(open: OpenDisk): Promise<DiskUnderTest> {
  const disk = await open();
  await disk.change.makeFolder(".lockstep");
  await disk.change.makeFolder(".lockstep/stage");
  return disk;
}

function lookContract(name: string, open: OpenDisk): void {
  test(`DK1: ${name}: every name comes back from a listing as it was written`, async () => {
    await using disk = await withStage(open);
    for (const awkward of AWKWARD_NAMES) await place(disk, awkward, awkward);
    assert.deepEqual(await namesIn(disk, ""), [...AWKWARD_NAMES].sort());
    for (const awkward of AWKWARD_NAMES) {
      assert.equal(await disk.person.read(awkward), awkward);
      assert.equal((await disk.look.stat(awkward))?.kind, "file");
    }
  });

  test(`DK1: ${name}: names that are not UTF-8 are listed apart, odd bytes in view`, async () => {
    await using disk = await open();
    await disk.person.writeNamed(Uint8Array.of(0x61, 0xff, 0x62));
    await disk.person.writeNamed(Uint8Array.of(0xc3, 0xa9, 0xc3));
    await disk.person.write("plain", "");
    const { entries, undecodable } = await disk.look.list("");
    assert.deepEqual([...undecodable].sort(), ["a%FFb", "é%C3"]);
    assert.deepEqual(
      entries.map((entry) => entry.name),
      ["plain"],
    );
  });

  test(`DK1: ${name}: the root's .lockstep is not listed, one elsewhere is`, async () => {
    await using disk = await withStage(open);
    await disk.change.makeFolder("a");
    await disk.change.makeFolder("a/.lockstep");
    assert.deepEqual(await namesIn(disk, ""), ["a"]);
    assert.deepEqual(await namesIn(disk, "a"), [".lockstep"]);
    assert.deepEqual(await namesIn(disk, ".lockstep"), ["stage"]);
  });

  test(`DK2: ${name}: an entry and a look at its path say the same`, async () => {
    await using disk = await open();
    await disk.person.makeFolder("folder");
    await disk.person.write("file", "some bytes");
    await disk.person.link("link", "file");
    const { entries } = await disk.look.list("");
    assert.deepEqual(entries.map((entry) => `${entry.name} ${entry.kind}`).sort(), [
      "file file",
      "folder folder",
      "link symlink",
    ]);
    for (const { name: entryName, ...stat } of entries) {
      assert.deepEqual(await disk.look.stat(entryName), stat);
    }
    const folder = await disk.look.list("folder");
    assert.equal(folder.file, (await disk.look.stat("folder"))?.file);
  });

  test(`DK2: ${name}: nothing, a place in nothing and a place in a file are all null`, async () => {
    await using disk = await open();
    await disk.person.write("file", "");
    await disk.person.link("link", ".");
    for (const path of ["gone", "gone/below", "file/below", "link/file"]) {
      assert.equal(await disk.look.stat(path), null, path);
    }
    assert.equal((await disk.look.stat(""))?.kind, "folder");
  });

  test(`DK2: ${name}: a file is read in pieces, shorter only at its end`, async () => {
    await using disk = await open();
    await disk.person.write("file", "0123456789");
    const pieceOf = async (at: number, length: number) =>
      new TextDecoder().decode(await disk.look.read("file", at, length));
    assert.equal(await pieceOf(0, 4), "0123");
    assert.equal(await pieceOf(8, 4), "89");
    assert.equal(await pieceOf(10, 4), "");
    assert.equal(await pieceOf(99, 4), "");
    assert.equal(await pieceOf(0, 64 * 1024 * 1024), "0123456789");
    assert.ok((await disk.look.freeBytes()) > 0);
  });
}

function pathContract(name: string, open: OpenDisk): void {
  test(`DK3: ${name}: no call goes through a link, not even one that stays inside`, async () => {
    await using disk = await withStage(open);
    await disk.person.makeFolder("real");
    await disk.person.write("real/file", "untouched");
    await disk.person.link("way", "real");
    const { look, change } = disk;
    await rejectsWith("not-a-folder", look.list("way"), "way");
    await rejectsWith("not-a-folder", look.read("way/file", 0, 9));
    await rejectsWith("not-a-folder", change.makeFolder("way/folder"));
    await rejectsWith("not-a-folder", change.makeSymlink("way/link", "x"));
    await rejectsWith("not-a-folder", change.link("real/file", "way/other"));
    await rejectsWith("not-a-folder", change.rename("real/file", "way/moved"));
    await rejectsWith("not-a-folder", change.rename("way/file", "moved"));
    await rejectsWith("not-a-folder", change.setExecutable("way/file", true));
    await rejectsWith("not-a-folder", change.removeFolder("way/file"));
    assert.deepEqual(await namesIn(disk, "real"), ["file"]);
    assert.equal(await disk.person.read("real/file"), "untouched");
  });

  test(`DK3: ${name}: a folder swapped for a link during a write leads nowhere (T-FS-02)`, async () => {
    await using disk = await withStage(open);
    const { stage, change, person } = disk;
    await person.makeFolder("folder");
    await person.makeFolder("elsewhere");
    await stage.open(".lockstep/stage/new");
    await stage.write(".lockstep/stage/new", 0, utf8("new"));
    await person.rename("folder", "moved away");
    await person.link("folder", "elsewhere");
    const as = { sizeBytes: 3, executable: false, mtimeMs: 0 };
    await stage.finish(".lockstep/stage/new", as);
    await rejectsWith("not-a-folder", change.link(".lockstep/stage/new", "folder/new"));
    assert.deepEqual(await namesIn(disk, "elsewhere"), []);
  });

  test(`DK3: ${name}: a path that leads out or holds no name is refused`, async () => {
    await using disk = await open();
    for (const path of ["..", "a/../b", "./a", "/etc/passwd", "a/.."]) {
      await rejectsWith("outside-root", disk.look.stat(path));
      await rejectsWith("outside-root", disk.change.makeFolder(path));
    }
    for (const path of ["a//b", "a/", "nul\0byte", "half\ud800"]) {
      await rejectsWith("bad-name", disk.look.stat(path));
      await rejectsWith("bad-name", disk.change.makeFolder(path));
    }
    await rejectsWith("name-too-long", disk.change.makeFolder("x".repeat(256)));
    assert.deepEqual(await namesIn(disk, ""), []);
  });

  test(`DK3: ${name}: what is missing or of another kind is said by its own code`, async () => {
    await using disk = await open();
    await disk.person.write("file", "");
    await disk.person.makeFolder("folder");
    await disk.person.link("link", "file");
    await rejectsWith("not-found", disk.look.list("gone"), "gone");
    await rejectsWith("not-a-folder", disk.look.list("file"), "file");
    await rejectsWith("not-found", disk.look.read("gone", 0, 1));
    await rejectsWith("not-found", disk.change.makeFolder("gone/below"));
    await rejectsWith("not-found", disk.change.rename("gone", "here"));
    await rejectsWith("not-a-file", disk.look.read("folder", 0, 1));
    await rejectsWith("not-a-file", disk.change.setExecutable("folder", true));
    assert.notEqual(codeOf(await disk.look.read("link", 0, 1).catch((e: unknown) => e)), "");
  });
}

function makeContract(name: string, open: OpenDisk): void {
  test(`DK4: ${name}: no call takes a name that something has`, async () => {
    await using disk = await withStage(open);
    const { change, person } = disk;
    await person.write("source", "source");
    const taken: [string, () => Promise<void>][] = [
      ["file", () => person.write("file", "kept")],
      ["folder", () => person.makeFolder("folder")],
      ["link", () => person.link("link", "nowhere")],
    ];
    for (const [path, make] of taken) {
      await make();
      const before = await disk.look.stat(path);
      await rejectsWith("exists", change.makeFolder(path), path);
      await rejectsWith("exists", change.makeSymlink(path, "x"), path);
      await rejectsWith("exists", change.link("source", path), path);
      await rejectsWith("exists", change.rename("source", path), path);
      assert.deepEqual(await disk.look.stat(path), before);
    }
    assert.equal(await person.read("file"), "kept");
    assert.equal(await person.read("source"), "source");
  });

  test(`DK4: ${name}: what is made is what a later look finds`, async () => {
    await using disk = await open();
    const { change, look } = disk;
    assert.deepEqual(await change.makeFolder("folder"), await look.stat("folder"));
    const link = await change.makeSymlink("folder/link", "../some where/ü");
    assert.deepEqual(link, await look.stat("folder/link"));
    assert.equal(link.kind, "symlink");
    assert.equal(await look.readLink("folder/link"), "../some where/ü");
  });

  test(`DK4: ${name}: a link gets a second name, what it points to does not`, async () => {
    await using disk = await open();
    await disk.person.write("file", "bytes");
    await disk.change.makeSymlink("link", "file");
    await disk.change.link("link", "second");
    assert.equal((await disk.look.stat("second"))?.kind, "symlink");
    assert.equal(await disk.look.readLink("second"), "file");
    await disk.change.link("file", "file again");
    const both = [await disk.look.stat("file"), await disk.look.stat("file again")];
    assert.equal(both[0]?.file, both[1]?.file);
    assert.equal(both[0]?.links, 2);
  });

  test(`DK5: ${name}: only what is in .lockstep and empty folders go`, async () => {
    await using disk = await withStage(open);
    const { change, person } = disk;
    await person.write("file", "kept");
    await person.makeFolder("full");
    await person.write("full/file", "kept");
    await rejectsWith("outside-root", change.remove("file"), "file");
    await rejectsWith("outside-root", change.remove(".lockstep"));
    await rejectsWith("outside-root", change.remove(".lockstep/../file"));
    await rejectsWith("not-empty", change.removeFolder("full"), "full");
    await change.rename("full/file", ".lockstep/held");
    await change.removeFolder("full");
    await change.remove(".lockstep/held");
    assert.deepEqual(await namesIn(disk, ""), ["file"]);
    assert.equal(await person.read("file"), "kept");
  });
}

function moveContract(name: string, open: OpenDisk): void {
  test(`DK6: ${name}: after a move the old name is that of whatever takes it next`, async () => {
    await using disk = await open();
    const { look, change, person } = disk;
    await change.makeFolder("one");
    await change.makeFolder("one/inner");
    await person.write("one/inner/file", "");
    assert.notEqual(await look.stat("one/inner/file"), null);
    await change.rename("one", "two");
    assert.equal(await look.stat("one/inner/file"), null);
    await change.makeFolder("one");
    await change.makeFolder("one/inner");
    assert.equal(await look.stat("one/inner/file"), null);
    await change.removeFolder("one/inner");
    await change.makeFolder("one/inner");
    await change.rename("two/inner/file", "one/inner/file");
    assert.deepEqual(await namesIn(disk, "one/inner"), ["file"]);
    assert.deepEqual(await namesIn(disk, "two/inner"), []);
  });

  test(`DK6: ${name}: a move keeps the inode, of files, links and whole folders`, async () => {
    await using disk = await open();
    const { change, look, person } = disk;
    await person.makeFolder("from");
    await person.makeFolder("to");
    await person.write("from/file", "bytes");
    await person.link("from/link", "file");
    for (const one of ["file", "link"]) {
      const before = await look.stat(`from/${one}`);
      await change.rename(`from/${one}`, `to/${one} moved`);
      assert.equal((await look.stat(`to/${one} moved`))?.file, before?.file);
      assert.equal(await look.stat(`from/${one}`), null);
    }
    await change.rename("to", "from/to");
    assert.equal(await person.read("from/to/file moved"), "bytes");
    await rejectsWith("inside-itself", change.rename("from", "from/to/from"));
  });

  test(`DK6: ${name}: a name in .lockstep may be taken again`, async () => {
    await using disk = await withStage(open);
    await disk.person.write("first", "first");
    await disk.person.write("second", "second");
    await disk.change.rename("first", ".lockstep/held");
    await disk.change.rename("second", ".lockstep/held");
    assert.equal(await disk.person.read(".lockstep/held"), "second");
  });

  test(`DK6: ${name}: entries of folders are made durable, gone ones left out`, async () => {
    await using disk = await open();
    for (let count = 0; count < 40; count++) await disk.change.makeFolder(`f${count}`);
    const folders = Array.from({ length: 40 }, (_, count) => `f${count}`);
    await disk.change.syncFolders(["", ...folders, "gone", "f1/gone", "f1"]);
  });
}

function stageContract(name: string, open: OpenDisk): void {
  test(`DK7: ${name}: a finished file has its bytes, size, time and mode`, async () => {
    await using disk = await withStage(open);
    const { stage, look, person } = disk;
    const path = ".lockstep/stage/one";
    assert.equal(await stage.open(path), 0);
    await stage.write(path, 5, utf8("world, and more"));
    await stage.write(path, 0, utf8("hello"));
    const stat = await stage.finish(path, {
      sizeBytes: 10,
      executable: true,
      mtimeMs: 1_600_000_000_123,
    });
    assert.equal(await person.read(path), "helloworld");
    assert.deepEqual(stat, await look.stat(path));
    assert.equal(stat.executable, true);
    assert.equal(stat.stamp.sizeBytes, 10);
    assert.equal(stat.stamp.mtimeNs / 1_000_000n, 1_600_000_000_123n);
  });

  test(`DK7: ${name}: a time comes back as it was set, to the millisecond`, async () => {
    await using disk = await withStage(open);
    const path = ".lockstep/stage/dated";
    for (const mtimeMs of [
      0, 1, 999, 1_000_000_000_001, 1_700_000_000_123, 4_102_444_800_999, -86_400_000,
    ]) {
      await disk.stage.open(path);
      const as = { sizeBytes: 0, executable: false, mtimeMs };
      const { stamp } = await disk.stage.finish(path, as);
      assert.equal(stamp.mtimeNs / 1_000_000n, BigInt(mtimeMs));
    }
  });

  test(`DK7: ${name}: a file that was closed goes on where it was`, async () => {
    await using disk = await withStage(open);
    const { stage, person } = disk;
    const path = ".lockstep/stage/resumed";
    await stage.open(path);
    await stage.write(path, 0, utf8("first "));
    await stage.close(path);
    await stage.close(path);
    assert.equal(await stage.open(path), 6);
    await stage.write(path, 6, utf8("second"));
    await stage.finish(path, { sizeBytes: 12, executable: false, mtimeMs: 0 });
    assert.equal(await person.read(path), "first second");
  });

  test(`DK7: ${name}: zeros that were skipped read as zeros`, async () => {
    await using disk = await withStage(open);
    const { stage, look } = disk;
    const path = ".lockstep/stage/sparse";
    await stage.open(path);
    await stage.write(path, 0, new Uint8Array(100_000));
    await stage.write(path, 100_000, utf8("end"));
    await stage.write(path, 100_000, Uint8Array.of(0));
    await stage.finish(path, { sizeBytes: 200_000, executable: false, mtimeMs: 0 });
    const bytes = await look.read(path, 0, 200_001);
    assert.equal(bytes.length, 200_000);
    assert.deepEqual([...bytes.subarray(99_999, 100_004)], [0, 0, 0x6e, 0x64, 0]);
  });

  test(`DK7: ${name}: more files are written at once than are kept open`, async () => {
    await using disk = await withStage(open);
    const { stage, person } = disk;
    const paths = Array.from({ length: 150 }, (_, count) => `.lockstep/stage/${count}`);
    await Promise.all(
      paths.map(async (path) => {
        await stage.open(path);
        await stage.write(path, 0, utf8(path));
      }),
    );
    await Promise.all(paths.map((path) => stage.write(path, path.length, utf8("!"))));
    for (const path of paths) {
      const as = { sizeBytes: path.length + 1, executable: false, mtimeMs: 0 };
      await stage.finish(path, as);
      assert.equal(await person.read(path), `${path}!`);
    }
  });

  test(`DK8: ${name}: no file that a person has is written to`, async () => {
    await using disk = await withStage(open);
    const { stage, change, person } = disk;
    await person.write("file", "kept");
    await person.link(".lockstep/stage/link", "../../file");
    await rejectsWith("outside-root", stage.open("file"), "file");
    await rejectsWith("outside-root", stage.open(".lockstep/../file"));
    await assert.rejects(stage.open(".lockstep/stage/link"), WorldError);
    await change.link("file", ".lockstep/stage/file");
    await rejectsWith("exists", stage.open(".lockstep/stage/file"));
    await rejectsWith("exists", stage.write(".lockstep/stage/file", 0, utf8("gone")));
    await rejectsWith("not-found", stage.write(".lockstep/stage/unknown", 0, utf8("x")));
    assert.equal(await person.read("file"), "kept");
  });

  test(`DK9: ${name}: the executable bit comes and goes`, async () => {
    await using disk = await open();
    await disk.person.write("tool", "#!/bin/sh");
    assert.equal((await disk.look.stat("tool"))?.executable, false);
    const stat = await disk.change.setExecutable("tool", true);
    assert.equal(stat.executable, true);
    assert.deepEqual(await disk.look.stat("tool"), stat);
    assert.equal((await disk.change.setExecutable("tool", false)).executable, false);
  });
}
