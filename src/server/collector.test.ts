import { strict as assert } from "node:assert";
import { test } from "node:test";
import { littered, RIVALS } from "../../test/contracts/collector-rivals.ts";
import { CollectorWorldUnderTest, HASTY } from "../../test/contracts/collector-world.ts";
import { MemoryPacks } from "./chunks/memory.ts";
import type { CollectorRules } from "./collector.ts";

const DAY_MS = 86_400_000;

function present<T>(value: T | undefined): T {
  assert(value !== undefined);
  return value;
}

test("GC4: the room of versions and files that are forgotten comes back", async () => {
  await using world = await CollectorWorldUnderTest.open();
  const edited = await world.create(await world.send("first".repeat(100)));
  const stays = await world.send("second".repeat(100));
  await world.update(edited, stays);
  await world.remove(await world.create(await world.send("third".repeat(100))));
  const before = await world.storedBytes();
  assert.equal(before, 1_600);

  const first = await world.collect();
  const [space] = first.spaces;
  assert.deepEqual([space?.versions, space?.chunks, space?.bytes], [2, 2, 1_000]);
  assert.equal(await world.storedBytes(), before, "the grace is not over");
  const second = await world.collect();
  assert.deepEqual([second.spaces[0]?.ended, second.chunks, second.chunkBytes], [2, 2, 1_000]);
  assert.equal(await world.storedBytes(), before, "somebody may be reading");
  const third = await world.collect();
  assert.deepEqual([third.removed, third.freedBytes], [2, 1_000]);
  assert.equal(await world.storedBytes(), 600);
  await world.expectWhole("after collecting");
  const last = await world.collect();
  assert.deepEqual([last.spaces, last.chunks, last.removed, last.merged], [[], 0, 0, 0]);
});

test("GC1: within the retention nothing goes, however often a collector runs", async () => {
  await using world = await CollectorWorldUnderTest.open();
  const rules: CollectorRules = {
    ...HASTY,
    retention: { allMs: 30 * DAY_MS, dailyMs: 365 * DAY_MS },
  };
  const node = await world.create(await world.send("first"));
  await world.update(node, await world.send("second"));
  await world.remove(node);
  for (let run = 0; run < 4; run++) {
    const report = await world.collect(5 * DAY_MS, rules);
    assert.deepEqual([report.spaces, report.chunks, report.removed], [[], 0, 0]);
  }
  await world.expectWhole("after twenty days");
  const [held] = await world.collection.links.contents(world.writer.space.id, 1);
  assert.equal(held?.forgotten, false);
});

test("GC7: a dry run says what would go, and changes nothing", async () => {
  await using world = await CollectorWorldUnderTest.open();
  const node = await world.create(await world.send("first".repeat(100)));
  await world.update(node, await world.send("second"));
  world.advance(2_000);
  const calls = new Set<string>();
  const watch = async (call: string): Promise<void> => void calls.add(call);
  const dry = await world.collector(HASTY, watch).run({ isDry: true });
  assert(dry !== "busy" && dry.isDry);
  const reading = new Set(["spaces", "contents", "links", "unheld", "packs", "strays"]);
  assert.deepEqual(calls, reading);
  const real = await world.collect(0);
  assert.deepEqual(dry.spaces, real.spaces);
  assert.equal(dry.spaces[0]?.bytes, 500);
});

test("GC4: what is left of sparse packs, and many small ones, is copied into one", async () => {
  await using world = await CollectorWorldUnderTest.open();
  const [kept, ...gone] = await world.send(
    "kept",
    ...Array.from({ length: 9 }, (_, at) => `gone ${at}`),
  );
  const node = await world.create([present(kept), ...gone]);
  await world.update(node, [present(kept)]);
  for (let small = 0; small < 14; small++) await world.create(await world.send(`small ${small}`));
  for (let run = 0; run < 5; run++) await world.collect();
  await world.expectWhole("after merging");
  const packs = await world.collection.packs.packs(100);
  assert.equal(packs.length, 15, "one is rewritten, and so many are not many");
  await world.create(await world.send("one more"));
  for (let run = 0; run < 3; run++) await world.collect();
  await world.expectWhole("after merging again");
  const [merged, ...others] = await world.collection.packs.packs(100);
  assert.deepEqual([merged?.chunks, others], [16, []]);
  assert.equal(merged?.liveBytes, merged?.sizeBytes);
  assert.deepEqual(await Array.fromAsync(world.packs.list()), [merged?.name]);
});

test("GC4: a chunk whose bytes are damaged stays where it is when the others are moved", async () => {
  await using world = await CollectorWorldUnderTest.open();
  const [bad, good, ...gone] = await world.send("bad", "good", "a".repeat(50), "b".repeat(50));
  const node = await world.create([present(bad), present(good), ...gone]);
  await world.update(node, [present(bad), present(good)]);
  const [pack] = await world.collection.packs.packs(1);
  const { name } = present(pack);
  const bytes = await world.packs.read(name, 0, present(pack).sizeBytes);
  await world.packs.remove(name);
  const writer = await world.packs.create(name);
  await writer.append(bytes.fill(0, 0, 1));
  await writer.finish();
  for (let run = 0; run < 5; run++) await world.collect();
  const rows = await world.collection.packs.packs(100);
  const places = await Promise.all(rows.map((row) => world.metadata.scrub.inPack(row.name)));
  assert.deepEqual(new Set(places.flat().map(({ id }) => id)), new Set([bad, good]));
  assert.deepEqual(
    (await world.metadata.scrub.inPack(name)).map(({ id }) => id),
    [bad],
  );
});

