import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { fillRoute } from "#protocol/routes.ts";
import { ServerWorld, sha256, testNode, type Answer, type Person } from "./server-world.ts";

/** What a sealed space's device sends: bytes that the server can make nothing of. */
const closed = (text: string): Uint8Array => new TextEncoder().encode(`closed ${text}`);
const THEIRS = closed("the film that both have");
const OTHER = closed("a film of the same size..");

async function sealedSpace(person: Person): Promise<string> {
  const made = await person.call("POST", "/v1/spaces", { json: { name: "0", kind: "sealed" } });
  assert.equal(made.status, 201);
  return made.json.space;
}

function commitOf(space: string, chunk: string, at: { head: number; chain: string }) {
  const name = { name: "bmFtZQ", key: `token ${chunk}` };
  const file = { kind: "create", type: "file", node: testNode(1), parent: ROOT_NODE, ...name };
  return {
    commitId: sha256(`${space} ${chunk} ${at.head}`).slice(0, 32),
    base: { sequence: at.head, chain: at.chain },
    changes: [{ ...file, meta: "bWV0YQ", chunks: [chunk] }],
    keyEpoch: 1,
    signature: "0".repeat(128),
  };
}

/** All that somebody can do with a chunk's id, in one order: the answers, to the last header. */
async function session(person: Person, space: string, bytes: Uint8Array): Promise<unknown[]> {
  const id = sha256(bytes);
  const seen: unknown[] = [];
  const note = ({ status, headers, bytes: body }: Answer): void => {
    seen.push([status, Object.fromEntries(headers), new TextDecoder().decode(body)]);
  };
  const ask = async () => {
    const json = { chunks: [id] };
    note(await person.call("POST", fillRoute("chunksMissing", { space }), { json }));
    note(await person.call("POST", fillRoute("chunksFetch", { space }), { json }));
  };
  const commit = async () => {
    const row = (await person.call("GET", fillRoute("space", { space }))).json;
    const json = commitOf(space, id, row);
    note(await person.call("POST", fillRoute("commits", { space }), { json }));
  };
  await ask();
  await commit();
  const wrong = closed("forged");
  note(await person.put(space, bytes.slice(0, 5)));
  note(await person.put(space, bytes, wrong));
  note(await person.put(space, bytes));
  await ask();
  note(await person.call("GET", fillRoute("changes", { space })));
  return seen;
}

describe("chunks that somebody else has", () => {
  test("T-DD-03: no answer tells whether another account has a chunk", async () => {
    const sessions: unknown[][] = [];
    for (const theirs of [THEIRS, OTHER]) {
      await using world = await ServerWorld.open();
      const [alice, bob] = [await world.signUp("alice"), await world.signUp("bob")];
      const home = await sealedSpace(alice);
      assert.equal((await alice.put(home, theirs)).status, 200);
      sessions.push(await session(bob, await sealedSpace(bob), THEIRS));
    }
    const [with_, without] = sessions;
    assert.ok(with_ !== undefined && with_.length > 8);
    assert.deepEqual(with_, without);
  });

  test("T-DD-02: who knows a chunk's id and never sent it gets nothing by it", async () => {
    await using world = await ServerWorld.open();
    const [alice, bob] = [await world.signUp("alice"), await world.signUp("bob")];
    const home = await sealedSpace(alice);
    await alice.put(home, THEIRS);
    const space = await sealedSpace(bob);
    const id = sha256(THEIRS);
    const json = { chunks: [id] };
    const fetched = await bob.call("POST", fillRoute("chunksFetch", { space }), { json });
    assert.equal(fetched.status, 404);
    const stolen = await bob.call("POST", fillRoute("chunksFetch", { space: home }), { json });
    assert.equal(stolen.status, 404);
    const row = (await bob.call("GET", fillRoute("space", { space }))).json;
    const committed = await bob.call("POST", fillRoute("commits", { space }), {
      json: commitOf(space, id, row),
    });
    assert.equal(committed.status, 409);
    assert.deepEqual(committed.json, { outcome: "missing-chunks", missing: [id] });
    assert.equal((await bob.call("GET", fillRoute("space", { space }))).json.head, 0);
  });

  test("T-DD-05: a body that is not its id is refused, and the other's copy stays whole", async () => {
    await using world = await ServerWorld.open();
    const [alice, bob] = [await world.signUp("alice"), await world.signUp("bob")];
    const [home, space] = [await sealedSpace(alice), await sealedSpace(bob)];
    await alice.put(home, THEIRS);
    const poisoned = await bob.putAs(space, sha256(THEIRS), closed("poison"));
    assert.equal(poisoned.status, 422);
    const json = { chunks: [sha256(THEIRS)] };
    const fetched = await alice.call("POST", fillRoute("chunksFetch", { space: home }), { json });
    assert.equal(fetched.status, 200);
    assert.ok(Buffer.from(fetched.bytes).includes(Buffer.from(THEIRS)));
  });
});
