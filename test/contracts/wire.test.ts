import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { concat } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { nodeId, ROOT_NODE, spaceId } from "#core/ids.ts";
import { frameHead, FRAMES_MEDIA_TYPE, readFrames } from "#protocol/frames.ts";
import { PROBLEM_STATUS } from "#protocol/problem.ts";
import { fillRoute, ROUTES } from "#protocol/routes.ts";
import { Metrics } from "../../src/server/metrics.ts";
import {
  makeFile,
  makeFolder,
  PASSWORD,
  ServerWorld,
  sha256,
  testNode,
  until,
  type Person,
} from "./server-world.ts";

async function spaced() {
  const world = await ServerWorld.open();
  const alice = await world.signUp("alice");
  const row = await alice.space("home");
  const changes = (cursor: string, more = "") =>
    alice.call("GET", `${fillRoute("changes", { space: row.space })}?cursor=${cursor}${more}`);
  return { world, alice, row, changes, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

/** Makes the folders `first` to `last`, one commit each. */
async function grow(person: Person, space: string, first: number, last: number): Promise<void> {
  for (let number = first; number <= last; number++) {
    const answer = await person.commit(space, [
      makeFolder(testNode(number), ROOT_NODE, `folder ${number}`),
    ]);
    assert.equal(answer.json.outcome, "committed");
  }
}

/** Server-sent events as they come, comments included. */
async function* eventsOf(answer: Response) {
  let text = "";
  assert.ok(answer.body !== null);
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    text += piece;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      yield {
        id: field("id") ?? "",
        event: field("event"),
        comment: lines[0]?.startsWith(":") === true,
        entry: data === undefined ? undefined : JSON.parse(data),
      };
    }
  }
}

describe("who may ask", () => {
  test("WI1: without a token 401 no-token, with a wrong one 401 bad-token", async () => {
    await using it = await spaced();
    const none = await it.world.call("GET", "/v1/spaces");
    assert.equal(none.status, 401);
    assert.equal(none.json.code, "no-token");
    assert.equal(none.headers.get("www-authenticate"), 'Bearer realm="lockstep"');
    const basic = { headers: { authorization: "Basic YTpi" } };
    assert.equal((await it.world.call("GET", "/v1/spaces", basic)).json.code, "no-token");
    for (const token of ["x", `ls_dev_${"A".repeat(43)}`, it.alice.token.toUpperCase()]) {
      const wrong = await it.world.call("GET", "/v1/spaces", { token });
      assert.equal(wrong.status, 401);
      assert.equal(wrong.json.code, "bad-token");
      assert.match(wrong.headers.get("www-authenticate") ?? "", /error="invalid_token"/);
    }
  });

  test("WI2: another account's space answers as one that does not exist (T-SV-03)", async () => {
    await using it = await spaced();
    const bob = await it.world.signUp("bob");
    await grow(it.alice, it.row.space, 1, 1);
    const commit = {
      commitId: "1".repeat(32),
      base: { sequence: 0, chain: "0".repeat(64) },
      changes: [makeFolder(testNode(5), ROOT_NODE, "planted")],
    };
    const asBob = async (space: string) => {
      const node = testNode(1);
      const json = { chunks: [sha256("x")] };
      const frames = { body: "", headers: { "content-type": FRAMES_MEDIA_TYPE } };
      const at = `?cursor=${it.row.start}`;
      return [
        await bob.call("GET", fillRoute("space", { space })),
        await bob.call("POST", fillRoute("commits", { space }), { json: commit }),
        await bob.call("GET", fillRoute("changes", { space }) + at),
        await bob.call("GET", fillRoute("events", { space }) + at),
        await bob.call("POST", fillRoute("chunksMissing", { space }), { json }),
        await bob.call("GET", fillRoute("chunksLacking", { space })),
        await bob.call("GET", fillRoute("chunksRoom", { space })),
        await bob.call("POST", fillRoute("chunks", { space }), frames),
        await bob.call("POST", fillRoute("chunksFetch", { space }), { json }),
        await bob.call("GET", fillRoute("revisions", { space, node })),
        await bob.call("GET", fillRoute("revision", { space, node, sequence: 1 })),
        await bob.call("GET", fillRoute("trash", { space })),
        await bob.call("POST", fillRoute("keyEpoch", { space }), { json: { keyEpoch: 2 } }),
      ];
    };
    const theirs = await asBob(it.row.space);
    const nobodys = await asBob("f".repeat(32));
    const routes = Object.values(ROUTES).filter((route) => route.includes("{space}"));
    assert.equal(theirs.length, routes.length, "a route of a space that nobody tried");
    for (const [index, answer] of theirs.entries()) {
      assert.equal(answer.status, 404);
      const other = JSON.stringify(nobodys[index]?.json).replaceAll("f".repeat(32), it.row.space);
      assert.equal(JSON.stringify(answer.json), other);
    }
    assert.deepEqual((await bob.call("GET", "/v1/spaces")).json, { spaces: [] });
    assert.equal((await bob.call("GET", "/v1/devices")).json.devices.length, 1);
    const { devices } = (await it.alice.call("GET", "/v1/devices")).json;
    const theft = fillRoute("device", { device: devices[0].device });
    assert.equal((await bob.call("DELETE", theft)).status, 404);
  });
});

