import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { ROOT_NODE } from "#core/ids.ts";
import { MAX_JSON_BYTES } from "#protocol/limits.ts";
import { fillRoute } from "#protocol/routes.ts";
import { makeFolder, ServerWorld, sha256, testNode } from "./server-world.ts";

const ZSTD = { "accept-encoding": "gzip, zstd;q=0.9" };
const SENT = { "content-type": "application/json", "content-encoding": "zstd" };

async function spaced() {
  const world = await ServerWorld.open();
  const alice = await world.signUp("alice");
  const { space } = await alice.space("home");
  const missing = fillRoute("chunksMissing", { space });
  const changes = `${fillRoute("changes", { space })}?cursor=`;
  return {
    world,
    alice,
    space,
    missing,
    changes,
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

const QUESTION = { chunks: Array.from({ length: 50 }, (_, chunk) => sha256(`chunk ${chunk}`)) };

function coded(json: unknown): Uint8Array<ArrayBuffer> {
  return zstdCompressSync(JSON.stringify(json));
}

test("WI26: whoever takes answers coded gets the same ones shorter, others as they are", async () => {
  await using given = await spaced();
  const { world, alice, space, changes } = given;
  const folders = Array.from({ length: 40 }, (_, at) =>
    makeFolder(testNode(at + 1), ROOT_NODE, `f${at}`),
  );
  await alice.commit(space, folders);
  const plain = await alice.call("GET", changes);
  const { token } = alice;
  const begun = await world.begin("GET", changes, { token, headers: ZSTD });
  assert.equal(begun.headers.get("content-encoding"), "zstd");
  assert.equal(begun.headers.get("accept-encoding"), "zstd", "questions may be coded, too");
  assert.equal(begun.headers.get("vary"), "accept-encoding");
  const bytes = new Uint8Array(await begun.arrayBuffer());
  assert.ok(bytes.length < plain.bytes.length / 2, `${bytes.length} of ${plain.bytes.length}`);
  assert.deepEqual(new Uint8Array(zstdDecompressSync(bytes)), plain.bytes);
  for (const accepted of ["gzip, br", "zstd;q=0", "zstd;q=0.000, *"]) {
    const answer = await alice.call("GET", changes, { headers: { "accept-encoding": accepted } });
    assert.deepEqual(answer.bytes, plain.bytes, accepted);
    assert.equal(answer.headers.get("content-encoding"), null, accepted);
  }
  const none = await world.begin("GET", `${changes}${plain.json.cursor}`, { token, headers: ZSTD });
  assert.equal(none.headers.get("content-encoding"), null, "a short one is not worth it");
});

test("WI26: a coded question is read as it was before, in any other coding not at all", async () => {
  await using given = await spaced();
  const { alice, missing } = given;
  const answer = await alice.call("POST", missing, { body: coded(QUESTION), headers: SENT });
  assert.deepEqual(answer.json.missing, QUESTION.chunks);
  const gzip = { ...SENT, "content-encoding": "gzip" };
  const refused = await alice.call("POST", missing, { body: coded(QUESTION), headers: gzip });
  assert.equal(refused.status, 415);
  assert.equal(refused.headers.get("accept-encoding"), "zstd");
  for (const body of [
    coded(QUESTION).subarray(0, -9),
    new Uint8Array(8),
    coded("not a question"),
  ]) {
    assert.equal((await alice.call("POST", missing, { body, headers: SENT })).status, 400);
  }
});

test("WI26: a body is bounded by what it was before it was coded, and by the room that takes", async () => {
  await using given = await spaced();
  const { alice, missing } = given;
  const spaces = new Uint8Array(MAX_JSON_BYTES + 1).fill(32);
  const body = zstdCompressSync(spaces);
  assert.ok(body.length < MAX_JSON_BYTES / 1_000);
  assert.equal((await alice.call("POST", missing, { body, headers: SENT })).status, 413);
  const padded = JSON.stringify(QUESTION).padEnd(MAX_JSON_BYTES - 1);
  for (const [windowLog, status] of [
    [23, 200],
    [24, 400],
  ] as const) {
    const { ZSTD_c_windowLog, ZSTD_c_contentSizeFlag } = constants;
    const params = { [ZSTD_c_windowLog]: windowLog, [ZSTD_c_contentSizeFlag]: 0 };
    const far = zstdCompressSync(padded, { params });
    const answer = await alice.call("POST", missing, { body: far, headers: SENT });
    assert.equal(answer.status, status, `a window of 2 to the ${windowLog} bytes`);
  }
});
