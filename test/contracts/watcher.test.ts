import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { nodeId, ROOT_NODE } from "#core/ids.ts";
import { FolderWatcher } from "#platform/watcher.ts";
import { Hints, watcherContract } from "./watcher.ts";

/** Where making 9,000 files takes no time. */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

async function newRoot(below = tmpdir()): Promise<AsyncDisposable & { root: string }> {
  const root = await fs.mkdtemp(join(below, "lockstep-watcher-"));
  return { root, [Symbol.asyncDispose]: () => fs.rm(root, { recursive: true }) };
}

watcherContract("a real folder", async () => {
  const place = await newRoot();
  const at = (path: string) => join(place.root, path);
  const watcher = new FolderWatcher(place.root);
  return {
    watcher,
    person: {
      write: (path, text) => fs.writeFile(at(path), text),
      makeFolder: (path) => fs.mkdir(at(path)),
      rename: (from, to) => fs.rename(at(from), at(to)),
      remove: (path) => fs.rm(at(path), { recursive: true }),
    },
    async [Symbol.asyncDispose]() {
      await watcher[Symbol.asyncDispose]();
      await place[Symbol.asyncDispose]();
    },
  };
});

const LINUX_ONLY =
  process.platform === "linux" ? false : "needs Linux: it counts inotify's watches";
const node = (number: number) => nodeId(number.toString(16).padStart(32, "0"));

test("WA1: what the engine does in .lockstep gives no hint", { skip: LINUX_ONLY }, async () => {
  await using place = await newRoot();
  await using watcher = new FolderWatcher(place.root);
  const hints = new Hints(watcher);
  watcher.watch(ROOT_NODE, "");
  watcher.watch(node(1), "folder");
  await fs.mkdir(join(place.root, "folder"));
  watcher.watch(node(1), "folder");
  await watcher.ready();
  hints.clear();
  await fs.mkdir(join(place.root, ".lockstep"));
  await fs.writeFile(join(place.root, ".lockstep", "file"), "");
  await fs.writeFile(join(place.root, "folder", "file"), "");
  await hints.of(node(1));
  assert.equal(hints.has(ROOT_NODE), false);
});

test("WA4: events that nobody could read are asked about, all at once", async () => {
  await using place = await newRoot(MEMORY);
  await using watcher = new FolderWatcher(place.root);
  const hints = new Hints(watcher);
  const names = Array.from({ length: 9_000 }, (_, count) => `folder ${count}`);
  for (const name of names) mkdirSync(join(place.root, name));
  names.forEach((name, count) => watcher.watch(node(count + 1), name));
  await watcher.ready();
  hints.clear();
  // This thread takes nothing while it writes: more folders are touched than are kept in mind.
  for (const name of names) writeFileSync(join(place.root, name, "file"), "");
  await hints.until(() => hints.overflow);
  hints.clear();
  await fs.writeFile(join(place.root, "folder 1", "another"), "");
  await hints.of(node(2));
  assert.equal(hints.overflow, false);
});

test("WA4: a program that stood still asks about all that it may have missed", async () => {
  await using place = await newRoot(MEMORY);
  const script = `
    import { FolderWatcher } from "#platform/watcher.ts";
    const watcher = new FolderWatcher(${JSON.stringify(place.root)});
    watcher.onHint(() => {
      if (!watcher.take().overflow) return;
      console.log("overflow");
      void watcher[Symbol.asyncDispose]();
    });
    watcher.watch("0".repeat(32), "");
    await watcher.ready();
    console.log("ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  await once(child.stdout, "data");
  child.kill("SIGSTOP");
  for (let count = 0; count < 9_000; count++) writeFileSync(join(place.root, `${count}`), "text");
  child.kill("SIGCONT");
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(said.toString(), "overflow\n");
  await once(child, "exit");
});

const FEW_WATCHES = 10;

/** A namespace of its own has limits of its own: nobody else on this machine notices. */
const canLimit =
  spawnSync("unshare", ["-Ur", "sh", "-c", "echo 10 > /proc/sys/user/max_inotify_watches"])
    .status === 0;
const LIMIT_ONLY = canLimit ? false : "needs user namespaces: it lowers the limit on watches";

test(
  "WA5: too few watches are said so, with what to do about it",
  { skip: LIMIT_ONLY },
  async () => {
    await using place = await newRoot();
    for (let count = 0; count < 15; count++) mkdirSync(join(place.root, `f${count}`));
    const script = `
    import { FolderWatcher } from "#platform/watcher.ts";
    const watcher = new FolderWatcher(${JSON.stringify(place.root)});
    const id = (number) => number.toString(16).padStart(32, "0");
    for (let count = 0; count < 15; count++) watcher.watch(id(count + 1), "f" + count);
    await watcher.ready();
    const said = [watcher.trouble()];
    for (let count = 0; count < 6; count++) watcher.unwatch(id(count + 1));
    await watcher.ready();
    said.push(watcher.trouble());
    console.log(JSON.stringify(said));
    await watcher[Symbol.asyncDispose]();`;
    const limit = `echo ${FEW_WATCHES} > /proc/sys/user/max_inotify_watches && exec "$@"`;
    const shell = ["-Ur", "sh", "-c", limit, "sh", process.execPath, "--input-type=module"];
    const { stdout, stderr } = spawnSync("unshare", [...shell, "--eval", script], {
      encoding: "utf8",
    });
    const [full, relieved] = JSON.parse(stdout || `["${stderr.slice(0, 500)}"]`) as string[];
    const allowed = Number(readFileSync("/proc/sys/fs/inotify/max_user_watches", "utf8"));
    const number = Number(/^5 folders .*fs\.inotify\.max_user_watches=(\d+)"/.exec(`${full}`)?.[1]);
    assert.ok(number >= allowed + 5, `${full}`);
    assert.equal(relieved, null);
  },
);

test("WA6: a program ends when its watches are let go", async () => {
  await using place = await newRoot();
  const script = `
    import { FolderWatcher } from "#platform/watcher.ts";
    const watcher = new FolderWatcher(${JSON.stringify(place.root)});
    watcher.watch("0".repeat(32), "");
    await watcher.ready();
    if (watcher.trouble() !== null) throw new Error(watcher.trouble());
    await watcher[Symbol.asyncDispose]();`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 0);
});
