import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT_NODE } from "#core/ids.ts";
import { fillRoute } from "#protocol/routes.ts";
import { readConfig } from "../../src/server/config.ts";
import { startServer, type RunningServer } from "../../src/server/main.ts";
import { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { provePassword, registerPassword } from "#platform/sign-in.ts";
import { makeFolder, PASSWORD, sha256, testNode } from "./server-world.ts";

async function started(folder?: string) {
  const around = await mkdtemp(join(tmpdir(), "lockstep-server-"));
  const data = folder ?? join(around, "data");
  const logFile = join(data, "log", "server.log");
  const server = await startServer(readConfig({ data, port: "0", logFile }, {}), "1.2.3");
  return {
    data,
    logFile,
    server,
    async [Symbol.asyncDispose]() {
      await server.close();
      await rm(around, { recursive: true });
    },
  };
}

function caller({ address }: RunningServer, token?: string) {
  return async (method: string, path: string, json?: unknown) => {
    const headers = new Headers(token === undefined ? {} : { authorization: `Bearer ${token}` });
    if (json !== undefined) headers.set("content-type", "application/json");
    const body = json === undefined ? null : JSON.stringify(json);
    const answer = await fetch(address.url + path, { method, headers, body });
    // oxlint-disable-next-line typescript/no-explicit-any -- tests look into it as programs would
    return { status: answer.status, json: (await answer.json()) as any };
  };
}

async function signedUp(server: RunningServer) {
  const call = caller(server);
  const calls = new HttpAccount({
    url: server.address.url,
    clock: systemClock,
    chance: systemChance,
  });
  const credentials = { account: "alice", password: PASSWORD };
  const { registrationRecord } = await registerPassword(calls, credentials);
  const keys = { recoveryKey: "0".repeat(64), bundle: "bundle", keyring: "keyring" };
  const wish = { accountId: "a".repeat(32), account: "alice", registrationRecord, ...keys };
  await call("POST", "/v1/accounts", wish);
  const { proof } = await provePassword(calls, credentials);
  const { token } = (await call("POST", "/v1/devices", { proof, device: "laptop" })).json;
  return { token: token as string, call: caller(server, token) };
}

describe("a server on a socket", () => {
  test("WI20: has all that it was given when it starts again", async () => {
    await using first = await started();
    const { token, call } = await signedUp(first.server);
    const hash = sha256("a chunk");
    const upload = await fetch(`${first.server.address.url}/upload_chunk/alice/${hash}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: "a chunk",
    });
    assert.deepEqual(await upload.json(), { status: "uploaded" });
    const wish = { user_id: "alice", file_path: "a/b.txt", chunk_hashes: [hash] };
    assert.equal((await call("POST", "/metadata_commit", wish)).json.status, "committed");
    await first.server.close();
    await using second = await started(first.data);
    const again = caller(second.server, token);
    const file = (await again("GET", "/file_metadata/alice/a/b.txt")).json;
    assert.equal(file.sha256, hash);
    const chunk = await fetch(`${second.server.address.url}/download_chunk/alice/${hash}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(await chunk.text(), "a chunk");
    const log = await readFile(second.logFile, "utf8");
    assert.ok(log.includes('"route":"/metadata_commit"'));
    for (const secret of [token, PASSWORD, "alice", "b.txt", hash]) {
      assert.ok(!log.includes(secret), secret);
    }
    if (process.platform !== "win32") {
      const mode = (await stat(second.data)).mode & 0o777;
      assert.equal(mode, 0o700);
    }
  });

  test("WI21: a long poll hears of a commit, and closing the server ends it", async () => {
    await using it = await started();
    const { token, call } = await signedUp(it.server);
    const row = (await call("POST", "/v1/spaces", { name: "home", kind: "plain" })).json;
    const poll = (cursor: string) =>
      call("GET", `${fillRoute("changes", { space: row.space })}?cursor=${cursor}&waitMs=50000`);
    const events = await fetch(
      `${it.server.address.url}${fillRoute("events", { space: row.space })}?cursor=${row.start}`,
      { headers: { authorization: `Bearer ${token}` } },
    );
    const waiting = poll(row.start);
    const commit = {
      commitId: "1".repeat(32),
      base: { sequence: 0, chain: row.chain },
      changes: [makeFolder(testNode(1), ROOT_NODE, "folder")],
    };
    await call("POST", fillRoute("commits", { space: row.space }), commit);
    const told = (await waiting).json;
    assert.equal(told.entries.length, 1);
    const [idle, text] = [poll(told.cursor), events.text()];
    // Its answer proves that the requests before it, on the same client, have reached the server.
    await call("GET", "/v1/spaces");
    const began = performance.now();
    await it.server.close();
    assert.deepEqual((await idle).json.entries, []);
    assert.ok((await text).includes("event: entry"));
    assert.ok(performance.now() - began < 5_000);
    await assert.rejects(fetch(it.server.address.url));
  });

  test("WI22: two servers never have one data folder open", async () => {
    await using it = await started();
    const second = startServer(readConfig({ data: it.data, port: "0", log: "silent" }, {}), "1");
    await assert.rejects(second, { code: "folder-in-use" });
    await it.server.close();
    await using after = await started(it.data);
    assert.equal((await fetch(`${after.server.address.url}/healthz`)).status, 200);
  });

  test("WI22: a port that is taken is said in a sentence", async () => {
    await using it = await started();
    const data = await mkdtemp(join(tmpdir(), "lockstep-server-"));
    const port = String(it.server.address.port);
    const second = startServer(readConfig({ data, port, log: "silent" }, {}), "1");
    await assert.rejects(second, { code: "cannot-listen" });
    await rm(data, { recursive: true });
  });

  test("WI23: a thousand senders that say half and wait keep nobody else waiting (T-SV-02)", async () => {
    await using it = await started();
    const { call } = await signedUp(it.server);
    const { host, port } = it.server.address;
    const half = "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    const sockets: Socket[] = [];
    try {
      await Promise.all(
        Array.from({ length: 1_000 }, async (_, index) => {
          const socket = connect(port, host);
          sockets.push(socket);
          await new Promise((resolve, reject) => {
            socket.once("connect", resolve).once("error", reject);
          });
          // Half of them stop within the headers, half within the body.
          socket.write(index % 2 === 0 ? half : `${half}Content-Length: 100\r\n\r\n{"acc`);
        }),
      );
      const began = performance.now();
      for (let round = 0; round < 20; round++) {
        assert.equal((await call("GET", "/v1/spaces")).status, 200);
      }
      assert.ok(performance.now() - began < 5_000);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});
