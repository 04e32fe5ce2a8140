import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { closeKeyring } from "#cli/device-keys.ts";
import { CommandError } from "#cli/exit.ts";
import type { Home } from "#cli/home.ts";
import { enrolBy, linkFolder, type Enrolment } from "#cli/linking.ts";
import { listLinks, type LinkedFolder } from "#cli/links.ts";
import { changePassword } from "#cli/renewing.ts";
import { signIn, type Credentials } from "#cli/owner.ts";
import { callServer } from "#cli/server-calls.ts";
import { fromHex, toHex, utf8 } from "#core/bytes.ts";
import { codeOf } from "#core/errors.ts";
import { readBundle, sealStanza, writeBundle, type BundleParts } from "#crypto/bundle.ts";
import { accountKey, ownerKey, signingSeed } from "#crypto/keys.ts";
import { systemChance } from "#platform/chance.ts";
import { HttpAccount } from "#platform/account-http.ts";
import { systemClock } from "#platform/clock.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { provePassword, registerPassword } from "#platform/sign-in.ts";
import { argon2id, SecondOpaqueClient } from "./second-opaque.ts";
import { CREDENTIALS, opened, type KeysWorld } from "./keys-world.ts";

// What a server can try on those who sign in, and that nothing is linked and nothing sent then.

const { hashes, signatures } = systemPrimitives;
const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

type Machine = { readonly home: Home; readonly dir: string };

function machine(world: KeysWorld, name: string): Machine {
  return { home: { path: join(world.folder, `home of ${name}`) }, dir: join(world.folder, name) };
}

async function link(
  world: KeysWorld,
  { home, dir }: Machine,
  how: Partial<Credentials> & { enrol?: (device: string) => Promise<Enrolment> } = {},
): Promise<LinkedFolder> {
  const { enrol, ...other } = how;
  const credentials = "words" in other ? { account: "alice", ...other } : CREDENTIALS;
  return linkFolder(home, dir, {
    server: world.url,
    device: "new",
    enrol: enrol ?? ((device) => enrolBy(world.url, credentials as Credentials, device)),
  });
}

/** Nothing came of it: no folder, no link, and no device that the others would believe. */
function expectNothing({ home, dir }: Machine): void {
  assert.deepEqual(listLinks(home), []);
  assert.ok(!fs.existsSync(dir));
}

test("T-KY-01, BE-1: a bundle or keyring that the server made itself is refused, by password and by words", async () => {
  await using world = await opened();
  const { keys, calls } = await world.device("first");
  const honest = await calls.vault();
  const parts = readBundle(systemPrimitives, fromBase64(honest.bundle));
  const seed = signingSeed(systemChance.bytes(32));
  const own = { identity: signatures.publicKey(seed), accountKey: accountKey(new Uint8Array(32)) };
  const bundle = (change: Partial<BundleParts>): string =>
    toBase64(writeBundle(systemPrimitives, seed, { ...parts, identity: own.identity, ...change }));
  // Sealed with keys that the server can have: nobody's password makes them.
  const stanza = (method: "password" | "words"): Uint8Array => {
    const key = ownerKey(hashes, method, new Uint8Array(method === "words" ? 32 : 64));
    return sealStanza(systemPrimitives, { method, key }, { ...own, account: keys.own.account });
  };
  const swapped = { password: parts.owners.words, words: parts.owners.password };
  const made = { password: stanza("password"), words: stanza("words") };
  const bundles = [bundle({}), bundle({ owners: made }), bundle({ owners: swapped })];
  const keyring = { ...keys.keyring, identitySeed: seed };
  const keyrings = [closeKeyring(own, keyring), closeKeyring(keys.own, keyring)];
  const notSealed = ["bad-seal", "bad-bundle"];
  const notSigned = ["bad-seal", "bad-keyring"];
  const lies = [
    ...bundles.map((each) => ({ bundle: each, keyring: honest.keyring, codes: notSealed })),
    ...keyrings.map((each) => ({ bundle: honest.bundle, keyring: each, codes: notSigned })),
    { bundle: bundles[1] ?? "", keyring: keyrings[0] ?? "", codes: notSealed },
  ];
  const fresh = machine(world, "fresh");
  for (const lie of lies) {
    world.edit("UPDATE accounts SET bundle = ?, keyring = ?", lie.bundle, lie.keyring);
    for (const how of [{}, { words: world.words }]) {
      await assert.rejects(link(world, fresh, how), (error) => lie.codes.includes(codeOf(error)));
      expectNothing(fresh);
    }
    // A device that is one already is not taken in either, and keeps what it had.
    const { seen } = keys;
    await keys.refresh(calls).catch((error: unknown) => {
      assert.match(codeOf(error), /^bad-(bundle|keyring|seal)$/);
    });
    assert.deepEqual(keys.seen, seen);
  }
  world.edit("UPDATE accounts SET bundle = ?, keyring = ?", honest.bundle, honest.keyring);
  assert.equal((await link(world, fresh)).link.kind, "sealed");
});

