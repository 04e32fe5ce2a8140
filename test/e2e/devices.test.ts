import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { suite, test } from "node:test";
import { arrives, assertSameTrees, settled, treeOf } from "./trees.ts";
import { type Device, World } from "./world.ts";

const MIB = 1024 * 1024;
const LONG = "n".repeat(255);

async function trio(world: World): Promise<[Device, Device, Device, Device[]]> {
  const { devices } = await world.synced("A", "B", "C");
  const [a, b, c] = devices;
  assert.ok(a && b && c);
  return [a, b, c, devices];
}

suite("three devices", { concurrency: 2 }, () => {
  test("files, folders, links and bits of every kind are the same on all of them, whoever made them", async () => {
    await using world = await World.open();
    const [a, b, c, devices] = await trio(world);
    const names = [
      "with space",
      "emoji 😀",
      `'"\`$x`,
      "new\nline",
      "100% %41",
      LONG,
      "back\\slash",
    ];
    for (const name of names) a.write(name, `in ${name.slice(0, 9)}`);
    a.write("plain", "v1");
    a.write("empty", "");
    a.write("run.sh", "#!/bin/sh\n");
    fs.chmodSync(a.at("run.sh"), 0o755);
    fs.mkdirSync(a.at("empty folder"));
    fs.symlinkSync("plain", a.at("link"));
    const made = await settled(devices);
    assert.equal(Object.keys(made).length, names.length + 5);
    assert.match(made["run.sh"] ?? "", / \+x$/);
    b.write("plain", "v2");
    fs.chmodSync(b.at("run.sh"), 0o644);
    fs.renameSync(b.at("emoji 😀"), b.at("emoji 😎"));
    fs.unlinkSync(b.at("with space"));
    fs.unlinkSync(b.at("link"));
    fs.symlinkSync("empty", b.at("link"));
    fs.rmdirSync(b.at("empty folder"));
    assertSameTrees(await settled(devices), treeOf(b.dir));
    fs.renameSync(c.at("plain"), c.at("between"));
    fs.renameSync(c.at("empty"), c.at("plain"));
    fs.renameSync(c.at("between"), c.at("empty"));
    fs.renameSync(c.at("run.sh"), c.at("RUN.sh"));
    await settled(devices);
    assert.equal(a.read("empty"), "v2");
    assert.equal(a.read("plain"), "");
    assert.deepEqual(a.list(), c.list());
    assert.ok(a.list().includes("RUN.sh") && !a.list().includes("run.sh"));
    const { state, problems } = await a.json("status", a.dir);
    assert.deepEqual({ state, problems }, { state: "in-sync", problems: [] });
  });

  test("a folder of a thousand files is made, renamed, edited, moved and deleted", async () => {
    await using world = await World.open();
    const [a, b, c, devices] = await trio(world);
    for (let n = 0; n < 1_000; n++) a.write(`many/${n}`, `file ${n}`);
    assert.equal(Object.keys(await settled(devices)).length, 1_001);
    fs.renameSync(b.at("many"), b.at("lots"));
    await settled(devices);
    assert.equal(c.read("lots/999"), "file 999");
    for (let n = 0; n < 1_000; n++) b.write(`lots/${n}`, `edited ${n}`);
    fs.mkdirSync(b.at("sub"));
    fs.renameSync(b.at("lots"), b.at("sub/lots"));
    await settled(devices);
    assert.equal(a.read("sub/lots/7"), "edited 7");
    fs.rmSync(c.at("sub/lots"), { recursive: true });
    assert.equal((await c.run("wait", c.dir)).code, 3);
    const [{ id }] = await c.json("holds", c.dir);
    await c.ok("holds", "approve", id, c.dir);
    assert.deepEqual(await settled(devices), { "sub/": "folder" });
  });

  test("a file of 60 MB, an edit in its middle, a rename, and names that change their kind", async () => {
    await using world = await World.open();
    const [a, b, , devices] = await trio(world);
    for (let part = 0; part < 6; part++) {
      fs.appendFileSync(a.at("big"), randomBytes(10 * MIB));
    }
    await settled(devices);
    const file = fs.openSync(b.at("big"), "r+");
    fs.writeSync(file, "edited here", 30 * MIB);
    fs.closeSync(file);
    b.write("folder to be/x", "x");
    b.write("file to be", "y");
    await settled(devices);
    fs.renameSync(a.at("big"), a.at("bigger"));
    fs.rmSync(a.at("folder to be"), { recursive: true });
    a.write("folder to be", "a file now");
    fs.rmSync(a.at("file to be"));
    a.write("file to be/in", "a folder now");
    assertSameTrees(await settled(devices), treeOf(a.dir));
  });

  test("the edit that came first keeps the name, the one made offline becomes a copy, once", async () => {
    await using world = await World.open();
    const [a, b, , devices] = await trio(world);
    a.write("Document.docx", "draft");
    await settled(devices);
    await a.engine.stop();
    a.write("Document.docx", "what A wrote on the train");
    b.write("Document.docx", "what B wrote in the office");
    await b.settle();
    await a.sync();
    await settled(devices);
    const copies = a.list().filter((name) => name !== "Document.docx");
    assert.equal(copies.length, 1);
    assert.match(copies[0] ?? "", /^Document \(A's Conflict Copy \d{4}-\d\d-\d\d\)\.docx$/);
    for (const device of devices) {
      assert.equal(device.read("Document.docx"), "what B wrote in the office");
      assert.equal(device.read(copies[0] ?? ""), "what A wrote on the train");
    }
    // Nor does a kill bring another one.
    await a.engine.stop("SIGKILL");
    await a.sync();
    assert.equal(Object.keys(await settled(devices)).length, 2);
  });

  test("each of thirty saves, one after the other, arrives; also those made the moment one arrived", async (context) => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices;
    assert.ok(a && b);
    const took: number[] = [];
    for (let save = 0; save < 30; save++) {
      const [from, to] = save % 2 === 0 ? [a, b] : [b, a];
      const began = performance.now();
      from.write("note", `save ${save}`);
      await arrives(to, "note", `save ${save}`);
      took.push(performance.now() - began);
    }
    assert.deepEqual(Object.keys(await settled(devices)), ["note"]);
    took.sort((left, right) => left - right);
    context.diagnostic(`p50 ${took[15]?.toFixed()} ms, p95 ${took[28]?.toFixed()} ms`);
  });
});
