// A collector and those who commit, over MongoDB, where nothing but a document is changed at once:
// one of them does all its work between any two questions that the other asks of the database.

import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import { MongoDatabase } from "../../src/server/metadata/mongo-database.ts";
import { prepareMongo } from "../../src/server/metadata/mongo-schema.ts";
import { mongoStores } from "../../src/server/metadata/mongo.ts";
import { littered, RIVALS } from "../contracts/collector-rivals.ts";
import { CollectorWorldUnderTest, HASTY } from "../contracts/collector-world.ts";
import { MongoServer, mongoMissing } from "./mongo-server.ts";

const skip = mongoMissing();
/** Every so manieth moment is tried; 1 for all. */
const STRIDE = Number(process.env["LOCKSTEP_TEST_STRIDE"] ?? 7);

let started: MongoServer | undefined;
before(async () => {
  if (skip === false) started = await MongoServer.start();
});
after(() => started?.[Symbol.asyncDispose]());

const QUESTIONS = new Set(["insert", "insertNew", "replace", "change", "changeAll", "remove"]);
for (const name of ["one", "many", "ask"]) QUESTIONS.add(name);

/** Has a turn of somebody else's before every question. */
function watched(database: MongoDatabase, between: () => Promise<void>): MongoDatabase {
  return new Proxy(database, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      if (!QUESTIONS.has(String(name))) return method.bind(target) as unknown;
      return async (...values: unknown[]) => {
        await between();
        return Reflect.apply(method, target, values) as Promise<unknown>;
      };
    },
  });
}

/** People and a collector, each with connections of their own. */
async function open(between: { people: () => Promise<void>; collector: () => Promise<void> }) {
  assert(started !== undefined, "MongoDB is up");
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await started.database());
  const database = opened.use(await MongoDatabase.open(url, prepareMongo));
  const theirs = mongoStores(watched(database, between.collector));
  const { collection: _, ...own } = mongoStores(watched(database, between.people));
  const stores = { ...own, collection: theirs.collection };
  const all = opened.move();
  const metadata = { ...stores, [Symbol.asyncDispose]: () => all.disposeAsync() };
  return await CollectorWorldUnderTest.over(metadata);
}

class Ended extends Error {}

if (skip === false) {
  for (const [what, rival] of Object.entries(RIVALS)) {
    test(`GC3: nothing that is needed goes when somebody ${what} between any two questions of a collector (mongodb)`, async () => {
      for (let moment = 1; ; moment += STRIDE) {
        let asked = 0;
        let meet: (() => Promise<void>) | null = null;
        await using world = await open({
          people: async () => {},
          collector: async () => {
            if (meet === null || ++asked !== moment) return;
            const met = meet;
            meet = null;
            await met();
          },
        });
        const tree = await littered(world);
        meet = () => rival(world, tree);
        for (let run = 0; run < 4; run++) {
          world.advance(2_000);
          await world.collector(HASTY).run();
        }
        const isMet = meet === null;
        meet = null;
        await world.expectWhole(`${what}, question ${moment}`);
        if (!isMet) break;
      }
    });

    if (what === "collects as well") continue;
    test(`GC3: nothing that is needed goes when a collector does its work while somebody ${what} (mongodb)`, async () => {
      for (let runs = 1; runs <= 3; runs++) {
        for (let moment = 1; ; moment += STRIDE) {
          let asked = 0;
          let collect: (() => Promise<void>) | null = null;
          await using world = await open({
            people: async () => {
              if (collect === null || ++asked !== moment) return;
              const due = collect;
              collect = null;
              await due();
            },
            collector: async () => {},
          });
          const tree = await littered(world);
          for (let before = 0; before < 3 - runs; before++) await world.collect();
          collect = async () => {
            for (let run = 0; run < runs; run++) await world.collect();
          };
          // An answer, too: with rules as hasty as these a chunk may go before it is named.
          await rival(world, tree).catch((error: unknown) => {
            if (!String(error).includes('"outcome":"missing-chunks"')) throw error;
          });
          const isMet = collect === null;
          collect = null;
          await world.expectWhole(`${what}, ${runs} runs at question ${moment}`);
          for (let run = 0; run < 3; run++) await world.collect();
          await world.expectWhole(`${what}, ${runs} runs at question ${moment}, at the end`);
          if (!isMet) break;
        }
      }
    });
  }

  test("GC5: a collector that ends between any two questions leaves nothing that the next does not do (mongodb)", async () => {
    for (let end = 1; ; end += STRIDE) {
      let asked = 0;
      let isOn = false;
      await using world = await open({
        people: async () => {},
        collector: async () => {
          if (isOn && ++asked === end) throw new Ended();
        },
      });
      const { node, one } = await littered(world);
      isOn = true;
      for (let run = 0; run < 5; run++) {
        world.advance(60_000);
        const running = world.collector(HASTY).run();
        await running.catch((error: unknown) => {
          if (!(error instanceof Ended)) throw error;
        });
      }
      isOn = false;
      const isOver = asked < end;
      // A stray may be left of a merge: it goes later.
      for (let run = 0; run < 4; run++) await world.collect(60_000);
      await world.expectWhole(`ended at question ${end}`);
      const { id: space } = world.writer.space;
      assert.equal((await world.collection.links.links(space, 100)).length, 2);
      assert.equal((await Array.fromAsync(world.packs.list())).length, 1, `question ${end}`);
      const [row] = await world.metadata.journals.nodes(space, [node]);
      assert.deepEqual(row?.chunks, [one]);
      if (isOver) return;
    }
  });
} else test("GC3: a collector over MongoDB", { skip }, () => {});
