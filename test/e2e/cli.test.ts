import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { assertSentence, World, type Device, type Ended } from "./world.ts";

function modeOf(file: string): number {
  return fs.statSync(file).mode & 0o777;
}

function filesBelow(folder: string): string[] {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.map((entry) => path.join(entry.parentPath, entry.name));
}

async function stateOf(device: Device): Promise<string> {
  return (await device.json("status", device.dir)).state;
}

describe("two devices of one account", { concurrency: 2 }, () => {
  test("CL1: serve prints one line when it is ready, and SIGTERM ends it with 0", async () => {
    await using world = await World.open();
    const server = await world.server();
    const health = await fetch(`${server.url}/healthz`);
    assert.equal(health.status, 200);
    const { code, stdout } = await server.process.stop();
    assert.equal(code, 0);
    assert.equal(stdout, `listening on ${server.url}\n`);
  });

  test("CL2: sign up, link, sync and wait ask nothing, and a file crosses both ways", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    a.write("from a/one.txt", "one");
    b.write("two.txt", "two");
    await world.agree(a, b);
    assert.deepEqual([b.read("from a/one.txt"), a.read("two.txt")], ["one", "two"]);
    a.write("from a/one.txt", "changed");
    await world.agree(a, b);
    assert.equal(b.read("from a/one.txt"), "changed");
    for (const device of devices) assert.equal((await device.engine.stop()).code, 0);
  });

  test("CL3: wait returns when what others sent before it began has arrived", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    for (let round = 0; round < 5; round++) {
      a.write(`file-${round}`, `round ${round}`);
      await a.settle();
      await b.settle();
      assert.equal(b.read(`file-${round}`), `round ${round}`);
    }
  });

  test("CL4: sync --once ends with 0 when device and server agree", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    await a.engine.stop();
    a.write("later.txt", "later");
    await a.ok("sync", a.dir, "--once");
    const { pending } = await a.json("status", a.dir);
    assert.deepEqual(pending, { up: 0, down: 0 });
    const [version] = await a.json("history", a.at("later.txt"));
    assert.equal(version.path, "later.txt");
  });

  test("CL4: sync --once ends with 1 when the server does not answer", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("a");
    const [a] = devices as [Device];
    await a.engine.stop();
    await server.process.stop();
    const ended = await a.run("sync", a.dir, "--once");
    assert.equal(ended.code, 1);
    assertSentence(ended, /cannot be reached .* run this again later/);
  });
});

describe("up and join", { concurrency: 2 }, () => {
  test("CL5: up makes all it needs, and join adds a machine with one line", async () => {
    await using world = await World.open();
    const [a, b] = [world.device("a"), world.device("b")];
    const up = a.start("up", a.dir, "--port", "0");
    const [, code = ""] = await up.says(/lockstep join (\S+)\n/);
    assert.match(up.stdout, new RegExp(`Folder +${a.dir}\n`));
    assert.match(up.stdout, /Server +http:\/\/127\.0\.0\.1:\d+\n/);
    b.write("already here.txt", "kept");
    const joined = b.start("join", code, b.dir, "--device", "b");
    await joined.says(/Syncing/);
    a.write("hello.txt", "hello");
    await world.agree(a, b);
    assert.equal(b.read("hello.txt"), "hello");
    assert.equal(a.read("already here.txt"), "kept");
    assert.equal((await joined.stop("SIGINT")).code, 0);
    assert.equal((await up.stop("SIGINT")).code, 0);
    const { reason } = await a.json("status", a.dir);
    assert.match(reason, /No engine runs; .*: start it with lockstep up\.$/);
  });

  test("CL5, CL30: a join code in any spelling works once, and lets nobody in unasked", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("a");
    const [a] = devices as [Device];
    const unasked = await a.run("devices", "add", "--folder", a.dir);
    assert.equal(unasked.code, 2);
    assertSentence(unasked, /nobody here to ask .* --yes/);
    const { code, waiting } = await a.invite();
    assert.match(code, /^127\.0\.0\.1:\d+\/([0-9A-Z]{5}-){3}[0-9A-Z]{5}$/);
    const secret = String(code).split("/")[1] ?? "";
    const typed = `${server.url}/${secret.replaceAll("-", "").toLowerCase().replaceAll("0", "o")}`;
    const [b, c] = [world.device("b"), world.device("c")];
    const joined = await b.run("join", typed, b.dir, "--device", "b", "--no-sync");
    assert.equal(joined.code, 0, joined.stderr);
    const { code: done, stdout, stderr } = await waiting.ended;
    assert.deepEqual([done, stdout.split("\n")[1]], [0, "b is a device of alice now."]);
    const [words = ""] = /^ {2}[a-z]+( [a-z]+){3}$/m.exec(joined.stderr) ?? [];
    assert.ok(words !== "" && stderr.includes(words.trim()), `${joined.stderr}${stderr}`);
    const again = await c.run("join", code, path.join(c.dir, "sub"), "--no-sync");
    assert.equal(again.code, 1);
    assertSentence(again, /join code/);
    assert.equal(fs.existsSync(c.dir), false, "no empty folder is left");
    const wrong = await c.run("join", "not a code", c.dir);
    assert.equal(wrong.code, 2);
    assertSentence(wrong, /not a code is no join code/);
  });

  test("CL6: up again is the same server, account, device and folder", async () => {
    await using world = await World.open();
    const a = world.device("a");
    const seen: unknown[] = [];
    for (let round = 0; round < 2; round++) {
      const up = a.start("up", a.dir, "--json", ...(round === 0 ? ["--port", "0"] : []));
      await up.says(/\n\}\n/);
      const { join, ...rest } = JSON.parse(up.stdout);
      assert.match(join, /lockstep join 127\.0\.0\.1:\d+\//);
      const devices = await a.json("devices", "--folder", a.dir);
      seen.push({ rest, devices: devices.map(({ device }: { device: string }) => device) });
      assert.equal((await up.stop()).code, 0);
    }
    assert.deepEqual(seen[1], seen[0]);
    // A server that was made anew knows nobody.
    fs.rmSync(path.join(a.home, "server"), { recursive: true });
    const unknown = await a.run("up", a.dir);
    assert.equal(unknown.code, 3);
    assertSentence(unknown, /sign in again with lockstep unlink \S+, then lockstep up; if nobody/);
  });

  test("CL6: up while it is up already says so", async () => {
    await using world = await World.open();
    const a = world.device("a");
    const up = a.start("up", a.dir, "--port", "0");
    await up.says(/Ctrl-C stops/);
    const second = await a.run("up", a.dir);
    assert.equal(second.code, 1);
    assertSentence(second, /is up already/);
  });
});