describe("problems", () => {
  test("WI3: what the server does not know is a 404 problem", async () => {
    await using it = await spaced();
    for (const [method, path] of [
      ["GET", "/v1/nothing"],
      ["PUT", "/v1/spaces"],
      ["GET", "/"],
    ] as const) {
      const answer = await it.alice.call(method, path);
      assert.equal(answer.status, 404);
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
      assert.equal(answer.json.code, "not-found");
    }
  });

  test("WI4: every refusal is problem details with a known code, and no stack", async () => {
    await using it = await spaced();
    const { space } = it.row;
    const json = { json: { name: 1 } };
    const text = { body: "{", headers: { "content-type": "application/json" } };
    const form = { body: "name=x", headers: { "content-type": "text/plain" } };
    const refused = [
      await it.alice.call("POST", "/v1/spaces", json),
      await it.alice.call("POST", "/v1/spaces", text),
      await it.alice.call("POST", "/v1/spaces"),
      await it.alice.call("POST", "/v1/spaces", form),
      await it.alice.call("POST", "/v1/spaces", { json: { name: "home", kind: "plain" } }),
      await it.alice.call("GET", "/v1/spaces?limit=0"),
      await it.alice.call("GET", "/v1/spaces?limit=1001"),
      await it.alice.call("GET", "/v1/spaces/xyz"),
      await it.alice.call("GET", "/v1/spaces/%E0%A4%A"),
      await it.alice.call("GET", fillRoute("changes", { space })),
      await it.alice.call("POST", fillRoute("chunks", { space }), { body: "x" }),
    ];
    const statuses = refused.map((answer) => answer.status);
    assert.deepEqual(statuses, [400, 400, 400, 415, 409, 400, 400, 400, 400, 400, 415]);
    for (const answer of refused) {
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
      const { code, status, title, type, detail } = answer.json;
      assert.equal(PROBLEM_STATUS[code as keyof typeof PROBLEM_STATUS], answer.status);
      assert.equal(status, answer.status);
      assert.ok(title.length > 0 && type === "about:blank");
      assert.match(detail, /^[^\n]{10,300}$/);
      assert.ok(!detail.includes(".ts:"), detail);
    }
  });

  test("WI5: a body that is too large is 413; one that says so is never read", async () => {
    await using it = await spaced();
    let read = 0;
    const endless = () =>
      new ReadableStream<Uint8Array>(
        {
          pull: (controller) => {
            read++;
            controller.enqueue(new Uint8Array(64 * 1024).fill(0x20));
          },
        },
        { highWaterMark: 0 },
      );
    const json = { "content-type": "application/json" };
    const said = await it.alice.call("POST", "/v1/spaces", {
      body: endless(),
      headers: { ...json, "content-length": "300000" },
    });
    assert.equal(said.status, 413);
    assert.equal(said.json.code, "body-too-large");
    assert.equal(read, 0);
    const unsaid = await it.alice.call("POST", "/v1/spaces", { body: endless(), headers: json });
    assert.equal(unsaid.status, 413);
    assert.ok(read < 10, `${read} pieces`);
    const frames = { "content-type": FRAMES_MEDIA_TYPE, "content-length": "40000000" };
    const batch = await it.alice.call("POST", fillRoute("chunks", { space: it.row.space }), {
      body: endless(),
      headers: frames,
    });
    assert.equal(batch.status, 413);
  });

  test("WI6: who sends too slowly is cut off with 408 (T-SV-02)", async () => {
    await using it = await spaced();
    let gone = false;
    const trickle = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array([0x7b])),
      cancel: () => {
        gone = true;
      },
    });
    const waiting = it.alice.call("POST", "/v1/spaces", {
      body: trickle,
      headers: { "content-type": "application/json" },
    });
    await until(() => it.world.clock.sleeping === 1);
    it.world.clock.advance(20_000);
    await until(() => it.world.clock.sleeping === 1);
    it.world.clock.advance(1);
    assert.equal((await waiting).json.code, "timeout");
    assert.ok(gone);
    assert.equal(it.world.clock.sleeping, 0);
  });
});

