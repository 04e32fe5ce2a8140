import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { contentHash, ROOT_NODE } from "#core/ids.ts";
import type { Content } from "#core/node.ts";
import { systemClock } from "#platform/clock.ts";
import { openDisk } from "#platform/disk.ts";
import type { Disk } from "#sync/ports.ts";
import { agreedSide, create } from "#sync/publish.ts";
import type { LocalSide, NodeRow } from "#sync/tree.ts";

const BYTES = "what the server has";
const PLACE = { parent: ROOT_NODE, name: "f" };
const CONTENT: Content = {
  kind: "file",
  sizeBytes: BYTES.length,
  sha256: contentHash("a".repeat(64)),
  executable: false,
};

/** Puts a staged file in place while a person does something the moment it is there. */
async function createWhile(person: (path: string) => void): Promise<{
  local: LocalSide;
  stagedFile: string;
}> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-publish-"));
  await using real = openDisk(root);
  try {
    mkdirSync(join(root, ".lockstep", "stage"), { recursive: true });
    const staged = join(".lockstep", "stage", "one");
    writeFileSync(join(root, staged), BYTES);
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
    const agreed = { ...PLACE, content: CONTENT, file: stagedFile };
    assert.deepEqual(agreedSide(rowWith(local), local, CONTENT), agreed);
  });

  test("EX3: what is renamed over a file the moment it is put in place is an edit of it", async () => {
    const { local, stagedFile } = await createWhile((path) => {
      writeFileSync(`${path}.new`, "edited");
      renameSync(`${path}.new`, path);
    });
    assert.equal(local.file, stagedFile);
    const agreed = { ...PLACE, content: CONTENT, file: stagedFile };
    assert.deepEqual(agreedSide(rowWith(local), local, CONTENT), agreed);
  });
});
