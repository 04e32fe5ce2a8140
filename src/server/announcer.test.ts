import { strict as assert } from "node:assert";
import { test } from "node:test";
import { StandingClock } from "../../test/contracts/clock.ts";
import { newSpaceId } from "../../test/contracts/tree.ts";
import { Announcer } from "./announcer.ts";

function open() {
  const clock = new StandingClock();
  const announcer = new Announcer(clock);
  const nothingKept = () => assert.deepEqual([announcer.waiting, clock.sleeping], [0, 0]);
  return { clock, announcer, nothingKept };
}

test("JN22: who waits hears of the first entry beyond what it knows", async () => {
  const { announcer, nothingKept } = open();
  const [space, other] = [newSpaceId(), newSpaceId()];
  const waits = [4, 5, 6].map((known) => announcer.waitBeyond(space, known, 1_000));
  const [four, five, six] = waits;
  announcer.announce(other, 9);
  announcer.announce(space, 5);
  assert.equal(await four, true);
  assert.equal(announcer.waiting, 2);
  announcer.announce(space, 7);
  assert.deepEqual(await Promise.all([five, six]), [true, true]);
  nothingKept();
});

test("JN22: an entry that landed just before the wait began is not missed", async () => {
  const { announcer, nothingKept } = open();
  const space = newSpaceId();
  announcer.announce(space, 5);
  announcer.announce(space, 4);
  assert.equal(await announcer.waitBeyond(space, 4, 1_000), true);
  nothingKept();
});

test("MP4: everybody who waits is woken to look when news were missed", async () => {
  const { announcer, nothingKept } = open();
  const waits = [newSpaceId(), newSpaceId()].map((space) => announcer.waitBeyond(space, 4, 1_000));
  announcer.announceAll();
  assert.deepEqual(await Promise.all(waits), [true, true]);
  nothingKept();
});

test("JN22: a wait ends with its time", async () => {
  const { clock, announcer, nothingKept } = open();
  const wait = announcer.waitBeyond(newSpaceId(), 0, 1_000);
  clock.advance(999);
  assert.equal(announcer.waiting, 1);
  clock.advance(1);
  assert.equal(await wait, false);
  nothingKept();
});

test("JN22: a wait ends when the one who waits goes away", async () => {
  const { announcer, nothingKept } = open();
  const leaving = new AbortController();
  const gone = new Error("gone");
  const wait = announcer.waitBeyond(newSpaceId(), 0, 1_000, leaving.signal);
  leaving.abort(gone);
  await assert.rejects(wait, gone);
  await assert.rejects(announcer.waitBeyond(newSpaceId(), 0, 1_000, leaving.signal), gone);
  nothingKept();
});

test("JN22: ten thousand spaces may be announced while somebody waits for another", async () => {
  const { announcer, nothingKept } = open();
  const space = newSpaceId();
  const wait = announcer.waitBeyond(space, 0, 1_000);
  for (let count = 0; count < 10_001; count++) announcer.announce(newSpaceId(), 1);
  announcer.announce(space, 1);
  assert.equal(await wait, true);
  nothingKept();
});
