import { codeOf, WorldError } from "#core/errors.ts";
import type { NodeId } from "#core/ids.ts";
import { joinPath, splitPath } from "#core/names.ts";
import { FOLDER, sameBody, sameContent, samePlace, type Content, type Place } from "#core/node.ts";
import type { Clock } from "#core/world.ts";
import { holdName, freeParkName, sameBytesStamp } from "./hold.ts";
import { sameStamp } from "./look.ts";
import { agreedContent } from "./normalise.ts";
import { HOLD_FOLDER, PARK_FOLDER, STAGE_FOLDER } from "./paths.ts";
import type { Disk, Stat } from "./ports.ts";
import { isOfThisMoment } from "./reading.ts";
import type { Staged } from "./stage.ts";
import { agreedAt, PARK_NODE } from "./tree.ts";
import type { FileKey, LocalSide, NodeRow, Stamp, SyncedSide } from "./tree.ts";

/**
 * The single steps on the disk (SPEC EX2–EX8). Each looks at what it is about to touch, acts
 * without overwriting, and looks again; what is not as planned throws WorldError `raced`: the
 * engine looks at the folder and plans again.
 */
export type PublishWorld = { readonly disk: Disk; readonly clock: Clock };

/** Bytes of a file that are copied at a time. */
const COPY_BYTES = 4 * 1024 * 1024;

export function raced(path: string): WorldError {
  return new WorldError("raced", `${path} changed at this moment; it is looked at again.`, {
    retryable: true,
  });
}

/** The local side of a node that the engine has just put in place. */
function placed(place: Place, stat: Stat, content: Content | null): LocalSide {
  return {
    parent: place.parent,
    name: place.name,
    content,
    file: stat.file,
    stamp: stat.stamp,
    executable: stat.executable,
    racy: false,
    blind: null,
    missedMs: null,
    parkedFrom: null,
  };
}

/**
 * The same of what was there already, moved or with other rights: that changed its change time, and
 * with it the one sign of an edit in that moment whose time was put back. It is read again.
 */
export function touched(place: Place, stat: Stat, content: Content | null): LocalSide {
  return { ...placed(place, stat, content), racy: stat.kind === "file" };
}

/**
 * The synced side after the disk took what the server has: only where both agree. `content` is what
 * was put in place, also when somebody has already written to it.
 */
export function agreedSide(
  row: NodeRow,
  local: LocalSide,
  content: Content | null = local.content,
): SyncedSide | null {
  const { remote, synced } = row;
  const { file, parkedFrom } = local;
  if (remote === null || content === null || parkedFrom !== null) return synced;
  if (synced === null) {
    const isAsThere = samePlace(local, remote) && sameContent(content, remote.content);
    return isAsThere ? agreedAt(remote, remote, content, file) : null;
  }
  const { parent, name, lrev } = samePlace(local, remote) ? remote : synced;
  const isWritten = sameBody(content, remote.content);
  return {
    parent,
    name,
    content: agreedContent(synced.content, content, remote.content),
    file: isWritten ? file : synced.file,
    crev: isWritten ? remote.crev : synced.crev,
    lrev,
  };
}

/** The inode at a path, if it is the one that the row was planned on, in that very state. */
async function expectSame(disk: Disk, path: string, local: LocalSide): Promise<void> {
  const stat = await disk.look.stat(path);
  if (stat === null || stat.file !== local.file) throw raced(path);
  if (stat.kind !== "folder" && !sameStamp(stat.stamp, local.stamp)) throw raced(path);
}

/**
 * Moves an inode into hold, and returns its path there; puts it back when it is not what was looked
 * at (SPEC EX3).
 */
async function displace(
  { disk, clock }: PublishWorld,
  row: NodeRow,
  path: string,
  local: LocalSide,
): Promise<string> {
  // Nobody takes away what nobody has read.
  if (local.content === null) throw raced(path);
  await expectSame(disk, path, local);
  const name = holdName(row.id, local, clock.nowMs());
  const held = joinPath(HOLD_FOLDER, name);
  await disk.change.rename(path, held);
  const stat = await disk.look.stat(held);
  if (stat?.file === local.file && sameBytesStamp(stat.stamp, local.stamp)) return held;
  if (stat?.kind !== "folder") {
    try {
      await disk.change.link(held, path);
      await dropOtherName(disk, held, path, stat?.file ?? local.file);
      throw raced(path);
    } catch (error) {
      if (codeOf(error) !== "exists") throw error;
    }
  } else if ((await disk.look.stat(path)) === null) {
    await disk.change.rename(held, path);
    throw raced(path);
  }
  // The name is taken again: what was moved comes back beside it, by way of park.
  const parked = await freeParkName(disk, row.id, local);
  await disk.change.rename(held, joinPath(PARK_FOLDER, parked));
  throw raced(path);
}

