import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { contentHash, nodeId, ROOT_NODE, type NodeId } from "#core/ids.ts";
import { foldName } from "#core/names.ts";
import type { Content } from "#core/node.ts";
import type { Side, TreeView } from "./draft.ts";
import { pathOf } from "./paths.ts";
import { plan, type LocalOp, type Plan, type RemoteOp } from "./planner.ts";
import { agreedSide } from "./publish.ts";
import { agrees, isEmpty, type LocalSide, type NodeRow, type RemoteSide } from "./tree.ts";

// A tree is written as paths: "d/" is a folder, "f=x" a file of content x, "f=x+" an executable
// one, "l->t" a link. What a person or the server did is written as a line: "move a b", "edit f=y",
// "delete d", "make g=z". Each story starts in agreement, lets both sides act, and is carried out
// until nothing is left to do: both sides then have the expected tree.

const hex = (seed: string): string =>
  Array.from(seed, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
const hashOf = (text: string): string => hex(text).padEnd(64, "0").slice(0, 64);

function contentOf(text: string): Content {
  if (text === "/") return { kind: "folder" };
  if (text.startsWith("->")) return { kind: "symlink", target: text.slice(2) };
  const executable = text.endsWith("+");
  const body = executable ? text.slice(0, -1) : text;
  return { kind: "file", sizeBytes: body.length, sha256: contentHash(hashOf(body)), executable };
}

function textOf(content: Content): string {
  if (content.kind === "folder") return "/";
  if (content.kind === "symlink") return `->${content.target}`;
  const body = content.sha256.replace(/(00)+$/u, "").match(/../gu) ?? [];
  const text = body.map((pair) => String.fromCharCode(Number.parseInt(pair, 16))).join("");
  return text + (content.executable ? "+" : "");
}

function parse(entry: string): { path: string; content: Content } {
  const at = /^(?<path>[^=]*?)(?<rest>\/|->.*|=.*)$/su.exec(entry)?.groups;
  assert(at?.["path"] !== undefined && at["rest"] !== undefined, `cannot read ${entry}`);
  return { path: at["path"], content: contentOf(at["rest"].replace(/^=/u, "")) };
}

const STAMP = { sizeBytes: 0, mtimeNs: 0n, ctimeNs: 0n };

/** One device's rows in memory, and both worlds acted out on them. */
class Story implements TreeView {
  readonly rows = new Map<NodeId, NodeRow>();
  #ids = 0;
  #files = 0;

  constructor(base: readonly string[]) {
    for (const entry of base) {
      const { path, content } = parse(entry);
      const place = this.#placeOf("local", path);
      const file = `file ${++this.#files}`;
      const local = this.#local(place, content, file);
      const remote = { ...place, content, mtimeMs: 0, crev: 1, lrev: 1 };
      const id = this.fresh();
      const synced = { ...place, content, file };
      this.put({ id, kind: content.kind, remote, synced, local, displacing: null, placing: null });
    }
  }

  readonly fresh = (): NodeId => nodeId((++this.#ids).toString(16).padStart(32, "0"));

  get(id: NodeId): NodeRow | undefined {
    return this.rows.get(id);
  }

  put(row: NodeRow): void {
    if (isEmpty(row)) this.rows.delete(row.id);
    else this.rows.set(row.id, row);
  }

  changed(): NodeRow[] {
    return [...this.rows.values()].filter((row) => !agrees(row));
  }

  children(side: Side, parent: NodeId): NodeRow[] {
    return [...this.rows.values()].filter((row) => row[side]?.parent === parent);
  }

  named(side: Side, parent: NodeId, name: string): NodeRow[] {
    return this.children(side, parent).filter(
      (row) => foldName(row[side]?.name ?? "") === foldName(name),
    );
  }

  /** Lets a person (local) or the other devices (remote) act. */
  act(side: "local" | "remote", lines: readonly string[]): void {
    for (const line of lines) {
      const [verb = "", ...words] = line.split(" ");
      const rest = words.join(" ");
      if (verb === "make") this.#make(side, rest);
      else if (verb === "edit") this.#edit(side, rest);
      else if (verb === "move") this.#move(side, words[0] ?? "", words[1] ?? "");
      else if (verb === "delete") this.#delete(side, rest);
      else this.#cannotSee(rest);
    }
  }

  plan(): Plan {
    const naming = { nameKey: foldName, device: "Me", date: "2026-11-22" };
    return plan(this, { ...naming, fresh: this.fresh });
  }

  /** Carries plans out, as a disk and a server without faults would; returns all that was done. */
  run(): string[] {
    const done: string[] = [];
    for (let round = 0; round < 20; round++) {
      const planned = this.plan();
      for (const row of planned.records) this.put(row);
      if (planned.local.length + planned.remote.length === 0) return done;
      for (const op of planned.local) done.push(this.#doLocal(op));
      for (const op of planned.remote) done.push(this.#doRemote(op));
    }
    return assert.fail("planning does not come to rest");
  }

  tree(side: "local" | "remote"): string[] {
    const entries: string[] = [];
    for (const row of this.rows.values()) {
      const at = row[side];
      const path = at === null ? null : pathOf(this, side, row.id);
      if (at === null || path === null) continue;
      const text = textOf(at.content ?? { kind: "folder" });
      entries.push(/^(\/|->)/u.test(text) ? path + text : `${path}=${text}`);
    }
    return entries.sort();
  }

  #local(place: { parent: NodeId; name: string }, content: Content, file: string): LocalSide {
    const executable = content.kind === "file" && content.executable;
    const rest = { racy: false, blind: null, missedMs: null, parkedFrom: null };
    const { parent, name } = place;
    return { parent, name, content, file, stamp: STAMP, executable, ...rest };
  }

  #placeOf(side: Side, path: string): { parent: NodeId; name: string } {
    const names = path.split("/");
    const name = names.pop() ?? "";
    return { parent: names.length === 0 ? ROOT_NODE : this.#at(side, names.join("/")).id, name };
  }

  #at(side: Side, path: string): NodeRow {
    for (const row of this.rows.values()) {
      if (row[side] !== null && pathOf(this, side, row.id) === path) return row;
    }
    return assert.fail(`nothing at ${path}`);
  }

  #make(side: "local" | "remote", entry: string): void {
    const { path, content } = parse(entry);
    const place = this.#placeOf(side, path);
    const blank = {
      id: this.fresh(),
      kind: content.kind,
      synced: null,
      displacing: null,
      placing: null,
    };
    const remote: RemoteSide = { ...place, content, mtimeMs: 0, crev: 2, lrev: 2 };
    if (side === "remote") this.put({ ...blank, remote, local: null });
    else {
      const local = this.#local(place, content, `file ${++this.#files}`);
      this.put({ ...blank, remote: null, local });
    }
  }

  #edit(side: "local" | "remote", entry: string): void {
    const { path, content } = parse(entry);
    const row = this.#at(side, path);
    if (side === "remote" && row.remote !== null) {
      this.put({ ...row, remote: { ...row.remote, content, crev: row.remote.crev + 1 } });
    } else if (row.local !== null) this.put({ ...row, local: { ...row.local, content } });
  }

  #move(side: "local" | "remote", from: string, to: string): void {
    const row = this.#at(side, from);
    const place = this.#placeOf(side, to);
    const at = row[side];
    assert(at !== null);
    this.put({ ...row, [side]: { ...at, ...place } });
  }

  #delete(side: "local" | "remote", path: string): void {
    const row = this.#at(side, path);
    const below = this.children(side, row.id).map(({ id }) => pathOf(this, side, id));
    for (const child of below) this.#delete(side, child ?? "");
    this.put({ ...row, [side]: null });
  }

  #cannotSee(path: string): void {
    const row = this.#at("local", path);
    assert(row.local !== null);
    this.put({ ...row, local: { ...row.local, blind: "unreadable" } });
  }

  #doLocal(op: LocalOp): string {
    const row = this.rows.get(op.id);
    assert(row !== undefined);
    if (op.kind === "remove") {
      this.put({ ...row, local: null, synced: row.remote === null ? null : row.synced });
      return `disk ${op.kind}`;
    }
    const local = this.#after(op, row);
    this.put({ ...row, local, synced: agreedSide(row, local), displacing: null, placing: null });
    return `disk ${op.kind}`;
  }

  #after(op: Exclude<LocalOp, { kind: "remove" }>, row: NodeRow): LocalSide {
    const file = `file ${++this.#files}`;
    if (op.kind === "create") return this.#local(op.target.place, op.target.content, file);
    const { local } = row;
    assert(local !== null && local.content !== null);
    if (op.kind === "move") return this.#local(op.to, local.content, local.file);
    if (op.kind === "replace") return this.#local(local, op.content, file);
    assert(local.content.kind === "file");
    return this.#local(local, { ...local.content, executable: op.executable }, local.file);
  }

  #doRemote({ kind, id }: RemoteOp): string {
    const row = this.rows.get(id);
    assert(row !== undefined);
    const { local, remote } = row;
    if (kind === "delete") this.put({ ...row, remote: null, synced: null });
    else {
      assert(local !== null && local.content !== null);
      const { parent, name, content, file } = local;
      const before = remote ?? { parent, name, content, mtimeMs: 0, crev: 9, lrev: 9 };
      const after = kind === "move" ? { ...before, parent, name } : { ...before, content };
      this.put({ ...row, remote: after, synced: { ...after, file } });
    }
    return `commit ${kind}`;
  }
}

