import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { systemClock } from "./clock.ts";
import { lockFolder } from "./folder-lock.ts";

async function newRoot(): Promise<AsyncDisposable & { root: string }> {
  const root = await fs.mkdtemp(join(tmpdir(), "lockstep-lock-"));
  return { root, [Symbol.asyncDispose]: () => fs.rm(root, { recursive: true }) };
}

function refusalOf(root: string): WorldError {
  try {
    lockFolder(root, systemClock)[Symbol.dispose]();
  } catch (error) {
    assert.ok(error instanceof WorldError, String(error));
    return error;
  }
  return assert.fail("the lock was given");
}

test("DK14: a folder has one engine, and a second one is told which", async () => {
  await using place = await newRoot();
  {
    using lock = lockFolder(place.root, systemClock);
    const refusal = refusalOf(place.root);
    assert.equal(refusal.code, "folder-in-use");
    assert.ok(refusal.message.includes(place.root));
    assert.ok(refusal.message.includes(`process ${process.pid}, since 20`), refusal.message);
    assert.ok(lock);
  }
  const files = await fs.readdir(join(place.root, ".lockstep"));
  assert.deepEqual(files, ["lock.sqlite"]);
  lockFolder(place.root, systemClock)[Symbol.dispose]();
});

test("DK14: a killed engine's lock is free at once", async () => {
  await using place = await newRoot();
  const script = `
    import { systemClock } from "#platform/clock.ts";
    import { lockFolder } from "#platform/folder-lock.ts";
    globalThis.lock = lockFolder(${JSON.stringify(place.root)}, systemClock);
    console.log("locked");
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  await once(child.stdout, "data");
  assert.match(refusalOf(place.root).message, new RegExp(`process ${child.pid}, since`));
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  lockFolder(place.root, systemClock)[Symbol.dispose]();
});

test("DK14: no folder to lock, and something else in its place, are said so", async () => {
  await using place = await newRoot();
  assert.equal(refusalOf(join(place.root, "gone")).code, "not-found");
  await fs.symlink(tmpdir(), join(place.root, ".lockstep"));
  assert.equal(refusalOf(place.root).code, "not-a-folder");
});
