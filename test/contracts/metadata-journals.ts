import { strict as assert } from "node:assert";
import { test } from "node:test";
import { CHAIN_START } from "#protocol/chain.ts";
import { MAX_RESTORES } from "#protocol/feed.ts";
import type { SpaceKeys, SpaceRow } from "../../src/server/metadata/port.ts";
import type { OpenMetadata } from "./metadata.ts";
import { TreeWriter } from "./tree-writer.ts";
import {
  createFolder,
  FIRST_KEYS,
  folders,
  newChunk,
  newCommit,
  newSpace,
  newSpaceId,
} from "./tree.ts";

type SealedKeys = Extract<SpaceKeys, { kind: "sealed" }>;

/** Spaces of an account. */
export function spaceContract(database: string, open: OpenMetadata): void {
  test(`an account's spaces have different names and begin empty (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const space = await newSpace(under.metadata, { folding: false });
    const second: SpaceRow = { ...space, id: (await newSpace(under.metadata)).id, name: "files" };
    assert.equal(await journals.createSpace({ ...second, id: newSpaceId() }), false);
    assert.equal(await journals.createSpace({ ...second, id: newSpaceId(), name: "other" }), true);
    assert.deepEqual(await journals.space(space.id), space);
    assert.equal(await journals.space(newSpaceId()), undefined);
    const names = (await journals.spaces(space.account)).map(({ name }) => name);
    assert.deepEqual(names.toSorted(), ["files", "other"]);
    assert.deepEqual(await journals.head(space.id), { sequence: 0, chain: CHAIN_START });
    assert.equal(await journals.chainAt(space.id, 0), CHAIN_START);
    assert.equal(await journals.chainAt(space.id, 1), undefined);
  });

  test(`JN21: a copy that was put back has other epochs, and tells where it ended if announced (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const writer = await TreeWriter.open(under.metadata);
    const { id } = writer.space;
    const empty = await newSpace(under.metadata);
    await writer.land(createFolder("a"));
    const head = await journals.head(id);
    let drawn = 0;
    const draw = (): string => `e${++drawn}`;
    const rowOf = async (space = id) => (await journals.space(space)) ?? assert.fail();
    assert.equal(await journals.restart(draw, true), 2);
    const [first, second] = [await rowOf(), await rowOf(empty.id)];
    assert.deepEqual(new Set([first.epoch, second.epoch]), new Set(["e1", "e2"]));
    assert.deepEqual(first.restores, [{ epoch: first.epoch, ...head }]);
    const none = { sequence: 0, chain: CHAIN_START };
    assert.deepEqual(second.restores, [{ epoch: second.epoch, ...none }]);
    await writer.land(createFolder("b"));
    assert.deepEqual((await rowOf()).restores, first.restores, "it is where the copy ended");
    for (let count = 0; count < 2 * MAX_RESTORES; count++) await journals.restart(draw, true);
    const { restores = [], epoch } = await rowOf();
    assert.equal(restores.length, MAX_RESTORES);
    assert.deepEqual(restores.at(-1), { epoch, ...(await journals.head(id)) });
    await journals.restart(draw, false);
    const again = await rowOf();
    assert.notEqual(again.epoch, epoch);
    assert.deepEqual(again, { ...writer.space, epoch: again.epoch });
  });

  test(`CH14: the key that files are cut by is drawn once for all (${database})`, async () => {
    await using under = await open();
    const peer = await under.peer();
    assert.equal(await peer.journals.drawn("cut key"), undefined);
    const keys = await Promise.all(
      ["a", "b", "c"].map((drawn, at) =>
        (at === 1 ? under.metadata : peer).journals.drawOnce("cut key", drawn.repeat(96)),
      ),
    );
    assert.equal(new Set(keys).size, 1);
    assert.equal(await under.metadata.journals.drawOnce("cut key", "d".repeat(96)), keys[0]);
    assert.equal(await peer.journals.drawn("cut key"), keys[0]);
    assert.equal(await peer.journals.drawn("opaque setup"), undefined);
  });

  test(`SS4: of many that begin a key epoch one does, behind the head (${database})`, async () => {
    await using under = await open();
    const peer = (await under.peer()).journals;
    const { journals } = under.metadata;
    const { id } = await newSpace(under.metadata, { keys: FIRST_KEYS });
    const sealed = (sequence: number, keyEpoch: number) => {
      const { entry, nodes } = folders(sequence);
      return { entry: { ...entry, keyEpoch }, nodes };
    };
    assert.equal(await journals.append(id, sealed(1, 1)), "appended");
    const began = await Promise.all(
      [journals, peer, journals, peer].map((store) => store.setKeyEpoch(id, 2)),
    );
    assert.equal(began.filter(Boolean).length, 1);
    assert.equal(await journals.setKeyEpoch(id, 4), false);
    assert.equal(await journals.append(id, sealed(2, 1)), "raced");
    const row = await peer.space(id);
    const { keyEpoch, keyEpochSequence } = { ...row } as Partial<SealedKeys>;
    assert.deepEqual([keyEpoch, keyEpochSequence], [2, 1]);
    assert.equal(await journals.append(id, sealed(2, 2)), "appended");
    const plain = await newSpace(under.metadata);
    assert.equal(await journals.setKeyEpoch(plain.id, 1), false);
  });

  test(`asking for the head of a space that is not there fails (${database})`, async () => {
    await using under = await open();
    await assert.rejects(under.metadata.journals.head(newSpaceId()), { code: "not-found" });
  });
}