/** Moves a file or a link into hold, and returns its path there; a folder goes only when empty. */
export async function remove(
  world: PublishWorld,
  row: NodeRow,
  path: string,
  local: LocalSide,
): Promise<string | null> {
  if (row.kind !== "folder") return displace(world, row, path, local);
  await expectSame(world.disk, path, local);
  try {
    await world.disk.change.removeFolder(path);
    return null;
  } catch (error) {
    if (codeOf(error) === "not-empty") throw raced(path);
    throw error;
  }
}

/** Makes a folder; one that a person made at this moment is looked at instead. */
export async function createFolder(
  { disk }: PublishWorld,
  path: string,
  place: Place,
): Promise<LocalSide> {
  try {
    return placed(place, await disk.change.makeFolder(path), FOLDER);
  } catch (error) {
    if (codeOf(error) === "exists") throw raced(path);
    throw error;
  }
}

/** True when a link at `path` leads to something below the root, by its text alone (SPEC EX8). */
function staysInside(path: string, target: string): boolean {
  if (target.startsWith("/")) return false;
  let depth = splitPath(path).length - 1;
  for (const name of target.split("/")) {
    if (name === "..") depth--;
    else if (name !== "" && name !== ".") depth++;
    if (depth < 0) return false;
  }
  return true;
}

/**
 * Makes a link beside its place, so that it is known before it has its name. Throws WorldError
 * `outside-root` when it would lead out of the root at `path`.
 */
export async function stageLink(
  { disk }: PublishWorld,
  id: NodeId,
  path: string,
  target: string,
): Promise<Staged> {
  if (!staysInside(path, target)) {
    const detail = "its target lies outside the synced folder; have it lead to something inside";
    throw new WorldError("outside-root", `The link ${path} is not made here: ${detail}.`);
  }
  const staged = joinPath(STAGE_FOLDER, `${id}-link`);
  if ((await disk.look.stat(staged)) !== null) await disk.change.remove(staged);
  return { path: staged, stat: await disk.change.makeSymlink(staged, target) };
}

/** A file's bytes once more, beside its place: whoever replaces it looks whether it kept still. */
export async function stageCopy(
  { disk }: PublishWorld,
  id: NodeId,
  path: string,
  { sizeBytes, mtimeNs }: Stamp,
  executable: boolean,
): Promise<Staged> {
  const staged = joinPath(STAGE_FOLDER, `${id}-copy`);
  if ((await disk.look.stat(staged)) !== null) await disk.change.remove(staged);
  await disk.stage.open(staged);
  try {
    for (let at = 0; at < sizeBytes;) {
      const bytes = await disk.look.read(path, at, Math.min(COPY_BYTES, sizeBytes - at));
      if (bytes.length === 0) throw raced(path);
      await disk.stage.write(staged, at, bytes);
      at += bytes.length;
    }
    const mtimeMs = Number(mtimeNs / 1_000_000n);
    return {
      path: staged,
      stat: await disk.stage.finish(staged, { sizeBytes, executable, mtimeMs }),
    };
  } finally {
    await disk.stage.close(staged);
  }
}

/** Puts a staged file or link at a free name; never over anything. */
export async function create(
  { disk, clock }: PublishWorld,
  path: string,
  place: Place,
  content: Content,
  staged: Staged | null,
): Promise<LocalSide> {
  if (staged === null) throw new WorldError("not-staged", `Nothing is staged for ${path}.`);
  try {
    await disk.change.link(staged.path, path);
  } catch (error) {
    if (codeOf(error) === "exists") throw raced(path);
    throw error;
  }
  await disk.change.remove(staged.path);
  const stat = await disk.look.stat(path);
  if (stat?.kind === "symlink" && content.kind === "symlink") {
    // Where a link cannot have two names its second one is another inode.
    const target = await disk.look.readLink(path);
    return placed(place, stat, target === content.target ? content : null);
  }
  // Whoever was quicker has deleted or replaced what stood there: the next look sees it.
  if (stat === null || stat.file !== staged.stat.file) return placed(place, staged.stat, content);
  // Whoever was quicker than this look has changed size or time: then the bytes are read again.
  const isAsStaged = sameBytesStamp(stat.stamp, staged.stat.stamp);
  const found = placed(place, stat, isAsStaged ? content : null);
  return { ...found, racy: stat.kind === "file" && isOfThisMoment(stat.stamp, clock.nowMs()) };
}

