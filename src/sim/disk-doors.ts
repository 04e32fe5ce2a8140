import { WorldError } from "#core/errors.ts";
import { foldName, joinPath, MAX_NAME_BYTES, PRIVATE_FOLDER, splitPath } from "#core/names.ts";
import { MARKER_PREFIX } from "#sync/root.ts";
import type { Disk, DiskChange, DiskLook, DiskStage, Entry, Listing, Stat } from "#sync/ports.ts";
import type { Step } from "./conduct.ts";
import type { DiskOracle } from "./disk-oracle.ts";
import { gone, notFolder, type Inode, type VirtualDisk, type Where } from "./virtual-disk.ts";

/** Lets a call wait for its turn, and perhaps fail. */
export type Gate = <T>(label: string, work: () => T) => Promise<T>;

/** How an engine's calls of its disk have their turns. */
export type Gates = {
  readonly turn: Gate;
  /** For what only looks: some of it happens at once, with nobody's step between. */
  readonly glance: Gate;
  /** For what nobody but the engine ever changes: it always happens at once. */
  readonly atOnce: Gate;
};

const MARKER = joinPath(PRIVATE_FOLDER, MARKER_PREFIX);

export type DiskMood = {
  /** True when a listing is read in two steps, with others' steps between. */
  readonly isSlowListing: () => boolean;
  readonly shuffle: <T>(list: T[]) => T[];
  /** Throws what a call about this path meets now: `io`, `no-space`. */
  readonly meet: (call: string, path: string) => void;
  /** Told when the engine did what it must never do. */
  readonly accuse: (crime: string) => void;
  /** Told of every path that a step is about to change or has just changed. */
  readonly near: (path: string) => void;
  /** Told of every folder of which the names are about to be read. */
  readonly lists: (folder: string) => void;
  /** Told of every path that is about to be looked at by itself, as before a step. */
  readonly stats: (path: string) => void;
  /** True when the machine ends in the midst of writing. */
  readonly isTorn: () => boolean;
  /** Told of every step that gives or takes a name, before it is done. */
  readonly acts: (step: Step) => void;
  /** Hears of every name that the engine gives and takes. */
  readonly oracle: DiskOracle;
};

/** The engine's three doors to a virtual disk. */
export function openDoors(disk: VirtualDisk, gates: Gates, mood: DiskMood): Disk {
  return {
    look: new Look(disk, gates, mood),
    change: new Change(disk, gates.turn, mood),
    stage: new Stage(disk, gates.turn, mood),
  };
}

/** The root and its marker. */
function isMark(path: string): boolean {
  return path === "" || path.startsWith(MARKER);
}

function isPrivate(path: string): boolean {
  return path.startsWith(`${PRIVATE_FOLDER}/`);
}

/** Paths that were found good lately. */
const good = new Set<string>();
const MOST_GOOD = 10_000;

function expectGood(path: string): void {
  if (good.has(path)) return;
  const names = splitPath(path);
  if (path.startsWith("/") || names.some((name) => name === "." || name === "..")) {
    throw new WorldError("outside-root", `The path ${path} leads out.`);
  }
  for (const name of names) {
    if (name === "" || name.includes("\0") || !name.isWellFormed()) {
      throw new WorldError("bad-name", `The path ${path} holds no name.`);
    }
    if (name.length > MAX_NAME_BYTES) throw new WorldError("name-too-long", `${path} is too long.`);
  }
  if (good.size >= MOST_GOOD) good.clear();
  good.add(path);
}

class Look implements DiskLook {
  readonly #disk: VirtualDisk;
  readonly #gates: Gates;
  readonly #mood: DiskMood;

  constructor(disk: VirtualDisk, gates: Gates, mood: DiskMood) {
    this.#disk = disk;
    this.#gates = gates;
    this.#mood = mood;
  }

