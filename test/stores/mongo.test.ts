import { strict as assert } from "node:assert";
import { after, before, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import type { Entry } from "#protocol/feed.ts";
import { openMongoMetadata } from "../../src/server/metadata/mongo.ts";
import { realClock } from "../../src/server/real-world.ts";
import { metadataContract } from "../contracts/metadata.ts";
import { collectionContract } from "../contracts/metadata-collection.ts";
import { sharedContract } from "../contracts/metadata-shared.ts";
import {
  createFile,
  createFolder,
  fileOf,
  FIRST_KEYS,
  folders,
  newSpace,
  stageChunks,
} from "../contracts/tree.ts";
import { TreeWriter } from "../contracts/tree-writer.ts";
import { MongoServer, mongoMissing } from "./mongo-server.ts";

const WORLD = {
  clock: realClock,
  log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
};
const skip = mongoMissing();

let started: MongoServer | undefined;
before(async () => {
  if (skip === false) started = await MongoServer.start();
});
after(() => started?.[Symbol.asyncDispose]());

async function open() {
  assert(started !== undefined, "MongoDB is up");
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await started.database());
  const metadata = opened.use(await openMongoMetadata(url, WORLD));
  const all = opened.move();
  return {
    url,
    metadata,
    peer: async () => all.use(await openMongoMetadata(url, WORLD)),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

if (skip === false) {
  metadataContract("mongodb", open);
  collectionContract("mongodb", open);
  sharedContract("mongodb", open);
  ownTests();
} else test("JN1: metadata in MongoDB", { skip }, () => {});

function ownTests(): void {
  test("JN25: an entry whose server was killed before the tree followed is in the tree", async () => {
    await using under = await open();
    const { metadata, url } = under;
    const writer = await TreeWriter.open(metadata);
    const { id: space } = writer.space;
    const [before, after] = await stageChunks(metadata, writer.space, [10, 20]);
    assert(before !== undefined && after !== undefined);
    const file = createFile("a", undefined, fileOf([before]));
    const [folder, gone] = [createFolder("b"), createFolder("c")];
    await writer.land(file, folder, gone);
    const { chain } = await metadata.journals.head(space);
    const collections = ["nodes", "revisions", "spaces", "links"];
    const image = await server().with(url, async (client) => {
      const read = (name: string) => client.db().collection(name).find().toArray();
      return Promise.all(collections.map(read));
    });
    const { node } = file;
    await writer.land(
      { kind: "update", node, crev: 1, ...fileOf([after]) },
      { kind: "move", node: folder.node, lrev: 1, parent: ROOT_NODE, name: "d" },
      { kind: "delete", node: gone.node, crev: 1, lrev: 1 },
      createFolder("c"),
    );
    const { journals } = metadata;
    const told = async (from: typeof journals) => [
      await from.head(space),
      await from.changedSince(space, 0, 100),
      await from.trash(space, 100, 100),
      await from.revisions(space, node, 100, 100),
    ];
    const whole = await told(journals);
    assert.notEqual((await journals.head(space)).chain, chain);
    // The journal has the entry, all else is as it was before it: that is what a kill leaves.
    await server().with(url, async (client) => {
      for (const [at, name] of collections.entries()) {
        await client.db().collection(name).deleteMany({});
        await client
          .db()
          .collection(name)
          .insertMany(image[at] ?? []);
      }
    });
    const peer = await under.peer();
    assert.deepEqual(await told(peer.journals), whole);
    assert.equal((await peer.journals.children(space, ROOT_NODE, 10)).length, 3);
    assert.deepEqual((await peer.journals.revisionAt(space, node, 2))?.chunks, [after.id]);
  });

  test("JN24: a MongoDB database of a newer version, or another program's, is refused", async () => {
    await using under = await open();
    const { url } = under;
    const set = (version: number) =>
      server().with(url, (client) =>
        client.db().collection("schema").updateOne({}, { $set: { version } }),
      );
    await set(1_000);
    const newer = { code: "database-too-new", message: /version 1000/ };
    await assert.rejects(openMongoMetadata(url, WORLD), newer);
    await server().with(url, (client) => client.db().dropDatabase());
    await server().with(url, (client) => client.db().collection("nodes").insertOne({ a: 1 }));
    await assert.rejects(openMongoMetadata(url, WORLD), { code: "database-foreign" });
  });

  test("SS4: keys are renewed where a collector has taken its turn, and no entry of the old ones lands", async () => {
    await using under = await open();
    const { journals, collection } = under.metadata;
    const space = await newSpace(under.metadata, { keys: FIRST_KEYS });
    await stageChunks(under.metadata, space, [10]);
    assert.equal(await collection.links.sweep(space.id, 1_000_000, 10), 1);
    assert.equal(await journals.setKeyEpoch(space.id, 2), true);
    const sealed = (keyEpoch: number) => {
      const { entry, nodes } = folders(1);
      return { entry: { ...entry, keyEpoch }, nodes };
    };
    assert.equal(await journals.append(space.id, sealed(1)), "raced");
    assert.equal(await journals.append(space.id, sealed(2)), "appended");
    assert.equal((await journals.head(space.id)).sequence, 1);
  });

  test("JN24: a MongoDB database of the version before the collector can be collected", async () => {
    await using under = await open();
    const { metadata, url } = under;
    const space = await newSpace(metadata);
    const places = await stageChunks(metadata, space, [10, 20]);
    const told = await metadata.collection.packs.packs(10);
    await server().with(url, async (client) => {
      const database = client.db();
      await database.collection("links").updateMany({}, { $unset: { space: "", chunk: "" } });
      await database.collection("packs").deleteMany({});
      await database.collection("schema").updateOne({}, { $set: { version: 1 } });
    });
    const { collection } = await under.peer();
    assert.deepEqual(await collection.packs.packs(10), told);
    assert.deepEqual((await collection.packs.unheld(10)).chunks, []);
    assert.equal(await collection.links.sweep(space.id, 1_000_000, 10), places.length);
  });

  test("JN20: an entry that no single document could hold comes back to the letter", async () => {
    await using under = await open();
    const { metadata } = under;
    const { journals } = metadata;
    const space = await newSpace(metadata);
    const { entry, nodes } = folders(1, 200);
    const meta = "\u{1f600} meta ".repeat(4_500);
    const changes = entry.changes.map((change) => ({ ...change, meta }));
    const long = { ...entry, changes } as Entry;
    const rows = nodes.map((node) => ({ ...node, meta }));
    assert.equal(await journals.append(space.id, { entry: long, nodes: rows }), "appended");
    assert.deepEqual(await journals.entries(space.id, 0, 10), [long]);
    const [row] = rows;
    assert(row !== undefined);
    assert.deepEqual(await journals.nodes(space.id, [row.id]), [row]);
  });
}

function server(): MongoServer {
  assert(started !== undefined, "MongoDB is up");
  return started;
}
