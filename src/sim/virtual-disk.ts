import { assert } from "#core/assert.ts";
import { WorldError } from "#core/errors.ts";
import { foldName, PRIVATE_FOLDER, splitPath } from "#core/names.ts";
import type { EntryKind, Stat } from "#sync/ports.ts";
import { STAGE_FOLDER } from "#sync/paths.ts";
import type { FileKey } from "#sync/tree.ts";
import type { Draw } from "./chance.ts";
import type { MachineTime } from "./virtual-clock.ts";

/** Times on this disk are kept in steps this long: two edits within one look alike. */
const TICK_MS = 4;
const NS_PER_MS = 1_000_000n;

type Times = { mtimeNs: bigint; ctimeNs: bigint };
type Name = { readonly name: string; readonly inode: Inode };
type Placed = { readonly path: string; readonly inode: Inode };

/** A file, folder or link itself; names for it stand in folders. */
export type Inode = Times & {
  /** What an engine knows it by: its number and when it was born, on this disk. */
  readonly file: FileKey;
  readonly number: number;
  readonly kind: EntryKind;
  readonly target: string;
  readonly entries: Map<string, Name>;
  readonly homes: Map<Inode, number>;
  /** A person gave it a second name once. */
  isShared: boolean;
  /** A person deleted one of its names: the engine's own one may then be the last. */
  isUnwanted: boolean;
  bytes: Uint8Array;
  /** All bytes that it ever held, newest last. */
  readonly past: Uint8Array[];
  /** When bytes were written to it last, by the story's own clock. */
  writtenMs: number;
  executable: boolean;
  links: number;
  /** Nobody may list or read it now. */
  barred: boolean;
  /** Whoever wrote the bytes last. */
  byEngine: boolean;
  /** What a power cut goes back to; null when all is on the disk itself. */
  durable: (Times & { readonly bytes: Uint8Array }) | null;
};

/** Hears what people save and what people destroy, as contents. */
export type Witness = {
  saved(bytes: Uint8Array): void;
  killed(bytes: Uint8Array): void;
  /**
   * A file with these bytes took a known name: that one is what it was, with these bytes, and where
   * somebody else moved or edited the file meanwhile, both stay.
   */
  spread(bytes: Uint8Array, files: number): void;
  /** A machine that lost power left this: nobody has to keep it. */
  tore(bytes: Uint8Array): void;
  /** True of bytes that were once in a file. */
  knows(bytes: Uint8Array): boolean;
};

export type Where = { readonly folder: Inode; readonly name: string; readonly inode: Inode | null };

const EMPTY = new Uint8Array(0);

/**
 * One file system in memory: inodes, names, times in coarse steps, and what a power cut takes. All
 * of it is synchronous; `disk-doors.ts` is the engine's side, `people.ts` uses it as a person does.
 */
export class VirtualDisk {
  readonly #time: MachineTime;
  readonly #witness: Witness;
  readonly #folding: boolean;
  readonly #inodes = new Map<FileKey, Inode>();
  readonly root: Inode;
  readonly device: string;
  #lastInode = 1;
  #lastNs = 0n;
  /** What takes back each change of names since the last sync, newest last. */
  #unsyncedNames: (() => void)[][] = [];
  #group: (() => void)[] | null = null;
  #freeNumbers: number[] = [];
  /** Its times are multiples of this. */
  tickMs = TICK_MS;
  /** Numbers of inodes that are gone are given out again, as ext4 does. */
  reuseNumbers = false;
  /**
   * Names in the root that are no UTF-8, with their odd bytes as %XX; nothing can be done to them.
   */
  readonly oddNames: string[] = [];
  /** Called for every folder whose listing changed, or a file in it. */
  onTouch: (folder: Inode) => void = () => {};

  constructor(device: string, time: MachineTime, folding: boolean, witness: Witness) {
    this.device = device;
    this.#time = time;
    this.#folding = folding;
    this.#witness = witness;
    this.root = this.create("folder");
    this.root.links = 1;
  }

  /** Since the story began, whatever the machine's clock says. */
  get upMs(): number {
    return this.#time.upMs;
  }

