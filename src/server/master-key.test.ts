import { strict as assert } from "node:assert";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import { openMasterKey } from "./master-key.ts";
import { realChance } from "./real-world.ts";

const first = { chance: realChance, isInUse: false };
const later = { chance: realChance, isInUse: true };

test("CH17: the key file is made once, for its owner alone, and is the same for ever", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "keys", "master.key");
  const key = await openMasterKey(path, first);
  assert.equal(key.length, 32);
  for (const again of [first, later]) {
    assert.equal(toHex(await openMasterKey(path, again)), toHex(key));
  }
  if (process.platform !== "win32") assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.match(await readFile(path, "utf8"), /^[0-9a-f]{64}\n$/);
});

test("CH17: a server that has contents does not start without their key", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "master.key");
  await openMasterKey(path, first);
  await rm(path);
  await assert.rejects(openMasterKey(path, later), {
    code: "no-master-key",
    message: /put it back/,
  });
  await writeFile(path, "0123");
  await assert.rejects(openMasterKey(path, later), { code: "bad-master-key", message: /64 hex/ });
});
