import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { IgnoreRules } from "./ignore.ts";

suite("ignore rules", () => {
  test("IG1: litter of desktops and editors is ignored in every folder, other files are not", () => {
    const rules = new IgnoreRules();
    const litter = [
      ".DS_Store",
      "Thumbs.db",
      "desktop.ini",
      "~$report.docx",
      ".~lock.a.odt#",
      "x.tmp",
    ];
    for (const name of [...litter, ".#notes"]) {
      assert(rules.decide(name, false).ignored, name);
      assert(rules.decide(`deep/er/${name}`, false).ignored, name);
    }
    for (const name of ["a.txt", "tmp", ".env", "report~", "DS_Store"]) {
      assert(!rules.decide(name, false).ignored, name);
    }
  });

  test("IG1, EN7: after 200,000 names the next one is judged alike, and they are forgotten", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const usedMib = (): number => {
      collect();
      return process.memoryUsage().heapUsed / 2 ** 20;
    };
    const rules = new IgnoreRules();
    const before = usedMib();
    for (let n = 0; n < 200_000; n++) {
      const name = n % 2 === 0 ? `a file of some person, number ${n}` : `x${n}.tmp`;
      assert.equal(rules.ignoresEntry(`folder/${name}`, false), n % 2 === 1);
    }
    const grown = usedMib() - before;
    assert.ok(grown < 8, `${grown} MiB are kept`);
  });

  test("IG2: a rule of a deeper folder decides over one above it, and is named by file, line and text", () => {
    const rules = new IgnoreRules();
    rules.set("", "# build output\nbuild/\n*.log\n");
    rules.set("app", "!keep.log\n/local\n");
    assert.deepEqual(rules.decide("app/x.log", false), {
      ignored: true,
      rule: { file: ".lockstepignore", line: 3, pattern: "*.log" },
    });
    assert(!rules.decide("app/keep.log", false).ignored);
    assert(rules.decide("keep.log", false).ignored);
    assert.equal(rules.decide("app/local", false).rule?.file, "app/.lockstepignore");
    assert(!rules.decide("app/sub/local", false).ignored);
  });

  test("IG2: what lies in an ignored folder is ignored by the folder's rule, whatever comes below", () => {
    const rules = new IgnoreRules();
    rules.set("", "build/\n");
    rules.set("build", "!kept\n");
    assert.deepEqual(rules.decide("build/kept", false).rule, {
      file: ".lockstepignore",
      line: 1,
      pattern: "build/",
    });
    assert(!rules.decide("build", false).ignored, "the rule is for folders only");
  });

  test("IG2: rules that were taken away hold no longer", () => {
    const rules = new IgnoreRules();
    assert(rules.set("", "*.bak"));
    assert(!rules.set("", "*.bak"));
    assert(rules.decide("a.bak", false).ignored);
    assert(rules.set("", null));
    assert(!rules.decide("a.bak", false).ignored);
  });
});
