import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { scratchFolder } from "../../test/contracts/scratch.ts";
import { homeOf, readJsonFile, writePrivateFile } from "./home.ts";

test("CL8: a file of the home is written whole, for this user alone", async () => {
  await using scratch = await scratchFolder();
  const file = path.join(scratch.path, "home/deep/link.json");
  writePrivateFile(file, '{"a":1}');
  writePrivateFile(file, '{"a":2}');
  assert.deepEqual(readJsonFile(file), { a: 2 });
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.equal(fs.statSync(path.dirname(file)).mode & 0o777, 0o700);
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ["link.json"]);
  assert.equal(readJsonFile(`${file}.not-there`), null);
});

test("EX7: drafts of a process that was killed go with the next file written there, others stay", async () => {
  await using scratch = await scratchFolder();
  const dead = spawnSync(process.execPath, ["--version"]).pid;
  const names = [`link.json.${dead}.new`, `running.json.${process.pid}.new`, "notes.new"];
  for (const name of names) fs.writeFileSync(path.join(scratch.path, name), "half");
  writePrivateFile(path.join(scratch.path, "link.json"), "{}");
  const left = ["link.json", "notes.new", `running.json.${process.pid}.new`];
  assert.deepEqual(fs.readdirSync(scratch.path).toSorted(), left.toSorted());
});

test("the home is LOCKSTEP_HOME, made absolute, or a folder of the platform's", () => {
  assert.equal(homeOf({ LOCKSTEP_HOME: "x" }).path, path.resolve("x"));
  assert.match(homeOf({}).path, /lockstep$/);
  const isLinux = process.platform === "linux";
  const chosen = homeOf({ XDG_DATA_HOME: "/data", LOCALAPPDATA: "/data" }).path;
  if (isLinux) assert.equal(chosen, "/data/lockstep");
});
