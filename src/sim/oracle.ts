import { ROOT_NODE, type NodeId } from "#core/ids.ts";
import { foldName, joinPath, PRIVATE_FOLDER, splitPath } from "#core/names.ts";
import { samePlace } from "#core/node.ts";
import { readPlainMeta } from "#protocol/meta.ts";
import type { NodeRow } from "#server/metadata/port.ts";
import { readConflictName } from "#sync/conflict.ts";
import type { Problem } from "#sync/problems.ts";
import { hashOf } from "./contents.ts";
import type { Device } from "./device.ts";
import { journalFaults } from "./journal-oracle.ts";
import { show } from "./people.ts";
import { remoteFaults, sharedInodes } from "./store-oracle.ts";
import type { Inode, VirtualDisk, Witness } from "./virtual-disk.ts";
import type { VirtualServer } from "./virtual-server.ts";

type Content = { readonly bytes: Uint8Array; saved: number; killed: number; spread: number };

/** Every content that people ever saved, and how often they destroyed a copy of it. */
export class Ledger implements Witness {
  readonly #contents = new Map<string, Content>();

  saved(bytes: Uint8Array): void {
    this.#content(bytes).saved++;
  }

  killed(bytes: Uint8Array): void {
    this.#content(bytes).killed++;
  }

  tore(bytes: Uint8Array): void {
    this.#content(bytes).killed++;
  }

  knows(bytes: Uint8Array): boolean {
    return this.#contents.has(hashOf(bytes));
  }

  /** Contents of which nobody ever destroyed a copy. */
  *living(): Iterable<Uint8Array> {
    for (const { bytes, saved, killed } of this.#contents.values()) {
      if (saved > 0 && killed === 0) yield bytes;
    }
  }

  /**
   * Contents of which more copies were made than destroyed. Copies may have become one file, and
   * then one deletion ends them all: but no content is gone without a trace.
   */
  *remembered(): Iterable<Uint8Array> {
    for (const { bytes, saved, killed } of this.#contents.values()) {
      if (saved > killed && killed > 0) yield bytes;
    }
  }

  spread(bytes: Uint8Array, files: number): void {
    this.#content(bytes).spread += files;
  }

  /** In how many files these bytes may be. */
  copies(bytes: Uint8Array): number {
    const { saved, spread } = this.#content(bytes);
    return saved + spread;
  }

  #content(bytes: Uint8Array): Content {
    const sha256 = hashOf(bytes);
    const known = this.#contents.get(sha256);
    if (known !== undefined) return known;
    const content = { bytes, saved: 0, killed: 0, spread: 0 };
    this.#contents.set(sha256, content);
    return content;
  }
}

/** Codes of problems that last until a person does something about them. */
const LASTING = new Set(["unsupported-kind", "outside-root", "not-empty", "restored"]);

export function isLasting({ code }: Problem): boolean {
  return LASTING.has(code);
}

/** In sync but for what no waiting heals, and nothing that failed waits to be tried again. */
export function isAtRest({ engine }: Device): boolean {
  const status = engine?.status(0);
  return status?.state === "in-sync" && status.problems.every(isLasting);
}

/** Of what people name in a story, Word's temporary files are ignored, and such folders. */
export function isIgnored(path: string): boolean {
  return splitPath(path).some((name) => name.endsWith(".tmp"));
}

/** A disk as people see it: each path and what stands there, as one text. */
export function treeOf(disk: VirtualDisk): Map<string, string> {
  const tree = new Map<string, string>();
  const litter = litterFolders(disk);
  for (const { path, inode } of disk.tree()) {
    if (isIgnored(path)) continue;
    if (litter.has(path)) {
      tree.set(path, LITTER);
      continue;
    }
    const { kind, executable, bytes, target } = inode;
    if (kind === "file")
      tree.set(path, `file ${executable ? "x " : ""}${show(bytes)} ${sum(bytes)}`);
    else tree.set(path, kind === "symlink" ? `link ${target}` : kind);
  }
  return tree;
}

function sum(bytes: Uint8Array): string {
  return hashOf(bytes).slice(0, 8);
}

/** What two trees differ in, as lines; but for paths that somebody says why about (I16). */
export function differences(
  left: ReadonlyMap<string, string>,
  right: ReadonlyMap<string, string>,
  told: ReadonlySet<string>,
): string[] {
  return [...differing(left, right)]
    .flatMap(([path, line]) => (isCovered(path, told) ? [] : [line]))
    .sort();
}

/** The paths of all problems that these devices tell of. */
export function toldOf(devices: readonly Device[]): Set<string> {
  const problems = devices.flatMap(({ engine }) => engine?.status(0).problems ?? []);
  // What comes back from an outage is the same everywhere all the same.
  return new Set(problems.flatMap(({ code, path }) => (code === "restored" ? [] : [path])));
}

