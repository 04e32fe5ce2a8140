import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { assertSentence, PASSWORD, PROJECT, World, type Device } from "./world.ts";

describe("what is going on", { concurrency: 2 }, () => {
  test("CL15: status --json has the promised shape, with and without an engine", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    const fields = ["state", "reason", "pending", "problems", "holds", "conflicts"];
    const running = await a.json("status", a.dir);
    assert.deepEqual(Object.keys(running), fields);
    const quiet = { pending: { up: 0, down: 0 }, problems: [], holds: 0, conflicts: 0 };
    assert.deepEqual(running, { state: "in-sync", reason: null, ...quiet });
    await a.engine.stop();
    const stopped = await a.json("status", a.dir);
    assert.deepEqual(Object.keys(stopped), fields);
    assert.equal(stopped.state, "offline");
    assert.match(
      stopped.reason,
      /No engine runs; this is as of its last look: start it with lockstep sync/,
    );
    assert.deepEqual(await a.json("status", a.at("anything")), stopped);
  });

  test("CL16: why says of one path where it stands and what decides", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    a.write(".lockstepignore", "# nothing\n*.log\n");
    a.write("sub/kept.txt", "kept");
    a.write("sub/noise.log", "noise");
    await a.settle();
    assert.match(await a.ok("why", a.at("sub/kept.txt")), /the same here and at the server/);
    const line = /Line 2 of \.lockstepignore has it ignored \(\*\.log\)/;
    assert.match(await a.ok("why", a.at("sub/noise.log")), line);
    assert.match(await a.ok("why", a.at("nothing")), /Neither this disk nor the server/);
    execFileSync("mkfifo", [a.at("pipe")]);
    await a.run("wait", a.dir);
    const pipe = await a.ok("why", a.at("pipe"));
    assert.match(pipe, /cannot be synced[^]*Problem/);
    assert.doesNotMatch(pipe, /not looked/);
    await a.engine.stop();
    const kept = await a.ok("why", a.at("sub/kept.txt"));
    assert.match(kept, /No engine runs; this is as of its last look[^]*the same here/);
    assert.doesNotMatch(kept, /since/);
    a.write("sub/kept.txt", "kept no more");
    const changed = await a.json("why", a.at("sub/kept.txt"));
    assert.equal(changed.inSync, false);
    assert.match(changed.why.join(" "), /^No engine runs.* It changed on this disk since\.$/);
    a.write("sub/new.txt", "new");
    assert.match(await a.ok("why", a.at("sub/new.txt")), /No engine[^]*has not looked at it yet/);
    const check = await a.json("ignore", "check", a.at("sub/noise.log"));
    const rule = { file: ".lockstepignore", line: 2, pattern: "*.log" };
    assert.deepEqual(check, { path: "sub/noise.log", ignored: true, rule });
  });

  test("CL17: log shows a line an event, and -f goes on with those that come", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a", "b");
    const [a, b] = devices as [Device, Device];
    a.write("one.txt", "one");
    await world.agree(a, b);
    const following = b.start("log", b.dir, "-f");
    await following.says(/created elsewhere {2}one\.txt/);
    fs.renameSync(a.at("one.txt"), a.at("two.txt"));
    await following.says(/moved elsewhere {4}one\.txt → two\.txt/);
    assert.equal((await following.stop("SIGINT")).code, 0);
    const lines = (await a.ok("log", a.dir, "--json")).trim().split("\n");
    const events = lines.map((line) => JSON.parse(line));
    const moved = events.find(({ event }) => event === "moved");
    assert.equal(Date.parse(moved.time) <= Date.now(), true);
    const { event, where, from, path: to } = moved;
    assert.deepEqual([event, where, from, to], ["moved", "here", "one.txt", "two.txt"]);
  });

  test("CL18: what is piped holds no escape sequence, and names cannot send any", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    a.write("line\nbreak\tand \u202Etrick.txt", "x");
    await a.settle();
    const said = [await a.ok("log", a.dir), await a.ok("status", a.dir), await a.ok("--help")];
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    for (const text of said) assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e]/u);
    assert.match(said[0] ?? "", /line\\u000abreak\\u0009and \\u202etrick\.txt/);
  });
});

