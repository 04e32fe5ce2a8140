import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DeviceKeys, keysFile } from "#cli/device-keys.ts";
import { CommandError } from "#cli/exit.ts";
import { enrolByCode } from "#cli/join-code.ts";
import { openSealedSpace } from "#cli/sealed-spaces.ts";
import { callServer } from "#cli/server-calls.ts";
import { toHex } from "#core/bytes.ts";
import { WorldError } from "#core/errors.ts";
import { sealPackage, type JoinPackage } from "#crypto/join-package.ts";
import { joinKeys, rootKey } from "#crypto/keys.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { opened } from "./keys-world.ts";

// The keys of devices, against a real server that keeps what they share.

const SECRET = "7ZK2M0QWXA99TBCHJ4VE";

const went = (code: string) => (error: unknown) =>
  error instanceof WorldError && error.code === code;

test("SA6: what a device knows is in one file that its user alone can read, and comes back", async () => {
  await using home = await opened();
  const { keys } = await home.device("laptop");
  const file = join(home.folder, "laptop.json");
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  const again = DeviceKeys.read(file);
  assert.deepEqual(again?.own, keys.own);
  assert.deepEqual(again?.keyring, keys.keyring);
  assert.deepEqual(again?.seen, keys.seen);
  assert.equal(DeviceKeys.read(keysFile(home.folder)), null);
});

test("SA6: a damaged file is named, with the way to another one", async () => {
  await using home = await opened();
  await home.device("laptop");
  const file = join(home.folder, "laptop.json");
  const whole = fs.readFileSync(file, "utf8");
  const json = JSON.parse(whole) as Record<string, string>;
  const another = "0".repeat(64);
  const damaged = [
    { ...json, accountKey: another },
    { ...json, identity: another },
    { ...json, keyring: json["keyring"]?.slice(0, -4) },
    { ...json, signingSeed: 7 },
    { ...json, exchangeSeed: undefined },
    { ...json, device: "nobody" },
  ].map((each) => JSON.stringify(each));
  for (const text of [...damaged, "{}", "[]"]) {
    fs.writeFileSync(file, text);
    assert.throws(
      () => DeviceKeys.read(file),
      (error) => error instanceof CommandError && error.message.includes(file),
      text.slice(0, 60),
    );
  }
  fs.writeFileSync(file, whole);
  assert.notEqual(DeviceKeys.read(file), null);
});

test("SA6: of two devices that change the keyring at once nobody's change is lost", async () => {
  await using home = await opened();
  const [a, b] = [await home.device("laptop"), await home.device("desk")];
  const wish = { domain: "shared" as const };
  const spaces = await Promise.all([
    openSealedSpace(a.calls, a.keys, { ...wish, name: "home" }),
    openSealedSpace(b.calls, b.keys, { ...wish, name: "home" }),
    openSealedSpace(b.calls, b.keys, { ...wish, name: "work" }),
  ]);
  assert.equal(spaces[0].space, spaces[1].space);
  await Promise.all([a, b].map(({ keys, calls }) => keys.refresh(calls)));
  for (const { keys } of [a, b]) {
    assert.deepEqual(keys.keyring.spaces.map(({ name }) => name).sort(), ["home", "work"]);
    assert.equal(keys.keyring.devices.length, 2);
  }
  assert.deepEqual(a.keys.keyring, b.keys.keyring);
  assert.equal(await a.keys.refresh(a.calls), false);
});

test("SA6: a keyring that went back, or is another of its version, is refused", async () => {
  await using home = await opened();
  const { keys, calls } = await home.device("laptop");
  const old = await calls.vault();
  const add = (name: string) => openSealedSpace(calls, keys, { name, domain: "shared" });
  await add("home");
  const { seen } = keys;
  home.edit(
    "UPDATE accounts SET keyring = ?, keyring_version = ?",
    old.keyring,
    old.keyringVersion,
  );
  await assert.rejects(keys.refresh(calls), went("keyring-went-back"));
  await assert.rejects(add("work"), went("keyring-went-back"));
  // Signed and sealed as it should be, by another device that the server showed the old one to.
  const other = DeviceKeys.begin(keys.own, null, old.keyring);
  await openSealedSpace(calls, other, { name: "elsewhere", domain: "shared" });
  await assert.rejects(keys.refresh(calls), went("keyring-went-back"));
  assert.deepEqual(keys.seen, seen);
  home.edit("UPDATE accounts SET keyring = ?", "bm90aGluZyBvZiBpdHM");
  await assert.rejects(keys.refresh(calls), (error) => error instanceof WorldError);
  assert.deepEqual(keys.seen, seen);
});

test("SA11: a machine that joins takes no older state than the one that invited it saw", async () => {
  await using home = await opened();
  const { keys, calls } = await home.device("laptop");
  const made = await openSealedSpace(calls, keys, { name: "home", domain: "shared" });
  const { space, head: sequence, chain } = await calls.space(made.space);
  const join_ = async (change: Partial<JoinPackage> = {}) => {
    const { account, accountKey, identity } = keys.own;
    const heads = [{ space, sequence, chain }];
    const offer = { account, accountKey, identity, seen: keys.seen, heads, ...change };
    const locator = toHex(joinKeys(systemPrimitives.hashes, SECRET).locator);
    const sealed = Buffer.from(sealPackage(systemPrimitives, SECRET, offer)).toString("base64url");
    await calls.offerJoin({ locator, package: sealed, space });
    const enrolled = await enrolByCode(home.url, SECRET, "desk");
    return enrolled.keys(callServer(home.url, enrolled.token));
  };
  assert.deepEqual((await join_()).keyring.spaces, keys.keyring.spaces);
  const older = /an older state than the one that invited it/;
  await assert.rejects(join_({ heads: [{ space, sequence: sequence + 1, chain }] }), older);
  await assert.rejects(join_({ heads: [{ space, sequence, chain: "1".repeat(64) }] }), older);
  const gone = { space: keys.own.account as string as typeof space, sequence: 0, chain };
  await assert.rejects(join_({ heads: [gone] }), older);
  const newer = { ...keys.seen, version: keys.seen.version + 1 };
  await assert.rejects(join_({ seen: newer }), went("keyring-went-back"));
  const stranger = rootKey(new Uint8Array(32)) as Uint8Array;
  await assert.rejects(join_({ identity: stranger }), went("bad-keyring"));
});