/** What a folder is that holds only what is ignored: elsewhere it is a folder or nothing. */
const LITTER = "folder of litter";

/** True where something that the server has waits for the name of a folder that could not go. */
export function isKeptBack({ engine, store }: Device): boolean {
  const problems = engine?.status(0).problems ?? [];
  if (!problems.some(({ code }) => code === "not-empty")) return false;
  return store.changed().some(({ remote, local }) => {
    return remote !== null && (local === null || !samePlace(local, remote));
  });
}

/** The folders of a device that hold only what is ignored and that the server does not have. */
export function keptFolders(disk: VirtualDisk, server: ReadonlyMap<string, unknown>): Set<string> {
  return new Set([...litterFolders(disk)].filter((path) => !server.has(path)));
}

/** A tree without those of these folders in which nothing is any more: at last they go. */
export function withoutEmptied(
  tree: ReadonlyMap<string, string>,
  kept: ReadonlySet<string>,
): Map<string, string> {
  const isOver = (path: string): boolean => kept.has(path) && tree.get(path) === "folder";
  const paths = [...tree.keys()];
  return new Map(
    [...tree].filter(([path]) => {
      const below = paths.filter((other) => other.startsWith(`${path}/`));
      return !isOver(path) || !below.every(isOver);
    }),
  );
}

function isLitter(one: string, other: string): boolean {
  return one === LITTER && (other === "folder" || other === "nothing");
}

/** Folders that hold only what is ignored: they stay where they are, and need not be elsewhere. */
function litterFolders(disk: VirtualDisk): Set<string> {
  const litter = new Set<string>();
  const judge = (path: string, folder: Inode): boolean => {
    const below = disk.names(folder).map(({ name, inode }) => {
      const at = joinPath(path, name);
      return isIgnored(at) || (inode.kind === "folder" && judge(at, inode));
    });
    const isLitter = below.length > 0 && below.every(Boolean);
    if (isLitter) litter.add(path);
    return isLitter;
  };
  for (const { name, inode } of disk.names(disk.root)) {
    if (inode.kind === "folder" && name !== PRIVATE_FOLDER) judge(name, inode);
  }
  return litter;
}

function* differing(
  left: ReadonlyMap<string, string>,
  right: ReadonlyMap<string, string>,
): Iterable<[path: string, line: string]> {
  for (const path of new Set([...left.keys(), ...right.keys()])) {
    const [one, other] = [left.get(path) ?? "nothing", right.get(path) ?? "nothing"];
    if (isLitter(one, other) || isLitter(other, one)) continue;
    if (one !== other) yield [path, `${path}: ${one} | ${other}`];
  }
}

/** The server's tree in the words of `treeOf`, as far as it can tell. */
function serverTree(rows: ReadonlyMap<string, NodeRow>): Map<string, string> {
  const tree = new Map<string, string>();
  for (const [path, { type, meta }] of rows) {
    const { content } = readPlainMeta(meta);
    if (content.kind === "file") {
      tree.set(path, `${content.executable ? "x " : ""}${content.sha256.slice(0, 8)}`);
    } else tree.set(path, content.kind === "symlink" ? `link ${content.target}` : type);
  }
  return tree;
}

function shortened(disk: VirtualDisk): Map<string, string> {
  const tree = new Map<string, string>();
  const litter = litterFolders(disk);
  for (const { path, inode } of disk.tree()) {
    if (isIgnored(path)) continue;
    if (litter.has(path)) {
      tree.set(path, LITTER);
      continue;
    }
    const { kind, executable, bytes, target } = inode;
    if (kind === "file") tree.set(path, `${executable ? "x " : ""}${sum(bytes)}`);
    else tree.set(path, kind === "symlink" ? `link ${target}` : kind);
  }
  return tree;
}

/**
 * Nothing when all disks and the server hold the same tree (I1), or a device says of every path
 * that it has otherwise why that is so (I16).
 */
export async function disagreements(
  devices: readonly Device[],
  server: VirtualServer,
): Promise<string[]> {
  const rows = await server.tree();
  const remote = serverTree(rows);
  return devices.flatMap((device) => {
    const told = toldOf([device]);
    // What has a problem where it is on the disk may be elsewhere at the server, and what cannot
    // go where the server has it may be elsewhere on the disk.
    const given = new Set(told);
    for (const [path, { id }] of given.size === 0 ? [] : rows) {
      const here = localPath(device, id);
      const isTold =
        isCovered(here, given) || heirPaths(device, id).some((at) => isCovered(at, given));
      if (isTold) told.add(path);
      else if (here !== "" && isCovered(path, given)) told.add(here);
    }
    const lines = differences(shortened(device.disk), remote, told);
    return lines.map((line) => `${device.name} | server: ${line}`);
  });
}

/**
 * Where the inode is that a node had which is on the disk no more: that one's deletion is sent with
 * what it has become (DL2).
 */
