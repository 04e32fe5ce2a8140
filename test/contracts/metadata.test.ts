import { join } from "node:path";
import { openSqliteMetadata } from "../../src/server/metadata/sqlite.ts";
import { metadataContract } from "./metadata.ts";
import { collectionContract } from "./metadata-collection.ts";
import { scratchFolder } from "./scratch.ts";

async function openInMemory() {
  const metadata = await openSqliteMetadata(":memory:");
  return {
    metadata,
    peer: async () => metadata,
    [Symbol.asyncDispose]: () => metadata[Symbol.asyncDispose](),
  };
}

async function openInFile() {
  const folder = await scratchFolder();
  const open = () => openSqliteMetadata(join(folder.path, "server.db"));
  const opened = [await open()];
  const [metadata] = opened;
  if (metadata === undefined) throw new Error("nothing was opened");
  return {
    metadata,
    peer: async () => {
      const peer = await open();
      opened.push(peer);
      return peer;
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of opened) await one[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

metadataContract("sqlite in memory", openInMemory);
metadataContract("sqlite in a file", openInFile);
collectionContract("sqlite in memory", openInMemory);
collectionContract("sqlite in a file", openInFile);
