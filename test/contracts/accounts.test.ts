import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { accountKey } from "../../src/server/accounts.ts";
import { PASSWORD, ServerWorld, until } from "./server-world.ts";
import { fillRoute } from "#protocol/routes.ts";

const join = (world: ServerWorld, secret: string, device = "phone") =>
  world.call("POST", "/v1/join", { json: { secret, device } });

describe("accounts", () => {
  test("AC1: a name is taken once, in whatever case", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("Alice");
    for (const account of ["Alice", "alice", "ALICE"]) {
      const taken = await world.call("POST", "/v1/accounts", {
        json: { account, password: PASSWORD },
      });
      assert.equal(taken.status, 409);
      assert.equal(taken.json.code, "account-taken");
    }
    assert.equal((await world.enrol("aLiCe", "desk")).json.account, "Alice");
    for (const account of ["", ".a", "a/b", "a b", "a".repeat(65)]) {
      const bad = await world.call("POST", "/v1/accounts", {
        json: { account, password: PASSWORD },
      });
      assert.equal(bad.status, 400, account);
    }
    const short = await world.call("POST", "/v1/accounts", {
      json: { account: "bob", password: "1234567" },
    });
    assert.equal(short.status, 400);
  });

  test("AC2: an account that does not exist answers as a wrong password does", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    const wrong = await world.enrol("alice", "desk", "not her password");
    const none = await world.enrol("nobody", "desk", "not her password");
    assert.equal(wrong.status, 401);
    assert.equal(wrong.json.code, "bad-credentials");
    assert.deepEqual(
      { ...none.json, detail: none.json.detail.replace("nobody", "alice") },
      wrong.json,
    );
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

  test("AC5: tokens are 256 random bits, and only their hash is stored", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    assert.match(alice.token, /^ls_dev_[A-Za-z0-9_-]{43}$/);
    const made = await world.call("POST", "/v1/tokens", {
      json: { account: "alice", password: PASSWORD },
    });
    assert.equal(made.status, 201);
    assert.match(made.json.token, /^ls_pat_[A-Za-z0-9_-]{43}$/);
    assert.equal(made.json.expiresMs, null);
    const { token } = made.json;
    assert.equal((await world.call("GET", "/v1/spaces", { token })).status, 200);
    assert.equal(await world.metadata.accounts.tokenByHash(token), undefined);
    const account = await world.metadata.accounts.accountByKey(accountKey("alice"));
    assert.ok(!JSON.stringify(account).includes(PASSWORD));
  });

  test("AC6: a token that has expired opens nothing", async () => {
    await using world = await ServerWorld.open();
    await world.signUp("alice");
    const wish = { account: "alice", password: PASSWORD, expiresInS: 60, label: "backup" };
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

  test("AC8: a join code makes one device, once, within ten minutes", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const offer = () => alice.call("POST", "/v1/join-codes", { json: { space: "home" } });
    const { secret, expiresMs } = (await offer()).json;
    assert.match(secret, /^[0-9A-HJKMNP-TV-Z]{20}$/);
    assert.equal(expiresMs, world.clock.nowMs() + 600_000);
    const joined = await join(world, secret);
    assert.equal(joined.status, 201);
    assert.equal(joined.json.account, "alice");
    assert.equal(joined.json.space, "home");
    const { token } = joined.json;
    assert.equal((await world.call("GET", "/v1/spaces", { token })).status, 200);
    assert.equal((await join(world, secret)).status, 404);
    const late = (await offer()).json;
    world.clock.advance(600_000);
    assert.equal((await join(world, late.secret)).status, 404);
    const racers = (await offer()).json;
    const both = await Promise.all([join(world, racers.secret), join(world, racers.secret)]);
    assert.deepEqual(new Set(both.map((answer) => answer.status)), new Set([201, 404]));
  });

  test("AC9: five wrong tries end a join code, and no other one", async () => {
    await using world = await ServerWorld.open();
    const alice = await world.signUp("alice");
    const offer = async () =>
      (await alice.call("POST", "/v1/join-codes", { json: { space: "home" } })).json.secret;
    const [first, second] = [await offer(), await offer()];
    for (let tries = 0; tries < 5; tries++) {
      const wrong = `${first.slice(0, 18)}${tries}${tries === Number(first[19]) ? "Z" : "0"}`;
      assert.equal((await join(world, wrong)).status, 404);
    }
    const refused = await join(world, first);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    assert.equal((await join(world, second)).status, 201);
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
});