function heirPaths(device: Device, id: NodeId): string[] {
  const row = device.store.get(id);
  if (!row?.synced || row.local !== null) return [];
  return device.store.holding(row.synced.file).map((heir) => localPath(device, heir.id));
}

/** Where a device's database has a node on the disk; "" when it has it nowhere. */
function localPath({ store }: Device, id: NodeId): string {
  const names: string[] = [];
  for (let at = id; at !== ROOT_NODE;) {
    const local = store.get(at)?.local;
    if (!local) return "";
    names.unshift(local.name);
    at = local.parent;
  }
  return names.join("/");
}

/** True when the path or a folder above it is among these. */
function isCovered(path: string, among: ReadonlySet<string>): boolean {
  if (among.size === 0) return false;
  // What folds to a told name may wait for what has that one.
  const told = new Set([...among].map(foldName));
  for (let at = foldName(path); at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
    if (told.has(at)) return true;
  }
  return false;
}

/** What is wrong with the end of a story, in sentences; nothing when all is well. */
export async function verdict(
  devices: readonly Device[],
  server: VirtualServer,
  ledger: Ledger,
  story: {
    /** An older server was put back. */
    readonly mayForget: boolean;
    /** Nobody ever lost their memory, or was asked about what they deleted. */
    readonly isSteady: boolean;
    readonly folding: boolean;
  },
): Promise<string[]> {
  const wrong: string[] = [];
  const present = new Set<string>();
  for (const { name, disk, oracle } of devices) {
    for (const { path, inode } of disk.tree()) {
      if (inode.kind !== "file") continue;
      present.add(hashOf(inode.bytes));
      if (!ledger.knows(inode.bytes)) {
        wrong.push(`${name} has bytes that nobody saved at ${path}: ${show(inode.bytes)}`);
      }
    }
    wrong.push(...oracle.leftovers());
  }
  for (const bytes of ledger.living()) {
    if (!present.has(hashOf(bytes))) wrong.push(`lost: ${show(bytes)}`);
  }
  if (!story.mayForget) {
    const past = await server.contents();
    for (const bytes of ledger.remembered()) {
      const isThere = present.has(hashOf(bytes)) || past.has(hashOf(bytes));
      if (!isThere && !isHeld(devices, bytes)) wrong.push(`gone without a trace: ${show(bytes)}`);
    }
  }
  const entries = await server.entries();
  for (const device of devices) {
    wrong.push(...sharedInodes(device));
    for (const { sequence } of device.forgotten(entries)) {
      wrong.push(
        `${device.name} read its own entry ${sequence} with an older database, and went on`,
      );
    }
  }
  if (story.isSteady) for (const device of devices) wrong.push(...doubled(device, ledger));
  wrong.push(...(await journalFaults(server, story.folding)));
  const tree = await server.tree();
  for (const device of devices) wrong.push(...remoteFaults(device, tree));
  for (const device of devices) {
    const { problems, pending } = device.engine?.status(0) ?? {
      problems: [],
      pending: { up: 0, down: 0 },
    };
    for (const problem of problems) {
      if (isLasting(problem)) continue;
      const { path, code, message } = problem;
      wrong.push(`${device.name} still reports a problem with ${path}: ${code}: ${message}`);
    }
    if (pending.up > 0 || pending.down > 0) {
      wrong.push(`${device.name} still has work`);
    }
  }
  return wrong;
}

/** Contents of which there are more files now than people ever made (EX7). */
function doubled({ name, disk }: Device, ledger: Ledger): string[] {
  const files = new Map<string, { bytes: Uint8Array; paths: string[] }>();
  for (const { path, inode } of disk.tree()) {
    if (inode.kind !== "file" || inode.bytes.length === 0) continue;
    const known = files.get(hashOf(inode.bytes));
    if (known === undefined) {
      files.set(hashOf(inode.bytes), { bytes: inode.bytes, paths: [path] });
    } else known.paths.push(path);
  }
  return [...files.values()].flatMap(({ bytes, paths }) => {
    if (paths.length <= ledger.copies(bytes)) return [];
    return [`doubled: ${name} has ${show(bytes)} as ${paths.sort().join(", ")}`];
  });
}

/** True when the bytes lie where the engine puts what it takes away. */
function isHeld(devices: readonly Device[], bytes: Uint8Array): boolean {
  const sha256 = hashOf(bytes);
  return devices.some(({ disk }) =>
    [...disk.everything()].some(({ inode }) => hashOf(inode.bytes) === sha256),
  );
}

/** Names of conflict copies on a disk. */
export function conflictCopies(disk: VirtualDisk): string[] {
  const found: string[] = [];
  for (const { path } of disk.tree()) {
    if (readConflictName(path.slice(path.lastIndexOf("/") + 1)) !== null) found.push(path);
  }
  return found;
}
