import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { client } from "@serenity-kit/opaque";
import { concat } from "#core/bytes.ts";
import { frameHead, FRAMES_MEDIA_TYPE } from "#protocol/frames.ts";
import { fillRoute } from "#protocol/routes.ts";
import { callServer } from "#cli/server-calls.ts";
import { enrolBy } from "#cli/linking.ts";
import { signUp } from "#cli/owner.ts";
import { CREDENTIALS, opened, type KeysWorld } from "./keys-world.ts";
import { PASSWORD, ServerWorld, sha256 } from "./server-world.ts";

// What can be told by a clock, or by what the disk gets to do. Two kinds of question are asked in
// pairs, each pair in an order that a coin decides.

/**
 * Where the kinds are alike, which of a pair took longer is that coin alone, whatever else this
 * machine does and however one delay follows from another: the count is binomial. So far from half
 * the pairs, in standard deviations, it is fewer than once in ten million times.
 */
const MOST_DEVIATIONS = 5.4;
/**
 * What a difference has to be to matter: less is lost in a network, with ten tries that a name has
 * in ten minutes (AC4).
 */
const LEAST_MS = 0.05;
const LEAST_SHARE = 0.05;

type Kind = 0 | 1;
type Work = (kind: Kind, at: number) => Promise<void>;

const middle = (numbers: readonly number[]): number =>
  numbers.toSorted((left, right) => left - right)[Math.floor(numbers.length / 2)] ?? 0;

/** What `measure` tells of each kind, pair by pair. */
async function inPairs(
  pairs: number,
  measure: (kind: Kind, at: number) => Promise<number>,
): Promise<(readonly [number, number])[]> {
  const all: [number, number][] = [];
  for (let at = 0; at < pairs; at++) {
    const first: Kind = randomInt(2) === 0 ? 0 : 1;
    const pair: [number, number] = [0, 0];
    for (const kind of [first, 1 - first] as Kind[]) pair[kind] = await measure(kind, at);
    all.push(pair);
  }
  return all;
}

/** Fails when one kind is slower too often for chance (sign test), by so much that it matters. */
async function expectAlike(pairs: number, work: Work): Promise<void> {
  const times = await inPairs(pairs, async (kind, at) => {
    const startedMs = performance.now();
    await work(kind, at);
    return performance.now() - startedMs;
  });
  const slower = times.filter(([one, other]) => one > other).length;
  const deviations = (slower - pairs / 2) / Math.sqrt(pairs / 4);
  const apartMs = middle(times.map(([one, other]) => one - other));
  const wholeMs = middle(times.flat());
  const said = `${slower} of ${pairs} slower, by ${apartMs.toFixed(3)} of ${wholeMs.toFixed(3)} ms`;
  const matters = Math.abs(apartMs) >= Math.max(LEAST_MS, LEAST_SHARE * wholeMs);
  assert.ok(Math.abs(deviations) < MOST_DEVIATIONS || !matters, said);
}

/** Two accounts with a space each. */
async function twoAccounts(world: KeysWorld) {
  const bob = { ...CREDENTIALS, account: "bob" };
  await signUp(callServer(world.url), bob);
  const putter = async (credentials: typeof bob) => {
    const { token } = await enrolBy(world.url, credentials, "laptop");
    const wish = { name: "films", kind: "sealed" as const };
    const { space } = await callServer(world.url, token).createSpace(wish);
    return async (...chunks: Uint8Array[]): Promise<void> => {
      const frames = chunks.flatMap((bytes) => [frameHead(sha256(bytes), bytes.length), bytes]);
      const answer = await fetch(world.url + fillRoute("chunks", { space }), {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": FRAMES_MEDIA_TYPE },
        body: new Uint8Array(concat(frames)),
      });
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
    };
  };
  return { hers: await putter(CREDENTIALS), his: await putter(bob) };
}

const drawn = (count: number, sizeBytes: number): Uint8Array[] =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(sizeBytes)));

test("T-DD-04: an upload takes as long whether another account has the chunk or nobody has", async () => {
  await using world = await opened();
  const { hers, his } = await twoAccounts(world);
  const pairs = 200;
  const theirs = drawn(pairs, 65_536);
  const nobodys = drawn(pairs, 65_536);
  await hers(...theirs);
  for (const bytes of drawn(20, 65_536)) await his(bytes);
  await expectAlike(pairs, async (kind, at) => {
    await his((kind === 0 ? theirs : nobodys)[at] ?? new Uint8Array(0));
  });
});

const IO = "/proc/self/io";

/** What this process, and so the server in it, has written so far. */
function writtenBytes(): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(IO, "utf8"))?.[1]);
}

test(
  "T-DD-04: an upload has as much written whether another account has the chunk or nobody has",
  { skip: existsSync(IO) ? false : `needs ${IO}, which counts what is written` },
  async () => {
    await using world = await opened();
    const { hers, his } = await twoAccounts(world);
    const [pairs, sizeBytes] = [20, 262_144];
    const theirs = drawn(pairs, sizeBytes);
    const nobodys = drawn(pairs, sizeBytes);
    await hers(...theirs);
    const written = await inPairs(pairs, async (kind, at) => {
      const before = writtenBytes();
      await his((kind === 0 ? theirs : nobodys)[at] ?? new Uint8Array(0));
      return writtenBytes() - before;
    });
    // Sent and stored; the rest is the database's, a few of whose pages are the chunk's.
    const each = middle(written.flat());
    assert.ok(each > 2 * sizeBytes, String(each));
    const apart = middle(written.map(([one, other]) => one - other));
    assert.ok(Math.abs(apart) < sizeBytes / 4, `${apart} of ${each} bytes`);
  },
);

/** The other half of a sign-in, in vain, as often as one likes. */
function proving(world: ServerWorld, proofs: readonly object[]): Work {
  return async (kind) => {
    const json = { proof: proofs[kind], device: "desk" };
    assert.equal((await world.call("POST", "/v1/devices", { json })).status, 401);
  };
}

test("T-KY-03: a sign-in's answer takes as long for an account that there is as for none", async () => {
  await using world = await ServerWorld.open();
  await world.signUp("alice");
  const { startLoginRequest } = client.startLogin({ password: PASSWORD });
  const ask = async (account: string): Promise<void> => {
    // So that no try counts any more.
    world.clock.advance(10 * 60_000);
    const answer = await world.call("POST", "/v1/logins", { json: { account, startLoginRequest } });
    assert.equal(answer.status, 200);
  };
  for (let at = 0; at < 50; at++) await ask("alice");
  await expectAlike(400, async (kind) => ask(kind === 0 ? "alice" : "bobby"));
});

test("T-KY-03: a wrong proof is refused as fast for an account that there is as for none", async () => {
  await using world = await ServerWorld.open();
  await world.signUp("alice");
  const [passwords, words]: [object[], object[]] = [[], []];
  // Its second half is below the group's order: otherwise it would be refused unread.
  const signature = "5".repeat(64) + "0".repeat(64);
  for (const account of ["alice", "bobby"]) {
    passwords.push((await world.prove(account, "not her password")).proof);
    const { state } = (await world.call("POST", "/v1/recoveries", { json: { account } })).json;
    words.push({ kind: "recovery", state, signature });
  }
  for (const proofs of [passwords, words]) {
    const prove = proving(world, proofs);
    for (let at = 0; at < 50; at++) await prove(0, at);
    await expectAlike(400, prove);
  }
});