describe("the change feed", () => {
  test("WI7: a long poll ends with the commit it waited for, or with its time", async () => {
    await using it = await spaced();
    const waiting = it.changes(it.row.start, "&waitMs=30000");
    await until(() => it.world.clock.sleeping === 1);
    await grow(it.alice, it.row.space, 1, 1);
    const told = await waiting;
    assert.equal(told.json.entries.length, 1);
    assert.equal(told.json.head, 1);
    assert.equal(it.world.clock.sleeping, 0);
    const idle = it.changes(told.json.cursor, "&waitMs=30000");
    await until(() => it.world.clock.sleeping === 1);
    it.world.clock.advance(30_000);
    assert.deepEqual((await idle).json, { entries: [], cursor: told.json.cursor, head: 1 });
    const left = new AbortController();
    const path = `${fillRoute("changes", { space: it.row.space })}?cursor=${told.json.cursor}`;
    const leaving = it.alice.call("GET", `${path}&waitMs=30000`, { signal: left.signal });
    await until(() => it.world.clock.sleeping === 1);
    left.abort();
    await leaving.catch(() => undefined);
    await until(() => it.world.clock.sleeping === 0);
  });

  test("JN26: a device that asks for it hears of its own commits without their changes", async () => {
    await using it = await spaced();
    const made = [makeFolder(testNode(1), ROOT_NODE, "folder")];
    await it.alice.commit(it.row.space, made);
    const [whole] = (await it.changes(it.row.start)).json.entries;
    assert.deepEqual(whole.changes, made);
    const [brief] = (await it.changes(it.row.start, "&own=brief")).json.entries;
    assert.deepEqual(brief, { ...whole, changes: [], brief: true });
    const { token } = (await it.world.enrol("alice", "desk")).json;
    const path = `${fillRoute("changes", { space: it.row.space })}?cursor=${it.row.start}`;
    const [told] = (await it.world.call("GET", `${path}&own=brief`, { token })).json.entries;
    assert.deepEqual(told, whole);
  });

  test("WI8: a cursor of no past of this journal is 410 reset", async () => {
    await using it = await spaced();
    const ahead = it.row.start.replace(/\.0$/, ".1");
    for (const cursor of [ahead, `${"0".repeat(32)}.0`, "rubbish"]) {
      for (const name of ["changes", "events"] as const) {
        const path = `${fillRoute(name, { space: it.row.space })}?cursor=${cursor}`;
        const answer = await it.alice.call("GET", path);
        assert.equal(answer.status, 410);
        assert.equal(answer.json.code, "reset");
      }
    }
  });

  test("WI9: events tell every entry once, in order, whatever is committed meanwhile", async () => {
    await using it = await spaced();
    await grow(it.alice, it.row.space, 1, 60);
    const path = fillRoute("events", { space: it.row.space });
    const stream = await it.alice.world.begin("GET", `${path}?cursor=${it.row.start}`, {
      token: it.alice.token,
    });
    assert.equal(stream.headers.get("content-type"), "text/event-stream");
    const events = eventsOf(stream);
    const growing = grow(it.alice, it.row.space, 61, 150);
    const ids: string[] = [];
    for (let sequence = 1; sequence <= 150; sequence++) {
      const { value } = await events.next();
      assert.equal(value?.entry.sequence, sequence);
      ids.push(value?.id ?? "");
    }
    await growing;
    const next = events.next();
    await until(() => it.world.clock.sleeping === 1);
    it.world.clock.advance(25_000);
    assert.equal((await next).value?.comment, true);
    await events.return();
    await until(() => it.world.clock.sleeping === 0);
    const resumed = eventsOf(
      await it.alice.world.begin("GET", `${path}?cursor=${it.row.start}`, {
        token: it.alice.token,
        headers: { "last-event-id": ids[147] ?? "" },
      }),
    );
    assert.equal((await resumed.next()).value?.entry.sequence, 149);
    await resumed.return();
  });

  test("WI10: a commit's answer is one union: 200 committed, 409 missing or refused", async () => {
    await using it = await spaced();
    const { space } = it.row;
    const file = makeFile(testNode(1), ROOT_NODE, "a.txt", "text");
    const missing = await it.alice.commit(space, [file]);
    assert.equal(missing.status, 409);
    assert.deepEqual(missing.json, { outcome: "missing-chunks", missing: [sha256("text")] });
    await it.alice.put(space, Buffer.from("text"));
    const json = {
      commitId: "a".repeat(32),
      base: { sequence: 0, chain: it.row.chain },
      changes: [file],
    };
    const first = await it.alice.call("POST", fillRoute("commits", { space }), { json });
    assert.equal(first.status, 200);
    assert.equal(first.json.outcome, "committed");
    const again = await it.alice.call("POST", fillRoute("commits", { space }), { json });
    assert.deepEqual(again.json, first.json);
    const taken = await it.alice.commit(space, [makeFolder(testNode(2), ROOT_NODE, "A.TXT")]);
    assert.equal(taken.status, 409);
    assert.equal(taken.json.outcome, "refused");
    assert.equal(taken.json.code, "name-taken");
    const told = await it.changes(it.row.start);
    const { devices } = (await it.alice.call("GET", "/v1/devices")).json;
    assert.equal(told.json.entries[0].device, devices[0].device);
  });
});