describe("programs", () => {
  test("CL23: token create prints a token alone, which opens the REST calls", async () => {
    await using world = await World.open();
    const { server, devices } = await world.plainSynced("a");
    const [a] = devices as [Device];
    const to = ["--server", server.url, "--account", "alice"];
    const token = await a.ok("token", "create", ...to, "--label", "script", "--expires", "1h");
    assert.match(token, /^ls_pat_[A-Za-z0-9_-]{43}\n$/);
    const headers = { authorization: `Bearer ${token.trim()}` };
    const call = async (method: string, at: string, body?: string): Promise<Response> =>
      fetch(server.url + at, {
        method,
        headers: {
          ...headers,
          "content-type": at.startsWith("/upload")
            ? "application/octet-stream"
            : "application/json",
        },
        ...(body === undefined ? {} : { body }),
      });
    const hash = createHash("sha256").update("by curl").digest("hex");
    assert.equal((await call("POST", `/upload_chunk/alice/${hash}`, "by curl")).status, 200);
    const commit = { user_id: "alice", file_path: "from/curl.txt", chunk_hashes: [hash] };
    const made = await call("POST", "/metadata_commit", JSON.stringify(commit));
    assert.equal(((await made.json()) as { status: string }).status, "committed");
    await a.settle();
    assert.equal(a.read("from/curl.txt"), "by curl");
    a.write("by hand.txt", "by hand");
    await a.settle();
    const listed = (await (await call("GET", "/list_files/alice")).json()) as {
      files: { file_path: string }[];
    };
    assert.deepEqual(listed.files.map((file) => file.file_path).sort(), [
      "by hand.txt",
      "from/curl.txt",
    ]);
  });

  test("CL24: every command's --help has an example and its exit codes", async () => {
    await using world = await World.open();
    const a = world.device("a");
    const help = await a.ok("--help");
    const names = [...help.matchAll(/^ {2}([a-z]+) .*/gm)].map(([, name]) => name ?? "");
    const commands = names.filter((name) => name !== "help");
    assert.ok(commands.length >= 18, help);
    const groups: Record<string, string[]> = {
      account: ["create"],
      token: ["create"],
      ignore: ["check"],
      devices: ["list", "revoke", "add"],
      backup: ["", "restore"],
    };
    for (const name of commands) {
      for (const inner of groups[name] ?? [""]) {
        const text = await a.ok(...[name, inner].filter(Boolean), "--help");
        assert.match(text, /Examples?:\n {2}\$ /, `${name} ${inner}`);
        assert.match(text, /Exit codes:\n {2}0 {2}done/, `${name} ${inner}`);
        for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
      }
    }
  });

  test("CL25: a command that only prints starts fast", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("a");
    const [a] = devices as [Device];
    const quickest = async (run: () => Promise<unknown>): Promise<number> => {
      let bestMs = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 10; round++) {
        const beganMs = performance.now();
        await run();
        bestMs = Math.min(bestMs, performance.now() - beganMs);
      }
      return bestMs;
    };
    // 150 ms on a machine of today; a busy one must not fail the test, a slow import must.
    assert.ok((await quickest(() => a.ok("--help"))) < 300);
    assert.ok((await quickest(() => a.ok("status", a.dir))) < 300);
  });

  test("CL2: without a password and without a terminal a command says what it needs", async () => {
    await using world = await World.open();
    const server = await world.server();
    const args = ["account", "create", "--server", server.url, "--account", "alice"];
    const ended = await world.start(args, { env: { LOCKSTEP_PASSWORD: "" } }).ended;
    assert.equal(ended.code, 2);
    assertSentence(ended, /set LOCKSTEP_PASSWORD, or run this in a terminal/);
    assert.ok(!ended.stderr.includes(PASSWORD));
    const { version } = JSON.parse(fs.readFileSync(path.join(PROJECT, "package.json"), "utf8"));
    assert.equal((await world.start(["--version"]).ended).stdout, `${version}\n`);
  });
});
