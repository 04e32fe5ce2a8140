import { utf8 } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { joinPath } from "#core/names.ts";
import type { Draw } from "./chance.ts";
import type { Inode, VirtualDisk } from "./virtual-disk.ts";

/** Of the files that people make, in bytes. */
export const USUAL_SIZES: readonly number[] = [12, 12, 12, 12, 40, 3_000, 9_000];

/** One deed's choices: which file, which name, which bytes; with `only` it is about that path. */
export class Attempt {
  readonly #disk: VirtualDisk;
  readonly #names: readonly string[];
  readonly #sizes: readonly number[];
  readonly draw: Draw;
  readonly tag: string;
  readonly #only: string | null;
  #count = 0;

  constructor(
    disk: VirtualDisk,
    draw: Draw,
    { names, sizes }: { readonly names: readonly string[]; readonly sizes: readonly number[] },
    tag: string,
    only: string | null = null,
  ) {
    this.#only = only;
    this.#sizes = sizes;
    this.#disk = disk;
    this.#names = names;
    this.draw = draw;
    this.tag = tag;
  }

  content(sizeBytes: number = this.draw.pick(this.#sizes)): Uint8Array {
    return utf8(`${this.tag}.${this.#count++} `.padEnd(sizeBytes, "~").slice(0, sizeBytes));
  }

  file(): string {
    return this.#some((inode) => inode.kind === "file");
  }

  folder(): string {
    return this.#some((inode) => inode.kind === "folder");
  }

  entry(): string {
    // What does not sync stays where it was made: elsewhere it would only be in others' way.
    return this.#some(({ kind, target }) => kind !== "other" && !/^[./]/.test(target));
  }

  fileOr(): string {
    if (this.#only !== null) return this.#only;
    const found = this.draw.chance(0.8) ? this.#among((inode) => inode.kind === "file") : null;
    return found ?? this.place();
  }

  folderOrRoot(): string {
    if (this.draw.chance(0.4)) return "";
    return this.#among((inode) => inode.kind === "folder") ?? "";
  }

  place(): string {
    const folder = this.folderOrRoot();
    const depth = folder === "" ? 0 : folder.split("/").length;
    return joinPath(depth >= 3 ? "" : folder, this.draw.pick(this.#names));
  }

  caseOf(path: string): [string, string] {
    const name = nameOf(path);
    const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
    return [path, joinPath(folderOf(path), other)];
  }

  #some(fits: (inode: Inode) => boolean): string {
    const found = this.#only ?? this.#among(fits);
    if (found === null) throw new WorldError("not-found", "There is nothing of that kind.");
    return found;
  }

  /** Null where there is nothing of that kind. */
  #among(fits: (inode: Inode) => boolean): string | null {
    const paths: string[] = [];
    for (const { path, inode } of this.#disk.tree()) if (fits(inode)) paths.push(path);
    return paths.length === 0 ? null : this.draw.pick(paths);
  }
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}
