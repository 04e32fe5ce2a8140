import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toHex, utf8 } from "#core/bytes.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { RECOVERY_LABEL } from "#protocol/accounts.ts";
import { accountKey } from "../../src/server/accounts.ts";
import { PASSWORD, Person, ServerWorld, sha256, until, type Answer } from "./server-world.ts";
import { fillRoute } from "#protocol/routes.ts";

const locatorOf = (number: number): string => sha256(`code ${number}`);

function offer(person: Person, locator: string): Promise<Answer> {
  return person.call("POST", "/v1/join-codes", { json: { locator, commitment: "promise" } });
}

const ask = (world: ServerWorld, locator: string, request = "request") =>
  world.call("POST", "/v1/join", { json: { locator, request } });

const next = (world: ServerWorld, locator: string, number: number, waitMs = 0) =>
  world.call("POST", "/v1/join/next", { json: { locator, number, waitMs } });

const answer = (person: Person, locator: string, number: number, message = "message") =>
  person.call("POST", "/v1/join-codes/messages", { json: { locator, number, message } });

const letIn = (person: Person, locator: string, device = "phone") =>
  person.call("POST", "/v1/join-codes/devices", { json: { locator, device } });

const enrolBy = (world: ServerWorld, proof: object) =>
  world.call("POST", "/v1/devices", { json: { proof, device: "desk" } });