type Told = {
  readonly rule: string;
  readonly says: string;
  readonly base: readonly string[];
  readonly here: readonly string[];
  readonly there: readonly string[];
  readonly after: readonly string[];
  /** What was done, in any order; left out where it does not matter. */
  readonly by?: readonly string[];
};

const mine = (name: string): string => {
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  return `${stem} (Me's Conflict Copy 2026-11-22)${ending}`;
};

// Written as one line a story: rule | what it says | before | here | there | afterwards | by what.
const table = [
  "PL1 | nothing happened: nothing is done | d/, d/f=1 | | | d/, d/f=1 | -",
  "PL1 | the same edit on both sides is one edit | f=1 | edit f=2 | edit f=2 | f=2 | -",
  "PL1 | the same rename on both sides is one rename | f=1 | move f g | move f g | g=1 | -",
  "PL1 | both deleted: it is gone | f=1 | delete f | delete f | | -",
  "PL2 | an edit here is committed | f=1 | edit f=2 | | f=2 | commit update",
  "PL2 | an edit there is taken | f=1 | | edit f=2 | f=2 | disk replace",
  "PL2 | a file made here is committed | | make f=1 | | f=1 | commit create",
  "PL2 | a file made there is written | | | make f=1 | f=1 | disk create",
  "PL2 | a rename here is one change | d/, d/f=1, d/g=2 | move d e | | e/, e/f=1, e/g=2 | commit move",
  "PL2 | a rename there is one step | d/, d/f=1, d/g=2 | | move d e | e/, e/f=1, e/g=2 | disk move",
  "PL2 | a deletion here is committed, children and all | d/, d/f=1 | delete d | | | commit delete, commit delete",
  "PL2 | a deletion there is done here | d/, d/f=1 | | delete d | | disk remove, disk remove",
  "PL2 | a link is replaced whole | l->a | | edit l->b | l->b | disk replace",
  `PL3 | two edits: theirs keeps the name, mine stands beside it | f.txt=1 | edit f.txt=me | edit f.txt=you | f.txt=you, ${mine("f.txt")}=me`,
  `PL3 | two different files made under one name | | make f=me | make f=you | f=you, ${mine("f")}=me`,
  "PL3 | moved and edited here, edited there: both are kept | f=1 | move f g; edit g=me | edit f=you | f=you, g=me",
  "PL4 | edited here, deleted there: it lives | f=1 | edit f=2 | delete f | f=2",
  "PL4 | deleted here, edited there: it comes back | f=1 | delete f | edit f=2 | f=2",
  "PL4 | moved here, deleted there: it lives at its new place | f=1 | move f g | delete f | g=1",
  "PL4 | deleted here, moved there: it lives at its new place | f=1 | delete f | move f g | g=1",
  "PL5 | moved here, edited there | f=1 | move f g | edit f=2 | g=2",
  "PL5 | edited here, moved there | f=1 | edit f=2 | move f g | g=2",
  "PL5 | folder renamed here, a child edited and one made there | d/, d/f=1 | move d e | edit d/f=2; make d/n=3 | e/, e/f=2, e/n=3",
  "PL5 | outer folder renamed here, inner one there | a/, a/b/, a/b/f=1 | move a x | move a/b a/y | x/, x/y/, x/y/f=1",
  "PL6 | moved to two places: theirs stands, no copy is made | f=1 | move f g | move f h | h=1 | disk move",
  "PL6 | a folder renamed twice is one folder | d/, d/f=1 | move d e | move d g | g/, g/f=1 | disk move",
  "PL7 | folder moved here, deleted there | d/, d/f=1, d/s/, d/s/g=2 | move d e | delete d | e/, e/f=1, e/s/, e/s/g=2",
  "PL7 | folder deleted here, moved there | d/, d/f=1, d/s/, d/s/g=2 | delete d | move d e | e/, e/f=1, e/s/, e/s/g=2",
  "PL8 | deleted here, a child made there | d/, d/f=1, d/g=2 | delete d | make d/n=3 | d/, d/n=3",
  "PL8 | a child made here, deleted there | d/, d/f=1, d/g=2 | make d/n=3 | delete d | d/, d/n=3",
  "PL8 | a child edited here, deleted there | d/, d/f=1, d/g=2 | edit d/f=9 | delete d | d/, d/f=9",
  "PL8 | deleted here, a child edited there | d/, d/f=1, d/g=2 | delete d | edit d/f=9 | d/, d/f=9",
  "PL8 | deleted here, something moved in there | d/, d/f=1, x=7 | delete d | move x d/x | d/, d/x=7",
  "PL8 | something moved in here, deleted there | d/, d/f=1, x=7 | move x d/x | delete d | d/, d/x=7",
  "PL8 | a child moved out here, deleted there | d/, d/f=1, d/g=2 | move d/f f | delete d | f=1",
  "PL8 | deleted here, a child moved out there | d/, d/f=1, d/g=2 | delete d | move d/f f | f=1",
  "PL8 | outer deleted here, inner renamed there: a shell with it stays | a/, a/b/, a/b/f=1, a/g=2 | delete a | move a/b a/c | a/, a/c/, a/c/f=1",
  "PL8 | deep inside something is made, everything above lives | a/, a/b/, a/b/c/, a/g=2 | make a/b/c/n=1 | delete a | a/, a/b/, a/b/c/, a/b/c/n=1",
  "PL9 | what cannot be seen here is left alone on both sides | d/, d/f=1 | blind d | edit d/f=2 | d/, d/f=1 | -",
  "PL9 | deleted there, but not to be seen here | d/, d/f=1 | blind d | delete d/f | d/, d/f=1 | -",
  "PL11 | made executable here, edited there | f=1 | edit f=1+ | edit f=2 | f=2+",
  "PL11 | edited here, made executable there | f=1 | edit f=2 | edit f=1+ | f=2+",
  "PL11 | made executable there | f=1 | | edit f=1+ | f=1+ | disk set-executable",
  `PL12 | file became a folder here, edited there | f=1 | delete f; make f/; make f/n=2 | edit f=9 | f=9, ${mine("f")}/, ${mine("f")}/n=2`,
  `PL12 | edited here, became a folder there | f=1 | edit f=9 | delete f; make f/; make f/n=2 | f/, f/n=2, ${mine("f")}=9`,
  `PL12 | folder became a file here, a child made there | d/, d/f=1 | delete d; make d=file | make d/n=2 | d/, d/n=2, ${mine("d")}=file`,
  `PL12 | a file made here where a folder was made there | | make x=1 | make x/ | x/, ${mine("x")}=1`,
  `PL12 | a folder made here where a file was made there | | make x/; make x/n=2 | make x=1 | x=1, ${mine("x")}/, ${mine("x")}/n=2`,
  "PL12 | both became folders: one folder, all children | f=1 | delete f; make f/; make f/a=1 | delete f; make f/; make f/b=2 | f/, f/a=1, f/b=2",
  "PL13 | a into b here, b into a there | a/, b/ | move a b/a | move b a/b | a/, a/b/",
  "PL13 | the same deep down | a/, a/x/, b/, b/y/ | move a b/y/a | move b a/x/b | a/, a/x/, a/x/b/, a/x/b/y/",
  "PL13 | turned inside out is no ring | a/, a/b/, a/f=1 | move a/b b; move a b/a | | b/, b/a/, b/a/f=1 | commit move, commit move",
  "PL13 | turned inside out, with an edit there | a/, a/b/, a/f=1 | move a/b b; move a b/a | edit a/f=2 | b/, b/a/, b/a/f=2",
  "PL14 | equal files made on both sides are one | | make f=1 | make f=1 | f=1 | -",
  "PL14 | folders made on both sides are one, deep down too | | make d/; make d/s/; make d/s/a=1; make d/same=7 | make d/; make d/s/; make d/s/b=2; make d/same=7 | d/, d/s/, d/s/a=1, d/s/b=2, d/same=7",
  `PL14 | moved onto a name that was taken there | f=1 | move f g | make g=9 | g=9, ${mine("g")}=1`,
  "PL14 | a name given up there is free here | f=1, g=2 | delete f; move g f | move f h | h=1, f=2",
  "PL14 | swapped here | a=1, b=2 | move a t; move b a; move t b | | a=2, b=1 | commit move, commit move",
  "PL14 | swapped there | a=1, b=2 | | move a t; move b a; move t b | a=2, b=1 | disk move, disk move",
  "PL14 | a ring of three folders here, an edit there | a/, b/, c/, a/f=1 | move a t; move b a; move c b; move t c | edit a/f=2 | a/, b/, c/, c/f=2",
  "PL15 | only the case changed here | Readme=1 | move Readme README | | README=1 | commit move",
  "PL15 | only the case changed there, edited here | Readme=1 | edit Readme=2 | move Readme README | README=2",
  `PL15 | made in two cases: the second steps aside | | make readme=me | make README=you | README=you, ${mine("readme")}=me`,
  "PL15 | equal files in two cases are one, called as the server calls it | | make readme=1 | make README=1 | README=1",
];

