import { strict as assert } from "node:assert";
import type { ChunkId } from "#core/ids.ts";
import type { CollectorWorldUnderTest } from "./collector-world.ts";

function present<T>(value: T | undefined): T {
  assert(value !== undefined);
  return value;
}

/** A file of three chunks, of which the second content has one; a chunk of nobody's. */
export async function littered(world: CollectorWorldUnderTest) {
  const ids = await world.send("one", "two", "three", "four");
  const node = await world.create(ids.slice(0, 3));
  await world.update(node, [present(ids[0])]);
  const [one, two, three, four] = ids.map(present) as [ChunkId, ChunkId, ChunkId, ChunkId];
  return { node, one, two, three, four };
}

type Rival = (
  world: CollectorWorldUnderTest,
  tree: Awaited<ReturnType<typeof littered>>,
) => Promise<void>;

/** What others do while a collector is at work. `missing-chunks` is an answer, too. */
export const RIVALS: Record<string, Rival> = {
  "names what was dropped": async (world, { node, one, two }) => {
    await world.try(await world.updateOf(node, [one, two]));
  },
  "keeps what it has, and adds to it": async (world, { node, one }) => {
    const fresh = await world.send("fresh 1", "fresh 2", "fresh 3", "fresh 4");
    await world.update(node, [one, ...fresh]);
    // Named by the entry before alone: kept by this one, which names one of five.
    const change = await world.updateOf(node, [
      one,
      ...fresh.slice(1),
      ...(await world.send("last")),
    ]);
    assert(change.kind === "update" && change.keeps !== undefined);
    assert.equal((await world.try(change)).outcome, "committed");
  },
  "sends what is being removed": async (world) => {
    await world.create(await world.send("two", "three", "four"));
  },
  "brings the version before back": async (world, { node }) => {
    const { id: space } = world.writer.space;
    const rows = await world.metadata.journals.revisions(space, node, 100, 100);
    const first = present(rows.at(-1));
    if (first.forgotten === true) return;
    await world.try(await world.updateOf(node, first.chunks));
  },
  "deletes the file and makes it again": async (world, { node, one }) => {
    await world.remove(node);
    await world.create([one]);
  },
  "collects as well": async (world) => {
    // As one does whose turn was believed to be over.
    world.advance(60_000);
    await world.collector().run();
  },
};
