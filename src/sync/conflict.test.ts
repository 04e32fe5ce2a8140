import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { utf8Length } from "#core/bytes.ts";
import { MAX_NAME_BYTES, nameProblem } from "#core/names.ts";
import { conflictName, readConflictName } from "./conflict.ts";

const copy = { device: "Alice's laptop", date: "2026-11-22", attempt: 1, folder: false };
const tail = "(Alice's laptop's Conflict Copy 2026-11-22)";

suite("conflict copies' names", () => {
  const named: [string, Partial<typeof copy>, string][] = [
    ["Document.docx", {}, `Document ${tail}.docx`],
    [
      "Document.docx",
      { attempt: 2 },
      "Document (Alice's laptop's Conflict Copy 2026-11-22 2).docx",
    ],
    ["backup.tar.gz", {}, `backup ${tail}.tar.gz`],
    [".bashrc", {}, `.bashrc ${tail}`],
    [".config.json", {}, `.config ${tail}.json`],
    ["Makefile", {}, `Makefile ${tail}`],
    ["photos.2024", { folder: true }, `photos.2024 ${tail}`],
    ["ends with.", {}, `ends with. ${tail}`],
    ["What is this. A title", {}, `What is this. A title ${tail}`],
  ];
  for (const [name, more, expected] of named) {
    test(`CC1: the copy of ${name}${more.attempt ? " (second)" : ""} is ${expected}`, () => {
      assert.equal(conflictName(name, { ...copy, ...more }), expected);
    });
  }

  test("CC2: a copy of a copy does not nest", () => {
    const first = conflictName("a.txt", copy);
    assert.equal(conflictName(first, copy), first);
    assert.equal(
      conflictName(first, { ...copy, attempt: 2 }),
      "a (Alice's laptop's Conflict Copy 2026-11-22 2).txt",
    );
  });

  test("CC2: a device's name brings no character that a system refuses", () => {
    const name = conflictName("a", { ...copy, device: 'C:\\x/y*?"<>|()\u0007' });
    assert.equal(nameProblem(name), null);
    assert.doesNotMatch(name.replace(/ \(.*\)$/u, ""), /[\\/:*?"<>|]/u);
    assert.equal(readConflictName(name)?.of, "a");
  });

  test("CC2: the stem is cut at 255 bytes, the ending never; what it was made of can be read back", () => {
    const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 255 });
    fc.assert(
      fc.property(names, names, fc.integer({ min: 1, max: 99 }), (name, device, attempt) => {
        fc.pre(nameProblem(name) === null);
        const full = conflictName(`${name}.docx`, { ...copy, device, attempt });
        assert(utf8Length(full) <= MAX_NAME_BYTES);
        assert(full.endsWith(".docx"));
        assert.notEqual(readConflictName(full), null);
      }),
    );
  });

  test("CC1: only names of that form are conflict copies", () => {
    assert.equal(readConflictName("Document (draft).docx"), null);
    assert.equal(readConflictName("Document.docx"), null);
    assert.deepEqual(readConflictName(`Document ${tail}.docx`), {
      of: "Document.docx",
      device: "Alice's laptop",
      date: "2026-11-22",
    });
  });
});
