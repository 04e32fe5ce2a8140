import { strict as assert } from "node:assert";
import { test } from "node:test";
import { CollectorWorldUnderTest, HASTY } from "../../test/contracts/collector-world.ts";
import { until } from "../../test/contracts/server-world.ts";
import { collectNowAndThen } from "./collecting.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

test("GC9: a server collects ten minutes after it began and then every day, also after a failure", async () => {
  await using world = await CollectorWorldUnderTest.open("dreamed");
  await world.remove(await world.create(await world.send("gone")));
  const told: string[] = [];
  const note = (event: string): void => void told.push(event);
  const state = { endedSeconds: 0, freedBytes: 0 };
  const closing = new AbortController();
  const running = collectNowAndThen(
    {
      metadata: world.metadata,
      packs: world.packs,
      config: { collecting: { rules: HASTY, everyMs: DAY_MS } },
      clock: world.clock,
      log: { debug: note, info: note, warn: note, error: note },
    },
    state,
    closing.signal,
  );
  const next = async (afterMs: number): Promise<void> => {
    const before = told.length;
    await until(() => world.clock.sleeping === 1);
    world.advance(afterMs - 1);
    assert.equal(world.clock.sleeping, 1, "not yet");
    world.advance(1);
    await until(() => told.length > before);
  };
  await next(10 * MINUTE_MS);
  const list = world.packs.list.bind(world.packs);
  world.packs.list = () => {
    throw new Error("the disk is away");
  };
  await next(DAY_MS);
  world.packs.list = list;
  await next(DAY_MS);
  assert.deepEqual(told, ["collected", "collecting-failed", "collected"]);
  assert.deepEqual(state, { endedSeconds: world.clock.nowMs() / 1_000, freedBytes: 4 });
  await until(() => world.clock.sleeping === 1);
  closing.abort();
  await running;
});

test("GC9: a server that is told never to collect does not", async () => {
  await using world = await CollectorWorldUnderTest.open("dreamed");
  const { metadata, packs, clock } = world;
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const config = { collecting: { rules: HASTY, everyMs: null } };
  const state = { endedSeconds: 0, freedBytes: 0 };
  const closing = new AbortController();
  await collectNowAndThen({ metadata, packs, config, clock, log }, state, closing.signal);
  assert.equal(clock.sleeping, 0);
});
