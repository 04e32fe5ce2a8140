// Holds the tree to the rules no compiler knows, and shows of each rule that it can fail.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, test } from "node:test";
import { DEFENCES } from "./defences/list.ts";
import { rooms } from "./rooms.ts";
import * as shape from "./tidy/shape.ts";
import { parse, type Finding, type Rule } from "./tidy/source.ts";
import { checkAttackIds, checkDefences } from "./tidy/attack-ids.ts";
import { checkPackages } from "./tidy/packages.ts";
import { checkSpecIds } from "./tidy/spec-ids.ts";
import { checkClock, checkImports } from "./tidy/walls.ts";
import { checkWords } from "./tidy/words.ts";

const root = path.dirname(import.meta.dirname);
const codeFolders = ["src", "test", "bench", "scripts"];
/** Not ours to keep tidy: made by npm, git, a run of Lockstep or a test run. */
const skippedFolders = ["node_modules", ".git", "Lockstep", ".lockstep", "coverage", "dist"];
/** Written by a machine and read by none of us, so that sizes mean nothing. */
const generatedFiles: readonly string[] = [];

const files = filesBelow(root).sort();
const codeFiles = files.filter((file) => codeFolders.includes(file.split("/")[0] ?? ""));
const sources = codeFiles
  .filter((file) => /\.(ts|tsx|mjs)$/.test(file))
  .map((file) => parse(file, read(file)));

const rules: Readonly<Record<string, Rule>> = {
  "rooms import only what test/rooms.ts allows": checkImports,
  "time and chance come in through ports": checkClock,
  "files, functions and lines are short": (source) =>
    generatedFiles.includes(source.path) ? [] : shape.checkSize(source),
  "no file only passes on": shape.checkBarrel,
  "what is left to do has a reason": shape.checkComments,
  "no test is skipped without a reason": shape.checkSkips,
  "names say something": checkWords,
};

describe("the tree", () => {
  for (const [name, rule] of Object.entries(rules)) {
    test(name, () => none(sources.flatMap((source) => rule(source))));
  }
  test("files are named in kebab-case, after their subject", () =>
    none(codeFiles.flatMap(shape.checkFileName)));
  test("no file names a package registry", () =>
    none(files.flatMap((file) => shape.checkRegistry(file, read(file)))));
  test("every rule of SPEC.md has a test, and every rule a test names is there", () => {
    if (files.includes("SPEC.md")) none(checkSpecIds(read("SPEC.md"), sources));
  });
  test("every attack in SPEC.md has a test of its name, and names rules that there are", () => {
    none(checkAttackIds(read("SPEC.md"), sources));
    none(checkDefences(read("SPEC.md"), DEFENCES, read));
  });
  test("T-CR-05: chance is the operating system's, and few files draw it", () => {
    const own = sources.filter(
      ({ path: file }) => /^src\/(?!sim\/)/.test(file) && !file.endsWith(".test.ts"),
    );
    const drawing = (how: RegExp): string[] =>
      own.filter(({ text }) => how.test(text)).map(({ path: file }) => file);
    assert.deepEqual(drawing(/Math\.random|pseudoRandomBytes/), []);
    assert.deepEqual(drawing(/\b(randomBytes|getRandomValues|randomUUID|randomInt|randomFill)/), [
      "src/cli/links.ts",
      "src/cli/restoring.ts",
      "src/platform/chance.ts",
      "src/server/real-world.ts",
    ]);
  });
  test("T-SC-01: packages are exactly those of the lock file, and none runs a script", () =>
    none(checkPackages(read("package.json"), read("package-lock.json"), read(".npmrc"))));
  test("every folder of src/ is a room", () => {
    const folders = new Set(
      codeFiles.filter((f) => f.startsWith("src/")).map((f) => f.split("/")[1]),
    );
    for (const folder of folders) assert.ok(Object.hasOwn(rooms, folder ?? ""), `src/${folder}`);
  });
});

