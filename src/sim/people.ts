import { utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { joinPath, PRIVATE_FOLDER } from "#core/names.ts";
import { Attempt, USUAL_SIZES, folderOf, nameOf } from "./attempt.ts";
import type { FileKey } from "#sync/tree.ts";
import type { Draw } from "./chance.ts";
import {
  gone,
  notFolder,
  type Inode,
  type VirtualDisk,
  type Where,
  type Witness,
} from "./virtual-disk.ts";

/** All that people do in a story, each kind with its own weight in each. */
export const PEOPLES_WAYS = [
  "write",
  "create",
  "append",
  "overwrite-same-size",
  "rewrite-slowly",
  "save-by-rename",
  "vim-dance",
  "rename-file",
  "rename-folder",
  "move",
  "rename-over",
  "swap",
  "rename-case",
  "delete",
  "delete-all",
  "make-folder",
  "make-link",
  "make-executable",
  "copy",
  "copy-folder",
  "open",
  "write-to-open",
  "same-everywhere",
] as const;

/** More of it, drawn beside the others. */
export const RARER_WAYS = [
  "touch",
  "sed-in-place",
  "word-dance",
  "excel-dance",
  "hard-link",
  "make-pipe",
  "make-outside-link",
  "nest",
  "save-unchanged",
  "write-back",
  "do-and-undo",
] as const;

/** What somebody may do to a thing in the moment in which an engine acts on it. */
export const SURPRISES = [
  "write",
  "append",
  "overwrite-same-size",
  "save-by-rename",
  "save-unchanged",
  "delete",
  "rename-file",
  "move",
  "make-executable",
  "put-back",
  "put-in",
] as const;
export type Surprise = (typeof SURPRISES)[number];

/** What the built-in rules ignore, in a folder that others may delete. */
const LITTER_WAY = "leave-litter";

/** Only where few deletions are many. */
const GREATER_WAY = "delete-everything";

export type Way =
  | (typeof PEOPLES_WAYS)[number]
  | (typeof RARER_WAYS)[number]
  | typeof GREATER_WAY
  | typeof LITTER_WAY;

/** What somebody does in several steps: what was done after each, or how many ms are waited. */
export type Deed = Generator<string | number, void, undefined>;

/** Excel deletes the file that it saves, and renames the new one a little later. */
const EXCEL_MS = 2_000;

/** Who looks at what was saved undoes it after so long at most. */
const UNDO_MS = 1_500;

/** A file that nobody changed or moved for this long is at rest. */
export const SETTLED_NS = 1_000_000_000n;

/** What a story tells a person's machine, and what that says. */
type Habits = {
  readonly sizes: readonly number[];
  /** Whether its engine takes whatever gets this name for a file that it knows. */
  readonly isKnownName: (at: Where, file: FileKey) => boolean;
};

/** One person at one device. */
export class Person {
  readonly #disk: VirtualDisk;
  readonly #witness: Witness;
  readonly #names: readonly string[];
  readonly #habits: Habits;
  readonly #touched: (path: string) => void;
  readonly #open: { readonly inode: Inode; readonly path: string }[] = [];

  /** `touched` hears of every path that somebody writes to, makes, or renames something to. */
  constructor(
    disk: VirtualDisk,
    witness: Witness,
    names: readonly string[],
    touched: (path: string) => void,
    habits: Partial<Habits> = {},
  ) {
    this.#habits = { sizes: USUAL_SIZES, isKnownName: () => false, ...habits };
    this.#touched = (path) => {
      touched(path);
      // What is written through one name of a file is there under the others, too.
      const inode = disk.peek(path);
      if (inode?.isShared === true) for (const name of disk.namesOf(inode)) touched(name);
    };
    this.#disk = disk;
    this.#witness = witness;
    this.#names = names;
  }

  /** The open files of a machine that went down. */
  forget(): void {
    this.#open.length = 0;
  }

  /** One deed; what is gone in the middle of it ends it. `tag` makes its bytes like no others. */
  *does(way: Way, draw: Draw, tag: string): Deed {
    try {
      yield* this.#act(
        way,
        new Attempt(this.#disk, draw, { names: this.#names, sizes: this.#habits.sizes }, tag),
      );
    } catch (error) {
      if (!(error instanceof WorldError)) throw error;
      yield `gives up ${way}: ${error.code}`;
    }
  }

  /** Something that happens to what stands, or just stood, at a path. */
  *surprises(
    way: Surprise,
    { path, inode }: { readonly path: string; readonly inode: Inode | null },
    draw: Draw,
    tag: string,
  ): Deed {
    const options = { names: this.#names, sizes: this.#habits.sizes };
    const at = new Attempt(this.#disk, draw, options, tag, path);
    try {
      if (way === "put-back") yield* this.#putBack(path, inode);
      else if (way === "put-in")
        yield* this.write(joinPath(path, draw.pick(this.#names)), at.content());
      else yield* this.#act(way, at);
    } catch (error) {
      if (!(error instanceof WorldError)) throw error;
      yield `gives up ${way}: ${error.code}`;
    }
  }

  /** What is gone from its place comes there again, as another file. */
  *#putBack(path: string, inode: Inode | null): Deed {
    if (this.#disk.peek(path) !== null || inode?.kind !== "file") return;
    yield* this.write(path, inode.bytes);
  }

  *#act(way: Way, at: Attempt): Deed {
    switch (way) {
      case "write":
        return yield* this.write(at.fileOr(), at.content());
      case "create":
        return yield* this.write(at.place(), at.content());
      case "append": {
        const path = at.fileOr();
        const before = this.#disk.peek(path)?.bytes ?? new Uint8Array(0);
        return yield* this.write(path, join(before, at.content(12)));
      }
      case "overwrite-same-size":
        return yield* this.#overwrite(at.file(), at);
      case "rewrite-slowly":
        return yield* this.#rewrite(at.file(), at);
      case "save-by-rename":
        return yield* this.#saveByRename(at.fileOr(), at);
      case "vim-dance":
        return yield* this.#vim(at.file(), at);
      case "rename-file":
        return yield* this.rename(at.file(), at.place());
      case "rename-folder":
        return yield* this.rename(at.folder(), at.place());
      case "move":
        return yield* this.#move(at.entry(), at.folderOrRoot());
      case "rename-over":
        return yield* this.#renameOver(at.file(), at.file());
      case "swap":
        return yield* this.#swap(at.entry(), at.entry(), at);
      case "rename-case":
        return yield* this.rename(...at.caseOf(at.entry()));
      case "delete":
        return yield* this.delete(at.entry());
      case "delete-all":
        return yield* this.#deleteAll(at.folder());
      case LITTER_WAY:
        return yield* this.write(joinPath(at.folder(), `${at.tag}.tmp`), at.content());
      case GREATER_WAY:
        return yield* this.#deleteEverything();
      case "make-folder":
        return yield* this.makeFolder(at.place());
      case "make-link":
        return yield* this.makeLink(at.place(), `to ${at.tag}`);
      case "make-executable":
        return yield* this.#makeExecutable(at.file());
      case "copy":
        return yield* this.#copy(at.file(), at.place());
      case "copy-folder":
        return yield* this.#copyFolder(at.folder(), at.place());
      case "open":
        return yield* this.#openFile(at.file());
      case "write-to-open":
        return yield* this.#writeToOpen(at);
      case "same-everywhere":
        return yield* this.write(at.place(), utf8(`shared ${at.draw.below(3)}`));
      default:
        return yield* this.#actRarely(way, at);
    }
  }

  *#actRarely(way: (typeof RARER_WAYS)[number], at: Attempt): Deed {
    switch (way) {
      case "touch":
        return yield* this.#touch(at.file());
      case "sed-in-place":
        return yield* this.#sed(at.file(), at);
      case "word-dance":
        return yield* this.#word(at.file(), at);
      case "excel-dance":
        return yield* this.#excel(at.file(), at);
      case "hard-link":
        return yield* this.#hardLink(at.file(), at.place());
      case "make-pipe":
        return yield* this.#makePipe(`pipe ${at.tag}`);
      case "make-outside-link":
        return yield* this.makeLink(`out ${at.tag}`, at.draw.pick(["/etc/hosts", "../out"]));
      case "nest":
        return yield* this.#move(at.folder(), at.folder());
      case "save-unchanged":
        return yield* this.#saveUnchanged(at.file());
      case "write-back":
        return yield* this.#writeBack(at.file(), at.draw);
      case "do-and-undo":
        return yield* this.#doAndUndo(at.file(), at);
    }
  }

  *#openFile(path: string): Deed {
    this.#open.push({ inode: this.#disk.expect(path), path });
    this.#touched(path);
    yield `opens ${path}`;
  }

  *write(path: string, bytes: Uint8Array): Deed {
    const { inode } = this.#disk.find(path);
    if (inode !== null && inode.kind !== "file") throw new WorldError("exists", path);
    this.#touched(path);
    this.#disk.write(inode ?? this.#create(path), bytes, false);
    yield `writes ${path} ${show(bytes)}`;
  }

  #create(path: string): Inode {
    const { folder, name } = this.#disk.find(path);
    const inode = this.#disk.create("file");
    this.#disk.add(folder, name, inode);
    return inode;
  }

  *#overwrite(path: string, at: Attempt): Deed {
    const inode = this.#disk.expect(path);
    const { mtimeNs, ctimeNs, bytes } = inode;
    if (bytes.length < 12) return;
    this.#touched(path);
    this.#disk.write(inode, at.content(bytes.length), false);
    if (at.draw.chance(0.3)) yield `is overwriting ${path}`;
    // In the moment in which a file was put there its ctime says nothing, and only hashing every
    // file again could tell: that is not asked of anyone.
    if (inode.ctimeNs - ctimeNs > SETTLED_NS) this.#disk.setTimes(inode, mtimeNs);
    yield `overwrites ${path} ${show(inode.bytes)}, its time put back`;
  }

  *#rewrite(path: string, at: Attempt): Deed {
    const inode = this.#disk.expect(path);
    const bytes = at.content();
    this.#touched(path);
    this.#disk.write(inode, new Uint8Array(0), false);
    yield `empties ${path}`;
    this.#disk.write(inode, bytes.slice(0, bytes.length / 2), false);
    yield `writes half of ${path}`;
    this.#disk.write(inode, bytes, false);
    yield `writes all of ${path} ${show(bytes)}`;
  }

  *#saveByRename(path: string, at: Attempt): Deed {
    const beside = `${path}.new`;
    yield* this.write(beside, at.content());
    yield* this.rename(beside, path);
  }

  /** The same bytes, in another file that takes its place. */
  *#saveUnchanged(path: string): Deed {
    const { kind, bytes } = this.#disk.expect(path);
    if (kind !== "file") throw new WorldError("not-a-file", path);
    const beside = `${path}.new`;
    yield* this.write(beside, bytes);
    yield* this.rename(beside, path);
  }

  /** Bytes that the file had before, as who undoes what was saved. */
  *#writeBack(path: string, draw: Draw): Deed {
    const { kind, bytes, past } = this.#disk.expect(path);
    const earlier = past.filter((each) => each.length > 0 && each !== bytes);
    if (kind === "file" && earlier.length > 0) yield* this.write(path, draw.pick(earlier));
  }

  /** Saved or moved, and as it was before a while later. */
  *#doAndUndo(path: string, at: Attempt): Deed {
    const { bytes } = this.#disk.expect(path);
    const waitMs = at.draw.between(200, UNDO_MS);
    if (at.draw.chance(0.3)) {
      const to = at.place();
      yield* this.rename(path, to);
      yield waitMs;
      yield* this.rename(to, path);
      return;
    }
    yield* this.write(path, at.content());
    yield waitMs;
    yield* this.write(path, bytes);
  }

  *#vim(path: string, at: Attempt): Deed {
    const backup = `${path}~`;
    yield* this.rename(path, backup);
    yield* this.write(path, at.content());
    yield* this.delete(backup);
  }

  /** A new modification time, and nothing else. */
  *#touch(path: string): Deed {
    this.#disk.setTimes(this.#disk.expect(path), this.#disk.tickNs());
    yield `touches ${path}`;
  }

  /** As `sed -i`: the executable bit goes along. */
  *#sed(path: string, at: Attempt): Deed {
    const { executable } = this.#disk.expect(path);
    const beside = joinPath(folderOf(path), `sed${at.tag}`);
    yield* this.write(beside, at.content());
    this.#disk.setExecutable(this.#disk.expect(beside), executable);
    yield* this.rename(beside, path);
  }

  /** The new file is written beside, the known one steps aside, and goes last. */
  *#word(path: string, at: Attempt): Deed {
    const [made, old] = ["WRD", "WRL"].map((start) =>
      joinPath(folderOf(path), `~${start}${at.tag}.tmp`),
    ) as [string, string];
    yield* this.write(made, at.content());
    if (this.#disk.expect(path).kind !== "file") throw new WorldError("not-a-file", path);
    yield* this.rename(path, old);
    yield* this.rename(made, path);
    yield* this.delete(old);
  }

  *#excel(path: string, at: Attempt): Deed {
    const beside = joinPath(folderOf(path), `${at.tag}0000`);
    yield* this.write(beside, at.content());
    yield* this.delete(path);
    yield EXCEL_MS;
    yield* this.rename(beside, path);
  }

  /** A second name of one inode: what is written through one is there under the other. */
  *#hardLink(from: string, to: string): Deed {
    const inode = this.#disk.expect(from);
    const target = this.#disk.find(to);
    if (target.inode !== null) throw new WorldError("exists", to);
    inode.isShared = true;
    this.#touched(to);
    this.#disk.add(target.folder, target.name, inode);
    if (inode.bytes.length > 0) this.#witness.saved(inode.bytes);
    yield `gives ${from} the second name ${to}`;
  }

  /** Such things do not sync. */
  *#makePipe(path: string): Deed {
    const { folder, name, inode } = this.#disk.find(path);
    if (inode !== null) throw new WorldError("exists", path);
    this.#disk.add(folder, name, this.#disk.create("other"));
    yield `makes the pipe ${path}`;
  }

  *rename(from: string, to: string): Deed {
    if (from === to || to.startsWith(`${from}/`)) return;
    const source = this.#disk.find(from);
    if (source.inode === null) throw gone(from);
    if (this.#disk.leadsThrough(to, source.inode)) return;
    const target = this.#disk.find(to);
    const taken = target.inode;
    const isOver = taken !== null && taken !== source.inode;
    if (isOver) {
      if (source.inode.kind === "folder" && taken.kind !== "folder") throw notFolder(to);
      if (taken.kind === "folder") {
        if (source.inode.kind !== "folder" || taken.entries.size > 0) {
          throw new WorldError("exists", to);
        }
      }
      this.#kill(taken);
    }
    const { kind, bytes, links, file } = source.inode;
    const isKnown = isOver || this.#habits.isKnownName(target, file);
    if (kind === "file" && isKnown) this.#witness.spread(bytes, links);
    this.#touched(to);
    this.#disk.rename(source, target);
    yield `renames ${from} to ${to}`;
  }

  /**
   * A known file under another known file's name is that one with new content. Where bytes go back
   * and forth like that, nobody can say which of them a person has seen: such ones may end in the
   * history.
   */
  *#renameOver(from: string, to: string): Deed {
    const bytes = this.#disk.peek(from)?.bytes ?? new Uint8Array(0);
    if (bytes.length > 0) {
      this.#witness.saved(bytes);
      this.#witness.killed(bytes);
    }
    yield* this.rename(from, to);
  }

  *#move(path: string, folder: string): Deed {
    yield* this.rename(path, joinPath(folder, nameOf(path)));
  }

  *#swap(one: string, other: string, at: Attempt): Deed {
    if (one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`)) return;
    const aside = joinPath(folderOf(one), `swap${at.tag}`);
    yield* this.#renameOver(one, aside);
    yield* this.#renameOver(other, one);
    yield* this.#renameOver(aside, other);
  }

  *delete(path: string): Deed {
    const { folder, name, inode } = this.#disk.find(path);
    if (inode === null) throw gone(path);
    if (inode.kind === "folder" && inode.entries.size > 0) {
      yield* this.#deleteAll(path);
      return;
    }
    this.#kill(inode);
    this.#disk.drop(folder, name);
    yield `deletes ${path}`;
  }

  *#deleteAll(path: string): Deed {
    const folder = this.#disk.expect(path);
    for (const { name } of this.#disk.names(folder)) yield* this.delete(joinPath(path, name));
    yield* this.delete(path);
  }

  /** `rm -rf *`. */
  *#deleteEverything(): Deed {
    for (const { name } of this.#disk.names(this.#disk.expect(""))) {
      if (name !== PRIVATE_FOLDER) yield* this.delete(name);
    }
  }

  *makeFolder(path: string): Deed {
    const { folder, name, inode } = this.#disk.find(path);
    if (inode !== null) throw new WorldError("exists", path);
    this.#touched(path);
    this.#disk.add(folder, name, this.#disk.create("folder"));
    yield `makes the folder ${path}`;
  }

  *makeLink(path: string, target: string): Deed {
    const { folder, name, inode } = this.#disk.find(path);
    if (inode !== null) throw new WorldError("exists", path);
    this.#touched(path);
    this.#disk.add(folder, name, this.#disk.create("symlink", target));
    yield `makes the link ${path}`;
  }

  *#makeExecutable(path: string): Deed {
    const inode = this.#disk.expect(path);
    this.#touched(path);
    this.#disk.setExecutable(inode, !inode.executable);
    yield `makes ${path} ${inode.executable ? "executable" : "plain"}`;
  }

  *#copy(from: string, to: string): Deed {
    const inode = this.#disk.expect(from);
    if (inode.kind === "file") yield* this.write(to, inode.bytes);
  }

  *#copyFolder(from: string, to: string): Deed {
    if (to === from || to.startsWith(`${from}/`)) return;
    const folder = this.#disk.expect(from);
    yield* this.makeFolder(to);
    for (const { name, inode } of this.#disk.names(folder)) {
      if (inode.kind === "folder")
        yield* this.#copyFolder(joinPath(from, name), joinPath(to, name));
      else yield* this.#copy(joinPath(from, name), joinPath(to, name));
    }
  }

  *#writeToOpen(at: Attempt): Deed {
    const { inode, path } = this.#open[at.draw.below(this.#open.length)] ?? {};
    if (inode === undefined || path === undefined) return;
    for (const name of [path, ...this.#disk.namesOf(inode)]) this.#touched(name);
    this.#disk.write(inode, at.content(), false);
    yield `writes to an open file ${show(inode.bytes)}${inode.links === 0 ? ", that is gone" : ""}`;
  }

  #kill(inode: Inode): void {
    inode.isUnwanted = true;
    if (inode.kind === "file" && inode.bytes.length > 0) this.#witness.killed(inode.bytes);
  }
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

const decoder = new TextDecoder();
const SPACE = 0x20;
const TILDE = 0x7e;

/** A content's first word, and its size. */
export function show(bytes: Uint8Array): string {
  const isOver = (byte: number): boolean => byte === SPACE || byte === TILDE;
  const end = bytes.subarray(0, 40).findIndex(isOver);
  return `<${decoder.decode(bytes.subarray(0, end === -1 ? 40 : end))} ${bytes.length}>`;
}