describe("what is linked", { concurrency: 2 }, () => {
  test("CL7: a folder is linked once, and never inside another one", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("a");
    const [a] = devices as [Device];
    const link = (dir: string): Promise<Ended> =>
      a.run("link", dir, "--server", server.url, "--account", "alice");
    const running = await link(a.dir);
    assert.equal(running.code, 1);
    assertSentence(running, new RegExp(`Another Lockstep syncs .*process ${a.engine.pid}\\b`));
    const other = await a.run("link", a.dir, "--server", server.url, "--account", "bob");
    assert.equal(other.code, 2);
    assertSentence(other, /linked already, to the space home of alice at .*lockstep unlink/);
    for (const dir of [path.join(a.dir, "inside"), world.folder]) {
      const nested = await link(dir);
      assert.equal(nested.code, 2);
      assertSentence(nested, /cannot be linked: .* lies inside/);
    }
    const [, ...others] = await a.json("devices", "--folder", a.dir);
    assert.deepEqual(others, [], "nobody was enrolled in vain");
  });

  test("CL29: a folder is linked to the sealed space home, with --space plain to files", async () => {
    await using world = await World.open();
    const server = await world.server();
    const [a, b] = [world.device("a"), world.device("b")];
    const to = ["--server", server.url, "--account", "alice"];
    const { words } = await a.json("account", "create", ...to);
    assert.equal(words.split(" ").length, 24);
    const spaces: [string, ...string[]][] = [
      ["sealed home"],
      ["plain files", "--space", "plain"],
      ["sealed work", "--space-name", "work", "--dedup", "private"],
      ["plain notes", "--space", "plain", "--space-name", "notes"],
    ];
    for (const [expected, ...more] of spaces) {
      const dirs = [a, b].map((device) => path.join(device.dir, expected));
      const [first, again] = [
        await a.json("link", dirs[0] ?? "", ...to, ...more),
        await b.json("link", dirs[1] ?? "", ...to, ...more),
      ];
      assert.equal(`${first.kind} ${first.spaceName}`, expected);
      assert.equal(again.space, first.space, "the other device finds the same one");
    }
    const kinds = await a.run("link", a.at("x"), ...to, "--space", "open");
    assert.equal(kinds.code, 2);
    const { code } = await a.invite(a.at("plain files"));
    const joined = await b.ok("join", code, b.at("joined"), "--no-sync");
    assert.match(joined, /of alice now/);
    assert.match(await b.ok("status", b.at("joined")), /space files/);
  });

  test("CL26: a folder whose home is lost is linked to its space again; what is there is united", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("a");
    const [a] = devices as [Device];
    a.write("same", "same");
    a.write("mine", "before");
    await a.settle();
    const heir = world.device("a", path.join(world.folder, "another home"));
    const to = ["--server", server.url, "--account", "alice"];
    const busy = await heir.run("link", a.dir, ...to);
    assert.equal(busy.code, 1);
    assertSentence(busy, /Another Lockstep syncs .* \(process \d+, /);
    assert.equal((await a.json("devices", "--folder", a.dir)).length, 1);
    await a.engine.stop();
    fs.rmSync(a.home, { recursive: true });
    const b = world.device("b");
    await b.link(server, "alice");
    await b.sync();
    b.write("mine", "from b");
    fs.rmSync(b.at("same"));
    await b.settle();
    heir.write("mine", "from a");
    await heir.link(server, "alice");
    await heir.sync();
    const list = await world.agree(heir, b);
    // What was deleted while this device knew nothing of it comes back: unknown is not deleted.
    const copy = list.find((name) => name.startsWith("mine ("));
    assert.deepEqual(new Set(list), new Set(["mine", copy, "same"]));
    assert.deepEqual([heir.read("mine"), heir.read(copy ?? "")], ["from b", "from a"]);
    assert.equal((await b.json("history", b.at("same")))[0].size, 4);
  });

  test("CL26: a folder with another space's marker is refused, and what was made goes again", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("a");
    const [a] = devices as [Device];
    await a.engine.stop();
    const b = world.device("b");
    const to = ["--server", server.url, "--account", "alice"];
    const names =
      /was linked to the space home: .*--space sealed --space-name home.* remove .*\/root-\w{32} /;
    const marks = /was linked to another space, as \/.*\/\.lockstep\/root-[0-9a-f]{32} marks/;
    await b.ok("account", "create", "--server", server.url, "--account", "bob");
    const bob = ["--server", server.url, "--account", "bob"];
    const commands: [RegExp, string[]][] = [
      [names, ["link", a.dir, ...to, "--space-name", "other"]],
      [marks, ["link", a.dir, ...bob]],
      [marks, ["up", a.dir, "--port", "0"]],
    ];
    for (const [sentence, args] of commands) {
      const refused = await b.run(...args);
      assert.equal(refused.code, 2, args.join(" "));
      assertSentence(refused, sentence);
    }
    const devicesOfA = await a.json("devices", "--folder", a.dir);
    assert.deepEqual(
      devicesOfA.map(({ revoked }: { revoked: boolean }) => revoked),
      [false, true],
    );
    assert.equal(fs.existsSync(b.home), false, "up made no server");
  });

  test("CL27: unlink leaves every file, and the folder can be linked again", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("a");
    const [a] = devices as [Device];
    a.write("kept.txt", "kept");
    await a.settle();
    const running = await a.run("unlink", a.dir);
    assert.equal(running.code, 1);
    assertSentence(running, /Another Lockstep syncs/);
    await a.engine.stop();
    const { device } = (await a.json("devices", "--folder", a.dir))[0];
    const said = await a.json("unlink", a.dir);
    const of = { dir: a.dir, account: "alice", spaceName: "home", device };
    assert.deepEqual(said, { ...of, left: null });
    assert.deepEqual(fs.readdirSync(a.dir), ["kept.txt"]);
    assert.equal((await a.run("status", a.dir)).code, 2);
    await a.link(server, "alice");
    const held = path.join(a.dir, ".lockstep", "hold", "somebody's");
    await a.ok("sync", a.dir, "--once");
    fs.writeFileSync(held, "bytes");
    assert.match(await a.ok("unlink", a.dir), /\.lockstep stays: it keeps files/);
    assert.deepEqual(fs.readdirSync(path.dirname(held)), ["somebody's"]);
    await a.link(server, "alice");
    await a.sync();
    const { state, conflicts } = await a.json("status", a.dir);
    assert.deepEqual([state, conflicts, a.list()], ["in-sync", 0, ["kept.txt"]]);
    assert.equal((await a.json("history", a.at("kept.txt"))).length, 1);
  });

  test("CL8: what a home holds is this user's alone", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    const link = filesBelow(a.home).find((file) => file.endsWith("link.json")) ?? "";
    assert.equal(modeOf(link), 0o600);
    assert.equal(modeOf(path.dirname(link)), 0o700);
    assert.equal(modeOf(a.home), 0o700);
    const open = filesBelow(a.home).filter(
      (file) => fs.statSync(file).isFile() && (modeOf(file) & 0o077) !== 0,
    );
    const closed = (file: string): boolean => (modeOf(path.dirname(file)) & 0o077) === 0;
    assert.ok(open.every(closed), `others may read ${open.join(", ")}`);
  });

  test("CL9: a home with a long name and spaces works like any other", async () => {
    await using world = await World.open();
    const server = await world.server();
    const a = world.device("a", path.join(world.folder, "long name ".repeat(12), "home"));
    assert.ok(Buffer.byteLength(a.home) > 104);
    await a.ok("account", "create", "--server", server.url, "--account", "alice");
    await a.link(server, "alice");
    await a.sync();
    assert.equal(await stateOf(a), "in-sync");
  });
});

