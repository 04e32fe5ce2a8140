import { WorldError } from "#core/errors.ts";
import { joinPath, PRIVATE_FOLDER } from "#core/names.ts";
import { pathOf } from "#sync/paths.ts";
import { agrees } from "#sync/tree.ts";
import { folderOf } from "./attempt.ts";
import type { Draw } from "./chance.ts";
import type { Device } from "./device.ts";
import { isIgnored } from "./oracle.ts";
import type { Deed, Surprise } from "./people.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";

type Meeting = {
  readonly scheduler: Scheduler;
  readonly devices: readonly Device[];
  /** Does something after a while; the story waits for it. */
  readonly later: (delayMs: number, label: string, act: () => void) => void;
};

/** A person does it at once; what is in its way ends it. */
function actAtOnce({ scheduler }: Meeting, { name }: Device, deed: Deed): void {
  try {
    for (const said of deed) scheduler.note(`${name}'s person, at once, ${said}`);
  } catch (error) {
    if (!(error instanceof WorldError)) throw error;
  }
}

/** What the next commit puts into a folder meets its deletion, on which it had a head start. */
export function cross(meeting: Meeting, device: Device, draw: Draw): void {
  const { devices, later } = meeting;
  device.onCommit = ({ changes }) => {
    for (const change of changes) {
      if (change.kind !== "create" && change.kind !== "move") continue;
      const path = pathOf(device.store, "remote", change.parent);
      const others = devices.filter((other) => {
        const folder = path ? other.disk.peek(path) : null;
        return other !== device && other.isRunning && folder?.kind === "folder";
      });
      if (path === null || others.length === 0) continue;
      device.onCommit = null;
      device.plight.cutOff = true;
      later(draw.between(1_500, 6_000), "ends crossed", () => (device.plight.cutOff = false));
      const other = draw.pick(others);
      const at = { path, inode: other.disk.peek(path) };
      actAtOnce(meeting, other, other.person.surprises("delete", at, draw, `${other.name}crossed`));
      return;
    }
  };
}

/** How long somebody is waited for who is to have what others have, too. */
const MOST_TRIES = 10;
const TRY_MS = 400;

/**
 * While everything is looked at a folder goes where the look has been, and another one takes its
 * name: the look finds it nowhere.
 */
export function slipBy(meeting: Meeting, device: Device, draw: Draw): void {
  const { disk, person, name } = device;
  const [one, other] = [`${name}shelf${draw.below(1_000)}`, `${name}box${draw.below(1_000)}`];
  const inner = [`${one}/top`, `${other}/top`];
  for (const path of [one, other, ...inner]) actAtOnce(meeting, device, person.makeFolder(path));
  const file = { path: `${one}/top/in`, inode: null };
  actAtOnce(meeting, device, person.surprises("write", file, draw, `${name}shelved`));
  const wait = (tries: number): void => {
    const isKnown = inner.every((path) => isLevel(device, disk.peek(path)));
    if (!isKnown && tries > 0) meeting.later(TRY_MS, "waits to slip", () => wait(tries - 1));
    else turnInLook(meeting, device, draw);
  };
  wait(MOST_TRIES);
}

function turnInLook(meeting: Meeting, device: Device, draw: Draw): void {
  let listed: string[] = [];
  device.onList = (path) => {
    if (path === "") listed = [];
    const turn = path === "" ? null : turnAround(device.disk, path, listed, draw);
    if (path !== PRIVATE_FOLDER && !path.startsWith(`${PRIVATE_FOLDER}/`)) listed.push(path);
    if (turn === null) return;
    device.onList = null;
    for (const [from, to] of turn) actAtOnce(meeting, device, device.person.rename(from, to));
  };
  void device.engine?.settle();
}

/** True when the device has it as the server does, as far as it knows. */
function isLevel({ store }: Device, inode: Inode | null): boolean {
  const rows = inode === null ? [] : store.holding(inode.file);
  return rows.length > 0 && rows.every(agrees);
}

