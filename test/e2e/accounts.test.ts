import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, test } from "node:test";
import { DeviceKeys, keysFile } from "#cli/device-keys.ts";
import { listLinks } from "#cli/links.ts";
import { callAs } from "#cli/server-calls.ts";
import { fromHex, utf8 } from "#core/bytes.ts";
import { frameShared, sealShared } from "#crypto/chunk.ts";
import { epochsOf } from "#crypto/keyring.ts";
import { openName } from "#crypto/names.ts";
import { evaluate, evaluationKey, Question, readRequest } from "#crypto/oprf.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { HttpRemote } from "#platform/remote-http.ts";
import { openRistretto } from "#platform/ristretto.ts";
import { assertSentence, PASSWORD, until, World, type Device, type Server } from "./world.ts";

const MIB = 1024 * 1024;
const ristretto = await openRistretto();

/** Makes an account and gives its recovery words. */
async function signUp(device: Device, server: Server, account: string): Promise<string> {
  const made = await device.json("account", "create", "--server", server.url, "--account", account);
  assert.equal(made.account, account);
  return made.words;
}

/** All bytes below a folder, one file after the other. */
function bytesBelow(folder: string): Buffer {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Buffer.concat(files.map((file) => fs.readFileSync(path.join(file.parentPath, file.name))));
}

function sizeBelow(folder: string): number {
  const names = fs.readdirSync(folder, { recursive: true });
  return names.reduce((sum: number, name) => {
    // What was written in vain goes meanwhile.
    const stat = fs.statSync(path.join(folder, String(name)), { throwIfNoEntry: false });
    return stat?.isFile() ? sum + stat.size : sum;
  }, 0);
}

/** The only linked folder of a device. */
function linkOf(device: Device) {
  const [folder] = listLinks({ path: device.home });
  assert.ok(folder !== undefined);
  return folder;
}

