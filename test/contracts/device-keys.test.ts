import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DeviceKeys, keysFile } from "#cli/device-keys.ts";
import { CommandError } from "#cli/exit.ts";
import { openSealedSpace } from "#cli/sealed-spaces.ts";
import { WorldError } from "#core/errors.ts";
import { opened } from "./keys-world.ts";

// The keys of devices, against a real server that keeps what they share.

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

test("SA15: after a restored backup the keyring of before is kept, with what was written since", async () => {
  await using home = await opened();
  const [a, b] = [await home.device("laptop"), await home.device("desk")];
  await b.keys.refresh(b.calls);
  await a.keys.refresh(a.calls);
  const backup = await a.calls.vault();
  const wish = { domain: "shared" as const };
  const lost = await openSealedSpace(a.calls, a.keys, { ...wish, name: "lost" });
  await b.keys.refresh(b.calls);
  home.edit(
    "UPDATE accounts SET keyring = ?, keyring_version = ?",
    backup.keyring,
    backup.keyringVersion,
  );
  // Somebody signs in by password before the others have been asked.
  const c = await home.device("phone");
  for (const { keys, calls } of [a, b]) {
    await assert.rejects(keys.refresh(calls), went("keyring-went-back"));
  }
  await a.keys.overtake(a.calls);
  await b.keys.overtake(b.calls);
  await c.keys.refresh(c.calls);
  for (const { keys } of [a, b, c]) {
    assert.deepEqual(keys.keyring, a.keys.keyring);
    assert.equal(keys.keyring.devices.length, 3);
    assert.deepEqual(
      keys.keyring.spaces.map(({ space }) => space),
      [lost.space],
    );
  }
  const { version } = a.keys.seen;
  await a.keys.overtake(a.calls);
  assert.equal(a.keys.seen.version, version, "nothing is written when nothing is lost");
  await openSealedSpace(c.calls, c.keys, { ...wish, name: "more" });
  assert.equal(await a.keys.refresh(a.calls), true);
});
