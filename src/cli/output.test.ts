import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesText, counted, cutTo, shown, table, timeText } from "./output.ts";

test("bytes are shown with the unit that fits", () => {
  const sizes = [0, 1023, 1024, 1536, 102_400, 5 * 1024 ** 3, 3_000 * 1024 ** 4];
  assert.deepEqual(sizes.map(bytesText), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 KiB",
    "100 KiB",
    "5.0 GiB",
    "3000 TiB",
  ]);
});

test("CL18: a name's control characters are shown and not sent to the terminal", () => {
  assert.equal(shown("a\u001b[31mb\nc\u202Ed"), "a\\u001b[31mb\\u000ac\\u202ed");
  assert.equal(shown("größe 🦀.txt"), "größe 🦀.txt");
});

test("a table's columns are as wide as their cells, numbers to the right", () => {
  const header = [{ title: "N", right: true }, { title: "Name", flexible: true }, { title: "" }];
  const rows = [
    ["1", "a", "x"],
    ["100", "longer", ""],
  ];
  assert.equal(table(header, rows), "  N  Name\n  1  a       x\n100  longer");
});

test("a path that is cut keeps both ends", () => {
  assert.equal(cutTo("documents/of/a/long/way/report.txt", 20), "docume…ay/report.txt");
  assert.equal(cutTo("short", 20), "short");
});

test("counts and times read like sentences", () => {
  assert.deepEqual([counted(1, "file"), counted(2, "copy", "copies")], ["1 file", "2 copies"]);
  assert.match(timeText(0, true), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
});
