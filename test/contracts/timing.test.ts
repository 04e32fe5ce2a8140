import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { test } from "node:test";
import { client } from "@serenity-kit/opaque";
import { concat } from "#core/bytes.ts";
import { frameHead, FRAMES_MEDIA_TYPE } from "#protocol/frames.ts";
import { fillRoute } from "#protocol/routes.ts";
import { callServer } from "#cli/server-calls.ts";
import { enrolBy } from "#cli/linking.ts";
import { signUp } from "#cli/owner.ts";
import { CREDENTIALS, opened } from "./keys-world.ts";
import { PASSWORD, ServerWorld, sha256 } from "./server-world.ts";

// What can be told by a clock, against a server on a real disk and socket. Both kinds of question
// are asked in turns, so that whatever else this machine does meets both alike.

/** Beyond this the means differ with a chance of error below 1 in 100,000 (the TVLA threshold). */
const MOST_T = 4.5;
/** The slower half of each kind is the machine's doing, and would hide what the server does. */
const KEPT = 0.5;

type Kind = 0 | 1;
type Work = (kind: Kind, at: number) => Promise<void>;

/** So many of each kind, in an order that says nothing of the next one. */
function shuffled(count: number): Kind[] {
  const kinds = Array.from({ length: 2 * count }, (_, at): Kind => (at < count ? 0 : 1));
  for (let at = kinds.length - 1; at > 0; at--) {
    const other = randomInt(at + 1);
    [kinds[at], kinds[other]] = [kinds[other] as Kind, kinds[at] as Kind];
  }
  return kinds;
}

/** Welch's t of the times of two kinds of work. */
async function compareTimes(pairs: number, work: Work): Promise<{ t: number; means: string }> {
  const times: [number[], number[]] = [[], []];
  for (const kind of shuffled(pairs)) {
    const startedMs = performance.now();
    await work(kind, times[kind].length);
    times[kind].push(performance.now() - startedMs);
  }
  const [one, other] = times.map((all) => {
    const kept = all.sort((left, right) => left - right).slice(0, Math.ceil(all.length * KEPT));
    const mean = kept.reduce((sum, each) => sum + each, 0) / kept.length;
    const squares = kept.reduce((sum, each) => sum + (each - mean) ** 2, 0);
    return { mean, error: squares / (kept.length - 1) / kept.length };
  });
  assert.ok(one !== undefined && other !== undefined);
  const t = (one.mean - other.mean) / Math.sqrt(one.error + other.error);
  return { t, means: `${one.mean.toFixed(3)} and ${other.mean.toFixed(3)} ms` };
}

/** Noise passes, a difference stays: only what differs three times in a row differs. */
async function expectAlike(pairs: number, work: Work): Promise<void> {
  const said: string[] = [];
  for (let round = 0; round < 3; round++) {
    const { t, means } = await compareTimes(pairs, (kind, at) => work(kind, round * pairs + at));
    if (Math.abs(t) < MOST_T) return;
    said.push(`t = ${t.toFixed(1)}, ${means}`);
  }
  assert.fail(said.join("; "));
}

test("T-DD-04: an upload takes as long whether another account has the chunk or nobody has", async () => {
  await using world = await opened();
  const bob = { ...CREDENTIALS, account: "bob" };
  await signUp(callServer(world.url), bob);
  const spaceOf = async (credentials: typeof bob) => {
    const { token } = await enrolBy(world.url, credentials, "laptop");
    const wish = { name: "films", kind: "sealed" as const };
    return { token, space: (await callServer(world.url, token).createSpace(wish)).space };
  };
  const [hers, his] = [await spaceOf(CREDENTIALS), await spaceOf(bob)];
  const put = async ({ token, space }: typeof hers, ...chunks: Uint8Array[]): Promise<void> => {
    const frames = chunks.flatMap((bytes) => [frameHead(sha256(bytes), bytes.length), bytes]);
    const answer = await fetch(world.url + fillRoute("chunks", { space }), {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": FRAMES_MEDIA_TYPE },
      body: new Uint8Array(concat(frames)),
    });
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
  };
  const pairs = 300;
  const theirs = Array.from({ length: 3 * pairs }, () => new Uint8Array(randomBytes(65_536)));
  const nobodys = theirs.map((bytes) => new Uint8Array(randomBytes(bytes.length)));
  for (let at = 0; at < theirs.length; at += pairs)
    await put(hers, ...theirs.slice(at, at + pairs));
  for (let at = 0; at < 20; at++) await put(his, new Uint8Array(randomBytes(65_536)));
  await expectAlike(pairs, async (kind, at) => {
    await put(his, (kind === 0 ? theirs : nobodys)[at] ?? new Uint8Array(0));
  });
});

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