function told(line: string): Told {
  const cells = line.split(" | ").map((cell) => cell.trim());
  const [rule = "", says = "", base = "", here = "", there = "", after = "", by] = cells;
  const list = (cell: string, by: string): string[] =>
    cell === "" ? [] : cell.split(by).map((each) => each.trim());
  const done = by === undefined ? {} : { by: by === "-" ? [] : list(by, ",") };
  const acts = { here: list(here, ";"), there: list(there, ";") };
  return { rule, says, base: list(base, ","), ...acts, after: list(after, ","), ...done };
}

suite("who wins", () => {
  for (const line of table) {
    const { rule, says, base, here, there, after, by } = told(line.replace(/\|(?= \|)/gu, "| "));
    test(`${rule}: ${says}`, () => {
      const story = new Story(base);
      story.act("local", here);
      story.act("remote", there);
      const done = story.run();
      assert.deepEqual(story.tree("local"), [...after].sort());
      // What cannot be seen here stays as it is there, too: the two sides differ.
      if (rule !== "PL9") {
        assert.deepEqual(story.tree("remote"), [...after].sort(), "at the server");
      }
      if (by !== undefined) assert.deepEqual(done.sort(), [...by].sort());
    });
  }
});

suite("plans", () => {
  test("PL10: planning twice on the same trees gives the same plan, and changes nothing", () => {
    const story = new Story(["d/", "d/f=1", "g=1"]);
    story.act("local", ["move d e", "edit e/f=2", "make n=3", "delete g"]);
    story.act("remote", ["edit g=5", "make n=4"]);
    const before = JSON.stringify([...story.rows.values()], (_key, value: unknown) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    const shape = ({ local, remote }: Plan): string =>
      JSON.stringify([local.map(({ kind }) => kind), remote]);
    const first = shape(story.plan());
    assert.equal(shape(story.plan()), first);
    const after = JSON.stringify([...story.rows.values()], (_key, value: unknown) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    assert.equal(after, before);
  });

  test("PL16: a commit can end after any folder and file, but not within a ring of names", () => {
    const story = new Story(["a=1", "b=2"]);
    story.act("local", ["move a t", "move b a", "move t b", "make d/", "make d/f=3"]);
    const { remote } = story.plan();
    const cuts = remote.map(({ kind, cut }) => `${kind}${cut ? "|" : ""}`);
    assert.deepEqual(cuts.sort(), ["create|", "create|", "move", "move|"]);
    const created = remote.filter(({ kind }) => kind === "create").map(({ id }) => story.get(id));
    assert.deepEqual(
      created.map((row) => row?.kind),
      ["folder", "file"],
    );
  });

  test("PL16: what is deleted goes before the folder that it is in", () => {
    const story = new Story(["d/", "d/s/", "d/s/f=1"]);
    story.act("local", ["delete d"]);
    const kinds = story.plan().remote.map(({ id }) => story.get(id)?.kind);
    assert.deepEqual(kinds, ["file", "folder", "folder"]);
  });

  test("PL17: what still has to change on this disk is not committed", () => {
    const story = new Story(["f=1"]);
    story.act("local", ["edit f=me"]);
    story.act("remote", ["edit f=you"]);
    const first = story.plan();
    assert.deepEqual(first.remote, []);
    assert.deepEqual(first.local.map(({ kind }) => kind).sort(), ["create", "move"]);
  });

  test("PL9: a name that something unread may still give up makes nobody step aside", () => {
    const story = new Story(["f=1"]);
    story.act("local", ["move f g", "make f=2"]);
    const moved = story.named("local", ROOT_NODE, "g")[0];
    assert(moved?.local);
    story.put({ ...moved, local: { ...moved.local, content: null } });
    assert.deepEqual(story.run(), []);
    story.put(moved);
    story.run();
    assert.deepEqual(story.tree("remote"), ["f=2", "g=1"]);
  });
});