/** What each rule must object to, and (below) what it must let pass. */
const bad: readonly [rule: Rule, path: string, text: string, message: RegExp][] = [
  [checkImports, "src/core/a.ts", `import { x } from "#sync/tree.ts";`, /core may not import/],
  [checkImports, "src/sync/a.ts", `import * as fs from "node:fs";`, /sync is pure.*node:fs/],
  [checkImports, "src/sync/a.ts", `import { z } from "zod";`, /package zod/],
  [checkImports, "src/core/a.test.ts", `import { z } from "zod";`, /package zod/],
  [
    checkImports,
    "src/server/a.ts",
    `import type { K } from "../crypto/keys.ts";`,
    /may not import/,
  ],
  [checkImports, "src/server/a.ts", `export * from "#chunking/cut.ts";`, /may not import/],
  [checkImports, "src/server/a.ts", `const m = await import("#sync/tree.ts");`, /may not import/],
  [checkImports, "src/server/a.ts", `type T = import("#sync/tree.ts").T;`, /may not import/],
  [checkImports, "src/platform/a.ts", `import { plan } from "#sync/planner.ts";`, /may not import/],
  [checkImports, "src/sim/a.ts", `import { disk } from "#platform/disk.ts";`, /may not import/],
  [checkImports, "src/cli/a.ts", `import { world } from "#sim/world.ts";`, /may not import/],
  [checkImports, "src/cli/a.ts", `import { x } from "../../test/x.ts";`, /lies in no room/],
  [checkImports, "src/cli/a.ts", `import { x } from "./b.test.ts";`, /a test is not imported/],
  [checkImports, "src/attic/a.ts", `export const x = 1;`, /not a room/],
  [checkClock, "src/sync/a.ts", `const t = Date.now();`, /Date\.now/],
  [checkClock, "src/sync/a.ts", `const t = new Date();`, /new Date/],
  [checkClock, "src/sync/a.ts", `const t = Date();`, /Date\(\)/],
  [checkClock, "src/sync/a.ts", `const f = Math.random;`, /Math\.random/],
  [checkClock, "src/server/a.ts", `setTimeout(() => {}, 5);`, /setTimeout/],
  [checkClock, "src/server/a.ts", `globalThis.setInterval(f, 5);`, /setInterval/],
  [checkClock, "src/server/a.ts", `performance.now();`, /performance\.now/],
  [checkClock, "src/server/a.ts", `const i = crypto.randomUUID();`, /randomUUID/],
  [checkClock, "src/server/a.ts", `import { randomBytes } from "node:crypto";`, /randomBytes/],
  [checkClock, "src/sim/a.ts", `import { setTimeout as s } from "node:timers/promises";`, /timers/],
  [shape.checkSize, "src/core/a.ts", "\n".repeat(601), /601 lines/],
  [shape.checkSize, "src/core/a.ts", `const x = "${"y".repeat(100)}";\n`, /100 columns/],
  [shape.checkSize, "src/core/a.ts", `function f() {${"\n".repeat(70)}}`, /function of 71 lines/],
  [shape.checkSize, "src/core/a.ts", `class C { m() {${"\n".repeat(70)}} }`, /function of 71/],
  [shape.checkBarrel, "src/core/a.ts", `export * from "#core/b.ts";`, /barrel/],
  [shape.checkBarrel, "src/core/a.ts", `import { x } from "./b.ts";\nexport { x };`, /barrel/],
  [shape.checkComments, "src/core/a.ts", `// TODO: later\nlet x;`, /TODO without a reason/],
  [shape.checkComments, "src/core/a.ts", `/* FIXME() */ let x;`, /FIXME without a reason/],
  [shape.checkSkips, "src/core/a.test.ts", `test("x", { skip: true }, f);`, /skip without/],
  [shape.checkSkips, "src/core/a.test.ts", `test("x", { skip: !tool }, f);`, /skip without/],
  [shape.checkSkips, "src/core/a.test.ts", `test.skip("x", f);`, /no place for a reason/],
  [shape.checkSkips, "src/core/a.test.ts", `test("x", (t) => { t.skip(); });`, /t\.skip\(\)/],
  [shape.checkSkips, "src/core/a.test.ts", `test.only("x", f);`, /runs alone/],
  [shape.checkSkips, "src/core/a.test.ts", `test("x", { only: true }, f);`, /runs alone/],
  [checkWords, "src/core/a.ts", `export class ChunkManager {}`, /"manager" in ChunkManager/],
  [checkWords, "src/core/a.ts", `export const serviceUrl = 1;`, /"service"/],
  [checkWords, "src/core/a.ts", `export class KeyServices {}`, /"services"/],
  [checkWords, "src/core/a.ts", `export type FileInfo = 1;`, /"info"/],
  [checkWords, "src/core/a.ts", `export function chunkData() {}`, /"data"/],
  [checkWords, "src/core/a.ts", `const x = 1; export { x as EVENT_HANDLER };`, /"handler"/],
  [checkWords, "src/core/path-utils.ts", `export const x = 1;`, /"utils" in the file's name/],
];

const good: readonly [rule: Rule, path: string, text: string][] = [
  [checkImports, "src/platform/a.ts", `import type { Disk } from "#sync/ports.ts";`],
  [checkImports, "src/platform/a.ts", `import type { Disk } from "#sync/ports.ts";`],
  [checkImports, "src/protocol/a.ts", `import { z } from "zod";`],
  [
    checkImports,
    "src/sync/a.test.ts",
    `import test from "node:test"; import fc from "fast-check";`,
  ],
  [checkImports, "src/sync/a.test.ts", `import { x } from "../../test/contracts/disk.ts";`],
  [checkImports, "src/server/a.ts", `import { Hono } from "hono"; import * as fs from "node:fs";`],
  [checkClock, "src/sync/a.ts", `clock.setTimeout(f); const d = new Date(ms); type T = Date;`],
  [checkClock, "src/server/real-world.ts", `const t = Date.now();`],
  [checkClock, "src/platform/a.ts", `const t = Date.now();`],
  [checkClock, "src/sync/a.test.ts", `const t = Date.now();`],
  [shape.checkSize, "src/core/a.ts", "\n".repeat(600)],
  [shape.checkSize, "src/core/a.ts", `// https://example.org/${"y".repeat(100)}\n`],
  [shape.checkSize, "src/core/a.test.ts", `describe("x", () => {${"\n".repeat(100)}});`],
  [
    shape.checkSize,
    "test/contracts/a.ts",
    `export function contract() {${"\n".repeat(90)}test("x", f);}`,
  ],
  [shape.checkBarrel, "src/core/a.ts", `export const x = 1; export * from "#core/b.ts";`],
  [shape.checkBarrel, "src/core/a.ts", `import "./b.ts";`],
  [shape.checkComments, "src/core/a.ts", `// TODO(the server cannot answer yet): ask it\nlet x;`],
  [
    shape.checkSkips,
    "src/core/a.test.ts",
    `test("x", { skip: root ? "needs no root" : false }, f);`,
  ],
  [checkWords, "src/core/key-service.ts", `export class KeyServiceChild {}`],
  [checkWords, "src/core/a.ts", `export const dataFolder = 1, information = 2, baseline = 3;`],
];

describe("the rules", () => {
  for (const [rule, file, text, message] of bad) {
    test(`${rule.name} objects to ${file}: ${firstLine(text)}`, () => {
      assert.match(rule(parse(file, text)).map(show).join("\n"), message);
    });
  }
  for (const [rule, file, text] of good) {
    test(`${rule.name} lets pass ${file}: ${firstLine(text)}`, () => {
      none(rule(parse(file, text)));
    });
  }

  test("checkFileName objects to cases and to names that say nothing", () => {
    for (const name of ["src/core/fileName.ts", "src/Core/a.ts", "src/core/a_b.ts"]) {
      assert.match(shape.checkFileName(name).map(show).join("\n"), /kebab-case/, name);
    }
    for (const name of ["index.ts", "util.ts", "utils.ts", "types.ts", "helpers.ts"]) {
      assert.match(
        shape.checkFileName(`src/core/${name}`).map(show).join("\n"),
        /says nothing/,
        name,
      );
    }
    none(["src/core/a-b2.test.ts", "src/web/index.html"].flatMap(shape.checkFileName));
  });

  test("checkRegistry objects to a host and to a resolved address", () => {
    const host = ["registry", "example", "org"].join(".");
    assert.equal(shape.checkRegistry(".npmrc", `\nregistry=https://${host}/\n`)[0]?.line, 2);
    const resolved = `"resolved": "${["https", "//example.org/a.tgz"].join(":")}"`;
    assert.equal(shape.checkRegistry("package-lock.json", resolved).length, 1);
  });

  test("checkSpecIds objects to a rule without a test and to a test without a rule", () => {
    const spec =
      "- **PL1** One.\n**PL2** Two.\n| **JN3** | Three. |\n1. **JN4** Four, see **XX9**.\n";
    const names = ["PL1: a", "b [PL2, JN3]"].map((name) => `test("${name}", f);`).join("\n");
    const table = `const rows = [{ name: "JN4 c" }];`;
    none(checkSpecIds(spec, [parse("src/sync/a.test.ts", `${names}\n${table}`)]));
    const wrong = [parse("src/sync/a.test.ts", `${names}\ntest("ZZ1 d", f);`)];
    const messages = checkSpecIds(spec, wrong).map((finding) => finding.message);
    assert.deepEqual(messages, ["ZZ1 is no rule of SPEC.md", "no test names JN4"]);
  });
});

function filesBelow(folder: string): string[] {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return skippedFolders.includes(entry.name) ? [] : filesBelow(full);
    return entry.isFile() ? [path.relative(root, full).split(path.sep).join("/")] : [];
  });
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]?.slice(0, 60) || "(many lines)";
}

function read(file: string): string {
  return fs.readFileSync(path.join(root, file), "utf8");
}

function show(finding: Finding): string {
  return `${finding.path}:${finding.line} ${finding.message}`;
}

function none(findings: readonly Finding[]): void {
  if (findings.length > 0) assert.fail(`\n${findings.map(show).join("\n")}`);
}