describe("accounts", () => {
  test("AC1: a name is taken once, in whatever case", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("Alice");
    for (const account of ["Alice", "alice", "ALICE"]) {
      const taken = await world.register(account);
      assert.equal(taken.status, 409);
      assert.equal(taken.json.code, "account-taken");
    }
    assert.equal((await world.enrol("aLiCe", "desk")).json.account, "Alice");
    for (const account of ["", ".a", "a/b", "a b", "a".repeat(65)]) {
      const wish = { account, registrationRequest: "AA" };
      const bad = await world.call("POST", "/v1/registrations", { json: wish });
      assert.equal(bad.status, 400, account);
    }
  });

  test("AC3: a password is in no request, and nothing that is stored tells it", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    assert.equal((await world.enrol("alice", "desk")).status, 201);
    assert.ok(world.sent.length > 4);
    for (const body of world.sent) assert.ok(!body.includes(PASSWORD), body);
    const row = await world.metadata.accounts.accountByKey(accountKey("alice"));
    assert.ok(row !== undefined && !JSON.stringify(row).includes(PASSWORD));
  });

  test("AC2: an account that does not exist answers as a wrong password does (T-KY-03)", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    const wrong = await world.prove("alice", "not her password");
    const none = await world.prove("nobody", "not her password");
    for (const field of ["loginResponse", "state"] as const) {
      assert.equal(typeof none.answer.json[field], "string");
    }
    const { length } = wrong.answer.json.loginResponse;
    assert.equal(none.answer.json.loginResponse.length, length);
    const answers = await Promise.all([wrong, none].map(({ proof }) => enrolBy(world, proof)));
    for (const { status, json } of answers) {
      assert.equal(status, 401);
      assert.deepEqual(json, answers[0]?.json);
      assert.equal(json.code, "bad-credentials");
    }
  });

  test("AC2: an account that does not exist has the server do what a wrong password does (T-KY-03)", async () => {
    const told: string[] = [];
    await using world = await ServerWorld.open(undefined, { told });
    await world.signUp("alice");
    const work: string[][] = [];
    for (const account of ["alice", "bobby"]) {
      told.length = 0;
      const { proof } = await world.prove(account, "not her password");
      assert.equal((await enrolBy(world, proof)).status, 401);
      const { state } = (await world.call("POST", "/v1/recoveries", { json: { account } })).json;
      const signature = "00".repeat(64);
      assert.equal((await enrolBy(world, { kind: "recovery", state, signature })).status, 401);
      work.push([...told]);
    }
    assert.deepEqual(work[1], work[0]);
    const names = work[0]?.map((call) => call.split("(")[0]);
    assert.ok(names?.includes("startLogin") && names.includes("finishLogin"), String(names));
  });

  test("AC4: after ten wrong passwords a name has to wait, others do not", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    await world.signUp("bob");
    // Ten at once count as ten, and right ones in between do not count.
    const wrong = Array.from({ length: 9 }, () => world.enrol("alice", "desk", "wrong password"));
    await Promise.all(wrong);
    assert.equal((await world.enrol("alice", "desk")).status, 201);
    assert.equal((await world.enrol("ALICE", "desk", "wrong password")).status, 401);
    for (const name of ["alice", "ghost"]) {
      if (name === "ghost") {
        for (let tries = 0; tries < 10; tries++) await world.enrol(name, "desk", "wrong password");
      }
      const refused = await world.enrol(name, "desk");
      assert.equal(refused.status, 429);
      assert.equal(refused.json.code, "too-many-requests");
      assert.ok(Number(refused.headers.get("retry-after")) > 0);
    }
    assert.equal((await world.enrol("bob", "desk")).status, 201);
    world.clock.advance(10 * 60_000);
    assert.equal((await world.enrol("alice", "desk")).status, 201);
  });

  test("AC5: tokens are 256 random bits, and only their hash is stored (T-SV-04)", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    assert.match(alice.token, /^ls_dev_[A-Za-z0-9_-]{43}$/);
    const { proof } = await world.prove("alice");
    const made = await world.call("POST", "/v1/tokens", { json: { proof } });
    assert.equal(made.status, 201);
    assert.match(made.json.token, /^ls_pat_[A-Za-z0-9_-]{43}$/);
    assert.equal(made.json.expiresMs, null);
    const { token } = made.json;
    assert.equal((await world.call("GET", "/v1/spaces", { token })).status, 200);
    assert.equal(await world.metadata.accounts.tokenByHash(token), undefined);
  });

  test("AC6: a token that has expired opens nothing", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    const { proof } = await world.prove("alice");
    const wish = { proof, expiresInS: 60, label: "backup" };
    const { token } = (await world.call("POST", "/v1/tokens", { json: wish })).json;
    world.clock.advance(59_999);
    assert.equal((await world.call("GET", "/v1/spaces", { token })).status, 200);
    world.clock.advance(1);
    const late = await world.call("GET", "/v1/spaces", { token });
    assert.equal(late.status, 401);
    assert.equal(late.json.code, "bad-token");
  });

  test("AC7: a revoked device opens nothing, not even what it waits for already", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const lost = (await world.enrol("alice", "lost phone")).json;
    const space = await alice.space("home");
    const changes = `${fillRoute("changes", { space: space.space })}?cursor=${space.start}`;
    const waiting = world.call("GET", `${changes}&waitMs=50000`, { token: lost.token });
    const events = `${fillRoute("events", { space: space.space })}?cursor=${space.start}`;
    const stream = await world.begin("GET", events, { token: lost.token });
    const reading = stream.text();
    await until(() => world.clock.sleeping === 2);
    const revoked = await alice.call("DELETE", fillRoute("device", { device: lost.device }));
    assert.equal(revoked.status, 204);
    world.clock.advance(50_000);
    assert.equal((await waiting).status, 401);
    await assert.rejects(reading);
    const after = await world.call("GET", "/v1/spaces", { token: lost.token });
    assert.equal(after.status, 401);
    const again = await alice.call("DELETE", fillRoute("device", { device: "0".repeat(32) }));
    assert.equal(again.status, 404);
    const { devices } = (await alice.call("GET", "/v1/devices")).json;
    assert.deepEqual(
      devices.map((row: { name: string; revoked: boolean }) => [row.name, row.revoked]),
      [
        ["laptop", false],
        ["lost phone", true],
      ],
    );
  });

  test("AC16: names of devices, spaces and tokens hold no NUL", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const wish = { name: "a\0b", kind: "plain", folding: true };
    assert.equal((await alice.call("POST", "/v1/spaces", { json: wish })).status, 400);
    assert.equal((await world.enrol("alice", "a\0b")).status, 400);
    const { proof } = await world.prove("alice");
    const token = await world.call("POST", "/v1/tokens", { json: { proof, label: "a\0b" } });
    assert.equal(token.status, 400);
  });

  test("AC8: a join code makes one device, once, when the machine that made it says so", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const code = locatorOf(1);
    assert.equal((await offer(alice, code)).json.expiresMs, world.clock.nowMs() + 600_000);
    assert.equal((await letIn(alice, code)).status, 409, "nobody has asked yet");
    assert.equal((await answer(alice, code, 2)).status, 409);
    assert.equal((await next(world, code, 0)).json.message, "promise");
    const waiting = next(world, code, 1, 30_000);
    const asked = await Promise.all([ask(world, code, "mine"), ask(world, code, "not-mine")]);
    assert.deepEqual(new Set(asked.map(({ status }) => status)), new Set([204, 404]));
    const { message } = (await waiting).json;
    assert.match(message, /mine$/);
    assert.equal((await ask(world, code, message)).status, 204, "whose answer was lost asks again");
    assert.equal((await answer(alice, code, 2)).status, 204);
    const joined = await Promise.all([letIn(alice, code), letIn(alice, code)]);
    assert.deepEqual(new Set(joined.map(({ status }) => status)), new Set([201, 409]));
    const { token } = joined.find(({ status }) => status === 201)?.json ?? {};
    assert.equal((await world.call("GET", "/v1/spaces", { token })).status, 200);
    assert.equal((await answer(alice, code, 4, "package")).status, 204);
    assert.equal((await next(world, code, 4)).json.message, "package");
    const { devices } = (await alice.call("GET", "/v1/devices")).json;
    assert.equal(devices.length, 2);
  });

  test("AC8: a join code opens nothing after ten minutes, once refused, taken back, or for others", async () => {
    await using world = await ServerWorld.open();
    const [alice, bob] = [await world.signUp("alice"), await world.signUp("bob")];
    const [late, refused, back] = [1, 2, 3].map(locatorOf) as [string, string, string];
    await offer(alice, late);
    await ask(world, late);
    for (const call of [answer(bob, late, 2), letIn(bob, late)]) {
      assert.equal((await call).status, 404, "it is another account's");
    }
    assert.equal((await answer(alice, late, 2)).status, 204);
    world.clock.advance(600_000);
    const calls = [ask(world, late), next(world, late, 0), letIn(alice, late)];
    for (const call of calls) assert.equal((await call).status, 404);
    await offer(alice, refused);
    await ask(world, refused);
    await answer(alice, refused, 2);
    assert.equal((await answer(alice, refused, 3, "refused")).status, 204);
    assert.equal((await letIn(alice, refused)).status, 409);
    await offer(alice, back);
    const json = { locator: back };
    const withdraw = async (who: Person) =>
      who.call("POST", "/v1/join-codes/withdrawals", { json });
    assert.equal((await withdraw(bob)).status, 404);
    const waiting = next(world, back, 1, 30_000);
    assert.equal((await withdraw(alice)).status, 204);
    assert.equal((await waiting).status, 404);
    assert.equal((await ask(world, back)).status, 404);
  });

  test("AC8: join codes are for devices, their messages bounded, and waiting ends in time", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const { proof } = await world.prove("alice");
    const { token } = (await world.call("POST", "/v1/tokens", { json: { proof } })).json;
    const program = new Person(world, "alice", token);
    const code = locatorOf(1);
    assert.equal((await offer(program, code)).status, 403);
    await offer(alice, code);
    assert.equal((await ask(world, code, "A".repeat(1_025))).status, 400);
    assert.equal((await answer(alice, code, 2, "A".repeat(65_537))).status, 400);
    for (const number of [-1, 5]) assert.equal((await next(world, code, number)).status, 400);
    assert.equal((await answer(alice, code, 1)).status, 400);
    await ask(world, code);
    assert.equal((await answer(program, code, 2)).status, 403);
    assert.equal((await letIn(program, code)).status, 403);
    const waiting = next(world, code, 2, 30_000);
    let isOver = false;
    void waiting.then(() => (isOver = true));
    await until(() => (world.clock.advance(500), isOver));
    assert.equal((await waiting).json.message, null);
  });

  test("AC9, T-KY-05: five wrong tries end a join code, and no other one", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const [first, second] = [locatorOf(1), locatorOf(2)];
    await offer(alice, first);
    await offer(alice, second);
    for (let tries = 0; tries < 5; tries++) {
      const wrong = first.slice(0, 10) + locatorOf(10 + tries).slice(10);
      const call = tries % 2 === 0 ? ask(world, wrong) : next(world, wrong, 0);
      assert.equal((await call).status, 404);
    }
    for (const refused of [await ask(world, first), await next(world, first, 0)]) {
      assert.equal(refused.status, 429);
      assert.ok(Number(refused.headers.get("retry-after")) > 0);
    }
    assert.equal((await ask(world, second)).status, 204);
  });

  test("AC11: an account has at most 500 living devices", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    for (let count = 1; count < 500; count++) {
      assert.equal((await world.enrol("alice", `device ${count}`)).status, 201);
    }
    const refused = await world.enrol("alice", "one more");
    assert.equal(refused.status, 409);
    const page = (await alice.call("GET", "/v1/devices?limit=499")).json;
    const rest = (await alice.call("GET", `/v1/devices?after=${page.next}`)).json;
    assert.equal(page.devices.length + rest.devices.length, 500);
    const { device } = rest.devices[0];
    await alice.call("DELETE", fillRoute("device", { device }));
    assert.equal((await world.enrol("alice", "one more")).status, 201);
  });

  test("AC12: a device gets a number when the account has one of its name", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    const names: string[] = [];
    for (const name of ["desk", "Desk", "desk", "x".repeat(64), "x".repeat(64)]) {
      names.push((await world.enrol("alice", name)).json.deviceName);
    }
    const long = "x".repeat(64);
    assert.deepEqual(names, ["desk", "Desk 2", "desk 3", long, `${long.slice(2)} 2`]);
  });

  test("AC13: bundle and keyring are for devices, and each version follows the last", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const { json: vault } = await alice.call("GET", "/v1/account");
    assert.deepEqual(
      [vault.bundle, vault.bundleVersion, vault.keyring, vault.keyringVersion],
      ["bundle", 1, "keyring", 1],
    );
    const put = (version: number) =>
      alice.call("PUT", "/v1/account/keyring", { json: { version, keyring: "next" } });
    const both = await Promise.all([put(2), put(2)]);
    assert.deepEqual(new Set(both.map(({ status }) => status)), new Set([204, 409]));
    assert.equal((await put(4)).status, 409);
    const renewal = { version: 3, bundle: "another", recoveryKey: "0".repeat(64) };
    const renew = () =>
      alice.call("PUT", "/v1/account/keyring", { json: { version: 3, keyring: "new", renewal } });
    assert.equal((await renew()).status, 409);
    assert.equal((await alice.call("GET", "/v1/account")).json.keyring, "next");
    renewal.version = 2;
    assert.equal((await renew()).status, 204);
    const { json: renewed } = await alice.call("GET", "/v1/account");
    assert.deepEqual(
      [renewed.bundle, renewed.bundleVersion, renewed.keyring, renewed.keyringVersion],
      ["another", 2, "new", 3],
    );
    const { proof } = await world.prove("alice");
    const { token } = (await world.call("POST", "/v1/tokens", { json: { proof } })).json;
    assert.equal((await world.call("GET", "/v1/account", { token })).status, 403);
  });

  test("AC14: after a new password the old one opens nothing", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const { proof } = await world.prove("alice");
    const registrationRecord = await world.newRecord("alice", "another password");
    const change = { proof, registrationRecord, version: 2, bundle: "with-another-password" };
    assert.equal((await world.call("POST", "/v1/account/password", { json: change })).status, 204);
    assert.equal((await world.enrol("alice", "desk")).status, 401);
    assert.equal((await world.enrol("alice", "desk", "another password")).status, 201);
    const { json: vault } = await alice.call("GET", "/v1/account");
    assert.equal(vault.bundle, "with-another-password");
    const wrong = await world.prove("alice", "not her password");
    const stolen = { ...change, proof: wrong.proof, version: 3 };
    assert.equal((await world.call("POST", "/v1/account/password", { json: stolen })).status, 401);
  });

  test("AC15: the recovery words open the account without the password", async () => {
    await using world = await ServerWorld.open();
    const seed = new Uint8Array(32).fill(5);
    const { signatures } = systemPrimitives;
    await world.register("alice", PASSWORD, toHex(signatures.publicKey(seed)));
    const prove = async (account: string, key = seed) => {
      const { json } = await world.call("POST", "/v1/recoveries", { json: { account } });
      const signed = signatures.sign(key, utf8(RECOVERY_LABEL + json.challenge));
      return { kind: "recovery", state: json.state, signature: toHex(signed) };
    };
    const enrol = async (proof: object) =>
      world.call("POST", "/v1/devices", { json: { proof, device: "phone" } });
    assert.equal((await enrol(await prove("alice"))).status, 201);
    assert.equal((await enrol(await prove("alice", new Uint8Array(32)))).status, 401);
    assert.equal((await enrol(await prove("nobody"))).status, 401);
    const late = await prove("alice");
    world.clock.advance(120_001);
    assert.equal((await enrol(late)).status, 401);
    const { proof } = await world.prove("alice");
    const mixed = { ...(await prove("alice")), state: (proof as { state: string }).state };
    assert.equal((await enrol(mixed)).status, 401);
    // Wrong words are counted with wrong passwords: four of them were tried above.
    for (let tries = 4; tries < 10; tries++) await prove("alice");
    const refused = await world.call("POST", "/v1/recoveries", { json: { account: "alice" } });
    assert.equal(refused.status, 429);
  });
});
