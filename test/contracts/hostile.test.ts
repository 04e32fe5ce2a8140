import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { PROBLEM_STATUS } from "#protocol/problem.ts";
import { fillRoute } from "#protocol/routes.ts";
import { KeysWorld } from "./keys-world.ts";
import { makeFolder, ServerWorld, sha256, testNode } from "./server-world.ts";

// What somebody sends who means ill, and that it is refused, or is data like any other.

type OpenApi = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { security?: unknown }>>>>;
};

/** Every call of the document that takes a token. */
async function closedCalls(world: ServerWorld): Promise<[method: string, path: string][]> {
  const { paths } = (await (await world.begin("GET", "/openapi.json")).json()) as OpenApi;
  const calls = Object.entries(paths);
  return calls.flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security !== undefined)
      .map(([method]): [string, string] => [method.toUpperCase(), path]),
  );
}

describe("hostile requests", () => {
  test("T-SV-03: no call answers without a living token that may make it", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const row = await alice.space("home");
    const lost = (await world.enrol("alice", "lost")).json;
    await alice.call("DELETE", fillRoute("device", { device: lost.device }));
    const { proof } = await world.prove("alice");
    const wish = { proof, expiresInS: 60 };
    const expired = (await world.call("POST", "/v1/tokens", { json: wish })).json.token;
    world.clock.advance(60_000);
    const closed = await closedCalls(world);
    assert.ok(closed.length > 25, `${closed.length} calls`);
    const holes: Record<string, string> = {
      space: row.space,
      user_id: "alice",
      node: ROOT_NODE,
      chunk_hash: sha256("x"),
    };
    for (const [method, path] of closed) {
      const filled = path.replaceAll(/\{(\w+)\}/g, (_, hole: string) => holes[hole] ?? "1");
      for (const token of [undefined, "", "ls_dev_", lost.token, expired]) {
        const call = token === undefined ? {} : { token };
        const answer = await world.call(method, filled, call);
        assert.equal(answer.status, 401, `${method} ${path} with ${token}`);
        assert.ok(!new TextDecoder().decode(answer.bytes).includes(row.space));
      }
    }
  });

  test("T-SV-07: deep, doubled and poisoned JSON is refused, or is what it says", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const { space } = await alice.space("home");
    const headers = { "content-type": "application/json" };
    const deep = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);
    const bodies = [
      deep("[", "]"),
      deep('{"a":', "}").replace(":}", ":1}"),
      '{"__proto__":{"isAdmin":true}}',
      '{"constructor":{"prototype":{"isAdmin":true}}}',
      '{"name":"x","kind":"plain","__proto__":{"folding":false}}',
      '{"name":"one","name":"two","kind":"plain"}',
      '{"chunks":{"length":1e9}}',
      `{"chunks":[${"1,".repeat(50_000)}1]}`,
      `{"name":"${"x".repeat(100_000)}","kind":"plain"}`,
      '{"name":1e400,"kind":"plain"}',
      "nul\u0000",
      '"',
    ];
    const routes = ["/v1/spaces", "/v1/logins", "/v1/registrations", "/metadata_commit"];
    const inSpace = ["commits", "chunksMissing"] as const;
    for (const route of [...routes, ...inSpace.map((name) => fillRoute(name, { space }))]) {
      for (const body of bodies) {
        const { status, json } = await alice.call("POST", route, { body, headers });
        const isTwo = status === 201 && json.name === "two";
        const isPlain = status === 201 && json.name === "x" && json.folding === true;
        assert.ok(isTwo || isPlain || [400, 413].includes(status), `${route} ${body.slice(0, 60)}`);
        if (status !== 201) assert.ok(Object.hasOwn(PROBLEM_STATUS, json.code));
      }
    }
    assert.equal("isAdmin" in {}, false);
    assert.equal((await alice.call("GET", "/v1/spaces")).status, 200);
  });

  test("T-SV-08: what looks like SQL, a header or a path is a name like any other, or none", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const { space, start } = await alice.space("home");
    const texts = [
      "'; DROP TABLE spaces; --",
      '" OR 1=1 --',
      "') UNION SELECT token FROM tokens --",
      "%' OR '1'='1",
      "x'41'",
      "$1 ? :name @p",
      "a\nset-cookie: x=1",
      "%0d%0aset-cookie:%20x=1",
      "{{7*7}} ${7*7} <%= 7 %>",
      "<img src=x onerror=alert(1)>",
      "‮txt.exe",
    ];
    const changes = texts.map((text, at) => makeFolder(testNode(at + 1), ROOT_NODE, text));
    const committed = await alice.commit(space, changes);
    assert.equal(committed.json.outcome, "committed", committed.json.detail);
    const feed = await alice.call("GET", `${fillRoute("changes", { space })}?cursor=${start}`);
    const names = feed.json.entries.flatMap((entry: { changes: { name: string }[] }) =>
      entry.changes.map(({ name }) => name),
    );
    assert.deepEqual(names, texts);
    for (const text of texts) {
      await alice.write(`${encodeURIComponent(text)}/file`, text);
      const path = encodeURIComponent(text);
      for (const call of [`/file_metadata/alice/${path}`, `/v1/spaces/${path}`, `/v1/${path}`]) {
        const answer = await alice.call("GET", call);
        assert.ok([400, 404, 409].includes(answer.status), `${call}: ${answer.status}`);
        assert.equal(answer.headers.get("set-cookie"), null);
      }
      const account = await world.call("POST", "/v1/logins", {
        json: { account: text, startLoginRequest: "AA" },
      });
      assert.ok(account.status >= 400);
    }
    assert.deepEqual((await alice.call("GET", "/v1/spaces")).json.spaces.length, 2);
  });

  test("T-SV-08: a request whose length can be read in two ways is one to nobody", async () => {
    await using world = new KeysWorld();
    await world.start();
    const { port } = new URL(world.url);
    const hidden = "GET /v1/server HTTP/1.1\r\nHost: a\r\n\r\n";
    const head = "POST /v1/logins HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    const requests = [
      `${head}Content-Length: ${hidden.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
      `${head}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}${hidden}`,
      `${head}Content-Length: +2\r\n\r\n{}${hidden}`,
      `${head}Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n${hidden}`,
      `${head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`,
      `${head}Transfer-Encoding: chunked\r\n\r\n2;\nx\r\n{}\r\n0\r\n\r\n${hidden}`,
      `${head}X: a\r\n b: folded\r\nContent-Length: 0\r\n\r\n`,
      "GET /v1/server HTTP/1.1\r\nHost: a\r\nHost: b\nX: y\r\n\r\n",
      `GET /v1/server HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(64 * 1024)}\r\n\r\n`,
    ];
    for (const request of requests) {
      const socket = connect(Number(port), "127.0.0.1");
      await once(socket, "connect");
      // Hung up on in the middle of what it says: that is an answer too.
      socket.on("error", () => undefined);
      // A server that waits for more has taken what it should have refused.
      socket.setTimeout(5_000, () => socket.destroy());
      let said = "";
      socket.on("data", (piece: Buffer) => (said += piece.toString()));
      socket.write(request);
      await new Promise((resolve) => socket.once("close", resolve));
      const answers = said.match(/^HTTP\/1\.1 \d+/gm) ?? [];
      assert.match(answers.join(), /^(HTTP\/1\.1 4\d\d)?$/, JSON.stringify(request.slice(80, 180)));
    }
    assert.equal((await fetch(`${world.url}/healthz`)).status, 200);
  });
});
