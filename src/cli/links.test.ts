import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { deviceId, spaceId } from "#core/ids.ts";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import type { Link } from "./daemon.ts";
import {
  checkLinkable,
  impliedLink,
  linkHolding,
  listLinks,
  linkAt,
  quoted,
  realPath,
  replaceLink,
  storeLink,
} from "./links.ts";

function linkTo(dir: string): Link {
  return {
    dir,
    server: "http://127.0.0.1:7420",
    account: "alice",
    device: deviceId("d".repeat(32)),
    deviceName: "laptop",
    token: `ls_dev_${"t".repeat(43)}`,
    space: spaceId("5".repeat(32)),
    spaceName: "files",
    kind: "plain",
    folding: true,
    cutKey: "c".repeat(96),
    startCursor: "start",
  };
}

test("CL7: what was linked is found again, from the folder and from all below it", async () => {
  await using scratch = await scratchFolder();
  const at = fs.realpathSync(scratch.path);
  const home = { path: path.join(at, "home") };
  const dir = path.join(at, "work");
  fs.mkdirSync(path.join(dir, "sub"), { recursive: true });
  const stored = storeLink(home, linkTo(dir));
  assert.deepEqual(listLinks(home), [stored]);
  assert.equal(linkHolding(home, dir)?.inside, "");
  assert.equal(linkHolding(home, path.join(dir, "sub/gone/file.txt"))?.inside, "sub/gone/file.txt");
  assert.equal(linkHolding(home, `${dir}-beside`), null);
  assert.equal(linkHolding(home, at), null);
  assert.deepEqual(impliedLink(home, undefined).link.dir, dir);
});

test("CL7: a synced symlink is a path of its own, a link to the folder leads into it", async () => {
  await using scratch = await scratchFolder();
  const at = fs.realpathSync(scratch.path);
  const home = { path: path.join(at, "home") };
  const dir = path.join(at, "work");
  fs.mkdirSync(dir);
  fs.symlinkSync(dir, path.join(at, "shortcut"));
  fs.symlinkSync(at, path.join(dir, "outwards"));
  storeLink(home, linkTo(dir));
  assert.equal(linkHolding(home, path.join(at, "shortcut/a.txt"))?.inside, "a.txt");
  assert.equal(linkHolding(home, path.join(dir, "outwards"))?.inside, "outwards");
});

test("CL7: neither a linked folder, nor one in or around it, nor the home is linked", async () => {
  await using scratch = await scratchFolder();
  const at = fs.realpathSync(scratch.path);
  const home = { path: path.join(at, "state/home") };
  const dir = path.join(at, "a/work");
  storeLink(home, linkTo(dir));
  assert.throws(() => checkLinkable(home, dir), /linked already/);
  assert.throws(() => checkLinkable(home, path.join(dir, "x")), /lies inside/);
  assert.throws(() => checkLinkable(home, path.join(at, "a")), /lies inside/);
  assert.throws(() => checkLinkable(home, path.join(at, "state")), /keeps its own state/);
  checkLinkable(home, path.join(at, "a/work2"));
  checkLinkable(home, path.join(at, "b"));
});

test("a link follows its server to another port and is otherwise the same", async () => {
  await using scratch = await scratchFolder();
  const home = { path: path.join(scratch.path, "home") };
  const before = storeLink(home, linkTo("/somewhere"));
  const link = { ...before.link, server: "http://127.0.0.1:9000" };
  replaceLink(before, link);
  assert.deepEqual(listLinks(home), [{ state: before.state, link }]);
  assert.deepEqual(linkAt(home, "/somewhere")?.link, link);
  assert.equal(linkAt(home, "/somewhere/below"), null);
});

test("a damaged link is named with the next step, an unfinished one is passed over", async () => {
  await using scratch = await scratchFolder();
  const home = { path: path.join(scratch.path, "home") };
  fs.mkdirSync(path.join(home.path, "folders/unfinished"), { recursive: true });
  assert.deepEqual(listLinks(home), []);
  fs.writeFileSync(path.join(home.path, "folders/unfinished/link.json"), '{"dir": 7}');
  assert.throws(() => listLinks(home), /link\.json is damaged .*link the folder again/);
});

test("a path that is not there yet has its parents' symlinks resolved", async () => {
  await using scratch = await scratchFolder();
  const at = fs.realpathSync(scratch.path);
  fs.mkdirSync(path.join(at, "real"));
  fs.symlinkSync(path.join(at, "real"), path.join(at, "link"));
  assert.equal(realPath(path.join(at, "link/new/deep")), path.join(at, "real/new/deep"));
});

test("what is quoted for a shell can be pasted", () => {
  assert.equal(quoted("/home/alice/Work"), "/home/alice/Work");
  assert.equal(quoted("/a b"), "'/a b'");
  assert.equal(quoted("/it's"), `'/it'\\''s'`);
});
