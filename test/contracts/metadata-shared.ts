import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Metadata, News, Shared } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import { folders, newSpace } from "./tree.ts";

function sharedOf({ shared }: Metadata): Shared {
  assert(shared !== undefined, "this database is shared by processes");
  return shared;
}

/** What processes over one database tell each other. */
export function sharedContract(database: string, open: OpenMetadata): void {
  test(`MP1: every process hears of what any of them appends (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const peer = await under.peer();
    const space = await newSpace(metadata);
    const heard = [metadata, peer].map((listener) => {
      const news: News[] = [];
      const { promise: complete, resolve } = Promise.withResolvers<void>();
      sharedOf(listener).listen((one) => {
        if (news.push(one) === 4) resolve();
      });
      return { news, complete };
    });
    for (let sequence = 1; sequence <= 4; sequence++) {
      const { journals } = sequence % 2 === 0 ? metadata : peer;
      assert.equal(await journals.append(space.id, folders(sequence)), "appended");
    }
    for (const { news, complete } of heard) {
      await complete;
      const told = [1, 2, 3, 4].map((sequence) => ({ space: space.id, sequence }));
      assert.deepEqual(news, told);
    }
  });

  test(`MP2: attempts count for all processes together (${database})`, async () => {
    await using under = await open();
    const [one, other] = [sharedOf(under.metadata), sharedOf(await under.peer())];
    const limit = { most: 10, windowMs: 60_000 };
    const take = (key: string, nowMs: number) => one.takeAttempt(key, limit, nowMs);
    const crowd = Array.from({ length: 30 }, (_, at) =>
      (at % 2 === 0 ? one : other).takeAttempt("ada", limit, 1_000),
    );
    const waits = await Promise.all(crowd);
    assert.equal(waits.filter((waitMs) => waitMs === 0).length, 10);
    assert.equal(waits.filter((waitMs) => waitMs === 60_000).length, 20);
    assert.equal(await take("bob", 1_000), 0);
    assert.equal(await take("ada", 31_000), 30_000);
    await other.giveBackAttempt("ada");
    assert.equal(await take("ada", 31_000), 0);
    assert.equal(await take("ada", 31_000), 30_000);
    assert.equal(await take("ada", 61_000), 0);
    await other.giveBackAttempt("nobody");
  });

  test(`MP2: a clock that was set back holds nobody up for longer (${database})`, async () => {
    await using under = await open();
    const shared = sharedOf(under.metadata);
    const limit = { most: 1, windowMs: 60_000 };
    assert.equal(await shared.takeAttempt("ada", limit, 1_000_000), 0);
    assert.equal(await shared.takeAttempt("ada", limit, 1_000), 0);
    assert.equal(await shared.takeAttempt("ada", limit, 1_000), 60_000);
  });
}