describe("chunks", () => {
  test("WI11: a wrong hash keeps a framed batch out, a cut one goes in up to there, and it comes out as asked", async () => {
    await using it = await spaced();
    const { space } = it.row;
    const chunks = ["one", "two", "three"].map((text) => Buffer.from(text));
    const ids = chunks.map(sha256);
    const ask = () =>
      it.alice.call("POST", fillRoute("chunksMissing", { space }), { json: { chunks: ids } });
    assert.deepEqual((await ask()).json, { missing: ids });
    const wrong = Buffer.from("wrong");
    const body = concat([frameHead(ids[0]!, 3), chunks[0]!, frameHead(ids[1]!, 5), wrong]);
    const frames = { "content-type": FRAMES_MEDIA_TYPE };
    const put = (bytes: Uint8Array) =>
      it.alice.call("POST", fillRoute("chunks", { space }), {
        body: bytes as Uint8Array<ArrayBuffer>,
        headers: frames,
      });
    assert.equal((await put(body)).status, 422);
    assert.deepEqual((await ask()).json, { missing: ids });
    assert.equal((await put(body.subarray(0, 50))).status, 400);
    assert.deepEqual((await ask()).json, { missing: ids.slice(1) });
    assert.deepEqual((await it.alice.put(space, ...chunks)).json, { stored: 3 });
    assert.deepEqual((await ask()).json, { missing: [] });
    const wanted = [ids[2], ids[0], ids[2]];
    const fetched = await it.alice.call("POST", fillRoute("chunksFetch", { space }), {
      json: { chunks: wanted },
    });
    assert.equal(fetched.headers.get("content-type"), FRAMES_MEDIA_TYPE);
    const got: string[] = [];
    for await (const frame of readFrames(new Blob([fetched.bytes as never]).stream())) {
      assert.equal(sha256(frame.bytes), frame.id);
      got.push(frame.id);
    }
    assert.deepEqual(got, wanted);
  });

  test("WI12: a chunk of another space is not there: missing, 404, no commit", async () => {
    await using it = await spaced();
    const bob = await it.world.signUp("bob");
    const bobs = (await bob.space("home")).space;
    await it.alice.put(it.row.space, Buffer.from("secret"));
    const chunks = [sha256("secret")];
    const asked = await bob.call("POST", fillRoute("chunksMissing", { space: bobs }), {
      json: { chunks },
    });
    assert.deepEqual(asked.json, { missing: chunks });
    const fetched = await bob.call("POST", fillRoute("chunksFetch", { space: bobs }), {
      json: { chunks },
    });
    assert.equal(fetched.status, 404);
    const file = makeFile(testNode(1), ROOT_NODE, "a", "secret");
    assert.deepEqual((await bob.commit(bobs, [file])).json, {
      outcome: "missing-chunks",
      missing: chunks,
    });
  });
});