  tickNs(): bigint {
    return BigInt(Math.floor(this.#time.nowMs / this.tickMs) * this.tickMs) * NS_PER_MS;
  }

  create(kind: EntryKind, target = ""): Inode {
    const nowNs = this.tickNs();
    // Birth times come from a finer clock than the others do.
    this.#lastNs = this.#lastNs >= nowNs ? this.#lastNs + 1n : nowNs;
    const reused = this.reuseNumbers ? this.#freeNumbers.pop() : undefined;
    const number = reused ?? ++this.#lastInode;
    const inode: Inode = {
      file: this.#keyOf(number, this.#lastNs),
      number,
      kind,
      target,
      entries: new Map(),
      homes: new Map(),
      isShared: false,
      isUnwanted: false,
      bytes: EMPTY,
      past: [EMPTY],
      writtenMs: this.upMs,
      executable: false,
      links: 0,
      barred: false,
      byEngine: false,
      durable: kind === "file" ? { bytes: EMPTY, mtimeNs: nowNs, ctimeNs: nowNs } : null,
      mtimeNs: nowNs,
      ctimeNs: nowNs,
    };
    this.#inodes.set(inode.file, inode);
    return inode;
  }

  /** The inode that has this identity, or had it. */
  byKey(file: FileKey): Inode | undefined {
    return this.#inodes.get(file);
  }

  #keyOf(number: number, birthNs: bigint): FileKey {
    return `${this.device}:${number}:${birthNs}`;
  }

  statOf(inode: Inode): Stat {
    const { kind, file, mtimeNs, ctimeNs } = inode;
    const sizeBytes = kind === "symlink" ? inode.target.length : inode.bytes.length;
    return {
      kind,
      file,
      device: this.device,
      stamp: { sizeBytes, mtimeNs, ctimeNs },
      executable: kind === "file" && inode.executable,
      links: inode.links,
    };
  }

  /** The place that a path names. Throws `not-found` and `not-a-folder` about what is above it. */
  find(path: string): Where {
    let folder = this.root;
    if (path === "") return { folder, name: "", inode: folder };
    let from = 0;
    for (let end = path.indexOf("/"); end !== -1; end = path.indexOf("/", from)) {
      const next = folder.entries.get(this.#key(path.slice(from, end)))?.inode;
      if (next === undefined) throw gone(path);
      if (next.kind !== "folder") throw notFolder(path);
      folder = next;
      from = end + 1;
    }
    const name = path.slice(from);
    return { folder, name, inode: folder.entries.get(this.#key(name))?.inode ?? null };
  }

  /** What stands at a path; null when nothing does or something above it is no folder. */
  peek(path: string): Inode | null {
    let at = this.root;
    if (path === "") return at;
    for (let from = 0; from !== -1;) {
      const end = path.indexOf("/", from);
      const name = end === -1 ? path.slice(from) : path.slice(from, end);
      const next = at.kind === "folder" ? at.entries.get(this.#key(name))?.inode : undefined;
      if (next === undefined) return null;
      at = next;
      from = end === -1 ? -1 : end + 1;
    }
    return at;
  }

  expect(path: string): Inode {
    const { inode } = this.find(path);
    if (inode === null) throw gone(path);
    return inode;
  }

  /** Gives an inode a name; the name must be free. */
  add(folder: Inode, name: string, inode: Inode): void {
    this.#grouped(() => {
      assert(!folder.entries.has(this.#key(name)), `the name ${name} is taken`);
      this.#attach(folder, name, inode);
      this.#group?.push(() => this.#detach(folder, name));
    });
    this.#namesChanged(folder, inode);
  }

  /** Takes a name away; returns what had it. */
  drop(folder: Inode, name: string): Inode {
    const found = folder.entries.get(this.#key(name));
    assert(found !== undefined, `no name ${name}`);
    this.#grouped(() => {
      this.#detach(folder, name);
      this.#group?.push(() => this.#attach(folder, found.name, found.inode));
    });
    this.#namesChanged(folder, found.inode);
    const { inode } = found;
    if (inode.links === 0 && this.reuseNumbers) this.#freeNumbers.push(inode.number);
    return inode;
  }

  /** As rename(2): what has the target's name loses it. Returns what that was. */
  rename(from: Where, to: Where): Inode | null {
    const { inode } = from;
    assert(inode !== null, "a rename of nothing");
    // Two names of one inode both stay; one name in another case is a name like any other.
    const isOneName = from.folder === to.folder && this.#key(from.name) === this.#key(to.name);
    if (to.inode === inode && (!isOneName || from.name === to.name)) return null;
    return this.#grouped(() => {
      this.drop(from.folder, from.name);
      const taken = to.folder.entries.get(this.#key(to.name))?.inode ?? null;
      if (taken !== null) this.drop(to.folder, to.name);
      this.add(to.folder, to.name, inode);
      return taken;
    });
  }

  /** Whether a path leads through this folder, in whatever letters. */
  leadsThrough(path: string, folder: Inode): boolean {
    const names = splitPath(path).slice(0, -1);
    return names.some((_, at) => this.peek(names.slice(0, at + 1).join("/")) === folder);
  }

  /** New bytes in a file, in the page cache. */
  write(inode: Inode, bytes: Uint8Array, byEngine: boolean): void {
    const { mtimeNs, ctimeNs } = inode;
    inode.durable ??= { bytes: inode.bytes, mtimeNs, ctimeNs };
    if (!byEngine && inode.links > 0 && this.#isOnlyStaged(inode)) this.#witness.tore(bytes);
    else if (!byEngine && inode.links > 0) {
      // Under each of its names.
      for (let name = 0; name < inode.links && inode.bytes.length > 0; name++) {
        this.#witness.killed(inode.bytes);
      }
      if (bytes.length > 0) this.#witness.saved(bytes);
      else this.#witness.tore(bytes);
      if (inode.isShared) this.#witness.spread(bytes, inode.links - 1);
    }
    this.#hold(inode, bytes);
    inode.byEngine = byEngine;
    inode.mtimeNs = this.tickNs();
    inode.ctimeNs = inode.mtimeNs;
    for (const folder of inode.homes.keys()) this.onTouch(folder);
  }

  /** A person deleted the name that it had for people; its other one is about to go. */
  #isOnlyStaged({ isUnwanted, homes }: Inode): boolean {
    const stage = isUnwanted ? this.peek(STAGE_FOLDER) : null;
    return stage !== null && homes.size === 1 && homes.has(stage);
  }

  setTimes(inode: Inode, mtimeNs: bigint): void {
    inode.mtimeNs = mtimeNs;
    inode.ctimeNs = this.tickNs();
    for (const folder of inode.homes.keys()) this.onTouch(folder);
  }

  /** Whoever watches it, or the folder that it is in, hears of it. */
  touch(inode: Inode): void {
    if (inode.kind === "folder") this.onTouch(inode);
    for (const folder of inode.homes.keys()) this.onTouch(folder);
  }

  setExecutable(inode: Inode, executable: boolean): void {
    inode.executable = executable;
    inode.ctimeNs = this.tickNs();
    for (const folder of inode.homes.keys()) this.onTouch(folder);
  }

  /** All names up to now survive a power cut, and the bytes of `inode`. */
  sync(inode: Inode | null): void {
    this.#unsyncedNames = [];
    if (inode !== null) inode.durable = null;
  }

  /** After half a minute everything has reached the disk by itself. */
  syncAll(): void {
    this.#unsyncedNames = [];
    for (const { inode } of this.everything()) inode.durable = null;
  }

  /**
   * What is not synced may be lost: of the changes of names the last ones, of files' bytes all,
   * some, or none. What people saved and a cut took is nobody's fault.
   */
  powerCut(draw: Draw): void {
    const before = this.#peoplesCopies();
    const lost = draw.below(this.#unsyncedNames.length + 1);
    const groups = this.#unsyncedNames.splice(this.#unsyncedNames.length - lost);
    for (const group of groups.toReversed()) for (const undo of group.toReversed()) undo();
    this.#unsyncedNames = [];
    for (const { inode } of this.everything()) {
      if (inode.durable !== null && draw.chance(0.5)) this.#tear(inode, draw);
      inode.durable = null;
      if (inode.kind === "file" && inode.bytes.length === 0) this.#witness.tore(inode.bytes);
    }
    const after = this.#peoplesCopies();
    for (const [text, { bytes, count }] of before) {
      const left = after.get(text)?.count ?? 0;
      for (let excess = left; excess < count; excess++) this.#witness.killed(bytes);
    }
    for (const [text, { bytes, count }] of after) {
      const had = before.get(text)?.count ?? 0;
      if (count > had) this.#witness.tore(bytes);
    }
  }

  /** Every name below the root with its path, parents first. */
  everything(): Placed[] {
    const all: Placed[] = [];
    for (const entry of this.root.entries.values()) this.#list(entry, entry.name, all);
    return all;
  }

  /** What people see: everything but the engine's own folder. */
  tree(): Placed[] {
    const seen: Placed[] = [];
    for (const entry of this.root.entries.values()) {
      if (entry.name !== PRIVATE_FOLDER) this.#list(entry, entry.name, seen);
    }
    return seen;
  }

  #list({ inode }: Name, path: string, into: Placed[]): void {
    into.push({ path, inode });
    for (const entry of inode.entries.values()) this.#list(entry, `${path}/${entry.name}`, into);
  }

  /** An inode's names, whichever folders they stand in. */
  namesOf(inode: Inode): string[] {
    const folders = [...inode.homes.keys()];
    return folders.flatMap((folder) =>
      this.names(folder).flatMap((each) => (each.inode === inode ? [each.name] : [])),
    );
  }

  names(folder: Inode): Name[] {
    return [...folder.entries.values()];
  }

  #key(name: string): string {
    return this.#folding ? foldName(name) : name;
  }

  #attach(folder: Inode, name: string, inode: Inode): void {
    folder.entries.set(this.#key(name), { name, inode });
    inode.links++;
    inode.homes.set(folder, (inode.homes.get(folder) ?? 0) + 1);
  }

  #detach(folder: Inode, name: string): void {
    const inode = folder.entries.get(this.#key(name))?.inode;
    if (inode === undefined) return;
    folder.entries.delete(this.#key(name));
    inode.links--;
    const names = (inode.homes.get(folder) ?? 1) - 1;
    if (names === 0) inode.homes.delete(folder);
    else inode.homes.set(folder, names);
  }

  #namesChanged(folder: Inode, inode: Inode): void {
    const nowNs = this.tickNs();
    inode.ctimeNs = nowNs;
    folder.mtimeNs = nowNs;
    folder.ctimeNs = nowNs;
    this.onTouch(folder);
  }

  #grouped<T>(work: () => T): T {
    if (this.#group !== null) return work();
    const group: (() => void)[] = [];
    this.#group = group;
    try {
      return work();
    } finally {
      this.#group = null;
      this.#unsyncedNames.push(group);
    }
  }

  #tear(inode: Inode, draw: Draw): void {
    const { durable, bytes } = inode;
    if (durable === null) return;
    if (bytes.length > durable.bytes.length && draw.chance(0.4)) {
      // A journal keeps a size from growing before the bytes are there.
      this.#hold(inode, bytes.slice(0, draw.below(bytes.length)));
    } else {
      this.#hold(inode, durable.bytes);
      inode.mtimeNs = durable.mtimeNs;
      inode.ctimeNs = durable.ctimeNs;
    }
  }

  #hold(inode: Inode, bytes: Uint8Array): void {
    inode.bytes = bytes;
    inode.past.push(bytes);
    inode.writtenMs = this.upMs;
  }

  #peoplesCopies(): Map<string, { bytes: Uint8Array; count: number }> {
    const copies = new Map<string, { bytes: Uint8Array; count: number }>();
    for (const { inode } of this.everything()) {
      if (inode.kind !== "file" || inode.byEngine || inode.bytes.length === 0) continue;
      const text = Buffer.from(inode.bytes).toString("latin1");
      const known = copies.get(text);
      if (known === undefined) copies.set(text, { bytes: inode.bytes, count: 1 });
      else known.count++;
    }
    return copies;
  }
}

export function gone(path: string): WorldError {
  return new WorldError("not-found", `There is no ${path}.`);
}

export function notFolder(path: string): WorldError {
  return new WorldError("not-a-folder", `Something above or at ${path} is no folder.`);
}
