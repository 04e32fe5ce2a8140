import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { toHex } from "#core/bytes.ts";
import type { Fate } from "./proxy.ts";
import { treeOf, until, World } from "./world.ts";

const isCommit = (asked: string): boolean => asked.endsWith("/commits");

/** Lets the first request that fits meet its fate, and everything else pass. */
function once(fits: (asked: string) => boolean, fate: Fate): (asked: string) => Fate {
  let met = false;
  return (asked) => {
    if (met || !fits(asked)) return "pass";
    met = true;
    return fate;
  };
}

suite("a network as it is", () => {
  test("SE3: a commit whose answer is lost lands once", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    const before = await world.head();
    world.proxy.fate = once(isCommit, "lose-reply");
    writeFileSync(a.path("f"), "once");
    await until("B has it", () => existsSync(b.path("f")));
    await world.settle();
    assert.equal((await world.head()) - before, 1);
    assert.deepEqual(treeOf(b.dir), { f: "once" });
  });

  test("SE3: an engine that was stopped before the answer came does not do it twice", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const before = await world.head();
    world.proxy.fate = (asked) => (isCommit(asked) ? "lose-reply" : "pass");
    writeFileSync(a.path("f"), "once");
    await until("the commit landed", async () => (await world.head()) > before);
    await a.down();
    world.proxy.fate = () => "pass";
    a.up();
    await world.settle();
    assert.equal((await world.head()) - before, 1);
    assert.deepEqual(treeOf(a.dir), { f: "once" });
  });

  test("EN5: edits made while the server is away arrive when it is back, from both sides", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    world.proxy.fate = () => "refuse";
    world.proxy.cut();
    writeFileSync(a.path("from A"), "a");
    writeFileSync(b.path("from B"), "b");
    await until("A says so", () => a.engine.status(0).state === "offline");
    world.proxy.fate = () => "pass";
    await world.settle();
    for (const device of [a, b])
      assert.deepEqual(treeOf(device.dir), { "from A": "a", "from B": "b" });
    assert.equal(a.engine.status(0).state, "in-sync");
  });

  test("EN1, ST1: a device in sync has one request waiting and asks nothing else", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "x");
    await world.settle();
    await until("both are in sync", () =>
      [a, b].every((device) => device.engine.status(0).state === "in-sync"),
    );
    world.proxy.asked.length = 0;
    for (const device of [a, b]) device.engine.wake();
    await a.settle();
    await b.settle();
    // Somebody who waits has it asked at once; then it waits again.
    const asked = world.proxy.asked.map((each) => each.split("/").at(-1));
    assert.deepEqual([...new Set(asked)], ["changes"]);
    assert(asked.length <= 4, `${asked.length} questions`);
  });

  test("EN2: an edit arrives although nobody asks: the waiting request is answered", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    await world.settle();
    world.proxy.asked.length = 0;
    writeFileSync(a.path("f"), "x");
    await until("B has it", () => existsSync(b.path("f")));
    await world.settle();
    const kinds = world.proxy.asked.map((asked) => asked.replace(/\/v1\/spaces\/[0-9a-f]+/u, ""));
    const counts = Object.groupBy(kinds, (kind) => kind);
    assert.equal(counts["POST /commits"]?.length, 1);
    assert.equal(counts["POST /chunks"]?.length, 1);
    assert.equal(counts["POST /chunks/fetch"]?.length, 1);
  });

  test("DL1, SE1: a thousand small files are sent, committed and fetched in a handful of requests", async () => {
    await using world = await World.start();
    const a = await world.linked("A");
    for (let n = 0; n < 1_000; n++) writeFileSync(a.path(`${n}`), randomBytes(100));
    a.up();
    await a.settle();
    const sent = world.proxy.asked.filter((asked) => asked.startsWith("POST"));
    // A question, a batch and a commit for each 256 files.
    assert(sent.length <= 12, `${sent.length} requests to send`);
    const chunksAt = sent.findIndex((asked) => asked.endsWith("/chunks"));
    assert(
      chunksAt >= 0 && chunksAt < sent.findIndex(isCommit),
      "contents come before their commit",
    );
    world.proxy.asked.length = 0;
    const b = await world.device("B");
    await world.settle();
    const fetched = world.proxy.asked.filter((asked) => asked.endsWith("/fetch"));
    assert(fetched.length <= 4, `${fetched.length} requests to fetch`);
    assert.deepEqual(treeOf(b.dir), treeOf(a.dir));
  });

  test("DL3: a damaged chunk never reaches a file; asked for again it does (T-CR-04)", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    const bytes = toHex(randomBytes(50_000));
    world.proxy.fate = once((asked) => asked.endsWith("/fetch"), "damage-reply");
    writeFileSync(a.path("f"), bytes);
    await until("B has it", () => existsSync(b.path("f")));
    assert.equal(readFileSync(b.path("f"), "utf8"), bytes);
  });

  test("SE4: what a commit was refused for is followed, and planned anew", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("f"), "base\n");
    await world.settle();
    // A does not hear of B's edit before its own commit is refused.
    world.proxy.fate = (asked) => (asked.includes("/changes") ? "refuse" : "pass");
    for (const round of [1, 2, 3]) {
      writeFileSync(b.path(`b${round}`), `b${round}`);
      appendFileSync(a.path("f"), `A ${round}\n`);
    }
    appendFileSync(b.path("f"), "B\n");
    world.proxy.fate = () => "pass";
    await world.settle();
    assert.deepEqual(treeOf(a.dir), treeOf(b.dir));
    const contents = Object.values(treeOf(a.dir));
    assert(contents.includes("base\nB\n") && contents.includes("base\nA 1\nA 2\nA 3\n"));
  });

  test("UP2: a file that changes before it is sent is read again; what is sent is what it is", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    let changed = false;
    world.proxy.fate = (asked) => {
      if (asked.endsWith("/missing") && !changed) {
        changed = true;
        writeFileSync(a.path("f"), "after");
      }
      return "pass";
    };
    writeFileSync(a.path("g"), "g");
    writeFileSync(a.path("f"), "before");
    await until("B has what A has", () => treeOf(b.dir)["f"] === "after");
    await world.settle();
    assert.deepEqual(treeOf(b.dir), { f: "after", g: "g" });
  });

  test("FO4: a server that knows the cursor no more leads to a union, and nothing is deleted", async () => {
    await using world = await World.start();
    const a = await world.device("A");
    const b = await world.device("B");
    writeFileSync(a.path("kept"), "k");
    writeFileSync(a.path("edited"), "1");
    await world.settle();
    world.proxy.fate = () => "refuse";
    world.proxy.cut();
    writeFileSync(a.path("edited"), "2");
    writeFileSync(b.path("new"), "n");
    await until("A is offline", () => a.engine.status(0).state === "offline");
    world.proxy.fate = once((asked) => asked.includes("/changes"), "reset");
    await world.settle();
    const tree = treeOf(a.dir);
    assert.deepEqual(treeOf(b.dir), tree);
    const contents = Object.values(tree);
    for (const content of ["k", "2", "n"]) assert(contents.includes(content), content);
  });
});