  async list(folder: string): Promise<Listing> {
    const entries: Entry[] = [];
    const see = (name: string, inode: Inode | null): void => {
      if (inode !== null) entries.push({ name, ...this.#disk.statOf(inode) });
    };
    let file = "";
    const rest = await this.#gates.glance(`list ${folder}`, () => {
      this.#mood.meet("list", folder);
      this.#mood.lists(folder);
      const inode = this.#folder(folder);
      ({ file } = this.#disk.statOf(inode));
      const names = this.#mood.shuffle(this.#disk.names(inode));
      const seen = folder === "" ? names.filter(({ name }) => name !== PRIVATE_FOLDER) : names;
      const cut = this.#mood.isSlowListing() ? Math.ceil(seen.length / 2) : seen.length;
      for (const { name, inode: entry } of seen.slice(0, cut)) see(name, entry);
      return seen.slice(cut);
    });
    if (rest.length > 0) {
      await this.#gates.turn(`list on ${folder}`, () => {
        for (const { name } of rest) see(name, this.#disk.peek(joinPath(folder, name)));
      });
    }
    return { file, entries, undecodable: folder === "" ? this.#disk.oddNames : [] };
  }

  stat(path: string): Promise<Stat | null> {
    const gate = isMark(path) ? this.#gates.atOnce : this.#gates.glance;
    return gate(`stat ${path}`, () => {
      expectGood(path);
      this.#mood.meet("stat", path);
      if (!isMark(path) && !isPrivate(path)) this.#mood.stats(path);
      const inode = this.#disk.peek(path);
      return inode === null ? null : this.#disk.statOf(inode);
    });
  }

  readLink(path: string): Promise<string> {
    return this.#gates.glance(`readlink ${path}`, () => {
      const inode = this.#disk.expect(path);
      if (inode.kind !== "symlink") throw new WorldError("io", `${path} is no link.`);
      return inode.target;
    });
  }

  read(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    return this.#gates.turn(`read ${path}`, () => {
      this.#mood.meet("read", path);
      const inode = fileAt(this.#disk, path);
      if (inode.barred) throw new WorldError("no-permission", `${path} may not be read.`);
      return inode.bytes.slice(offsetBytes, offsetBytes + lengthBytes);
    });
  }

  freeBytes(): Promise<number> {
    return this.#gates.glance("free", () => {
      this.#mood.meet("free", "");
      return 2 ** 40;
    });
  }

  #folder(path: string): Inode {
    const inode = this.#disk.expect(path);
    if (inode.kind !== "folder") throw notFolder(path);
    if (inode.barred) throw new WorldError("no-permission", `${path} may not be listed.`);
    return inode;
  }
}

function fileAt(disk: VirtualDisk, path: string): Inode {
  const inode = disk.expect(path);
  if (inode.kind !== "file") throw new WorldError("not-a-file", `${path} is no file.`);
  return inode;
}

class Change implements DiskChange {
  readonly #disk: VirtualDisk;
  readonly #gate: Gate;
  readonly #mood: DiskMood;

  constructor(disk: VirtualDisk, gate: Gate, mood: DiskMood) {
    this.#disk = disk;
    this.#gate = gate;
    this.#mood = mood;
  }

  makeFolder(path: string): Promise<Stat> {
    return this.#gate(`mkdir ${path}`, () => this.#make(path, () => this.#disk.create("folder")));
  }

