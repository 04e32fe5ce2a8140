import type { Status } from "#sync/status.ts";
import { ask } from "./control.ts";
import { readHalt } from "./halt.ts";
import { quoted, type LinkedFolder } from "./links.ts";

/** What is going on in a folder: from its running engine, else from what the last one left. */
export async function currentStatus(folder: LinkedFolder): Promise<Status> {
  const reply = await ask(folder.state, { ask: "status" });
  if (reply !== null) return reply.answer as Status;
  const { pending, conflicts } = await storedCounts(folder);
  const halt = readHalt(folder);
  const start = `start it with lockstep sync ${quoted(folder.link.dir)}`;
  return {
    state: halt === null ? "offline" : "halted",
    reason: halt?.message ?? `No engine runs for this folder: ${start}.`,
    pending,
    problems: [],
    holds: 0,
    conflicts,
    sentBytes: 0,
    receivedBytes: 0,
  };
}

async function storedCounts(
  folder: LinkedFolder,
): Promise<{ pending: { up: number; down: number }; conflicts: number }> {
  const { countStored } = await import("./stored.ts");
  return countStored(folder);
}
