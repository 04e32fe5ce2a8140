import { randomBytes } from "node:crypto";
import { commitId, nodeId, ROOT_NODE, type CommitId, type NodeId } from "#core/ids.ts";
import { joinPath, splitPath } from "#core/names.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { HttpRemote } from "#platform/remote-http.ts";
import { Change, type CommitAnswer } from "#protocol/commit.ts";
import { askExpect, askForget, askLookUp } from "./ask-device.ts";
import { CommandError } from "./exit.ts";
import type { Found, Version } from "./history.ts";
import type { LinkedFolder } from "./links.ts";
import { callAs } from "./server-calls.ts";
import { openDoor, type SpaceDoor } from "./space-door.ts";

/** Tries at a moving server; a device that follows it needs a moment after each refusal. */
const MAX_TRIES = 20;
const TRY_AGAIN_MS = 250;
const MAX_FREE_NAMES = 1_000;

export type Restored = { readonly version: number; readonly path: string };

type Draft = { readonly path: string; readonly changes: readonly unknown[] };

function draw(): string {
  return randomBytes(16).toString("hex");
}

/** `notes (restored).txt`, `notes (restored 2).txt`, … */
function freeName(name: string, attempt: number): string {
  if (attempt === 0) return name;
  const dot = name.lastIndexOf(".");
  const at = dot > 0 ? dot : name.length;
  const number = attempt === 1 ? "" : ` ${attempt}`;
  return `${name.slice(0, at)} (restored${number})${name.slice(at)}`;
}

/** The folders of a path that are not at the server (any more), made again. */
async function planFolders(
  folder: LinkedFolder,
  door: SpaceDoor,
  names: readonly string[],
): Promise<{ readonly parent: NodeId; readonly path: string; readonly changes: unknown[] }> {
  const changes: unknown[] = [];
  let parent = ROOT_NODE;
  let path = "";
  for (const name of names) {
    const { server } = await askLookUp(folder, joinPath(path, name));
    const isThere = changes.length === 0 && server?.kind === "folder";
    const node = isThere ? server.node : nodeId(draw());
    const meta = door.folderMeta(node);
    const free = server !== null && !isThere ? freeName(name, 1) : name;
    if (!isThere) {
      const named = { parent, ...door.closeName({ node, parent, name: free }) };
      changes.push({ kind: "create", node, type: "folder", ...named, meta, chunks: [] });
    }
    path = joinPath(path, free);
    parent = node;
  }
  return { parent, path, changes };
}

async function planRestore(folder: LinkedFolder, found: Found, version: Version): Promise<Draft> {
  const { link } = folder;
  const calls = callAs(link);
  const door = openDoor(folder);
  const old = await calls.revisionContent(link.space, version.node, version.version);
  const { follows, ...content } = old;
  const carry = (to: { node: NodeId; follows: number }) => {
    const meta = door.carry({ node: version.node, follows, meta: old.meta }, to);
    return { ...content, meta };
  };
  if (!found.deleted) return planUpdate(folder, found, carry);
  const names = splitPath(found.path);
  const name = names.pop() ?? "";
  const { parent, path, changes } = await planFolders(folder, door, names);
  for (let attempt = 0; attempt < MAX_FREE_NAMES; attempt++) {
    const free = freeName(name, attempt);
    const taken = await askLookUp(folder, joinPath(path, free));
    if (taken.server !== null || taken.here !== null) continue;
    const node = nodeId(draw());
    const named = { parent, ...door.closeName({ node, parent, name: free }) };
    const made = {
      kind: "create",
      node,
      type: found.kind,
      ...named,
      ...carry({ node, follows: 0 }),
    };
    return { path: joinPath(path, free), changes: [...changes, made] };
  }
  throw new CommandError(`There is no free name for ${found.path}; rename some of its copies.`);
}

async function planUpdate(
  folder: LinkedFolder,
  found: Found,
  carry: (to: { node: NodeId; follows: number }) => object,
): Promise<Draft> {
  const { node, path } = found;
  const { server, here } = await askLookUp(folder, path);
  const living = [server, here].find((each) => each?.node === node)?.server;
  if (!living) throw new CommandError(`${path} moved at this moment; run the command again.`);
  const { crev } = living;
  const update = { kind: "update", node, crev, ...carry({ node, follows: crev }) };
  return { path: living.path ?? path, changes: [update] };
}

/**
 * Makes a version's content the newest one, as this device's commit: of the file itself, or of
 * another one under a free name when it was deleted. Nothing is overwritten that a version does not
 * keep.
 */
export async function restore(
  folder: LinkedFolder,
  found: Found,
  version: Version,
): Promise<Restored> {
  const { link } = folder;
  for (let attempt = 1; ; attempt++) {
    const { path, changes } = await planRestore(folder, found, version);
    const id = commitId(draw());
    const answer = await send(folder, id, changes);
    if (answer.outcome === "committed") return { version: answer.sequence, path };
    const detail = answer.outcome === "refused" ? answer.detail : "some of its chunks are gone.";
    const passing = answer.outcome === "refused" && answer.code !== "bad-change";
    if (!passing || attempt === MAX_TRIES) {
      const next = "is this device in sync? See lockstep status";
      throw new CommandError(`The server did not take ${path} (${detail}): ${next} ${link.dir}.`);
    }
    await systemClock.sleep(TRY_AGAIN_MS);
  }
}

async function send(
  folder: LinkedFolder,
  id: CommitId,
  changes: readonly unknown[],
): Promise<CommitAnswer> {
  const { server: url, token, space } = folder.link;
  const { head: sequence, chain } = await callAs(folder.link).space(space);
  // Written first: the device must know its own commit when it reads the journal.
  await askExpect(folder, id);
  const world = { url, token, clock: systemClock, chance: systemChance };
  const remote = new HttpRemote({ ...world, digest: systemDigest, space });
  const base = { sequence, chain };
  const parsed = changes.map((change) => Change.parse(change));
  const signed = openDoor(folder).sign({ commitId: id, base, changes: parsed });
  const answer = await remote.commit(signed);
  if (answer.outcome !== "committed") await askForget(folder, id);
  return answer;
}
