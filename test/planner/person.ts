import assert from "node:assert/strict";
import { contentHash, ROOT_NODE, type NodeId } from "#core/ids.ts";
import type { Content } from "#core/node.ts";
import type { FileKey, NodeRow } from "#sync/tree.ts";
import type { ModelDevice } from "../../src/sim/planner-device.ts";
import { seen } from "../../src/sim/planner-steps.ts";

// Trees are written as paths: "d/" is a folder, "f=x" a file of content x, "f=x+" an executable
// one, "l->t" a link. "f~A.txt" is the conflict copy that device A makes of f.txt.

const DATE = "2026-11-22";

function hex(text: string): string {
  return Buffer.from(text, "utf8").toString("hex").padEnd(64, "0");
}

function contentOf(text: string): Content {
  if (text === "/") return { kind: "folder" };
  if (text.startsWith("->")) return { kind: "symlink", target: text.slice(2) };
  const executable = text.endsWith("+");
  const body = executable ? text.slice(1, -1) : text.slice(1);
  return {
    kind: "file",
    sizeBytes: body.length,
    sha256: contentHash(hex(body).slice(0, 64)),
    executable,
  };
}

function textOf(content: Content): string {
  if (content.kind === "folder") return "/";
  if (content.kind === "symlink") return `->${content.target}`;
  const body = Buffer.from(content.sha256.replace(/(00)+$/u, ""), "hex").toString("utf8");
  return `=${body}${content.executable ? "+" : ""}`;
}

/** What stands on a device's disk, in order. */
export function shownTree({ rows }: ModelDevice): string[] {
  const entries: string[] = [];
  const show = (parent: NodeId, above: string): void => {
    for (const { id, local } of rows.children("local", parent)) {
      if (!local?.content) continue;
      entries.push(above + local.name + textOf(local.content));
      show(id, `${above}${local.name}/`);
    }
  };
  show(ROOT_NODE, "");
  return entries.sort();
}

/** A tree as it is written, with conflict names in full, in order. */
export function readTree(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map((entry) =>
      entry.replaceAll(
        /~(?<device>[A-Z]\d?)(?<ending>\.[a-z]+)?(?=[/=-])/gu,
        (_, device: string, ending: string | undefined) => {
          const number = device.length > 1 ? ` ${device.slice(1)}` : "";
          return ` (${device.charAt(0)}'s Conflict Copy ${DATE}${number})${ending ?? ""}`;
        },
      ),
    )
    .sort();
}

function readEntry(entry: string): { path: string; content: Content } {
  const at = /^(?<path>[^=]*?)(?<text>\/|->.*|=.*)$/su.exec(entry)?.groups;
  assert(at?.["path"] !== undefined && at["text"] !== undefined, `cannot read ${entry}`);
  return { path: at["path"], content: contentOf(at["text"]) };
}

type Thing = { readonly file: FileKey; readonly content: Content };

/** The folder of a device as a person has it: paths, inodes, contents. */
export class Folder {
  readonly #device: ModelDevice;
  #things = new Map<string, Thing>();

  constructor(device: ModelDevice) {
    this.#device = device;
  }

  /** Lets a person act, and looks when all is done, or where a line says `look`. */
  act(lines: readonly string[]): void {
    this.#read();
    for (const line of lines) {
      const [verb = "", ...words] = line.split(" ");
      if (verb === "look") this.#look();
      else this.#do(verb, words);
    }
    this.#look();
  }

  #do(verb: string, words: readonly string[]): void {
    const [one = "", other = "", ...more] = words;
    switch (verb) {
      case "make":
        return this.#make(words.join(" "));
      case "edit":
      case "save":
        return this.#write(words.join(" "), verb === "save");
      case "move":
        assert(!this.#things.has(other), `${other} is taken`);
        return this.#move(one, other);
      case "over":
        this.#delete(other);
        return this.#move(one, other);
      case "swap":
      case "rotate":
        return this.#rotate([one, other, ...more]);
      case "delete":
        return this.#delete(one);
      case "copy":
        return this.#put(other, this.#device.newFile(), this.#thing(one).content);
      default:
        assert.fail(`nobody can ${verb}`);
    }
  }

