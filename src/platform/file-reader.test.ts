import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { cutKeyFrom } from "#chunking/cut.ts";
import { randomSample } from "#chunking/sample-bytes.ts";
import { sizesOf } from "#chunking/sizes.ts";
import { splitAll, Splitter } from "#chunking/split.ts";
import type { ChunkRange } from "#chunking/split.ts";
import { WorldError } from "#core/errors.ts";
import type { Digested } from "#sync/ports.ts";
import { openFileReader } from "./file-reader.ts";
import { statOf } from "./stat.ts";
import { readVgear } from "./vgear.ts";

const MIB = 1024 * 1024;
const CUT_KEY = randomSample(7, 48);
const LARGE = randomSample(1, 12 * MIB);

/** A synced folder with a reader, and the threads that were started since. */
function openRoot(options: { maxWorkers?: number; idleMs?: number } = {}) {
  const outer = fs.mkdtempSync(join(tmpdir(), "lockstep-reader-"));
  const root = join(outer, "root");
  fs.mkdirSync(root);
  fs.chmodSync(outer, 0o755);
  const threads: Worker[] = [];
  const onWorker = (worker: Worker): void => void threads.push(worker);
  process.on("worker", onWorker);
  const reader = openFileReader({ root, cutKey: CUT_KEY, vgear: readVgear(), ...options });
  return {
    reader,
    outer,
    threads,
    at: (path: string) => join(root, path),
    write: (path: string, bytes: Uint8Array) => fs.writeFileSync(join(root, path), bytes),
    look(path: string) {
      const { file, stamp } = statOf(fs.lstatSync(join(root, path), { bigint: true }));
      return { file, stamp };
    },
    digest(path: string, signal?: AbortSignal): Promise<Digested> {
      return reader.digest(path, this.look(path), signal);
    },
    async [Symbol.asyncDispose]() {
      process.off("worker", onWorker);
      await reader[Symbol.asyncDispose]();
      fs.rmSync(outer, { recursive: true });
    },
  };
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof WorldError && error.code === code;

test("FR6: a gigabyte of nothing takes no more memory to read than a small file", async () => {
  await using disk = openRoot();
  disk.write("sparse", new Uint8Array(0));
  fs.truncateSync(disk.at("sparse"), 1024 * MIB);
  disk.write("warm-up", LARGE);
  await disk.digest("warm-up");
  const beforeKib = process.resourceUsage().maxRSS;
  const digested = await disk.digest("sparse");
  const grownMib = (process.resourceUsage().maxRSS - beforeKib) / 1024;
  assert.ok(grownMib < 32, `${grownMib} MiB more`);
  assert.ok(digested.outcome === "read");
  assert.equal(digested.manifest.length, 1024);
  const zeros = createHash("sha256").update(new Uint8Array(MIB)).digest("hex");
  assert.ok(
    digested.manifest.every(({ chunk, lengthBytes }) => chunk === zeros && lengthBytes === MIB),
  );
});

test("FR1: a file of 300 MB has the hash and the chunks of its bytes, by segments", async () => {
  await using disk = openRoot();
  const file = fs.openSync(disk.at("video"), "w");
  const whole = createHash("sha256");
  const splitter = new Splitter(sizesOf("medium"), cutKeyFrom(CUT_KEY));
  const ranges: ChunkRange[] = [];
  const piece = randomFillSync(new Uint8Array(10_000_000));
  for (let count = 0; count < 30; count++) {
    piece[count * 1000] = count;
    fs.writeSync(file, piece);
    whole.update(piece);
    ranges.push(...splitter.push(piece));
  }
  fs.closeSync(file);
  ranges.push(...splitter.finish());
  const digested = await disk.digest("video");
  assert.ok(digested.outcome === "read");
  assert.equal(digested.sha256, whole.digest("hex"));
  const lengths = digested.manifest.map((entry) => entry.lengthBytes);
  assert.deepEqual(
    lengths,
    ranges.map((range) => range.lengthBytes),
  );
  assert.ok(digested.manifest.length > 500);
});

test("FR1: a file with holes has the chunks that its bytes are cut into, wherever the holes begin", async () => {
  await using disk = openRoot();
  const bytes = new Uint8Array(40 * MIB);
  const pieces = [0, 100, 3 * MIB + 17, 12 * MIB, 12 * MIB + 5, 33 * MIB - 1, 40 * MIB - 1];
  for (const [index, at] of pieces.entries())
    bytes.set(LARGE.subarray(0, Math.min(1 + index * 70_000, bytes.length - at)), at);
  disk.write("image", bytes);
  const digested = await disk.digest("image");
  assert.ok(digested.outcome === "read");
  assert.equal(digested.sha256, createHash("sha256").update(bytes).digest("hex"));
  const lengths = splitAll(bytes, sizesOf("medium"), cutKeyFrom(CUT_KEY));
  assert.deepEqual(
    digested.manifest.map((entry) => entry.lengthBytes),
    lengths,
  );
  let offset = 0;
  for (const { chunk, lengthBytes } of digested.manifest) {
    const piece = bytes.subarray(offset, (offset += lengthBytes));
    assert.equal(chunk, createHash("sha256").update(piece).digest("hex"));
  }
});

test("FR3: a file that is edited while it is read has changed", async () => {
  await using disk = openRoot();
  const edits: ((at: string) => void)[] = [
    (at) => fs.appendFileSync(at, "more"),
    (at) => fs.truncateSync(at, 5 * MIB),
    (at) => fs.writeFileSync(at, LARGE.toReversed()),
    (at) => fs.rmSync(at),
  ];
  for (const edit of edits) {
    disk.write("report", LARGE);
    // The reader has opened the file before its promise is given, and looks again after the edit.
    const digesting = disk.digest("report");
    edit(disk.at("report"));
    assert.deepEqual(await digesting, { outcome: "changed" });
  }
});

test("FR3: an edit while reading that puts size and time back has changed the file", async () => {
  await using disk = openRoot();
  disk.write("report", LARGE);
  fs.utimesSync(disk.at("report"), 1_700_000_000, 1_700_000_000);
  const expected = disk.look("report");
  const digesting = disk.reader.digest("report", expected);
  do {
    fs.writeFileSync(disk.at("report"), LARGE.toReversed());
    fs.utimesSync(disk.at("report"), 1_700_000_000, 1_700_000_000);
  } while (disk.look("report").stamp.ctimeNs === expected.stamp.ctimeNs);
  assert.equal(disk.look("report").stamp.mtimeNs, expected.stamp.mtimeNs);
  assert.deepEqual(await digesting, { outcome: "changed" });
});

test("FR5: a pipe in a file's place has changed, and nobody waits for it", async (t) => {
  if (process.platform === "win32") return t.skip("Windows has no pipes among files");
  await using disk = openRoot();
  for (const bytes of [randomSample(1, 10), LARGE]) {
    disk.write("inbox", bytes);
    const expected = disk.look("inbox");
    fs.rmSync(disk.at("inbox"));
    assert.equal(spawnSync("mkfifo", [disk.at("inbox")]).status, 0);
    assert.deepEqual(await disk.reader.digest("inbox", expected), { outcome: "changed" });
    const ofThePipe = { file: disk.look("inbox").file, stamp: expected.stamp };
    assert.deepEqual(await disk.reader.digest("inbox", ofThePipe), { outcome: "changed" });
    fs.rmSync(disk.at("inbox"));
  }
});

test("FR5: nothing outside the synced folder is read, whatever path leads there (T-FS-03)", async () => {
  await using disk = openRoot();
  fs.mkdirSync(disk.at("docs"));
  disk.write("docs/diary", randomSample(1, 500));
  const expected = disk.look("docs/diary");
  fs.renameSync(disk.at("docs"), join(disk.outer, "private"));
  fs.symlinkSync(join(disk.outer, "private"), disk.at("docs"));
  assert.deepEqual(await disk.reader.digest("docs/diary", expected), { outcome: "gone" });
  for (const path of ["../private/diary", join(disk.outer, "private/diary"), ""]) {
    await assert.rejects(disk.reader.digest(path, expected), hasCode("outside-root"), path);
  }
});

test("FR8: a file that may not be read is a problem with its path, small or large", async (t) => {
  if (process.platform === "win32") return t.skip("Windows keeps its permissions elsewhere");
  const uid = process.getuid?.() ?? 0;
  for (const bytes of [randomSample(1, 10), LARGE]) {
    await using disk = openRoot();
    disk.write("secret", bytes);
    fs.chmodSync(disk.at("secret"), 0);
    const expected = disk.look("secret");
    // Nothing is forbidden to root: for this one call the test is nobody.
    if (uid === 0) process.seteuid?.(65_534);
    try {
      const digest = disk.reader.digest("secret", expected);
      await assert.rejects(digest, hasCode("no-permission"));
      await assert.rejects(disk.reader.digest("secret", expected), /"secret"/);
    } finally {
      if (uid === 0) process.seteuid?.(0);
    }
  }
});

test("FR7: reading a large file ends soon after it is no longer wanted", async () => {
  await using disk = openRoot({ maxWorkers: 1 });
  disk.write("one", LARGE);
  disk.write("two", LARGE);
  const reason = new Error("the person paused");
  const [first, second] = [new AbortController(), new AbortController()];
  const reading = disk.digest("one", first.signal);
  const waiting = disk.digest("two", second.signal);
  second.abort(reason);
  await assert.rejects(waiting, reason);
  first.abort(reason);
  await assert.rejects(reading, reason);
  assert.equal((await disk.digest("one")).outcome, "read");
  assert.equal((await disk.digest("two")).outcome, "read");
  assert.equal(disk.threads.length, 1);
});

test("FR9: thousands of small files in a row leave turns to everything else", async () => {
  await using disk = openRoot();
  disk.write("note", randomSample(1, 2000));
  const expected = disk.look("note");
  let turns = 0;
  let isDone = false;
  const beat = (): void => {
    turns += 1;
    if (!isDone) setImmediate(beat);
  };
  setImmediate(beat);
  const began = performance.now();
  while (performance.now() - began < 100) await disk.reader.digest("note", expected);
  isDone = true;
  assert.ok(turns >= 3, `${turns} turns in 100 ms`);
  assert.equal(disk.threads.length, 0, "no thread is started for small files");
});

test("FR9: small files asked for all at once leave turns too", async () => {
  await using disk = openRoot();
  disk.write("note", randomSample(1, 200_000));
  const expected = disk.look("note");
  let turns = 0;
  const beat = setInterval(() => (turns += 1), 1);
  const all = Array.from({ length: 400 }, () => disk.reader.digest("note", expected));
  for (const { outcome } of await Promise.all(all)) assert.equal(outcome, "read");
  clearInterval(beat);
  assert.ok(turns >= 3, `${turns} turns`);
});

test("FR10: any number of large files is read by two threads at most", async () => {
  await using disk = openRoot();
  disk.write("large", LARGE);
  const all = Array.from({ length: 6 }, () => disk.digest("large"));
  for (const { outcome } of await Promise.all(all)) assert.equal(outcome, "read");
  assert.equal(disk.threads.length, Math.min(2, availableParallelism()));
});

test("FR10: a thread without work ends, and another one comes when there is work", async () => {
  await using disk = openRoot({ idleMs: 0 });
  disk.write("large", LARGE);
  assert.equal((await disk.digest("large")).outcome, "read");
  await once(disk.threads[0]!, "exit");
  assert.equal((await disk.digest("large")).outcome, "read");
  assert.equal(disk.threads.length, 2);
});

test("FR10: closing the reader gives up what it reads and what waits for it", async () => {
  const disk = openRoot({ maxWorkers: 1 });
  disk.write("large", LARGE);
  const reading = disk.digest("large");
  const waiting = disk.digest("large");
  const givenUp = (error: unknown): boolean =>
    error instanceof WorldError && error.code === "reader-stopped" && error.retryable;
  const rejected = [assert.rejects(reading, givenUp), assert.rejects(waiting, givenUp)];
  const [thread] = (await once(process, "worker")) as [Worker];
  const exit = once(thread, "exit");
  await disk[Symbol.asyncDispose]();
  await Promise.all([...rejected, exit]);
});

test("FR10: a thread that dies gives its file back, and the next file has a new one", async () => {
  await using disk = openRoot({ maxWorkers: 1 });
  disk.write("large", LARGE);
  const reading = disk.digest("large");
  const rejected = assert.rejects(reading, hasCode("reader-stopped"));
  const [thread] = (await once(process, "worker")) as [Worker];
  await thread.terminate();
  await rejected;
  assert.equal((await disk.digest("large")).outcome, "read");
});

test("every file that was opened is closed again, whatever came of it", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux lists a program's descriptors");
  await using disk = openRoot();
  disk.write("large", LARGE);
  disk.write("small", randomSample(1, 100));
  await disk.digest("large");
  await nextTurn();
  const open = fs.readdirSync("/proc/self/fd").length;
  const controller = new AbortController();
  const aborted = assert.rejects(disk.digest("large", controller.signal));
  controller.abort();
  await aborted;
  for (let count = 0; count < 20; count++) {
    await disk.digest("small");
    const [largeBefore, smallBefore] = [disk.look("large"), disk.look("small")];
    fs.appendFileSync(disk.at("small"), "x");
    fs.appendFileSync(disk.at("large"), "x");
    await disk.reader.digest("small", smallBefore);
    await disk.reader.digest("large", largeBefore);
    await disk.reader.digest("missing/file", smallBefore);
  }
  // Folders on the way stay open for the rest of a turn.
  await nextTurn();
  assert.equal(fs.readdirSync("/proc/self/fd").length, open);
});