test("GC6: an object without a row goes when it has been there a week, a store full of them stays", async () => {
  await using world = await CollectorWorldUnderTest.open();
  await world.create(await world.send("known"));
  const leave = async (name: string): Promise<void> => {
    const writer = await world.packs.create(name);
    await writer.append(new Uint8Array(9));
    await writer.finish();
  };
  await leave("stray-one");
  assert.deepEqual([(await world.collect()).strays, (await world.collect()).straysRemoved], [1, 0]);
  const late = await world.collect(HASTY.strayMs);
  assert.deepEqual([late.strays, late.straysRemoved], [1, 1]);
  assert.equal((await Array.fromAsync(world.packs.list())).length, 1);
  await leave("stray-two");
  await leave("stray-three");
  await world.collect();
  const whose = await world.collect(HASTY.strayMs);
  assert.deepEqual([whose.strays, whose.straysRemoved], [2, 0], "most are another database's");
});

test("GC5: a second collector finds the first at work, and one that is gone is waited for no more", async () => {
  await using world = await CollectorWorldUnderTest.open();
  let other: unknown;
  const between = async (call: string): Promise<void> => {
    if (call === "contents") other = await world.collector().run();
  };
  assert.notEqual(await world.collector(HASTY, between).run(), "busy");
  assert.equal(other, "busy");
  await world.collection.links.takeTurn("gone", world.clock.nowMs(), world.clock.nowMs() + 60_000);
  assert.equal(await world.collector().run(), "busy");
  world.advance(60_000);
  assert.notEqual(await world.collector().run(), "busy");
});

class Ended extends Error {}

test("GC5: a collector that ends between any two calls leaves nothing that the next does not do", async () => {
  for (let end = 1; ; end++) {
    await using world = await CollectorWorldUnderTest.open("dreamed");
    const { node, one } = await littered(world);
    for (let small = 0; small < 15; small++) await world.create(await world.send(`small ${small}`));
    let calls = 0;
    for (let run = 0; run < 5; run++) {
      world.advance(2_000);
      const between = async (): Promise<void> => {
        if (++calls === end) throw new Ended();
      };
      await world
        .collector(HASTY, between)
        .run()
        .catch((error: unknown) => {
          if (!(error instanceof Ended)) throw error;
        });
      await world.expectWhole(`after a run that ended at call ${end}`);
    }
    // A stray may be left of a merge: it goes later.
    for (let run = 0; run < 4; run++) await world.collect(60_000);
    await world.expectWhole("at the end");
    assert.deepEqual((await world.collection.links.links(world.writer.space.id, 100)).length, 17);
    assert.deepEqual((await Array.fromAsync(world.packs.list())).length, 1, `call ${end}`);
    const [row] = await world.metadata.journals.nodes(world.writer.space.id, [node]);
    assert.deepEqual(row?.chunks, [one]);
    if (calls < end) return;
  }
});

for (const [what, rival] of Object.entries(RIVALS)) {
  test(`GC3: nothing that is needed goes when somebody ${what} between any two calls`, async () => {
    let met = 0;
    for (let moment = 1; ; moment++) {
      await using world = await CollectorWorldUnderTest.open("dreamed");
      const tree = await littered(world);
      let calls = 0;
      let isMet = false;
      for (let run = 0; run < 4; run++) {
        world.advance(2_000);
        const between = async (): Promise<void> => {
          if (++calls !== moment) return;
          isMet = true;
          await rival(world, tree);
        };
        await world.collector(HASTY, between).run();
        await world.expectWhole(`${what}, call ${moment}, run ${run}`);
      }
      if (!isMet) break;
      met++;
    }
    assert(met > 20, `${met} moments`);
  });
}

test("GC4: a reader whose pack is merged and removed meanwhile gets its chunks all the same", async () => {
  await using world = await CollectorWorldUnderTest.open();
  const { one } = await littered(world);
  const reading = await world.intake.fetch(world.writer.space.id, [one]);
  const [before] = await Array.fromAsync(world.packs.list());
  for (let run = 0; run < 4; run++) await world.collect();
  assert(!(await Array.fromAsync(world.packs.list())).includes(present(before)));
  assert.equal((await Array.fromAsync(reading))[0]?.id, one);
});

test("GC5: whoever waits for the processor has it between any two pages of a collector", async () => {
  await using world = await CollectorWorldUnderTest.open("dreamed");
  const node = await world.create(await world.send("first"));
  for (let version = 0; version < 2_500; version++) {
    world.advance(1);
    await world.update(node, await world.send(`version ${version}`));
  }
  world.advance(10_000);
  let [rests, longest, calls] = [0, 0, 0];
  world.rest = async () => {
    rests++;
    calls = 0;
  };
  const between = async (): Promise<void> => void (longest = Math.max(longest, ++calls));
  await world.collector(HASTY, between).run();
  assert(rests > 10, `${rests} rests`);
  assert(longest <= 5, `${longest} calls in a row`);
});

test("GC4: bytes go before the row that tells of them", async () => {
  await using world = await CollectorWorldUnderTest.open();
  await world.remove(await world.create(await world.send("gone")));
  await world.collect();
  await world.collect();
  const remove = MemoryPacks.prototype.remove.bind(world.packs);
  world.packs.remove = async () => {
    throw new Ended();
  };
  await assert.rejects(world.collect(), Ended);
  world.packs.remove = remove;
  const report = await world.collect();
  assert.equal(report.removed, 1);
  assert.deepEqual(await Array.fromAsync(world.packs.list()), []);
});