/** What is renamed to what, one after the other; null where there are no such folders. */
function turnAround(
  disk: VirtualDisk,
  path: string,
  listed: readonly string[],
  draw: Draw,
): readonly (readonly [from: string, to: string])[] | null {
  const folder = disk.peek(path);
  if (folder?.kind !== "folder" || listed.length === 0) return null;
  const inner = disk.names(folder).filter(({ inode }) => inode.kind === "folder");
  const others = [...disk.tree()].filter(({ path: other, inode }) => {
    const isApart = !`${other}/`.startsWith(`${path}/`) && !path.startsWith(`${other}/`);
    return inode.kind === "folder" && isApart && !isIgnored(other);
  });
  if (inner.length === 0 || others.length === 0) return null;
  const from = joinPath(path, draw.pick(inner).name);
  const to = joinPath(draw.pick(listed), `slipped${draw.below(1_000)}`);
  return [
    [from, to],
    [draw.pick(others).path, from],
  ];
}

/** What a person does to what somebody else edits, or moves, and puts back meanwhile. */
const AWAY_WAYS: Readonly<Record<"edit" | "move", readonly Surprise[]>> = {
  edit: ["write", "append", "delete", "rename-file", "make-executable"],
  move: ["rename-file", "rename-file", "move", "write", "delete"],
};

/**
 * Somebody is away and goes on with a file that another one edits, or moves, and puts back: the
 * bytes, or the place, are as they were, and yet not those that the one who is away has seen.
 */
export function undoMeanwhile(meeting: Meeting, device: Device, draw: Draw): void {
  const wait = (tries: number): void => {
    const [found] = draw.shuffle([...sharedFiles(meeting, device)]);
    if (found !== undefined) undoAt(meeting, device, draw, found);
    else if (tries > 0) meeting.later(TRY_MS, "waits to undo", () => wait(tries - 1));
    if (found !== undefined || tries < MOST_TRIES) return;
    const both = { path: `${device.name}both${draw.below(1_000)}`, inode: null };
    const deed = device.person.surprises("write", both, draw, `${device.name}shared`);
    actAtOnce(meeting, device, deed);
  };
  wait(MOST_TRIES);
}

function undoAt(
  meeting: Meeting,
  device: Device,
  draw: Draw,
  { path, other }: { readonly path: string; readonly other: Device },
): void {
  const { later } = meeting;
  const { person, disk, name } = other;
  const { bytes } = disk.expect(path);
  const aside = joinPath(folderOf(path), `aside${draw.below(1_000)}`);
  const isMove = draw.chance(0.5);
  const inode = disk.peek(path);
  device.plight.cutOff = true;
  const there = isMove
    ? person.rename(path, aside)
    : person.surprises("write", { path, inode }, draw, `${name}undone`);
  actAtOnce(meeting, other, there);
  later(draw.below(2_000), "goes on away", () => {
    const here = { path, inode: device.disk.peek(path) };
    const way = draw.pick(AWAY_WAYS[isMove ? "move" : "edit"]);
    const tag = `${device.name}away`;
    actAtOnce(meeting, device, device.person.surprises(way, here, draw, tag));
  });
  onceSent(meeting, other, inode, () => {
    actAtOnce(meeting, other, isMove ? person.rename(aside, path) : person.write(path, bytes));
    onceSent(meeting, other, inode, () => (device.plight.cutOff = false));
  });
}

/** Once the server has, as far as the device knows, what its person just did; or much later. */
function onceSent(
  meeting: Meeting,
  device: Device,
  inode: Inode | null,
  then: () => void,
  tries = MOST_TRIES,
): void {
  meeting.later(TRY_MS, "waits to undo", () => {
    if (isLevel(device, inode) || tries === 0) then();
    else onceSent(meeting, device, inode, then, tries - 1);
  });
}

/** Files that this device is level with, and that another one has under the same path. */
function* sharedFiles(
  { devices }: Meeting,
  device: Device,
): Iterable<{ readonly path: string; readonly other: Device }> {
  for (const { path, inode } of device.disk.tree()) {
    if (inode.kind !== "file" || inode.isShared || !isLevel(device, inode)) continue;
    for (const other of devices) {
      const there = other.disk.peek(path);
      if (other === device || !other.isRunning || there?.kind !== "file") continue;
      if (Buffer.compare(there.bytes, inode.bytes) === 0) yield { path, other };
    }
  }
}
