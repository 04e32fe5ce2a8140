import type { countStored as CountStored } from "./stored.ts";
import type { Status } from "#sync/status.ts";
import { ask } from "./control.ts";
import { readHalt } from "./halt.ts";
import type { Home } from "./home.ts";
import type { LinkedFolder } from "./links.ts";
import { startCommand } from "./next-step.ts";

/** `runs`: whether an engine said so; else all of it is as of the last one's last look. */
export type FolderStatus = Status & { readonly runs: boolean };

/** What is going on in a folder: from its running engine, else from what the last one left. */
export async function currentStatus(home: Home, folder: LinkedFolder): Promise<FolderStatus> {
  const reply = await ask(folder.state, { ask: "status" });
  if (reply !== null) return { ...(reply.answer as Status), runs: true };
  const { pending, conflicts, holds } = await storedCounts(folder);
  const halt = readHalt(folder);
  const start = `start it with ${startCommand(home, folder)}`;
  return {
    runs: false,
    state: halt === null ? "offline" : "halted",
    reason: halt?.message ?? `No engine runs; this is as of its last look: ${start}.`,
    pending,
    problems: [],
    holds,
    conflicts,
    sentBytes: 0,
    receivedBytes: 0,
  };
}

async function storedCounts(folder: LinkedFolder): Promise<ReturnType<typeof CountStored>> {
  const { countStored } = await import("./stored.ts");
  return countStored(folder);
}