/**
 * New content for a node that is on the disk: the old inode goes to hold, the staged one takes its
 * name.
 */
export async function replace(
  world: PublishWorld,
  row: NodeRow,
  path: string,
  local: LocalSide,
  content: Content,
  staged: Staged | null,
): Promise<LocalSide> {
  await displace(world, row, path, local);
  const after = await create(world, path, local, content, staged);
  // What waits in park still came from where a person had it.
  return { ...after, parkedFrom: local.parkedFrom };
}

/** A move changes ctime, and with it the one sign of an edit whose mtime was put back. */
async function beforeMove(
  disk: Disk,
  path: string,
  row: NodeRow,
  local: LocalSide,
): Promise<LocalSide> {
  const stat = await disk.look.stat(path);
  if (stat === null || stat.file !== local.file) throw raced(path);
  if (row.kind === "folder" || sameStamp(stat.stamp, local.stamp)) return local;
  return { ...local, content: null };
}

async function settledAt(
  disk: Disk,
  path: string,
  local: LocalSide,
  place: Place,
): Promise<LocalSide> {
  const stat = await disk.look.stat(path);
  if (stat === null || stat.file !== local.file) throw raced(path);
  const isSame = stat.kind === "folder" || sameBytesStamp(stat.stamp, local.stamp);
  return touched(place, stat, isSame ? local.content : null);
}

/** Takes a node out of the way, under a name of its own in park. */
export async function park(
  { disk }: PublishWorld,
  row: NodeRow,
  path: string,
  local: LocalSide,
): Promise<LocalSide> {
  const name = await freeParkName(disk, row.id, local);
  const parked = joinPath(PARK_FOLDER, name);
  const { content } = await beforeMove(disk, path, row, local);
  await disk.change.rename(path, parked);
  const from = { parent: local.parent, name: local.name };
  const moved = await disk.look.stat(parked);
  if (moved?.file !== local.file) throw raced(path);
  const isSame = row.kind === "folder" || sameBytesStamp(moved.stamp, local.stamp);
  const parkedAt = { parent: PARK_NODE, name };
  return { ...touched(parkedAt, moved, isSame ? content : null), parkedFrom: from };
}

/** Moves a node to a free name, never over anything: files by way of park and a link. */
export async function move(
  world: PublishWorld,
  row: NodeRow,
  paths: { from: string; to: string },
  local: LocalSide,
  place: Place,
): Promise<LocalSide> {
  const { disk } = world;
  const { from, to } = paths;
  const known = await beforeMove(disk, from, row, local);
  const present = await disk.look.stat(to);
  // On a disk that folds case a name may be its own in other letters.
  if (present !== null && present.file !== local.file) throw raced(to);
  if (row.kind === "folder") {
    await disk.change.rename(from, to);
    return settledAt(disk, to, known, place);
  }
  const parked = from.startsWith(`${PARK_FOLDER}/`)
    ? from
    : joinPath(PARK_FOLDER, await freeParkName(disk, row.id, local));
  if (parked !== from) await disk.change.rename(from, parked);
  try {
    await disk.change.link(parked, to);
  } catch (error) {
    if (codeOf(error) === "exists") throw raced(to);
    throw error;
  }
  await dropOtherName(disk, parked, to, local.file);
  return settledAt(disk, to, known, place);
}

/**
 * Takes away an inode's name in a folder of the engine's own, unless it has become the only one:
 * somebody may have saved over the other, while a program goes on writing into this inode.
 */
async function dropOtherName(
  disk: Disk,
  name: string,
  other: string,
  file: FileKey,
): Promise<void> {
  if ((await disk.look.stat(other))?.file !== file) throw raced(other);
  await disk.change.remove(name);
}
