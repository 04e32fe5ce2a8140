import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { accountId, commitId, nodeId, ROOT_NODE } from "#core/ids.ts";
import { HttpAccount } from "#platform/account-http.ts";
import { systemChance } from "#platform/chance.ts";
import { systemClock } from "#platform/clock.ts";
import { systemDigest } from "#platform/digest.ts";
import { HttpRemote } from "#platform/remote-http.ts";
import { provePassword, registerPassword } from "#platform/sign-in.ts";
import { readConfig } from "../../src/server/config.ts";
import { startServer } from "../../src/server/main.ts";
import { CHAIN_START } from "#protocol/chain.ts";
import { remoteContract } from "./remote.ts";

const world = { clock: systemClock, chance: systemChance, digest: systemDigest };

async function openServer(): Promise<AsyncDisposable & { url: string }> {
  const data = await fs.mkdtemp(join(tmpdir(), "lockstep-remote-"));
  const server = await startServer(readConfig({ data, port: "0", log: "silent" }, {}), "0.0.0");
  return {
    url: server.address.url,
    async [Symbol.asyncDispose]() {
      await server.close();
      await fs.rm(data, { recursive: true });
    },
  };
}

const credentials = { account: "ada", password: "correct horse" };

async function signIn(url: string, device: string): Promise<{ token: string; url: string }> {
  const calls = new HttpAccount({ ...world, url });
  const { proof } = await provePassword(calls, credentials);
  return { token: (await calls.enrol({ proof, device })).token, url };
}

/** An account whose keys are nobody's: what the calls are about here is not what they carry. */
async function signUp(calls: HttpAccount): Promise<void> {
  const { account } = credentials;
  const { registrationRecord } = await registerPassword(calls, credentials);
  const keys = { recoveryKey: "0".repeat(64), bundle: "bundle", keyring: "keyring" };
  const id = accountId(randomBytes(16).toString("hex"));
  await calls.signUp({ accountId: id, account, registrationRecord, ...keys });
}

remoteContract("over HTTP", async () => {
  const server = await openServer();
  const { url } = server;
  await signUp(new HttpAccount({ ...world, url }));
  const [one, other] = [await signIn(url, "laptop"), await signIn(url, "desk")];
  const account = new HttpAccount({ ...world, ...one });
  const { space, start } = await account.createSpace({ name: "Main", kind: "plain" });
  return {
    remote: new HttpRemote({ ...world, ...one, space }),
    other: new HttpRemote({ ...world, ...other, space }),
    start,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

test("HC9: a commit that a device made and does not remember is told to it whole", async () => {
  await using server = await openServer();
  await signUp(new HttpAccount({ ...world, url: server.url }));
  const one = await signIn(server.url, "laptop");
  const account = new HttpAccount({ ...world, ...one });
  const { space, start } = await account.createSpace({ name: "Main", kind: "plain" });
  const [remote, command] = [0, 1].map(() => new HttpRemote({ ...world, ...one, space }));
  const folder = { kind: "create" as const, type: "folder" as const, parent: ROOT_NODE };
  const node = nodeId(randomBytes(16).toString("hex"));
  const change = { ...folder, node, name: "made", meta: '{"kind":"folder"}', chunks: [] };
  const base = { sequence: 0, chain: CHAIN_START };
  const id = commitId(randomBytes(16).toString("hex"));
  await command?.commit({ commitId: id, base, changes: [change] });
  assert.deepEqual((await remote?.changes(start, 1))?.entries[0]?.changes, [change]);
});

async function rejectsWith(code: string, work: Promise<unknown>): Promise<WorldError> {
  const error = await work.then(
    () => assert.fail(`it went through, and had to fail with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WorldError, `a WorldError, not ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

test("HC4: an account is made, joined by code, listed, and loses a device", async () => {
  await using server = await openServer();
  const { url } = server;
  const stranger = new HttpAccount({ ...world, url });
  await signUp(stranger);
  await rejectsWith("account-taken", signUp(stranger));
  const wrong = { ...credentials, password: "wrong horse" };
  await rejectsWith("bad-credentials", provePassword(stranger, wrong));
  const laptop = await signIn(url, "laptop");
  const account = new HttpAccount({ ...world, ...laptop });
  const made = await account.createSpace({ name: "Main", kind: "plain" });
  await rejectsWith("conflict", account.createSpace({ name: "Main", kind: "plain" }));
  assert.ok((await account.listSpaces()).some(({ space }) => space === made.space));
  assert.equal((await account.space(made.space)).head, 0);
  const locator = "7".repeat(64);
  await account.offerJoin({ locator, commitment: "promise" });
  assert.equal(await stranger.joinMessage(locator, 0), "promise");
  const waiting = account.joinMessage(locator, 1);
  await stranger.requestJoin({ locator, request: "please" });
  await stranger.requestJoin({ locator, request: "please" });
  await rejectsWith("not-found", stranger.requestJoin({ locator, request: "me-too" }));
  assert.equal(await waiting, "please");
  await account.answerJoin({ locator, number: 2, message: "nonce" });
  await rejectsWith("conflict", account.answerJoin({ locator, number: 2, message: "another" }));
  const joined = await account.enrolJoining({ locator, device: "desk" });
  await rejectsWith("conflict", account.enrolJoining({ locator, device: "another" }));
  await account.answerJoin({ locator, number: 4, message: "closed" });
  assert.equal(await stranger.joinMessage(locator, 4), "closed");
  await account.withdrawJoin({ locator });
  await rejectsWith("not-found", stranger.joinMessage(locator, 4));
  const desk = new HttpAccount({ ...world, url, token: joined.token });
  assert.deepEqual((await desk.devices()).map((row) => row.name).sort(), ["desk", "laptop"]);
  const { proof } = await provePassword(stranger, credentials);
  const { token } = await stranger.createToken({ proof, label: "script" });
  assert.equal((await new HttpAccount({ ...world, url, token }).listSpaces()).length > 0, true);
  await account.revokeDevice(joined.device);
  const error = await rejectsWith("signed-out", desk.devices());
  assert.equal(error.retryable, false);
  assert.deepEqual(await account.trash(made.space, { limit: 5 }), { nodes: [] });
  const node = nodeId("1".repeat(32));
  await rejectsWith("not-found", account.revisions(made.space, node, { limit: 5 }));
  await rejectsWith("not-found", account.revisionContent(made.space, node, 1));
});