describe("one engine a folder", { concurrency: 2 }, () => {
  test("CL10: a second engine is refused, and who has the folder is named", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    const second = await a.run("sync", a.dir);
    assert.equal(second.code, 1);
    assertSentence(second, new RegExp(`process ${a.engine.pid}\\b`));
    await a.settle();
  });

  test("CL10: an engine that was killed leaves nothing in the way of the next", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    await a.engine.stop("SIGKILL");
    assert.equal(await stateOf(a), "offline");
    a.write("after.txt", "after");
    await a.sync();
    assert.equal(await stateOf(a), "in-sync");
    assert.equal((await a.json("history", a.at("after.txt"))).length, 1);
  });

  test("CL11: signals within a second are one, and the engine ends with 0", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    a.engine.signal("SIGINT");
    a.engine.signal("SIGINT");
    a.engine.signal("SIGTERM");
    assert.equal((await a.engine.ended).code, 0);
    const running = filesBelow(a.home).filter((file) => /running\.json$|control$/.test(file));
    assert.deepEqual(running, []);
  });
});

describe("exit codes", { concurrency: 2 }, () => {
  test("CL12: wrong usage is 2, with one sentence or the usage on stderr", async () => {
    await using world = await World.open();
    const a = world.device("a");
    for (const args of [["nonsense"], ["sync"], ["status", "--nonsense"], ["wait", "."]]) {
      const { code, stdout, stderr } = await a.run(...args);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.notEqual(stderr, "");
    }
    assertSentence(await a.run("devices", "bogus"), /bogus: there are list, add and revoke\.$/m);
    const verbose = await a.run("sync", "/nowhere", "--verbose");
    assert.match(verbose.stderr, /\n\s+at /);
  });

  test("CL13: wait ends with 4 when no engine runs in time", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    await a.engine.stop();
    const ended = await a.run("wait", a.dir, "--timeout", "0.2");
    assert.equal(ended.code, 4);
    assertSentence(ended, /No engine of .* ran for 0\.2 s/);
    const waiting = a.start("wait", a.dir);
    const engine = a.start("sync", a.dir);
    assert.equal((await waiting.ended).code, 0);
    await engine.stop();
  });

  test("CL14: a folder that waits for a person ends sync, wait and --once with 3", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    a.write("kept.txt", "kept");
    await a.settle();
    fs.renameSync(a.dir, `${a.dir} is away`);
    fs.mkdirSync(a.dir);
    const ended = await Promise.race([a.engine.ended, a.run("wait", a.dir)]);
    assert.equal(ended.code, 3);
    assert.equal((await a.engine.ended).code, 3);
    assert.equal((await a.run("wait", a.dir)).code, 3);
    assert.equal((await a.run("sync", a.dir, "--once")).code, 3);
    const status = await a.json("status", a.dir);
    assert.equal(status.state, "halted");
    assert.match(status.reason, /nothing was deleted anywhere/);
    fs.rmSync(a.dir, { recursive: true });
    fs.renameSync(`${a.dir} is away`, a.dir);
    await a.sync();
    assert.equal(await stateOf(a), "in-sync");
  });

  test("CL14, CL7: a device that was revoked ends with 3, and is signed in again", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    b.write("before.txt", "before");
    await world.agree(a, b);
    await a.ok("devices", "revoke", "b", "--folder", a.dir);
    // It waits for the server's next word; a change makes that come at once.
    a.write("after.txt", "after");
    const ended = await b.engine.ended;
    assert.equal(ended.code, 3);
    const [known, command = ""] =
      /any more: sign in again with lockstep (.*), or/.exec(ended.stderr) ?? [];
    assert.match(known ?? "", /--account alice/, ended.stderr);
    assert.equal(b.read("after.txt"), null);
    assert.equal((await a.json("devices", "--folder", a.dir))[1].revoked, true);
    b.write("offline.txt", "offline");
    await b.ok(...command.split(" "));
    await b.sync();
    await world.agree(a, b);
    assert.deepEqual([b.read("after.txt"), a.read("offline.txt")], ["after", "offline"]);
    assert.equal((await b.json("status", b.dir)).conflicts, 0);
    assert.equal((await b.json("history", b.at("before.txt"))).length, 1);
    await b.engine.stop();
    // A code of a device that has moved does the same, and shuts the earlier device out.
    const { code } = await a.invite();
    await b.ok("join", code, b.dir, "--once");
    const rows = await a.json("devices", "--folder", a.dir);
    const living = rows.filter(({ revoked }: { revoked: boolean }) => !revoked);
    assert.equal(living.length, 2);
    assert.equal((await b.json("history", b.at("before.txt"))).length, 1);
  });
});