/** The one call that changes a tree. */
export function appendContract(database: string, open: OpenMetadata): void {
  test(`JN1: of 20 entries for one sequence exactly one is appended (${database})`, async () => {
    await using under = await open();
    const { metadata } = under;
    const peer = await under.peer();
    const space = await newSpace(metadata);
    for (let sequence = 1; sequence <= 5; sequence++) {
      const rivals = Array.from({ length: 20 }, () => folders(sequence));
      const outcomes = await Promise.all(
        rivals.map((rival, index) =>
          (index % 2 === 0 ? metadata : peer).journals.append(space.id, rival),
        ),
      );
      assert.equal(outcomes.filter((outcome) => outcome === "appended").length, 1);
      assert.equal(outcomes.filter((outcome) => outcome === "raced").length, 19);
      const won = rivals[outcomes.indexOf("appended")];
      assert.deepEqual(await peer.journals.entries(space.id, sequence - 1, 10), [won?.entry]);
    }
    assert.equal((await metadata.journals.changedSince(space.id, 0, 100)).length, 5);
  });

  test(`JN1: an entry that skips a sequence is not appended (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const space = await newSpace(under.metadata);
    assert.equal(await journals.append(space.id, folders(2)), "raced");
    assert.equal(await journals.append(space.id, folders(1)), "appended");
    assert.equal(await journals.append(space.id, folders(1)), "raced");
  });

  test(`JN2: an append that fails half way leaves nothing behind (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const space = await newSpace(under.metadata);
    const { entry, nodes } = folders(1, 2);
    const [first, second] = nodes;
    assert(first !== undefined && second !== undefined);
    const clash = [first, { ...second, key: first.key }];
    await assert.rejects(journals.append(space.id, { entry, nodes: clash }));
    assert.deepEqual(await journals.head(space.id), { sequence: 0, chain: CHAIN_START });
    assert.deepEqual(await journals.nodes(space.id, [first.id, second.id]), []);
    assert.equal(await journals.answered(space.id, entry.commitId), undefined);
    assert.equal(await journals.append(space.id, { entry, nodes }), "appended");
  });
}

/** What a commit id was answered. */
export function answerContract(database: string, open: OpenMetadata): void {
  test(`JN3: a commit id is answered once, accepted or refused (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const space = await newSpace(under.metadata);
    const { entry, nodes } = folders(1);
    assert.equal(await journals.append(space.id, { entry, nodes }), "appended");
    const { commitId, chain } = entry;
    const committed = { outcome: "committed", sequence: 1, chain } as const;
    const refused = { outcome: "refused", code: "stale", detail: "Too late." } as const;
    await journals.rememberRefusal(space.id, commitId, refused, 10);
    assert.deepEqual(await journals.answered(space.id, commitId), committed);

    const late = folders(2);
    await journals.rememberRefusal(space.id, late.entry.commitId, refused, 10);
    assert.equal(await journals.append(space.id, late), "raced");
    assert.deepEqual(await journals.answered(space.id, late.entry.commitId), refused);
    assert.equal((await journals.head(space.id)).sequence, 1);
  });

  test(`JN3: a commit that one server refuses while another lands it has one answer (${database})`, async () => {
    await using under = await open();
    const peer = await under.peer();
    const { journals } = under.metadata;
    const space = await newSpace(under.metadata);
    const refused = { outcome: "refused", code: "stale", detail: "Too late." } as const;
    for (let round = 0; round < 20; round++) {
      const { sequence } = await journals.head(space.id);
      const late = folders(sequence + 1);
      const { commitId } = late.entry;
      // Whoever begins first, and which step of the one falls between which of the other, varies.
      const refusing = async () => {
        for (let turn = 0; turn < round; turn++) await Promise.resolve();
        await peer.journals.rememberRefusal(space.id, commitId, refused, 10);
        return peer.journals.answered(space.id, commitId);
      };
      const [appended, told] = await Promise.all([journals.append(space.id, late), refusing()]);
      const answer = await journals.answered(space.id, commitId);
      assert.deepEqual(told, answer);
      assert.equal(answer?.outcome, appended === "appended" ? "committed" : "refused");
    }
  });

  test(`JN3: a refusal is remembered for a day (${database})`, async () => {
    await using under = await open();
    const { journals } = under.metadata;
    const space = await newSpace(under.metadata);
    const [first, second, third] = [newCommit(), newCommit(), newCommit()];
    const missing = [newChunk()];
    const refused = { outcome: "missing-chunks", missing } as const;
    const answer = { ...refused, missing: [...missing] };
    const dayMs = 24 * 60 * 60 * 1_000;
    await journals.rememberRefusal(space.id, first, answer, 1_000);
    await journals.rememberRefusal(space.id, second, answer, 1_000 + dayMs);
    assert.deepEqual(await journals.answered(space.id, first), answer);
    await journals.rememberRefusal(space.id, third, answer, 1_001 + dayMs);
    assert.equal(await journals.answered(space.id, first), undefined);
    assert.deepEqual(await journals.answered(space.id, second), answer);
  });
}