describe("lists and history", () => {
  test("WI13: spaces, entries and revisions come in pages that join without a gap", async () => {
    await using it = await spaced();
    for (const name of ["b", "c"]) await it.alice.space(name);
    const names: string[] = [];
    for (let after = ""; ;) {
      const page = (await it.alice.call("GET", `/v1/spaces?limit=1${after}`)).json;
      names.push(...page.spaces.map((space: { name: string }) => space.name));
      if (page.next === undefined) break;
      after = `&after=${page.next}`;
    }
    assert.deepEqual(names.toSorted(), ["b", "c", "home"]);
    await grow(it.alice, it.row.space, 1, 3);
    const first = (await it.changes(it.row.start, "&limit=2")).json;
    const second = (await it.changes(first.cursor, "&limit=2")).json;
    const sequences = [...first.entries, ...second.entries].map((entry) => entry.sequence);
    assert.deepEqual(sequences, [1, 2, 3]);
  });

  test("WI14: a node's revisions, an old content and the trash can be read", async () => {
    await using it = await spaced();
    const { space } = it.row;
    const node = testNode(1);
    await it.alice.put(space, Buffer.from("one"));
    await it.alice.commit(space, [makeFile(node, ROOT_NODE, "a", "one")]);
    await it.alice.commit(space, [
      { kind: "move", node: node as never, lrev: 1, parent: ROOT_NODE, name: "b" },
    ]);
    await it.alice.commit(space, [{ kind: "delete", node: node as never, crev: 1, lrev: 2 }]);
    const path = fillRoute("revisions", { space, node });
    const newest = (await it.alice.call("GET", `${path}?limit=2`)).json;
    const rest = (await it.alice.call("GET", `${path}?before=${newest.next}`)).json;
    const rows = [...newest.revisions, ...rest.revisions];
    assert.deepEqual(
      rows.map((row) => [row.sequence, row.name, row.deleted, row.deviceName]),
      [
        [3, "b", true, "laptop"],
        [2, "b", false, "laptop"],
        [1, "a", false, "laptop"],
      ],
    );
    const old = await it.alice.call("GET", fillRoute("revision", { space, node, sequence: 1 }));
    assert.deepEqual(old.json.chunks, [sha256("one")]);
    assert.deepEqual(old.json.lengths, [3]);
    const { nodes } = (await it.alice.call("GET", fillRoute("trash", { space }))).json;
    assert.deepEqual(
      nodes.map((row: { node: string; sequence: number }) => [row.node, row.sequence]),
      [[node, 3]],
    );
    const none = fillRoute("revisions", { space, node: testNode(9) });
    assert.equal((await it.alice.call("GET", none)).status, 404);
  });
});

