import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ROOT_NODE, type ChunkId } from "#core/ids.ts";
import { CHAIN_START, nextChain } from "#protocol/chain.ts";
import { Announcer } from "../../src/server/announcer.ts";
import { nodeDigest } from "../../src/server/digest.ts";
import { Journal } from "../../src/server/journal.ts";
import type { Metadata, Shared } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import { StandingClock } from "./clock.ts";
import { createFolder, folders, newChunk, newCommit, newSpace } from "./tree.ts";

function sharedOf({ shared }: Metadata): Shared {
  assert(shared !== undefined, "this database is shared by processes");
  return shared;
}

/** What processes over one database tell each other, and how they stay out of each other's way. */
export function sharedContract(database: string, open: OpenMetadata): void {
  newsContract(database, open);
  attemptContract(database, open);
  crowdContract(database, open);
}

function newsContract(database: string, open: OpenMetadata): void {
  test(`MP1: who waits at any process is woken by what any of them appends (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const peer = await under.peer();
    const space = await newSpace(metadata);
    const waiters = [metadata, peer].map((listener) => {
      const announcer = new Announcer(new StandingClock());
      sharedOf(listener).listen((news) => {
        if (news === "missed") announcer.announceAll();
        else announcer.announce(news.space, news.sequence);
      });
      return { listener, announcer };
    });
    for (let sequence = 1; sequence <= 4; sequence++) {
      const { journals } = sequence % 2 === 0 ? metadata : peer;
      assert.equal(await journals.append(space.id, folders(sequence)), "appended");
      for (const { listener, announcer } of waiters) {
        while ((await listener.journals.head(space.id)).sequence < sequence) {
          await announcer.waitBeyond(space.id, sequence - 1, 1_000);
        }
      }
    }
  });

  test(`MP1: who waits before an entry lands elsewhere hears of it (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const peer = await under.peer();
    const space = await newSpace(metadata);
    const announcer = new Announcer(new StandingClock());
    sharedOf(metadata).listen((news) => {
      if (news === "missed") announcer.announceAll();
      else announcer.announce(news.space, news.sequence);
    });
    let landed = false;
    const heard = (async () => {
      // Where it is not told which journal grew, who waits is woken to look, perhaps too early.
      while ((await metadata.journals.head(space.id)).sequence < 1) {
        assert.equal(await announcer.waitBeyond(space.id, 0, 1_000), true);
      }
      assert(landed, "not before it was sent");
    })();
    landed = true;
    assert.equal(await peer.journals.append(space.id, folders(1)), "appended");
    await heard;
  });
}

function attemptContract(database: string, open: OpenMetadata): void {
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

/** A journal as each server process has one. */
function journalOf(metadata: Metadata): Journal {
  const announcer = new Announcer(new StandingClock());
  return new Journal({ metadata, digest: nodeDigest, announcer });
}

function crowdContract(database: string, open: OpenMetadata): void {
  test(`JN1: of 20 committers at two servers all land, without a gap (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const space = await newSpace(metadata);
    const journals = [metadata, await under.peer()].map(journalOf);
    const base = await metadata.journals.head(space.id);
    const commits = Array.from({ length: 20 }, (_, at) => {
      const changes = [createFolder(`folder ${at}`), createFolder(`Folder ${at}, too`)];
      return { commitId: newCommit(), base, changes };
    });
    const author = { device: undefined, nowMs: 1_000 };
    const answers = await Promise.all(
      commits.map((commit, at) => {
        const journal = journals[at % 2];
        assert(journal !== undefined);
        return journal.commit(space, commit, author);
      }),
    );
    const sequences = answers.map((answer) =>
      answer.outcome === "committed" ? answer.sequence : NaN,
    );
    const all = Array.from({ length: 20 }, (_, at) => at + 1);
    assert.deepEqual(
      sequences.toSorted((one, other) => one - other),
      all,
    );
    let chain = CHAIN_START;
    for (const entry of await metadata.journals.entries(space.id, 0, 100)) {
      chain = nextChain(nodeDigest, chain, entry);
      assert.equal(entry.chain, chain);
    }
    assert.equal((await metadata.journals.head(space.id)).chain, chain);
    assert.equal((await metadata.journals.children(space.id, ROOT_NODE, 100)).length, 40);
  });

  test(`JN19: of 20 who want one name at two servers one gets it (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const space = await newSpace(metadata);
    const journals = [metadata, await under.peer()].map(journalOf);
    const base = await metadata.journals.head(space.id);
    const author = { device: undefined, nowMs: 1_000 };
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => {
        const journal = journals[at % 2];
        assert(journal !== undefined);
        const changes = [createFolder("one")];
        return journal.commit(space, { commitId: newCommit(), base, changes }, author);
      }),
    );
    const told = answers.map((answer) => (answer.outcome === "refused" ? answer.code : "landed"));
    assert.deepEqual(told.toSorted(), ["landed", ...Array<string>(19).fill("name-taken")]);
  });

  test(`CH5: many who send the same chunks at once wait for nobody in a ring (${database})`, async () => {
    await using under = await open();
    const servers = [under.metadata, await under.peer()];
    const ids = Array.from({ length: 200 }, newChunk);
    const spaces = await Promise.all(Array.from({ length: 6 }, () => newSpace(under.metadata)));
    const places = (pack: string, order: readonly ChunkId[]) =>
      order.map((id, at) => ({ id, pack, offsetBytes: at * 10, lengthBytes: 10 }));
    const sent = spaces.flatMap((space, number) =>
      servers.map(async ({ chunks }, at) => {
        const order = (number + at) % 2 === 0 ? ids : ids.toReversed();
        const pack = `${space.id}-${at}`;
        return [...(await chunks.stage(space.id, places(pack, order), order, 1_000))];
      }),
    );
    const used = new Set((await Promise.all(sent)).flat());
    const held = await Promise.all(spaces.map(({ id }) => under.metadata.chunks.held(id, ids)));
    const packs = new Set(held.flat().map(({ pack }) => pack));
    assert.equal(held.flat().length, 6 * 200);
    assert.equal(new Set(held.flat().map(({ id, pack }) => `${id} ${pack}`)).size, 200);
    for (const pack of packs) assert(used.has(pack), "a pack in use was told as such");
  });
}
