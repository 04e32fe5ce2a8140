import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { describe, test } from "node:test";
import { hunt } from "./hunt.ts";
import { mutant, mutated } from "./mutation.ts";
import { MUTANTS, mutantsNamed } from "./mutants.ts";

/** Mutants that fall within a few stories: proof that a story can fail, each for another reason. */
const QUICK = [
  "later-edit-overwrites",
  "no-base-check",
  "agreed-before-read-back",
  "synced-before-durable",
  "modification-time-lost",
];

describe("planted bugs", () => {
  test("each has a name of its own", () => {
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
  });

  for (const { name, edits } of MUTANTS) {
    test(`${name} still applies, and is still a program`, () => {
      assert.ok(edits.length > 0);
      for (const file of new Set(edits.map((edit) => edit.file))) {
        const source = readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
        const own = edits.filter((edit) => edit.file === file);
        const wrong = mutated(source, own);
        assert.notEqual(wrong, source);
        assert.doesNotThrow(() => stripTypeScriptTypes(wrong));
      }
    });
  }

  test("an edit whose text is not there once is told, not left out", () => {
    const [edit] = mutant("any", "Anything.", ["any.ts", "a", "b"]).edits;
    assert.ok(edit !== undefined);
    assert.equal(mutated("an", [edit]), "bn");
    assert.throws(() => mutated("none", [edit]), /holds 0 times/);
    assert.throws(() => mutated("aa", [edit]), /holds 2 times/);
  });

  for (const name of QUICK) {
    test(`the simulator finds ${name} within 100 stories`, async () => {
      const [planted] = mutantsNamed([name]);
      assert.ok(planted !== undefined);
      const { stories, complaint } = await hunt(planted, { from: 1, most: 100 });
      assert.notEqual(stories, null, complaint);
    });
  }

  test("a program without a bug is not found", async () => {
    const harmless = mutant("harmless", "Nothing.");
    const { stories } = await hunt(harmless, { from: 1, most: 3 });
    assert.equal(stories, null);
  });
});
