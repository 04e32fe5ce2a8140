import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { suite, test } from "node:test";
import { arrives, settled } from "./trees.ts";
import { World } from "./world.ts";

const vim = ["vim", "vim.tiny"].find((name) => spawnSync(name, ["--version"]).error === undefined);

type Version = { readonly path: string; readonly version: number };

suite("what editors do to a file", () => {
  test("is an edit each: no conflict, no second file, one history", async () => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices;
    assert.ok(a && b);
    const file = a.at("notes.txt");
    const saves: [string, () => void][] = [
      ["made\n", () => a.write("notes.txt", "made\n")],
      [
        "temporary and rename\n",
        () => {
          a.write(".notes.txt.part", "temporary and rename\n");
          fs.renameSync(a.at(".notes.txt.part"), file);
        },
      ],
      [
        "backup dance\n",
        () => {
          fs.renameSync(file, `${file}~`);
          fs.writeFileSync(file, "backup dance\n");
          fs.unlinkSync(`${file}~`);
        },
      ],
      ["sed\n", () => execFileSync("sed", ["-i", "s/.*/sed/", file])],
      ["cut and written\n", () => fs.writeFileSync(file, "cut and written\n")],
      [
        "two renames\n",
        () => {
          a.write("~WRD0001.tmp", "two renames\n");
          fs.renameSync(file, a.at("~WRL0002.tmp"));
          fs.renameSync(a.at("~WRD0001.tmp"), file);
          fs.unlinkSync(a.at("~WRL0002.tmp"));
        },
      ],
    ];
    for (const [text, save] of saves) {
      save();
      await arrives(b, "notes.txt", text);
    }
    for (let save = 1; save <= 100; save++) fs.writeFileSync(file, `quick ${save}\n`);
    await arrives(b, "notes.txt", "quick 100\n");
    assert.deepEqual(Object.keys(await settled(devices)), ["notes.txt"]);
    const history: Version[] = await b.json("history", b.at("notes.txt"));
    assert.ok(history.length > saves.length && history.length < 30, `${history.length} versions`);
    assert.ok(history.every(({ path }) => path === "notes.txt"));
    const versions = history.map(({ version }) => version);
    assert.deepEqual(
      versions,
      versions.toSorted((left, right) => right - left),
    );
  });

  const skip = vim === undefined ? "needs vim" : false;
  test("vim's ways to save are edits too", { skip }, async () => {
    await using world = await World.open();
    const { devices } = await world.synced("A", "B");
    const [a, b] = devices;
    assert.ok(a && b && vim !== undefined);
    a.write("notes.txt", "v0\n");
    await arrives(b, "notes.txt", "v0\n");
    const ways = ["", "set writebackup backupcopy=no", "set backupcopy=yes", "set nowritebackup"];
    for (const [index, way] of ways.entries()) {
      const text = `way ${index}`;
      const commands = ["-c", way, "-c", `%s/.*/${text}/`, "-c", "wq"];
      execFileSync(vim, ["-u", "NONE", "-N", "-es", ...commands, a.at("notes.txt")]);
      await arrives(b, "notes.txt", `${text}\n`);
    }
    assert.deepEqual(Object.keys(await settled(devices)), ["notes.txt"]);
    assert.equal((await b.json("history", b.at("notes.txt"))).length, ways.length + 1);
  });
});
