import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import { makeKeyFile, readSeeds } from "./key-file.ts";

const chance = { bytes: (length: number) => new Uint8Array(length).fill(7) };
const line = (epoch: number, digits = "ab"): string => `${epoch} ${digits.repeat(32)}\n`;

test("KS4: a key file is made once, for its owner alone, and read back", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "below", "oprf.key");
  await assert.rejects(readSeeds(path), { code: "no-key-file" });
  await makeKeyFile(path, chance);
  assert.equal((await fs.stat(path)).mode & 0o777, 0o600);
  const seeds = await readSeeds(path);
  assert.deepEqual([...seeds], [[1, new Uint8Array(32).fill(7)]]);
  await makeKeyFile(path, { bytes: (length) => new Uint8Array(length).fill(8) });
  assert.deepEqual(await readSeeds(path), seeds);
});

test("KS4: a key file that others may read is not used", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "oprf.key");
  await makeKeyFile(path, chance);
  for (const mode of [0o644, 0o640, 0o602]) {
    await fs.chmod(path, mode);
    await assert.rejects(readSeeds(path), { code: "open-key-file" });
  }
  await fs.chmod(path, 0o400);
  assert.equal((await readSeeds(path)).size, 1);
});

test("KS4: a key file with anything else in it is not used", async () => {
  await using folder = await scratchFolder();
  const path = join(folder.path, "oprf.key");
  const write = (text: string): Promise<void> => fs.writeFile(path, text, { mode: 0o600 });
  await write(line(1) + line(2, "cd"));
  assert.deepEqual([...(await readSeeds(path)).keys()], [1, 2]);
  const wrong = ["", "\n", line(0), line(65_536), line(1) + line(1), "1 abcd\n", `${line(1)}x\n`];
  for (const text of wrong) {
    await write(text);
    await assert.rejects(readSeeds(path), { code: "bad-key-file" }, text);
  }
});
