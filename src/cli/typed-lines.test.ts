import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { askAt } from "./letting-in.ts";
import { TypedLines } from "./typed-lines.ts";

const GUEST = { name: "desk", words: "apple banana cherry date" };
const { signal } = new AbortController();

test("CL30: a machine is let in on y or yes, and on nothing else", async () => {
  const answers: [string, boolean][] = [
    ["y\n", true],
    ["Yes \n", true],
    ["\n", false],
    ["n\n", false],
    ["yesterday\n", false],
  ];
  for (const [typed, expected] of answers) {
    const input = new PassThrough();
    using lines = new TypedLines(input);
    const asked = askAt(lines)(GUEST, signal);
    input.write(typed);
    assert.equal(await asked, expected, typed);
  }
});

test("CL30: nobody is let in by an answer that was typed for another machine, or for none", async () => {
  const input = new PassThrough();
  let others = 0;
  using lines = new TypedLines(input, () => others++);
  input.write("y\n");
  await new Promise(setImmediate);
  assert.equal(others, 1);
  const ask = askAt(lines);
  const [first, second] = [ask(GUEST, signal), ask({ ...GUEST, name: "phone" }, signal)];
  input.write("y");
  input.write("\nn\n");
  assert.deepEqual(await Promise.all([first, second]), [true, false]);
});

test("CL30: a question that is over, or whose terminal has gone, is a no", async () => {
  const input = new PassThrough();
  const lines = new TypedLines(input);
  const over = new AbortController();
  const ask = askAt(lines);
  const [late, gone] = [ask(GUEST, over.signal), ask(GUEST, signal)];
  over.abort();
  assert.equal(await late, false);
  input.end();
  assert.equal(await gone, false);
  lines[Symbol.dispose]();
});
