import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { contentHash, nodeId, ROOT_NODE } from "#core/ids.ts";
import type { Content } from "#core/node.ts";
import { systemClock } from "#platform/clock.ts";
import { openDisk } from "#platform/disk.ts";
import { openDeviceStore } from "#platform/device-store.ts";
import { Executor } from "#sync/execute.ts";
import { IgnoreRules } from "#sync/ignore.ts";
import type { Disk } from "#sync/ports.ts";
import { Problems } from "#sync/problems.ts";
import { agreedSide, create, remove, replace, stageLink } from "#sync/publish.ts";
import { PARK_NODE, type LocalSide, type NodeRow } from "#sync/tree.ts";
import { Unsynced } from "#sync/unsynced.ts";

const BYTES = "what the server has";
const PLACE = { parent: ROOT_NODE, name: "f" };
const CONTENT: Content = {
  kind: "file",
  sizeBytes: BYTES.length,
  sha256: contentHash("a".repeat(64)),
  executable: false,
};

/** Of what was seen, read and left alone. */
const CALM = { executable: false, racy: false, blind: null, missedMs: null } as const;

/** Puts a staged file in place while a person does something the moment it is there. */
async function createWhile(
  person: (path: string) => void,
  modifiedS?: number,
): Promise<{
  local: LocalSide;
  stagedFile: string;
}> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-publish-"));
  await using real = openDisk(root);
  try {
    mkdirSync(join(root, ".lockstep", "stage"), { recursive: true });
    const staged = join(".lockstep", "stage", "one");
    writeFileSync(join(root, staged), BYTES);
    if (modifiedS !== undefined) utimesSync(join(root, staged), modifiedS, modifiedS);
    const stat = (await real.look.stat(staged)) ?? assert.fail("nothing is staged");
    const link: Disk["change"]["link"] = async (from, to) => {
      await real.change.link(from, to);
      person(join(root, to));
    };
    const change = new Proxy(real.change, {
      get: (target, name) => (name === "link" ? link : Reflect.get(target, name).bind(target)),
    });
    const disk = { look: real.look, stage: real.stage, change };
    const world = { disk, clock: systemClock };
    const local = await create(world, "f", PLACE, CONTENT, { path: staged, stat });
    return { local, stagedFile: stat.file };
  } finally {
    rmSync(root, { recursive: true });
  }
}

function rowWith(local: LocalSide): NodeRow {
  const remote = { ...PLACE, content: CONTENT, mtimeMs: 0, crev: 1, lrev: 1 };
  return { ...({} as NodeRow), kind: "file", remote, synced: null, local };
}

