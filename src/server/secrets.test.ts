import assert from "node:assert/strict";
import { test } from "node:test";
import { WorldError } from "#core/errors.ts";
import { flipped } from "../../test/contracts/sealing-world.ts";
import { realChance as chance } from "./real-world.ts";
import { Secrets } from "./secrets.ts";

const masterKey = new Uint8Array(32).fill(9);
const secrets = new Secrets(masterKey, chance);
const TEXT = "what a device has to bring back: ü";

function refuses(work: () => unknown): void {
  assert.throws(work, (error) => error instanceof WorldError && error.code === "bad-master-key");
}

test("SA10: what the server closed opens for what it was closed for, with its key alone", () => {
  const closed = secrets.close("login state", TEXT);
  assert.match(closed, /^[A-Za-z0-9_-]+$/);
  assert.equal(secrets.open("login state", closed), TEXT);
  assert.equal(new Secrets(masterKey, chance).open("login state", closed), TEXT);
  assert.notEqual(secrets.close("login state", TEXT), closed);
  assert.equal(secrets.open("login state", secrets.close("login state", "")), "");
  refuses(() => secrets.open("opaque setup", closed));
  refuses(() => new Secrets(masterKey.slice().fill(8), chance).open("login state", closed));
});

test("SA10: what was changed since, cut off or made up does not open", () => {
  const closed = Buffer.from(secrets.close("login state", TEXT), "base64url");
  const open = (bytes: Uint8Array) =>
    secrets.open("login state", Buffer.from(bytes).toString("base64url"));
  for (const changed of flipped(closed)) refuses(() => open(changed));
  for (let length = 0; length < closed.length; length++) {
    refuses(() => open(closed.subarray(0, length)));
  }
  for (const text of ["", "not base64 !", "AAAA"]) {
    refuses(() => secrets.open("login state", text));
  }
});
