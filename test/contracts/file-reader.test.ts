import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomSample } from "#chunking/sample-bytes.ts";
import { nextSizeClass, sizesOf } from "#chunking/sizes.ts";
import { openFileReader } from "#platform/file-reader.ts";
import { readVgear } from "#platform/vgear.ts";
import { statOf } from "#platform/stat.ts";
import { fileReaderContract } from "./file-reader.ts";
import type { FileReaderUnderTest } from "./file-reader.ts";

/** A person at the keyboard of this machine. */
function personIn(root: string): FileReaderUnderTest["person"] {
  return {
    makeFolder: (path) => fs.mkdir(join(root, path)),
    write: (path, bytes) => fs.writeFile(join(root, path), bytes),
    async writeDated(path, bytes, mtimeSeconds) {
      await fs.writeFile(join(root, path), bytes);
      await fs.utimes(join(root, path), mtimeSeconds, mtimeSeconds);
    },
    link: (path, target) => fs.symlink(target, join(root, path)),
    rename: (from, to) => fs.rename(join(root, from), join(root, to)),
    remove: (path) => fs.rm(join(root, path), { recursive: true }),
    async look(path) {
      const { file, stamp } = statOf(await fs.lstat(join(root, path), { bigint: true }));
      return { file, stamp };
    },
  };
}

fileReaderContract("this machine's disk", async () => {
  const root = await fs.mkdtemp(join(tmpdir(), "lockstep-reader-"));
  const cutKey = randomSample(7, 48);
  const reader = openFileReader({ root, cutKey, vgear: readVgear() });
  return {
    reader,
    cutKey,
    sizesFor: (lengthBytes) => sizesOf(nextSizeClass(lengthBytes, null)),
    person: personIn(root),
    async [Symbol.asyncDispose]() {
      await reader[Symbol.asyncDispose]();
      await fs.rm(root, { recursive: true });
    },
  };
});