suite("a person who is as quick as the engine", () => {
  test("EX3: what is saved into a file the moment it is put in place is an edit of it", async () => {
    const { local, stagedFile } = await createWhile((path) => writeFileSync(path, "edited"));
    assert.equal(local.content, null);
    assert.equal(local.file, stagedFile);
    const agreed = { ...PLACE, content: CONTENT, file: stagedFile, crev: 1, lrev: 1 };
    assert.deepEqual(agreedSide(rowWith(local), local, CONTENT), agreed);
  });

  test("EX3: what is renamed over a file the moment it is put in place is an edit of it", async () => {
    const { local, stagedFile } = await createWhile((path) => {
      writeFileSync(`${path}.new`, "edited");
      renameSync(`${path}.new`, path);
    });
    assert.equal(local.file, stagedFile);
    const agreed = { ...PLACE, content: CONTENT, file: stagedFile, crev: 1, lrev: 1 };
    assert.deepEqual(agreedSide(rowWith(local), local, CONTENT), agreed);
  });

  test("EX3: what is put in place with the time of this whole second is read again", async () => {
    // Where a file system keeps whole seconds an edit in this one may leave the same stamp.
    const nowS = Math.floor(Date.now() / 1_000);
    const ofNow = await createWhile(() => {}, nowS);
    assert.equal(ofNow.local.racy, true);
    const older = await createWhile(() => {}, nowS - 60);
    assert.equal(older.local.racy, false);
    assert.deepEqual(older.local.content, CONTENT);
  });

  test("EX3: a folder that is put where a file was being deleted stands there again with all in it", async () => {
    const root = mkdtempSync(join(tmpdir(), "lockstep-publish-"));
    await using real = openDisk(root);
    try {
      for (const folder of ["park", "hold"]) {
        mkdirSync(join(root, ".lockstep", folder), { recursive: true });
      }
      writeFileSync(join(root, "f"), BYTES);
      const { file, stamp } = (await real.look.stat("f")) ?? assert.fail("no f");
      const local: LocalSide = {
        ...PLACE,
        content: CONTENT,
        file,
        stamp,
        ...CALM,
        parkedFrom: null,
      };
      const rename: Disk["change"]["rename"] = async (from, to) => {
        if (from === "f") {
          renameSync(join(root, "f"), join(root, "g"));
          mkdirSync(join(root, "f"));
          writeFileSync(join(root, "f", "in it"), BYTES);
        }
        await real.change.rename(from, to);
      };
      const change = new Proxy(real.change, {
        get: (target, name) =>
          name === "rename" ? rename : Reflect.get(target, name).bind(target),
      });
      const disk = { look: real.look, stage: real.stage, change };
      const row = { ...rowWith(local), id: nodeId("a".repeat(32)) };
      const world = { disk, clock: systemClock };
      await assert.rejects(remove(world, row, "f", local), { code: "raced" });
      assert.deepEqual(readdirSync(join(root, "f")), ["in it"]);
      assert.deepEqual(readdirSync(join(root, ".lockstep", "hold")), []);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

suite("what waits in park", () => {
  test("EX1: a link that is changed while it is parked still came from where it was", async () => {
    const root = mkdtempSync(join(tmpdir(), "lockstep-publish-"));
    await using disk = openDisk(root);
    try {
      for (const folder of ["park", "stage", "hold"]) {
        mkdirSync(join(root, ".lockstep", folder), { recursive: true });
      }
      const content: Content = { kind: "symlink", target: "b" };
      const id = nodeId("a".repeat(32));
      const path = ".lockstep/park/waiting";
      const stat = await disk.change.makeSymlink(path, "a");
      const { file, stamp } = stat;
      const local: LocalSide = {
        parent: PARK_NODE,
        name: "waiting",
        parkedFrom: PLACE,
        file,
        stamp,
        content: { kind: "symlink", target: "a" },
        ...CALM,
      };
      const blank = { remote: null, synced: null, displacing: null, placing: null };
      const row: NodeRow = { id, kind: "symlink", ...blank, local };
      const world = { disk, clock: systemClock };
      const staged = await stageLink(world, id, "f", "b");
      const after = await replace(world, row, path, local, content, staged);
      assert.deepEqual(after.content, content);
      assert.deepEqual(after.parkedFrom, PLACE);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

suite("a process that ends in the middle of a step", () => {
  test("EX4: a link is on record, bound to its inode, before it has its name", async () => {
    const base = mkdtempSync(join(tmpdir(), "lockstep-publish-"));
    const store = openDeviceStore(join(base, "device.sqlite"), { folding: true });
    await using real = openDisk(join(base, "root"));
    try {
      mkdirSync(join(base, "root", ".lockstep", "stage"), { recursive: true });
      const id = nodeId("1".repeat(32));
      const content = { kind: "symlink", target: "f" } as const;
      const remote = { ...PLACE, content, mtimeMs: 0, crev: 1, lrev: 1 };
      const none = { synced: null, local: null, displacing: null, placing: null };
      store.trees.put({ id, kind: "symlink", remote, ...none });
      const link: Disk["change"]["link"] = async (from, to) => {
        await real.change.link(from, to);
        throw new Error("the process ends");
      };
      const change = new Proxy(real.change, {
        get: (target, name) => (name === "link" ? link : Reflect.get(target, name).bind(target)),
      });
      const used = { look: real.look, stage: real.stage, change };
      const executor = new Executor(
        {
          ...store,
          disk: used,
          unsynced: new Unsynced(used),
          clock: systemClock,
          problems: new Problems(),
          rules: new IgnoreRules(),
          nameKey: (name) => name,
          lookAgain: () => undefined,
          folderMade: () => undefined,
          folderRemoved: () => undefined,
        },
        [{ kind: "create", id, target: { place: PLACE, content } }],
      );
      await assert.rejects(executor.publish(new Map(), [id]), /the process ends/);
      const stat = await real.look.stat("f");
      assert.equal(stat?.kind, "symlink");
      assert.equal(store.trees.get(id)?.placing?.file, stat.file);
    } finally {
      store.close();
      rmSync(base, { recursive: true });
    }
  });
});