test("GC2: a version that is no longer kept is listed, and refused with a code of its own", async () => {
  await using it = await spaced();
  const { space } = it.row;
  const node = testNode(1);
  await it.alice.put(space, Buffer.from("one"), Buffer.from("two"));
  await it.alice.commit(space, [makeFile(node, ROOT_NODE, "a", "one")]);
  const { kind: _, ...two } = makeFile(node, ROOT_NODE, "a", "two") as Record<string, unknown>;
  await it.alice.commit(space, [{ ...two, kind: "update", crev: 1 } as never]);
  const { collection } = it.world.metadata;
  const keys = [1, 2].map((sequence) => ({ node: nodeId(node), sequence }));
  assert.equal(await collection.links.forget(spaceId(space), keys), 1);
  const { revisions } = (await it.alice.call("GET", fillRoute("revisions", { space, node }))).json;
  assert.deepEqual(
    revisions.map((row: { forgotten?: true }) => row.forgotten),
    [undefined, true],
  );
  const gone = await it.alice.call("GET", fillRoute("revision", { space, node, sequence: 1 }));
  assert.deepEqual([gone.status, gone.json.code], [409, "version-forgotten"]);
  const kept = await it.alice.call("GET", fillRoute("revision", { space, node, sequence: 2 }));
  assert.deepEqual(kept.json.chunks, [sha256("two")]);
});

describe("the log", () => {
  test("WI15: one line a request, and nothing in it that is people's", async () => {
    await using it = await spaced();
    const [folder, file] = ["Kontoauszüge", "geheim.txt"];
    await it.alice.write(`${folder}/${file}`, "of no concern");
    await it.alice.call("GET", `/file_metadata/alice/${folder}/${file}`);
    await it.alice.call("GET", `/no/${folder}`);
    await it.world.enrol("alice", "a device's name", "a wrong password");
    const text = JSON.stringify(it.world.log);
    const secrets = [folder, file, encodeURI(folder), PASSWORD, "a wrong password", "alice"];
    secrets.push(
      it.alice.token,
      "a device's name",
      "home",
      "of no concern",
      sha256("of no concern"),
    );
    for (const secret of secrets) assert.ok(!text.includes(secret), secret);
    const line = it.world.log.findLast((one) => one["route"] === "/v1/devices");
    assert.equal(line?.event, "request");
    assert.equal(line?.["status"], 401);
    assert.match(String(line?.["id"]), /^[0-9a-f]{16}$/);
    const own = it.world.log.find((one) => one["route"] === "/metadata_commit");
    assert.match(String(own?.["account"]), /^[0-9a-f]{32}$/);
    assert.ok(Number(own?.["bytes"]) > 0 && own?.["ms"] === 0);
  });
});

describe("being operated", () => {
  test("WI24: /readyz is for a server whose database answers, and not for one that closes", async () => {
    await using world = await ServerWorld.open();
    assert.equal((await world.call("GET", ROUTES.health)).status, 200);
    assert.equal((await world.call("GET", ROUTES.ready)).status, 200);
    world.closing.abort();
    assert.equal((await world.call("GET", ROUTES.health)).status, 200);
    const closing = await world.call("GET", ROUTES.ready);
    assert.deepEqual([closing.status, closing.json.code], [503, "unavailable"]);
    await using away = await ServerWorld.open();
    const { journals } = away.metadata;
    journals.drawn = () =>
      Promise.reject(new WorldError("unavailable", "away", { retryable: true }));
    assert.equal((await away.call("GET", ROUTES.ready)).status, 503);
  });

  test("WI25: /metrics counts requests for whoever has the token, and names nobody", async () => {
    const token = "a-token-of-metrics";
    await using world = await ServerWorld.open(undefined, { metrics: new Metrics(token) });
    const alice = await world.signUp("alice");
    await alice.write("Kontoauszüge/geheim.txt", "of no concern");
    for (const wrong of [undefined, "Bearer x", `Basic ${token}`, alice.token]) {
      const headers = wrong === undefined ? {} : { authorization: wrong };
      assert.equal((await world.call("GET", ROUTES.metrics, { headers })).status, 401, `${wrong}`);
    }
    const { status, bytes } = await world.call("GET", ROUTES.metrics, { token });
    assert.equal(status, 200);
    const text = new TextDecoder().decode(bytes);
    const count =
      'lockstep_request_seconds_count{method="POST",route="/metadata_commit",status="200"}';
    assert.ok(text.includes(`${count} 1\n`), text);
    assert.match(text, /^lockstep_waiting 0$/m);
    for (const secret of ["alice", "Konto", "geheim", alice.token, sha256("of no concern")]) {
      assert.ok(!text.includes(secret), secret);
    }
    await using without = await ServerWorld.open();
    assert.equal((await without.call("GET", ROUTES.metrics, { token })).status, 404);
  });
});