  #thing(path: string): Thing {
    const thing = this.#things.get(path);
    assert(thing !== undefined, `nothing at ${path}`);
    return thing;
  }

  #put(path: string, file: FileKey, content: Content): void {
    assert(!this.#things.has(path), `${path} is taken`);
    this.#things.set(path, { file, content });
  }

  #make(entry: string): void {
    const { path, content } = readEntry(entry);
    this.#put(path, this.#device.newFile(), content);
  }

  #write(entry: string, isBesides: boolean): void {
    const { path, content } = readEntry(entry);
    const { file } = this.#thing(path);
    this.#things.set(path, { file: isBesides ? this.#device.newFile() : file, content });
  }

  #move(from: string, to: string): void {
    this.#thing(from);
    const moved = new Map<string, Thing>();
    for (const [path, thing] of this.#things) {
      const isMoved = path === from || path.startsWith(`${from}/`);
      moved.set(isMoved ? to + path.slice(from.length) : path, thing);
    }
    this.#things = moved;
  }

  /** Each takes the name of the next, the last one that of the first. */
  #rotate(paths: readonly string[]): void {
    paths.forEach((path, index) => this.#move(path, `aside ${index}`));
    paths.forEach((_, index) => {
      this.#move(`aside ${index}`, paths[(index + 1) % paths.length] ?? "");
    });
  }

  #delete(path: string): void {
    this.#thing(path);
    for (const below of this.#things.keys()) {
      if (below === path || below.startsWith(`${path}/`)) this.#things.delete(below);
    }
  }

  #read(): void {
    this.#things = new Map();
    const read = (parent: NodeId, above: string): void => {
      for (const { id, local } of this.#device.rows.children("local", parent)) {
        if (!local?.content) continue;
        const path = above + local.name;
        this.#things.set(path, { file: local.file, content: local.content });
        read(id, `${path}/`);
      }
    };
    read(ROOT_NODE, "");
  }

  /** Finds each thing's node: folders by inode, then path; files by path, then inode (SC1–SC4). */
  #look(): void {
    const { rows } = this.#device;
    const ids = new Map<string, NodeId>([["", ROOT_NODE]]);
    const unclaimed = new Map(rows.all().flatMap((row) => (row.local ? [[row.id, row]] : [])));
    const files = new Set([...this.#things.values()].map(({ file }) => file));
    const claim = (path: string, row: NodeRow | undefined): void => {
      if (row !== undefined) unclaimed.delete(row.id);
      ids.set(path, row?.id ?? this.#device.fresh());
    };
    const parents = [...this.#things].sort(([one], [other]) => depth(one) - depth(other));
    for (const [path, { file, content }] of parents) {
      if (content.kind !== "folder") continue;
      const known = [...unclaimed.values()].filter(({ kind }) => kind === "folder");
      claim(
        path,
        known.find(({ local }) => local?.file === file) ??
          known.find((row) => isAt(row, ids, path) && !files.has(row.local?.file ?? "")),
      );
    }
    const others = parents.filter(([, { content }]) => content.kind !== "folder");
    for (const [path, { content }] of others) {
      const row = [...unclaimed.values()].find((known) => isAt(known, ids, path));
      if (row !== undefined && row.kind === content.kind) claim(path, row);
    }
    for (const [path, { file, content }] of others) {
      if (ids.has(path)) continue;
      const known = [...unclaimed.values()].filter(({ kind }) => kind === content.kind);
      claim(
        path,
        known.find(({ local }) => local?.file === file),
      );
    }
    for (const row of unclaimed.values()) rows.put({ ...row, local: null });
    for (const [path, { file, content }] of parents) this.#note(ids, path, { file, content });
  }

  #note(ids: ReadonlyMap<string, NodeId>, path: string, { file, content }: Thing): void {
    const id = ids.get(path);
    const parent = ids.get(folderOf(path));
    assert(id !== undefined && parent !== undefined, `${path} stands in no folder`);
    const blank = { remote: null, synced: null, displacing: null, placing: null };
    const row = this.#device.rows.get(id) ?? { id, kind: content.kind, ...blank, local: null };
    this.#device.rows.put({ ...row, local: seen({ parent, name: nameOf(path) }, content, file) });
  }
}

function depth(path: string): number {
  return path.split("/").length;
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function isAt({ local }: NodeRow, ids: ReadonlyMap<string, NodeId>, path: string): boolean {
  return local?.parent === ids.get(folderOf(path)) && local?.name === nameOf(path);
}
