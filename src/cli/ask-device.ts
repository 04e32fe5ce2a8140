import type { NodeId } from "#core/ids.ts";
import type { Decision, HoldReport } from "#sync/holds.ts";
import { STORE_ANSWERS, type StoreQuestion } from "./answers.ts";
import type { ConflictRow } from "./conflict-list.ts";
import { ask } from "./control.ts";
import { wrongUsage } from "./exit.ts";
import type { LinkedFolder } from "./links.ts";
import type { PathReport } from "./nodes.ts";
import { openStored } from "./stored.ts";

/** Asks what a folder's device knows: its running engine, else its database. */
async function askDevice(
  folder: LinkedFolder,
  question: StoreQuestion,
  fields: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const reply = await ask(folder.state, { ask: question, ...fields });
  if (reply !== null) return reply.answer;
  using store = openStored(folder);
  if (store === null) {
    throw wrongUsage(`${folder.link.dir} was never synced: run lockstep sync there first.`);
  }
  return STORE_ANSWERS[question](store, { ask: question, ...fields });
}

export async function askLookUp(folder: LinkedFolder, path: string): Promise<PathReport> {
  return (await askDevice(folder, "look-up", { path })) as PathReport;
}

/** Paths of the nodes that this device knows. */
export async function askPaths(
  folder: LinkedFolder,
  nodes: readonly NodeId[],
): Promise<Readonly<Record<NodeId, string>>> {
  return (await askDevice(folder, "paths", { nodes })) as Record<NodeId, string>;
}

export async function askConflicts(folder: LinkedFolder): Promise<ConflictRow[]> {
  return (await askDevice(folder, "conflicts", {})) as ConflictRow[];
}

/** Mass deletions that wait for a person; none before the first run. */
export async function askHolds(folder: LinkedFolder): Promise<HoldReport[]> {
  return (await askDevice(folder, "holds", {})) as HoldReport[];
}

/** Answers one of them; returns how many deletions that decides on. */
export async function askDecide(
  folder: LinkedFolder,
  id: string,
  decision: Decision,
): Promise<number> {
  return (await askDevice(folder, "decide-hold", { id, decision })) as number;
}

/** Has the device know a commit before a command sends it in the device's name. */
export async function askExpect(folder: LinkedFolder, commit: string): Promise<void> {
  await askDevice(folder, "expect-commit", { commit });
}

export async function askForget(folder: LinkedFolder, commit: string): Promise<void> {
  await askDevice(folder, "forget-commit", { commit });
}
