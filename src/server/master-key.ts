import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fromHex, toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import type { Chance } from "#core/world.ts";

const KEY_BYTES = 32;

/**
 * What packs are closed with where they lie: 32 random bytes in a file of its own, so that a copy
 * of the packs, or of the database, is nothing without it. It is made for a server that has nothing
 * stored yet. Throws WorldError `no-master-key` when there is something and it is gone, and
 * `bad-master-key` when the file holds something else.
 */
export async function openMasterKey(
  path: string,
  { chance, isInUse }: { readonly chance: Chance; readonly isInUse: boolean },
): Promise<Uint8Array> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw new WorldError("bad-master-key", `The key file ${path} cannot be read.`, {
      cause: error,
    });
  });
  if (text !== null) return parse(path, text);
  if (isInUse) {
    throw new WorldError(
      "no-master-key",
      `The key file ${path} is not there, and nothing stored can be read without it: put it ` +
        "back from where you keep it, or name it with --key-file.",
    );
  }
  const key = chance.bytes(KEY_BYTES);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(`${toHex(key)}\n`);
  await file.sync();
  return key;
}

function parse(path: string, text: string): Uint8Array {
  const hex = text.trim();
  if (/^[0-9a-f]{64}$/.test(hex)) return fromHex(hex);
  throw new WorldError(
    "bad-master-key",
    `The key file ${path} does not hold 64 hexadecimal digits: put the right one back.`,
  );
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
