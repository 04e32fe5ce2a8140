import { DiskPacks } from "../../src/server/chunks/disk.ts";
import { MemoryPacks } from "../../src/server/chunks/memory.ts";
import { packContract } from "./packs.ts";
import { scratchFolder } from "./scratch.ts";

packContract("memory", async () => ({
  packs: new MemoryPacks(),
  [Symbol.asyncDispose]: async () => {},
}));

packContract("disk", async () => {
  const folder = await scratchFolder();
  const packs = await DiskPacks.open(folder.path);
  return {
    packs,
    [Symbol.asyncDispose]: async () => {
      await packs[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});