suite("accounts that the server cannot open", { concurrency: 2 }, () => {
  test("T-DD-01, SL1: a file of two accounts is stored once, and the server cannot read it [SL6, SA7]", async () => {
    await using world = await World.open();
    const server = await world.server();
    const [a, b, c] = ["A", "B", "C"].map((name) => world.device(name));
    assert.ok(a && b && c);
    await signUp(a, server, "alice");
    await signUp(b, server, "bob");
    await a.link(server, "alice");
    await b.link(server, "bob");
    const film = randomBytes(50_000_000);
    a.write("holiday-film.mp4", film);
    a.write("papers/umbrella-pine.txt", "the safe is behind the umbrella pine");
    await a.ok("sync", a.dir, "--once");
    const packs = path.join(server.data, "packs");
    const once = sizeBelow(packs);
    b.write("the-same.mp4", film);
    await b.ok("sync", b.dir, "--once");
    await until(
      () => sizeBelow(packs) < once * 1.02,
      () => `${sizeBelow(packs)} after ${once}`,
    );
    await c.link(server, "bob");
    await c.ok("sync", c.dir, "--once");
    assert.ok(fs.readFileSync(c.at("the-same.mp4")).equals(film));
    const kept = bytesBelow(server.data);
    const secrets = ["holiday-film", "umbrella", "papers", "the-same.mp4", PASSWORD, "behind the"];
    for (const secret of [...secrets, film.subarray(0, 64)]) {
      assert.ok(!kept.includes(secret), `the server's data holds ${String(secret).slice(0, 20)}`);
    }
  });

  test("T-KY-07: with the 24 words alone everything is back; one wrong word is told [SA8]", async () => {
    await using world = await World.open();
    const server = await world.server();
    const lost = world.device("lost");
    const words = await signUp(lost, server, "alice");
    await lost.link(server, "alice");
    lost.write("a/letter.txt", "dear all");
    lost.write("photo", randomBytes(200_000));
    await lost.ok("sync", lost.dir, "--once");
    const photo = fs.readFileSync(lost.at("photo"));
    fs.rmSync(lost.home, { recursive: true });
    fs.rmSync(lost.dir, { recursive: true });

    const found = world.device("found");
    const recover = (text: string) =>
      world.start(
        ["recovery", found.dir, "--server", server.url, "--account", "alice", "--device", "found"],
        { env: { LOCKSTEP_HOME: found.home, LOCKSTEP_WORDS: text, LOCKSTEP_PASSWORD: "" } },
      ).ended;
    const list = words.split(" ");
    const swapped = [list[1], list[0], ...list.slice(2)].join(" ");
    for (const [wrong, said] of [
      [list.slice(1).join(" "), /23 words, there have to be 24/],
      [[...list.slice(0, 23), "lockstep"].join(" "), /Word 24, lockstep, is none of the list/],
      ...(list[0] === list[1] ? [] : [[swapped, /checksum does not fit/] as const]),
    ] as const) {
      assertSentence(await recover(wrong), said);
    }
    const another = "abandon ".repeat(23) + "art";
    assertSentence(await recover(another), /do not belong together/);
    assert.ok(!fs.existsSync(found.dir), "nothing half done");
    const done = await recover(words.toUpperCase());
    assert.equal(done.code, 0, done.stderr);
    await found.ok("sync", found.dir, "--once");
    assert.equal(found.read("a/letter.txt"), "dear all");
    assert.ok(fs.readFileSync(found.at("photo")).equals(photo));

    const env = { LOCKSTEP_HOME: found.home, LOCKSTEP_NEW_PASSWORD: "a fresh password" };
    const args = ["password", "--words", "--folder", found.dir];
    const changed = await world.start(args, { env: { ...env, LOCKSTEP_WORDS: words } }).ended;
    assert.equal(changed.code, 0, changed.stderr);
    const token = ["token", "create", "--server", server.url, "--account", "alice"];
    assertSentence(await found.run(...token), /do not belong together/);
    const signIn = { env: { LOCKSTEP_HOME: found.home, LOCKSTEP_PASSWORD: "a fresh password" } };
    assert.equal((await world.start(token, signIn).ended).code, 0);
  });

  test("T-KY-06: a revoked device reads nothing that was written afterwards [SA9]", async () => {
    await using world = await World.open();
    const { server, devices } = await world.synced("A", "B", "C");
    const [a, b, c] = devices;
    assert.ok(a && b && c);
    a.write("before.txt", "everybody");
    await world.agree(a, b, c);
    const stolen = DeviceKeys.read(keysFile(linkOf(c).state));
    const thief = linkOf(c);
    assert.ok(stolen !== null);
    const { words } = await a.json("devices", "revoke", "C", "--folder", a.dir);
    assert.equal(words.split(" ").length, 24);
    a.write("after.txt", "not for C");
    b.write("from-b.txt", "neither");
    assert.deepEqual(await world.agree(a, b), ["after.txt", "before.txt", "from-b.txt"]);
    await c.engine.ended;
    assert.deepEqual(c.list(), ["before.txt"]);
    assertSentence(await c.run("sync", c.dir, "--once"), /does not know this device any more/);

    // What a full copy of the server would give the thief.
    const { link } = linkOf(a);
    const calls = callAs(link);
    const vault = await calls.vault();
    assert.throws(() => stolen.adopt(stolen.own, vault.keyring));
    await assert.rejects(stolen.refresh(calls), /none for this machine/);
    const epochs = epochsOf(systemPrimitives.hashes, stolen.keyring, thief.link.space);
    const real = { clock: systemClock, chance: systemChance, digest: systemDigest };
    const remote = new HttpRemote({
      ...real,
      url: server.url,
      token: link.token,
      space: link.space,
    });
    const { entries } = await remote.changes(link.startCursor, 0);
    const names: string[] = [];
    let closed = 0;
    for (const change of entries.flatMap((entry) => entry.changes)) {
      if (change.kind !== "create") continue;
      try {
        names.push(openName(systemPrimitives, epochs, change, change.name));
      } catch {
        closed++;
      }
    }
    assert.deepEqual(names, ["before.txt"]);
    assert.equal(closed, 2);

    // The old words open nothing any more, the password and the new words do.
    const d = world.device("D");
    await d.link(server, "alice");
    await d.ok("sync", d.dir, "--once");
    assert.deepEqual(d.list(), ["after.txt", "before.txt", "from-b.txt"]);
  });

  test("SL7: a server without a key service takes everything, sealed for each space alone", async () => {
    await using world = await World.open();
    const server = await world.server({ args: ["--key-service", "off"] });
    const a = world.device("A");
    await signUp(a, server, "alice");
    await a.link(server, "alice");
    a.write("film", randomBytes(2 * MIB));
    await a.ok("sync", a.dir, "--once");
    const b = world.device("B");
    await b.link(server, "alice");
    await b.ok("sync", b.dir, "--once");
    assert.ok(fs.readFileSync(b.at("film")).equals(fs.readFileSync(a.at("film"))));
  });

  test("T-DD-07: a dump and a dictionary match nothing without the key service's key", async () => {
    await using world = await World.open();
    const server = await world.server();
    const a = world.device("A");
    await signUp(a, server, "alice");
    await a.link(server, "alice");
    // One of a hundred contracts that differ in a number: what convergent encryption gives away.
    const dictionary = Array.from({ length: 100 }, (_, salary) => contract(salary));
    a.write("contract.txt", dictionary[42] ?? "");
    await a.ok("sync", a.dir, "--once");
    await server.process.stop();
    const stored = chunkIdsIn(path.join(server.data, "metadata.sqlite"));
    const matches = (seed: Uint8Array): number[] =>
      sharedIds(dictionary.map(utf8), seed).flatMap((id, at) => (stored.has(id) ? [at] : []));
    assert.deepEqual(matches(new Uint8Array(32)), []);
    assert.deepEqual(matches(randomBytes(32)), []);
    // This is the limit: who has that key too tests guesses as fast as the machine goes.
    const [, seed = ""] = fs
      .readFileSync(path.join(server.data, "key-service.key"), "utf8")
      .split(" ");
    assert.deepEqual(matches(fromHex(seed.trim())), [42]);
  });
});

function contract(salary: number): string {
  return `The salary is ${salary * 100} a month.\n`.repeat(1_500);
}

function chunkIdsIn(file: string): Set<string> {
  using database = new DatabaseSync(file, { readOnly: true });
  const rows = database.prepare("SELECT hex(id) AS id FROM chunks").all();
  return new Set(rows.map(({ id }) => String(id).toLowerCase()));
}

/** What contents of one chunk each are called at a server whose key service has this key. */
function sharedIds(contents: readonly Uint8Array[], seed: Uint8Array): string[] {
  const oprf = { hashes: systemPrimitives.hashes, ristretto, chance: systemChance };
  const key = evaluationKey(oprf, 1, seed);
  const framed = contents.map((bytes) => frameShared(systemPrimitives, 1, bytes));
  const inputs = framed.map(({ input }) => input);
  const question = new Question(oprf, key, inputs);
  const values = question.finish(evaluate(oprf, key, readRequest(oprf, question.request)));
  return framed.map((one, at) => {
    const value = values[at];
    assert.ok(value !== undefined);
    return sealShared(systemPrimitives, one, value).entry.chunk;
  });
}
