import { mkdir, open, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fromHex, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { Chance } from "#core/world.ts";

const SEED_BYTES = 32;
const MAX_EPOCH = 65_535;
const LINE = /^([1-9][0-9]{0,4}) ([0-9a-f]{64})$/;

/** The seeds of the key service's keys, by epoch. */
export type Seeds = ReadonlyMap<number, Uint8Array>;

/**
 * Reads the key file: a line `EPOCH SEED` for each key that still answers, the seed in 64
 * hexadecimal digits. Throws WorldError `no-key-file` when there is none, `open-key-file` when
 * others on this machine may read it, and `bad-key-file` when it holds something else.
 */
export async function readSeeds(path: string): Promise<Seeds> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    const message = `The key file ${path} of the key service cannot be read: put it back.`;
    throw new WorldError("no-key-file", message, { cause });
  });
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    const message = `Others on this machine may read the key file ${path}: chmod 600 it.`;
    throw new WorldError("open-key-file", message);
  }
  const seeds = new Map<number, Uint8Array>();
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    const [, epochText, seed] = LINE.exec(line.trim()) ?? [];
    const epoch = Number(epochText);
    if (seed === undefined || epoch > MAX_EPOCH || seeds.has(epoch)) throw bad(path);
    seeds.set(epoch, fromHex(seed));
  }
  if (seeds.size === 0) throw bad(path);
  return seeds;
}

/** Makes a key file with one key, of epoch 1, unless one is there. */
export async function makeKeyFile(path: string, chance: Chance): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await using file = await open(path, "wx", 0o600);
    await file.writeFile(`1 ${toHex(chance.bytes(SEED_BYTES))}\n`);
    await file.sync();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw error;
  }
  await using folder = await open(dirname(path));
  await folder.sync();
}

function bad(path: string): WorldError {
  const message = `The key file ${path} does not hold lines of an epoch and 64 hexadecimal digits.`;
  return new WorldError("bad-key-file", message);
}