test("BE-3: a server that calls a sealed space plain is sent nothing", async () => {
  await using world = await opened();
  const { link: first } = await link(world, machine(world, "first"));
  assert.equal(first.kind, "sealed");
  world.edit("UPDATE spaces SET kind = 'plain' WHERE id = ?", fromHex(first.space));
  const second = machine(world, "second");
  await assert.rejects(link(world, second), (error) => {
    assert.ok(error instanceof CommandError);
    assert.match(
      error.message,
      /calls the space "?home"? plain, which it is not: nothing was sent/,
    );
    return true;
  });
  expectNothing(second);
});

test("BE-9: a space that only the server knows of is nobody's", async () => {
  await using world = await opened();
  const { link: first } = await link(world, machine(world, "first"));
  const { calls } = await world.device("another");
  await calls.createSpace({ name: "to be planted", kind: "sealed" });
  const planted = toHex(systemChance.bytes(16));
  world.edit(
    "UPDATE spaces SET id = ?, name = 'home' WHERE name = 'to be planted'",
    fromHex(planted),
  );
  const second = machine(world, "second");
  const { link: honest } = await link(world, second);
  assert.equal(honest.space, first.space);
  // Named as a join code's space is: by the server.
  const third = machine(world, "third");
  const enrol = async (device: string): Promise<Enrolment> => {
    return { ...(await enrolBy(world.url, CREDENTIALS, device)), space: planted };
  };
  await assert.rejects(link(world, third, { enrol }), /sealed, which it is not: nothing was sent/);
  expectNothing(third);
});

test("T-KY-04: a new password seals anew what opens the account, and no file; the old one opens nothing", async () => {
  await using world = await opened();
  const { keys, calls, token } = await world.device("first");
  const before = await calls.vault();
  const signedIn = await signIn(callServer(world.url), CREDENTIALS);
  const fresh = { account: "alice", password: "another battery horse" };
  let sentBytes = 0;
  const counting = new HttpAccount({
    url: world.url,
    token,
    clock: systemClock,
    chance: systemChance,
    fetch: (url, init) => {
      if (init.body instanceof Uint8Array) sentBytes += init.body.length;
      return fetch(url, init);
    },
  });
  await changePassword(counting, keys, signedIn, fresh);
  assert.ok(sentBytes > 0 && sentBytes <= 2_048, `${sentBytes} bytes`);
  const after = await calls.vault();
  assert.equal(after.keyring, before.keyring);
  assert.notEqual(after.bundle, before.bundle);
  await assert.rejects(
    signIn(callServer(world.url), CREDENTIALS),
    (error) => codeOf(error) === "bad-credentials",
  );
  const again = await enrolBy(world.url, fresh, "second");
  const same = await again.keys(callServer(world.url, again.token));
  assert.deepEqual(same.own.accountKey, keys.own.accountKey);
});

test("T-KY-02, AC3: a guess at a password costs 64 MiB and three passes, whatever the server says", async () => {
  await using world = await opened();
  const started = async (path: string, wish: object) => {
    const answer = await fetch(world.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wish),
    });
    return (await answer.json()) as Record<string, string>;
  };
  const { account, password } = CREDENTIALS;
  const blind = toHex(systemChance.bytes(31)).padEnd(64, "0");
  const asOthersDo = async (passes: number, memoryKiB: number): Promise<string | null> => {
    const stretch = argon2id(passes, memoryKiB);
    const opaque = new SecondOpaqueClient(utf8(password), { stretch, context: utf8("") });
    const [nonce, seed] = [systemChance.bytes(32), systemChance.bytes(32)];
    const ke1 = opaque.start(fromHex(blind), nonce, seed);
    const wish = { account, startLoginRequest: toBase64(ke1) };
    const { loginResponse = "" } = await started("/v1/logins", wish);
    const finished = opaque.finish(fromHex(blind), seed, ke1, fromBase64(loginResponse));
    return finished === null ? null : toBase64(finished.exportKey);
  };
  for (const [passes, memoryKiB] of [
    [2, 64 * 1024],
    [3, 32 * 1024],
  ] as const) {
    assert.equal(await asOthersDo(passes, memoryKiB), null);
  }
  assert.notEqual(await asOthersDo(3, 64 * 1024), null);

  // A server that names another cost, low or far too high, is not listened to.
  const weak = {
    keyStretching: { "argon2id-custom": { iterations: 1, memory: 8, parallelism: 1 } },
  };
  const bomb = { kdf: { m: 2 ** 36, t: 1_000 }, keyStretching: "memory-constrained" };
  for (const lie of [weak, bomb]) {
    const calls = new HttpAccount({
      url: world.url,
      clock: systemClock,
      chance: systemChance,
      fetch: async (url, init) => {
        const answer = await fetch(url, init);
        const json = (await answer.json()) as object;
        return Response.json({ ...json, ...lie }, { status: answer.status });
      },
    });
    const fresh = { account: `fresh ${Object.keys(lie).length}`.replace(" ", "-"), password };
    const honest = await registerPassword(calls, fresh);
    assert.equal(honest.exportKey.length, 64);
    const { exportKey } = await provePassword(calls, CREDENTIALS);
    assert.equal(toBase64(exportKey), await asOthersDo(3, 64 * 1024));
  }
});