  makeSymlink(path: string, target: string): Promise<Stat> {
    return this.#gate(`symlink ${path}`, () =>
      this.#make(path, () => this.#disk.create("symlink", target)),
    );
  }

  link(from: string, to: string): Promise<void> {
    return this.#gate(`link ${from} ${to}`, () => {
      this.#mood.meet("link", to);
      this.#near(to);
      const inode = this.#disk.expect(from);
      const where = this.#free(to);
      if (inode.kind === "folder") throw new WorldError("io", `${from} is a folder.`);
      this.#mood.acts({ kind: "link", from, to, inode });
      this.#disk.add(where.folder, where.name, inode);
      this.#mood.oracle.placed(to, inode, where.folder);
      this.#near(to);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#gate(`rename ${from} ${to}`, () => {
      this.#mood.meet("rename", to);
      this.#near(from);
      this.#near(to);
      const source = this.#disk.find(from);
      if (source.inode === null) throw gone(from);
      if (this.#disk.leadsThrough(to, source.inode)) {
        throw new WorldError("inside-itself", `${to} lies in it.`);
      }
      const target = this.#disk.find(to);
      if (!isPrivate(to) && target.inode !== null) {
        const isItself = target.inode === source.inode && foldName(from) === foldName(to);
        if (!isItself || (source.inode.links > 1 && source.inode.kind !== "folder")) {
          throw exists(to);
        }
      }
      this.#mood.acts({ kind: "rename", from, to, inode: source.inode });
      const lost = this.#disk.rename(source, target);
      if (lost !== null) this.#mood.oracle.took(to, lost);
      this.#mood.oracle.placed(to, source.inode, target.folder);
      this.#near(from);
      this.#near(to);
    });
  }

  removeFolder(path: string): Promise<void> {
    return this.#gate(`rmdir ${path}`, () => {
      this.#mood.meet("rmdir", path);
      this.#near(path);
      const { folder, name, inode } = this.#disk.find(path);
      if (inode === null) throw gone(path);
      if (inode.kind !== "folder") throw notFolder(path);
      if (inode.entries.size > 0) throw new WorldError("not-empty", `${path} is not empty.`);
      this.#mood.acts({ kind: "rmdir", from: path, to: null, inode });
      this.#disk.drop(folder, name);
    });
  }

  setExecutable(path: string, executable: boolean): Promise<Stat> {
    return this.#gate(`chmod ${path}`, () => {
      this.#near(path);
      const inode = fileAt(this.#disk, path);
      this.#disk.setExecutable(inode, executable);
      const stat = this.#disk.statOf(inode);
      this.#near(path);
      return stat;
    });
  }

  remove(path: string): Promise<void> {
    return this.#gate(`unlink ${path}`, () => {
      this.#mood.meet("unlink", path);
      expectGood(path);
      if (!isPrivate(path)) {
        this.#mood.accuse(`the engine removed ${path}`);
        throw new WorldError("outside-root", `${path} lies outside.`);
      }
      const { folder, name, inode } = this.#disk.find(path);
      if (inode === null) throw gone(path);
      if (inode.kind === "folder") throw new WorldError("not-a-file", `${path} is a folder.`);
      this.#disk.drop(folder, name);
      this.#mood.oracle.took(path, inode);
    });
  }

  syncFolders(folders: readonly string[]): Promise<void> {
    return this.#gate(`sync ${folders.join(" ")}`, () => {
      this.#mood.meet("sync", folders[0] ?? "");
      this.#disk.sync(null);
      this.#mood.oracle.synced(new Set(folders.flatMap((path) => this.#disk.peek(path) ?? [])));
    });
  }

  #make(path: string, create: () => Inode): Stat {
    expectGood(path);
    this.#mood.meet("make", path);
    this.#near(path);
    const where = this.#free(path);
    const inode = create();
    this.#disk.add(where.folder, where.name, inode);
    this.#mood.oracle.placed(path, inode, where.folder);
    const stat = this.#disk.statOf(inode);
    this.#near(path);
    return stat;
  }

  #near(path: string): void {
    if (path !== PRIVATE_FOLDER && !isPrivate(path)) this.#mood.near(path);
  }

  #free(path: string): Where {
    const where = this.#disk.find(path);
    if (where.inode !== null) throw exists(path);
    return where;
  }
}

function exists(path: string): WorldError {
  return new WorldError("exists", `${path} is taken.`);
}

class Stage implements DiskStage {
  readonly #disk: VirtualDisk;
  readonly #gate: Gate;
  readonly #mood: DiskMood;

  constructor(disk: VirtualDisk, gate: Gate, mood: DiskMood) {
    this.#disk = disk;
    this.#gate = gate;
    this.#mood = mood;
  }

  open(path: string): Promise<number> {
    return this.#gate(`stage open ${path}`, () => {
      expectGood(path);
      if (!isPrivate(path)) {
        this.#mood.accuse(`the engine writes to ${path}`);
        throw new WorldError("outside-root", `${path} lies outside.`);
      }
      this.#mood.meet("open", path);
      const where = this.#disk.find(path);
      if (where.inode !== null) return this.#own(path).bytes.length;
      const inode = this.#disk.create("file");
      inode.byEngine = true;
      this.#disk.add(where.folder, where.name, inode);
      return 0;
    });
  }

  write(path: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    return this.#gate(`stage write ${path}`, () => {
      this.#mood.meet("write", path);
      const inode = this.#own(path);
      const size = Math.max(inode.bytes.length, offsetBytes + bytes.length);
      const whole = new Uint8Array(size);
      whole.set(inode.bytes);
      whole.set(this.#mood.isTorn() ? bytes.subarray(0, bytes.length / 2) : bytes, offsetBytes);
      this.#disk.write(inode, whole, true);
    });
  }

  finish(
    path: string,
    as: { sizeBytes: number; executable: boolean; mtimeMs: number },
  ): Promise<Stat> {
    return this.#gate(`stage finish ${path}`, () => {
      this.#mood.meet("finish", path);
      const inode = this.#own(path);
      const whole = new Uint8Array(as.sizeBytes);
      whole.set(inode.bytes.subarray(0, as.sizeBytes));
      this.#disk.write(inode, whole, true);
      this.#disk.setExecutable(inode, as.executable);
      this.#disk.setTimes(inode, BigInt(as.mtimeMs) * 1_000_000n);
      this.#disk.sync(inode);
      return this.#disk.statOf(inode);
    });
  }

  close(path: string): Promise<void> {
    return this.#gate(`stage close ${path}`, () => undefined);
  }

  #own(path: string): Inode {
    const inode = fileAt(this.#disk, path);
    // A second name is a person's file: what is written here would be written there.
    if (inode.links > 1) throw exists(path);
    return inode;
  }
}
